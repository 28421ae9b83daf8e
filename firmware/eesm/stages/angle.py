"""Encoder counts to electrical angle and speed."""

from eesm.signals import PHASE_MASK, Signals
from eesm.stages.fixed import cosine_of, sat, sat30, sine_of, wrap


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
    if position >= s.encoder_counts:
        position = position - s.encoder_counts
    elif position < 0:
        position = position + s.encoder_counts
    if position < 0 or position >= s.encoder_counts:
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
    s.w_step = sat(s.w_step + (s.a_step >> 6) + ((s.theta_error * s.k_pll_i) >> s.k_pll_i_shift), 0x8000000)
    s.w_e = sat(s.w_step >> s.w_shift, 32767)


def find_direction(s: Signals) -> None:
    """Sine and cosine of the phase now, and of the phase when the new voltage acts.

    The voltage computed from these samples acts from one to two periods after them: turn its
    vector on by the phase that the rotor covers until the middle of that time.
    """
    s.sin_e = sine_of(s, s.theta_e)
    s.cos_e = cosine_of(s, s.theta_e)
    theta_out = (s.theta_e + ((s.w_step * s.delay_periods) >> 1)) & PHASE_MASK
    s.sin_out = sine_of(s, theta_out)
    s.cos_out = cosine_of(s, theta_out)
