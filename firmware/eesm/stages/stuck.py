"""Sensors that stand still: what they told cannot have ended between two looks."""

from eesm.signals import (
    BRIDGE_CURRENT,
    FAULT_ENCODER_LOST,
    FAULT_SENSOR_STUCK,
    Q30_MAX,
    Signals,
)
from eesm.stages.fixed import magnitude, wrap
from eesm.stages.guard import latch

FLICKER = 1  # counts by which a dead encoder may still move
STILL = 3  # looks in which a phase's count has not changed
MOVED = 24  # counts by which the other's has: of half of it, 0.29 are more than a code
QUARTER_TURN = 1 << 28  # of a phase


def watch_sensors(s: Signals) -> None:
    """Latch the fault of a sensor that stands; the next period's modulation opens the bridge.

    An outer slot.  The encoder's count stands at once only where it is lost: no shaft stops from a high speed
    between two looks.  That speed is the one of the cycle before the count last moved: the tracked one falls
    to that of a dead count within ms, and rises when one jumps.
    """
    if (
        s.bridge_mode != BRIDGE_CURRENT
        or magnitude(((s.encoder_raw - s.encoder_seen + 0x8000) & 0xFFFF) - 0x8000) > FLICKER
    ):
        s.encoder_seen = s.encoder_raw
        s.w_e_moved = s.w_e_before
        s.standing = 0
    elif s.standing < Q30_MAX:
        s.standing = s.standing + 1
    s.w_e_before = s.w_e
    watch_phases(s)
    now = find_stuck(s)
    if now != 0:
        latch(s, now)


def watch_phases(s: Signals) -> None:
    """Note since when a phase's count stands, and from where on the other one is elsewhere than it was then.

    While their current turns by a quarter of a turn, each phase changes by 0.29 of it at least, however
    noiseless the sensor; more than three looks of the same are not two sides of a crest.
    """
    if s.i_a_raw != s.i_a_seen:
        s.i_a_seen = s.i_a_raw
        s.i_b_then = s.i_b_raw
        s.i_a_still = 0
    elif s.i_a_still < Q30_MAX:
        s.i_a_still = s.i_a_still + 1
    if magnitude(s.i_b_raw - s.i_b_then) < MOVED:
        s.theta_a_seen = s.theta_e
    if s.i_b_raw != s.i_b_seen:
        s.i_b_seen = s.i_b_raw
        s.i_a_then = s.i_a_raw
        s.i_b_still = 0
    elif s.i_b_still < Q30_MAX:
        s.i_b_still = s.i_b_still + 1
    if magnitude(s.i_a_raw - s.i_a_then) < MOVED:
        s.theta_b_seen = s.theta_e


def find_stuck(s: Signals) -> int:
    """The bits of what stands."""
    now = 0
    if s.standing > s.standing_max and magnitude(s.w_e_moved) > s.w_e_lost:
        now = now | FAULT_ENCODER_LOST
    if s.i_a_still >= STILL and magnitude(wrap(s.theta_e - s.theta_a_seen)) > QUARTER_TURN:
        now = now | FAULT_SENSOR_STUCK
    if s.i_b_still >= STILL and magnitude(wrap(s.theta_e - s.theta_b_seen)) > QUARTER_TURN:
        now = now | FAULT_SENSOR_STUCK
    return now
