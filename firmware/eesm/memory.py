"""Memory of a board, of which there is little: collected at good moments, and lent to modules for a while."""

import gc
import sys

# Too little for all watches and the snapshot, and modules are lent: a Pico that holds their code in its heap,
# since its MicroPython has no ROM partition from which it would run in place.
SCARCE = sys.platform == "rp2" and not __file__.startswith("/rom/")
# Modules that such a board has in its memory only while it arms.
LENT = ("startup",)


def tidy():
    """Collect garbage now, where memory is short, so that it is not done in the next ms."""
    if hasattr(gc, "mem_free"):
        gc.collect()


def release(names):
    """Let the next collection take modules of `eesm` that are not needed now, where memory is short."""
    if not SCARCE:
        return
    import eesm

    for name in names:
        sys.modules.pop("eesm." + name, None)
        if hasattr(eesm, name):
            delattr(eesm, name)


def rehearse(names):
    """Load modules of `eesm` once and let them go, where memory is short.

    What they call things stays in the interpreter's tables, which grow by kilobytes in one piece: there is
    such a piece while a board starts, and later there may be none.
    """
    if not SCARCE:
        return
    for name in names:
        __import__("eesm." + name)
    release(names)
    gc.collect()
