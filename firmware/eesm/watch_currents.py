"""Watch of the current sensors while ready or running; see `eesm.watch_field` for what a watch is."""

from eesm.faults import Failed

LOOK_PERIODS = 20  # as eesm.drive.TICK_PERIODS
ADC_TOP = 4095  # as in eesm.signals

CURRENTS = ("i_a_raw", "i_b_raw", "i_f_raw")
STUCK_LOOKS = 24  # noise of one count changes a count this often more surely than anything else holds
DOUBT_LOOKS = 4
MOVED_COUNTS = 24  # by which another current has to move meanwhile
WIDE = 512  # this code of an RP2040's converter, and each 1024 on, is as wide as ten (E11): noise stays in it


class CurrentWatch:
    """A converter that gives the same count again and again while another one moves far is stuck."""

    def __init__(self, drive):
        self.drive = drive
        self._counts = [0, 0, 0]  # of the converter at the last look
        self._low = [0, 0, 0]  # lowest and highest of the present window of looks
        self._high = [0, 0, 0]
        self._still = [0, 0, 0]  # looks in which each has not changed
        self.begin()

    def begin(self):
        """What was seen before says nothing about now."""
        self._sensed = self.drive.read("period")  # of the last look
        self._still[0] = self._still[1] = self._still[2] = 0
        self._forget()

    def doubts(self):
        """True while a phase's count stands that may turn out to be stuck: the currents tell nothing then."""
        if max(self._span, self._high[0] - self._low[0], self._high[1] - self._low[1]) <= MOVED_COUNTS:
            return False
        return max(self._still[0], self._still[1]) >= DOUBT_LOOKS

    def _forget(self, moved=0):
        """Begin a new window of looks; `moved` is how far a count has moved in the last one."""
        self._looks = 0
        self._span = moved
        for k in range(3):
            self._low[k], self._high[k] = ADC_TOP, 0

    def look(self):
        """Fail when a count stands.

        Its flicker is no movement: at rest one current may sit between two counts, another on one.
        """
        drive = self.drive
        if drive.since(self._sensed) < LOOK_PERIODS // 2:  # nothing fresh to look at
            return
        self._sensed = drive.now
        counts, still, low, high = self._counts, self._still, self._low, self._high
        sight, k = drive.sight, 0
        for count in (sight.i_a_raw, sight.i_b_raw, sight.i_f_raw):
            if count == counts[k] and count & 1023 != WIDE:
                still[k] += 1
            else:
                still[k] = 0
            counts[k] = count
            if count < low[k]:
                low[k] = count
            if count > high[k]:
                high[k] = count
            k += 1
        moved = max(high[0] - low[0], high[1] - low[1], high[2] - low[2])
        furthest = max(moved, self._span)
        self._looks += 1
        if self._looks >= STUCK_LOOKS // 2:
            self._forget(moved)
        if furthest <= MOVED_COUNTS:
            return
        for k in range(3):
            if still[k] >= STUCK_LOOKS:
                raise Failed(
                    "SENSOR_STUCK",
                    "%s stays at %d counts for %d looks while another current moves by %d; check its sensor"
                    % (CURRENTS[k], counts[k], still[k], furthest),
                )
