"""Board entry: load the kernel, start the driver of this board, serve drive and link for ever.

The interrupt (or, on the virtual board, `driver.poll`) runs the control law; everything here is
the main loop and may allocate and be late.
"""

import sys

from eesm.drive import Drive
from eesm.kernel import KernelError, load
from eesm.link import Link
from eesm.mailbox import Mailbox
from eesm.telemetry import Telemetry


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
    except (KernelError, ValueError) as error:
        sys.stderr.write("%s\n" % error)
        return 1
    mailbox = Mailbox(kernel)
    drive = Drive(kernel, mailbox, driver)
    telemetry = Telemetry(kernel)
    link = Link(driver.port, drive, telemetry, kernel.identity)
    if kernel.failure is None:
        driver.start(kernel)
    else:
        # Outputs were never enabled and never will be; the link says why.
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
