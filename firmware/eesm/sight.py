"""What the watches look at: the kernel's words of one period, copied at once.

A board reads a word in the time of a period, so words read one after the other are of different
periods; at 850 Hz that is 15 degrees a word.  A copy takes 4 us and no memory.
"""

from array import array

from eesm.cyclic import signed

FRESH = 10  # periods below which a look has seen the same before
NAMES = (
    "period",
    "i_a_raw",
    "i_b_raw",
    "i_f_raw",
    "u_dc_raw",
    "position",
    "w_e",
    "i_d",
    "i_q",
    "d_integral",
    "q_integral",
    "compare_a",
    "compare_b",
    "compare_c",
)


class Sight:
    """One copy of the words between the first and the last of NAMES, and the raw value of each."""

    def __init__(self, kernel):
        places = [kernel.offset[name] for name in NAMES]
        first = min(places)
        count = max(places) - first + 1
        self._window = memoryview(kernel.block)[first : first + count]
        self._words = array("i", bytes(4 * count))
        self._copy = memoryview(self._words)
        self._at = [place - first for place in places]
        self.period = kernel.read("period")
        self.passed = 0  # periods since the last look, 0: nothing new has been seen
        self._name()

    def take(self):
        """Look again."""
        self._copy[:] = self._window
        period = self._words[self._at[0]]
        passed = signed(period - self.period)
        if passed < FRESH:  # ticks that make up for a late one
            self.passed = 0
        else:
            self.period, self.passed = period, passed
        self._name()

    def _name(self):
        # An attribute costs a board a tenth of what a call does, and the watches read each several times.
        words, at = self._words, self._at
        self.i_a_raw = words[at[1]]
        self.i_b_raw = words[at[2]]
        self.i_f_raw = words[at[3]]
        self.u_dc_raw = words[at[4]]
        self.position = words[at[5]]
        self.w_e = words[at[6]]
        self.i_d = words[at[7]]
        self.i_q = words[at[8]]
        self.d_integral = words[at[9]]
        self.q_integral = words[at[10]]
        self.compare_a = words[at[11]]
        self.compare_b = words[at[12]]
        self.compare_c = words[at[13]]


class Lasting:
    """Something bad counts when every look of some time has seen it."""

    def __init__(self):
        self.clear()

    def clear(self):
        """Nothing has been seen."""
        self._looks = 0
        self._began = 0

    def lasts(self, bad, now, periods, looks=3):
        """True once it was `bad` for so many periods, and in so many looks at least."""
        if not bad:
            self._looks = 0
            return False
        if self._looks == 0:
            self._began = now
        self._looks += 1
        return self._looks >= looks and signed(now - self._began) >= periods
