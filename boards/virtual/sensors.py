"""The simulated sensors: converter with noise, offset and gain error, encoder, their failures.

    y, k = make_sensors(plant, seed)        # state and constants, flat lists
    sample(x, y, k, raw)                    # x of the plant -> raw[0..4]

raw[0] i_a, raw[1] i_b, raw[2] i_f, raw[3] u_dc: counts 0 .. 4095, currents around 2048; raw[4]
encoder, 16 bits.  Runs on CPython, MicroPython and under numba, like the plant.

The options of PICO make the converter that of an RP2040: noise that leaves 9 effective bits, four
codes as wide as ten (erratum E11: 512, 1536, 2560, 3584; all others are narrower for that), and
channels that are taken one after the other.
"""

from boards.virtual.plant import (
    MAY_FAIL,
    check_amount,
    const,  # pyright: ignore[reportAttributeAccessIssue]
    micropython,
    shuffle,
)

# x[0] i_a, x[1] i_b, x[2] i_f, x[3] u_dc, x[4] turns of the shaft: the first words of the plant's state.

# state y
_RANDOM = const(0)  # 30 bits
_COUNT = const(1)  # encoder's counter, 16 bits
_PLACE = const(2)  # count within the turn
_Y_SIZE = const(3)

# constants k; channel n has gain, zero and noise at 3*n
ZERO_TURNS = const(12)  # turns where the encoder counts 0
COUNTS = const(13)  # counts a turn, negative: counts backwards
_ABSOLUTE = const(14)
STUCK = const(15)  # bits: 1, 2, 4, 8 a channel that stays, 16 the encoder; 32 the encoder is upset
UPSET = const(32)
NOISE = const(16)  # 128 samples of the normal distribution
_SKEW = const(144)  # periods from one channel to the next, 0: all at once
_SPUR = const(145)  # counts by which the four codes are too wide, 0: none is
_STRETCH = const(146)  # counts of all other codes a count
_LAST = const(147)  # what the channels had a period ago
# faults
_SLIP = const(151)  # share of the encoder's counts that is lost
_BURST = const(152)  # counts, at most, that come or go in a period
_SPURIOUS = const(153)  # counts that an absolute encoder has too many at present
_JUMP = const(154)  # turns of the shaft by which the encoder has jumped
_ZERO_WAS = const(155)  # ZERO_TURNS before that
_POLE_PAIRS = const(156)
_SEEN = const(185)  # turns when an upset encoder was looked at, -1: it is not
# the channels as built: gain, zero and noise of channel n at 3*n; what is wrong with them at n
_BUILT = const(157)
_SIGN = const(169)
_DRIFT = const(173)  # relative change of the gain
_OFFSET = const(177)  # counts
_RANGE = const(181)  # 1 + the count that the channel reads for ever, 0: none
_K_SIZE = const(186)

_CHANNELS = ("i_a", "i_b", "i_f", "u_dc")

# Options that make the converter an RP2040's: 9 effective bits are an error of 2**3/sqrt(12) counts rms, with
# 0.29 of it from rounding; a conversion takes 2 us.
PICO = {"adc_noise": 2.29, "adc_spur": 9.0, "adc_skew": 2e-6}


@micropython.native
def upset_encoder(x, y, k):
    """Let the encoder slip and count what is not there.

    Both move the place where it counts 0, so that they reach whoever else follows it.
    """
    turns = x[4]
    moved = 0.0
    if k[_SEEN] >= 0.0:
        moved = turns - k[_SEEN]
        if moved > 0.5:
            moved = moved - 1.0
        elif moved < -0.5:
            moved = moved + 1.0
    k[_SEEN] = turns
    shift = k[_SLIP] * moved
    burst = k[_BURST]
    if burst != 0.0:
        spurious = float(int(((int(y[_RANDOM]) >> 13) & 1023) * (2.0 * burst + 1.0) / 1024.0) - int(burst))
        change = spurious
        if k[_ABSOLUTE] != 0.0:
            change = spurious - k[_SPURIOUS]
            k[_SPURIOUS] = spurious
        shift = shift - change / k[COUNTS]
    zero = k[ZERO_TURNS] + shift
    if zero >= 1.0:
        zero = zero - 1.0
    elif zero < 0.0:
        zero = zero + 1.0
    k[ZERO_TURNS] = zero


@micropython.native
def sample(x, y, k, raw):
    """Take one sample of every sensor into raw[0..4]."""
    r = int(y[_RANDOM])
    r = r ^ ((r & 0x7FFFF) << 11)
    r = r ^ (r >> 13)
    r = r ^ ((r & 0x3FFFFF) << 8)
    y[_RANDOM] = r
    stuck = int(k[STUCK])
    skew = k[_SKEW]
    spur = k[_SPUR]
    n = 0
    bits = r
    while n < 4:
        value = x[n]
        if skew != 0.0:
            # later than channel 0, along the slope of the last period
            value = value + (value - k[_LAST + n]) * skew * n
            k[_LAST + n] = x[n]
        level = value * k[3 * n] + k[3 * n + 1] + k[3 * n + 2] * k[NOISE + (bits & 127)]
        if spur != 0.0:
            # 512 codes to either side of the middle is a wide one, 1024 further another
            away = level - 2048.0
            if away < 0.0:
                away = -away
            stretch = k[_STRETCH]
            far = away * stretch
            if far > 512.0:
                far = (away - spur) * stretch
                if far < 512.0:
                    far = 512.0
                elif far > 1536.0:
                    far = (away - spur - spur) * stretch
                    if far < 1536.0:
                        far = 1536.0
            if level < 2048.0:
                far = -far
            level = 2048.0 + far
        # + 4096 so that int() rounds down below zero too
        count = int(level + 4096.5) - 4096
        if count < 0:
            count = 0
        elif count > 4095:
            count = 4095
        if stuck == 0 or not (stuck >> n) & 1:
            raw[n] = count
        bits = bits >> 7
        n = n + 1
    counts = k[COUNTS]
    turns = x[4] - k[ZERO_TURNS]
    if counts < 0.0:
        turns = -turns
        counts = -counts
    if turns < 0.0:
        turns = turns + 1.0
    place = int(turns * counts)
    if place >= counts:
        place = 0
    moved = place - int(y[_PLACE])
    y[_PLACE] = place
    if moved + moved > counts:
        moved = moved - int(counts)
    elif moved + moved < -counts:
        moved = moved + int(counts)
    count = (int(y[_COUNT]) + moved) & 0xFFFF
    y[_COUNT] = count
    if k[_ABSOLUTE] != 0.0:
        count = place
    if stuck < 16:
        raw[4] = count
    elif MAY_FAIL and stuck >= 32:
        if stuck < 48:
            raw[4] = count
        upset_encoder(x, y, k)


def make_sensors(plant, seed=0, options=None):
    """State and constants of the sensors, as two lists; `options` overrides entries of `plant`.

    An incremental encoder begins with an unknown count at an unknown place, an absolute one counts
    0 where the rotor's electrical phase is `encoder_offset`.
    """
    values = dict(plant)
    values.update(options or {})
    y = [0] * _Y_SIZE
    k = [0.0] * _K_SIZE
    k[_SKEW] = values.get("adc_skew", 0.0) * values["f_pwm"]
    k[_SPUR] = float(values.get("adc_spur", 0.0))
    k[_STRETCH] = 2048.0 / (2048.0 - 2.0 * k[_SPUR])
    noise = float(values.get("adc_noise", 0.0))
    for n in range(4):
        name = _CHANNELS[n]
        full = values["u_base"] if n == 3 else values["i_f_base"] if n == 2 else values["i_base"]
        gain = 1.0 + values.get("gain_error_" + name, 0.0)
        k[_BUILT + 3 * n] = gain * (4096.0 if n == 3 else 2048.0) / full
        k[_BUILT + 3 * n + 1] = (0.0 if n == 3 else 2048.0) + values.get("offset_" + name, 0.0)
        k[_BUILT + 3 * n + 2] = noise
        k[_SIGN + n] = 1.0
        _set_channel(k, n)
    for n in range(64):
        k[NOISE + 64 + n] = _normal((64.5 + n) / 128)
        k[NOISE + 63 - n] = -k[NOISE + 64 + n]
    k[_SEEN] = -1.0
    k[_POLE_PAIRS] = float(values["pole_pairs"])
    r = shuffle(shuffle(seed + 12345))
    counts = values["encoder_counts"]
    k[COUNTS] = -float(counts) if values.get("encoder_reversed", 0) else float(counts)
    if values.get("encoder_absolute", 0):
        k[_ABSOLUTE] = 1.0
        k[ZERO_TURNS] = values.get("encoder_offset", 0.0) / values["pole_pairs"]
    else:
        k[ZERO_TURNS] = r / 1073741824.0
        y[_COUNT] = shuffle(r) & 0xFFFF
    y[_RANDOM] = shuffle(shuffle(shuffle(r)))
    return y, k


def settle(x, y, k, raw):
    """First look at the sensors: like `sample`, and the encoder's counter has not moved yet."""
    count = y[_COUNT]
    sample(x, y, k, raw)
    y[_COUNT] = count
    if k[_ABSOLUTE] == 0.0:
        raw[4] = int(count)


def _normal(share):
    """The value below which a normally distributed number lies with probability `share` > 0.5."""
    from math import log, sqrt

    # Abramowitz, Stegun 26.2.23, error below 4.5e-4
    t = sqrt(-2.0 * log(1.0 - share))
    return t - (2.515517 + t * (0.802853 + t * 0.010328)) / (
        1.0 + t * (1.432788 + t * (0.189269 + t * 0.001308))
    )


FAULTS = (
    "shunt_inverted_a",
    "shunt_inverted_b",
    "gain_a",
    "gain_b",
    "offset_a",
    "offset_b",
    "offset_f",
    "range_a",
    "range_b",
    "range_f",
    "range_u",
    "adc_stuck_a",
    "adc_stuck_b",
    "adc_stuck_f",
    "adc_stuck_u",
    "encoder_reversed",
    "encoder_lost",
    "encoder_jumped",
    "encoder_slips",
    "encoder_noisy",
)
_COUNTS_OFF = ("counts by which its zero moves", "count", -2000.0, 2000.0)
_COUNT_READ = ("count that it reads", "count", 0.0, 4095.0)
_GAIN_OFF = ("relative change of its gain", "1", -1.0, 2.0)
# name: what an amount is, its unit, lowest and highest
AMOUNTS = {
    "gain_a": _GAIN_OFF,
    "gain_b": _GAIN_OFF,
    "offset_a": _COUNTS_OFF,
    "offset_b": _COUNTS_OFF,
    "offset_f": _COUNTS_OFF,
    "range_a": _COUNT_READ,
    "range_b": _COUNT_READ,
    "range_f": _COUNT_READ,
    "range_u": _COUNT_READ,
    "encoder_jumped": ("electrical degrees of the jump", "deg", -180.0, 180.0),
    "encoder_slips": ("share of its counts that is lost", "1", -0.5, 0.5),
    "encoder_noisy": ("counts, at most, that come or go in a period", "count", 1.0, 500.0),
}


def inject(k, name, on=True, amount=None):
    """Make a fault of FAULTS, or end it.

    shunt_inverted_a, _b  the current has the other sign
    gain_a, gain_b        relative change, 0.3
    offset_a, _b, _f      counts, 200, by which the zero moves
    range_a, _b, _f, _u   count that is read for ever, without noise: 4095, the top of the range
    adc_stuck_a, _b, _f, _u  the channel keeps the count it had
    encoder_reversed      counts the other way
    encoder_lost          no count comes any more
    encoder_jumped        electrical degrees, 60, by which it is ahead of the rotor at once, until it ends
    encoder_slips         share, 0.02, of its counts that is lost as the shaft turns; they stay lost
    encoder_noisy         counts, 20: as many, at most, come or go by chance in each period; an incremental
                          encoder keeps them

    Raises ValueError for an amount out of its range.
    """
    check_amount(AMOUNTS, name, amount)
    kind, _, channel = name.rpartition("_")
    n = "abfu".find(channel) if len(channel) == 1 else -1
    if name == "encoder_reversed":
        k[COUNTS] = -k[COUNTS]
    elif name == "encoder_jumped":
        # A jump made before is taken back first.
        if k[_JUMP] != 0.0:
            k[ZERO_TURNS] = k[_ZERO_WAS]
        k[_ZERO_WAS] = k[ZERO_TURNS] if on else 0.0
        k[_JUMP] = (60.0 if amount is None else amount) / (360.0 * k[_POLE_PAIRS]) if on else 0.0
        k[ZERO_TURNS] = (k[ZERO_TURNS] - k[_JUMP]) % 1.0
    elif name == "encoder_slips":
        k[_SLIP] = (0.02 if amount is None else float(amount)) if on else 0.0
    elif name == "encoder_noisy":
        k[_BURST] = (20.0 if amount is None else float(amount)) if on else 0.0
        if k[_SPURIOUS] != 0.0:
            k[ZERO_TURNS] = (k[ZERO_TURNS] + k[_SPURIOUS] / k[COUNTS]) % 1.0
            k[_SPURIOUS] = 0.0
    elif kind == "shunt_inverted":
        k[_SIGN + n] = -1.0 if on else 1.0
    elif kind == "gain":
        k[_DRIFT + n] = (0.3 if amount is None else float(amount)) if on else 0.0
    elif kind == "offset":
        k[_OFFSET + n] = (200.0 if amount is None else float(amount)) if on else 0.0
    elif kind == "range":
        k[_RANGE + n] = 1.0 + (4095.0 if amount is None else float(amount)) if on else 0.0
    else:
        _set_bit(k, 16 if name == "encoder_lost" else 1 << n, on)
    upset = k[_SLIP] or k[_BURST]
    _set_bit(k, 32, upset)
    if not upset:
        k[_SEEN] = -1.0
    if n >= 0:
        _set_channel(k, n)


def _set_bit(k, bit, on):
    """A bit of STUCK."""
    k[STUCK] = float(int(k[STUCK]) | bit if on else int(k[STUCK]) & ~bit)


def _set_channel(k, n):
    """Gain, zero and noise of a channel: as built, less what is wrong with it."""
    built = _BUILT + 3 * n
    if k[_RANGE + n]:
        k[3 * n] = 0.0
        k[3 * n + 1] = k[_RANGE + n] - 1.0
        k[3 * n + 2] = 0.0
    else:
        k[3 * n] = k[_SIGN + n] * k[built] * (1.0 + k[_DRIFT + n])
        k[3 * n + 1] = k[built + 1] + k[_OFFSET + n]
        k[3 * n + 2] = k[built + 2]
