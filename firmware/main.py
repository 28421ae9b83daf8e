"""Board entry: load the kernel, start the driver of this board, serve drive and link for ever.

The interrupt (or, on the virtual board, `driver.poll`) runs the control law; everything here is
the main loop and may allocate and be late.  Outputs are enabled by the driver's `start` only, so
whatever goes wrong before leaves them off.
"""

import sys

try:
    from eesm.drive import Drive
    from eesm.kernel import KernelError, load
    from eesm.link import Link
    from eesm.mailbox import Mailbox
    from eesm.telemetry import Telemetry
except MemoryError:
    sys.stderr.write("MEMORY_SHORT: no memory left while loading the firmware; outputs stay off\n")
    sys.exit(1)


def make_driver(kernel, arguments):
    """The driver of the board that unit.json names."""
    board = kernel.identity["board"]
    if board == "virtual":
        from drivers.virtual import VirtualDriver as Driver
    else:
        raise KernelError("no driver for the board %r" % board)
    return Driver(kernel.unit, arguments)


def main(arguments):
    """Run until the driver ends; returns the exit status."""
    try:
        kernel = load()
        driver = make_driver(kernel, arguments)
        mailbox = Mailbox(kernel)
        drive = Drive(kernel, mailbox, driver)
        telemetry = Telemetry(kernel)
        link = Link(driver.port, drive, telemetry, kernel.identity)
    except (KernelError, ValueError) as error:
        sys.stderr.write("%s\n" % error)
        return 1
    except MemoryError:
        sys.stderr.write("MEMORY_SHORT: no memory left while starting; outputs stay off\n")
        return 1
    if kernel.failure is None:
        driver.start(kernel)
    else:
        # The link lives on to say why nothing can be armed.
        sys.stderr.write("%s: %s\n" % kernel.failure)
    try:
        while driver.alive():
            if driver.poll(link.backlog()):
                drive.tick()
            mailbox.pump()
            link.poll()
    finally:
        driver.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
