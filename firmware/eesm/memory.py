"""Memory of a board, of which there is little: collected at good moments, and lent to modules for a while."""

import gc
import sys

SCARCE = sys.platform == "rp2"  # modules are lent


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
