"""Board entry: load the kernel, start the driver of this board, serve drive and link for ever.

The interrupt (or, on the virtual board, `driver.poll`) runs the control law; everything here is
the main loop and may allocate and be late.  Outputs are enabled by the driver's `start` only, so
whatever goes wrong before leaves them off.

On a board that is loaded by `eesm flash` nothing is started unless every file of the manifest is
there, and its ROM: a flash that was cut short ends at the prompt, from where the next one begins.
"""

import gc
import sys

MANIFEST = "manifest.json"
TURNS = 8  # of the main loop between two looks whether it is to end
CALM = 100  # periods without a letter: a board takes some ms for what a host sends


def find_gap():
    """The first file that a flash cut short has left out; None when the board is whole."""
    import json
    import os

    try:
        with open(MANIFEST) as file:
            manifest = json.load(file)
        sizes = manifest["files"]
    except (OSError, ValueError, KeyError):
        return MANIFEST
    if "rom" in manifest and not is_burnt(*manifest["rom"]):
        return "the ROM"
    for path in sizes:
        try:
            if os.stat(path)[6] != sizes[path][0]:
                return path
        except OSError:
            return path
    return None


def is_burnt(size, digits):
    """True when the board's ROM begins with the `size` bytes of modules that were flashed into it.

    Another MicroPython may have none, or have been written over it.
    """
    import binascii
    import hashlib

    import vfs

    try:
        rom = memoryview(vfs.rom_ioctl(2, 0))  # pyright: ignore[reportAttributeAccessIssue]
    except (AttributeError, TypeError):
        return False
    return binascii.hexlify(hashlib.sha256(rom[:size]).digest()).decode().startswith(digits)


def make_driver(kernel, arguments):
    """The driver of the chip that unit.json names; a board without one is a process on a computer."""
    if "board" in kernel.unit:
        from drivers.rp2040 import Rp2040Driver as Driver
    else:
        from drivers.virtual import VirtualDriver as Driver
    return Driver(kernel.unit, arguments)


def main(arguments):
    """Run until the driver ends or a host asks for the prompt; returns the exit status."""
    try:
        from eesm.routines import load_routines

        routines = load_routines()  # first, while there is memory for the compiler
        from eesm.memory import LENT, SCARCE, rehearse

        gc.collect()
        rehearse(LENT)
        if not SCARCE:  # before unit.json is read, so that its names are those of the modules
            from eesm import snapshot, watches

            watches.load()
        from eesm.kernel import KernelError, load

        gc.collect()
        from eesm.drive import Drive

        gc.collect()
        from eesm.kept import Kept
        from eesm.link import Link

        gc.collect()
        from eesm.mailbox import Mailbox
        from eesm.telemetry import Telemetry

        gc.collect()
    except MemoryError:
        sys.stderr.write("MEMORY_SHORT: no memory left while loading the firmware; outputs stay off\n")
        return 1
    except OSError as error:
        sys.stderr.write("KERNEL_FAILED: the files of the board folder cannot be used: %s\n" % repr(error))
        return 1
    try:
        kernel = load(".", routines)
        driver = make_driver(kernel, arguments)
        kept = None if driver.store is None else Kept(driver.store, kernel)
        mailbox = Mailbox(kernel)
        drive = Drive(kernel, mailbox, driver)
        telemetry = Telemetry(kernel)
        if kernel.failure is None and not SCARCE:
            drive.keep_faults(snapshot.Snapshot(drive, telemetry, driver.store))
        link = Link(driver.port, drive, telemetry, kernel.identity, kept=kept)
    except (KernelError, ValueError) as error:
        sys.stderr.write("%s\n" % error)
        return 1
    except MemoryError:
        sys.stderr.write("MEMORY_SHORT: no memory left while starting; outputs stay off\n")
        return 1
    if kernel.failure is None:
        driver.start(kernel)
        if kept is not None:
            kept.tell(drive)
    else:
        # The link lives on to say why nothing can be armed.
        sys.stderr.write("%s: %s\n" % kernel.failure)
    gc.collect()
    try:
        turn(driver, drive, mailbox, link)
    except Exception as error:
        driver.switch_off()
        tell_failure(link, drive, error)
        raise
    finally:
        driver.stop()
    return 0


def turn(driver, drive, mailbox, link):
    """The main loop, until the driver ends or a host has asked for the prompt."""
    poll, pump, serve, outbox = driver.poll, mailbox.pump, link.poll, link.outbox
    while driver.alive() and not link.left():
        for _ in range(TURNS):
            # A pulse ends by a letter that has to be there 1 ms after the one that began it.
            due = poll(outbox)
            pump()
            if due:
                drive.tick()
                pump()
            if not drive.urgent or driver.waits:
                serve()
            elif mailbox.calm(CALM):
                link.listen()
        if driver.silent and drive.state != drive.IN_FAULT:
            drive.fail("PERIODS_STOPPED", "no period has come for more than 20 ms")


def tell_failure(link, drive, error):
    """Say over the link, while it lives, that the main loop has ended, and why; bridges are off already."""
    try:
        drive.fail("MAIN_LOOP_FAILED", repr(error))
        for _ in range(TURNS):
            link.poll()
    except Exception:
        pass  # the prompt tells the first one, which is the cause


def run_on_board():
    """Run on a board of its own; ends at the prompt, outputs off, whatever happens."""
    import micropython

    gap = find_gap()
    if gap is not None:
        print("eesm: %s is missing or cut short; all outputs stay off. Load the board: eesm flash" % gap)
        return
    # The link carries any byte, so a 3 is not Ctrl-C while it is up; LEAVE is the way to the prompt.
    micropython.kbd_intr(-1)
    try:
        main(())
    finally:
        micropython.kbd_intr(3)


if __name__ == "__main__":
    if sys.platform == "rp2":
        run_on_board()  # and no exit: after one MicroPython would start this file again, for ever
    else:
        sys.exit(main(sys.argv[1:]))
