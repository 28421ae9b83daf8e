"""Encoder counts to electrical angle and speed."""

from eesm.signals import PHASE_MASK, Q15_MAX, Signals
from eesm.stages.fixed import QUARTER_TURN_STEPS, SINE_SHIFT, sat, sat30, wrap

HALF_STEP = 1 << (SINE_SHIFT - 1)
STEP_MASK = (1 << SINE_SHIFT) - 1
RADIANS = 402  # 2*pi * 64: a phase of 30 bits times this, less 16 bits, is an angle in Q20 of a radian
TURN_RADIANS = 1608  # 2*pi * 256: a phase less 8 bits, times this, less 15 bits, is Q15 of a radian


def read_encoder(s: Signals) -> None:
    """Follow the encoder within one turn and turn its count into an electrical phase.

    The counter may wrap at 2**16 at any time; the position wraps at the counts of a turn, so the
    phase does not drift whatever that number is.  An absolute sensor gives its position at once.
    """
    if s.encoder_last < 0:
        s.encoder_last = s.encoder_raw
        s.position = s.encoder_raw
        if s.position >= s.encoder_counts:
            s.position = 0
    position = s.position + ((s.encoder_raw - s.encoder_last + 0x8000) & 0xFFFF) - 0x8000
    s.encoder_last = s.encoder_raw
    if (position | s.encoder_counts - 1 - position) < 0:
        if position < 0:
            position = position + s.encoder_counts
        else:
            position = position - s.encoder_counts
        if (position | s.encoder_counts - 1 - position) < 0:
            position = 0
    s.position = position
    coarse = ((position * s.encoder_gain_high) & 0x7FFF) << 15
    s.theta_encoder = (((coarse + position * s.encoder_gain_low) & PHASE_MASK) + s.theta_offset) & PHASE_MASK


def track_angle(s: Signals) -> None:
    """Third-order tracker (PLL): smooths the quantised phase, yields speed and acceleration.

    theta_e += w + kp * error; w += a + ki * error; a += ka * error.  No lag at constant acceleration,
    which full torque on a bare shaft makes large: a degree of lag is 2 % of i_max in the wrong axis.
    A new offset of the encoder turns the tracked phase with it: finding the angle looks like no motion.
    """
    expected = s.theta_e + s.w_step
    if s.theta_offset != s.offset_tracked:
        expected = (expected + wrap(s.theta_offset - s.offset_tracked)) & PHASE_MASK
        s.offset_tracked = s.theta_offset
    s.theta_error = sat(wrap(s.theta_encoder - expected) >> 12, 65535)
    s.theta_e = (expected + ((s.theta_error * s.k_pll_p) >> s.k_pll_p_shift)) & PHASE_MASK
    s.a_step = sat30(s.a_step + ((s.theta_error * s.k_pll_a) >> s.k_pll_a_shift))
    w_step = s.w_step + (s.a_step >> 6) + ((s.theta_error * s.k_pll_i) >> s.k_pll_i_shift)
    s.w_step = sat(w_step, Q15_MAX << s.w_shift)
    s.w_e = s.w_step >> s.w_shift


def find_direction(s: Signals) -> None:
    """Sine and cosine of the phase now, and of the phase when the new voltage acts.

    The voltage computed from these samples acts from one to two periods after them: turn its
    vector on by the phase that the rotor covers until the middle of that time.  Both functions come
    from the nearest of 512 points, turned by what is left of the phase: the slope of each is the
    other (error of the first order: 1.9e-5).
    """
    phase = s.theta_e + HALF_STEP
    left = (((phase & STEP_MASK) - HALF_STEP) * RADIANS) >> 16
    sine = s.sine[phase >> SINE_SHIFT]
    cosine = s.sine[(phase >> SINE_SHIFT) + QUARTER_TURN_STEPS]
    s.sin_e = sine + ((cosine * left) >> 20)
    s.cos_e = cosine - ((sine * left) >> 20)
    turn = (s.w_step * s.delay_periods) >> 1
    s.turn_out = ((turn >> 8) * TURN_RADIANS) >> 15
    phase = ((s.theta_e + turn) & PHASE_MASK) + HALF_STEP
    left = (((phase & STEP_MASK) - HALF_STEP) * RADIANS) >> 16
    sine = s.sine[phase >> SINE_SHIFT]
    cosine = s.sine[(phase >> SINE_SHIFT) + QUARTER_TURN_STEPS]
    s.sin_out = sine + ((cosine * left) >> 20)
    s.cos_out = cosine - ((sine * left) >> 20)
