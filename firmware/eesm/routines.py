"""The first thing to load: the block of words, then the linked routines, while the heap is still empty.

Compiling the routines takes several times the memory that they need afterwards, and the block is one
piece that must never move; both find room only before anything else has spread over the heap.  With
too little memory for the compiler the routines are taken from `linked_compiled.mpy`, if the folder
holds one: the same text, compiled where the folder was built.  A folder built with KERNEL=native
holds `linked_native.mpy` instead of both: the same law, compiled from C.
"""

import gc
from array import array

SIZE_BYTES = 4  # tables.bin begins with the number of words of the block
NAMES = ("fast_step", "outer_step", "on_samples")


class Routines:
    """`block`, the routines that this board's driver calls (None for others), and where they come from.

    `on_samples` of a native module is no function but the address of one.
    """

    def __init__(self, block):
        self.block = block
        self.fast_step = None
        self.outer_step = None
        self.on_samples = None
        self.identity = ""
        self.source = ""  # "viper", "mpy" or "native"
        # (fault name, text) when the routines could not be loaded.
        self.failure = None  # type: tuple[str, str] | None

    def take(self, module, source):
        """Use what a linked module holds."""
        for name in NAMES:
            setattr(self, name, getattr(module, name, None))
        self.identity = module.IDENTITY
        self.source = source


def make_block(folder="."):
    """A block of the size that tables.bin tells, all zero; OSError or MemoryError."""
    gc.collect()
    with open(folder + "/tables.bin", "rb") as file:
        size = int.from_bytes(file.read(SIZE_BYTES), "little")
    return array("i", bytes(4 * size))


def load_routines(folder=".", kernel=""):
    """Block and routines of a board folder; `kernel` names one source: "viper", "mpy" or "native".

    Without a name a native module is taken if the folder holds one; else the text is compiled, or its
    compiled form is taken when the memory is too short.  What goes wrong with the routines is `failure`
    and not raised; without a block there is nothing to say it with, so OSError and MemoryError of that
    are.
    """
    routines = Routines(make_block(folder))
    try:
        if kernel in ("", "native"):
            try:
                import linked_native  # pyright: ignore[reportMissingImports]

                routines.take(linked_native, "native")
            except ImportError:  # most folders have none
                if kernel:
                    raise
        if not routines.source and kernel in ("", "viper"):
            try:
                import linked  # pyright: ignore[reportMissingImports]

                routines.take(linked, "viper")
            except MemoryError:
                gc.collect()
                if kernel:
                    raise
        if not routines.source and kernel in ("", "mpy"):
            try:
                import linked_compiled  # pyright: ignore[reportMissingImports]
            except ImportError:  # a board folder without one
                raise MemoryError
            routines.take(linked_compiled, "mpy")
    except MemoryError:
        routines.failure = ("MEMORY_SHORT", "no memory left while compiling the kernel")
    except Exception as error:  # whatever it is, the outputs stay off and the reason is told
        routines.failure = ("KERNEL_FAILED", "loading the kernel failed: %s" % repr(error))
    gc.collect()
    return routines
