"""The way to `eesm.keeper`, which a board holds in its memory only while something is read or written."""

from eesm.drive import FAULT, HOLDS, OFF, RPM, STATES, WRONG_STATE, Refused
from eesm.memory import release, tidy

BAD = "PARAMETERS_BAD"
MODULES = ("keeper", "store")


class Kept:
    """The settings that are kept in a folder for a kernel, which begins with them as this is made."""

    def __init__(self, folder, kernel):
        self._folder = folder
        self._kernel = kernel
        from eesm.keeper import Keeper

        keeper = Keeper(folder, kernel)
        keeper.load()
        self._fault = keeper.fault
        self._notes = keeper.notes
        keeper = Keeper = None
        release(MODULES)
        tidy()

    def tell(self, drive):
        """Say what was found: a store that is not whole is a fault, which can be cleared."""
        if self._fault:
            drive.fail(BAD, self._fault)
        for note in self._notes:
            drive.tell(note)
        self._fault, self._notes = "", ()

    def ask(self, verb, drive):
        """Let the keeper `save`, `erase` or only look (`status`); returns its status.

        Raises Refused unless the drive is at rest: a board's main loop is away for longer than its watchdog
        waits, and writing its flash stops its interrupts.  So its periods and its watchdog rest meanwhile.
        """
        check_rest(drive)
        driver = drive.driver
        rests = hasattr(driver, "pause")
        if rests:
            driver.pause()
        try:
            tidy()
            from eesm.keeper import Keeper

            return getattr(Keeper(self._folder, self._kernel), verb)(drive)
        finally:
            Keeper = None
            release(MODULES)
            tidy()
            if rests:
                driver.resume()


def check_rest(drive):
    """Refused unless the drive may be away for a while: off or in fault, field down, shaft at rest."""
    if drive.state not in (OFF, FAULT):
        raise Refused(
            WRONG_STATE, "the drive is armed (%s); stop it first (`eesm stop`)" % STATES[drive.state]
        )
    i_f, safe = drive.si("i_f"), drive.si("i_f_safe")
    if i_f > safe:
        raise Refused(HOLDS, "the field still carries %.2f A, %.2f A are allowed; wait" % (i_f, safe))
    w_m, limit = abs(drive.si("w_e")) / drive.settings["pole_pairs"], 0.005 * drive.settings["w_m_max"]
    if w_m > limit:
        raise Refused(HOLDS, "the shaft turns at %.0f rpm; wait until it stands still" % (w_m / RPM))
