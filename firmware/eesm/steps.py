"""The order of the stages: what one PWM period runs.

`fast_step` goes from samples to compare counts; `outer_step` runs one slot of the outer law and
writes the rows for telemetry.  Both run in the hard interrupt; the linker fuses each into one
routine.
"""

from eesm.signals import Signals
from eesm.stages.angle import find_direction, read_encoder, track_angle
from eesm.stages.average import average, sum_exciter
from eesm.stages.balance import find_backward
from eesm.stages.current import control_current
from eesm.stages.damping import damp_driveline
from eesm.stages.derate import limit_power, note_i_q, yield_to_link
from eesm.stages.field import control_field, excite, limit_exciter
from eesm.stages.flux import find_flux, find_torque_flux
from eesm.stages.guard import guard, watch
from eesm.stages.mailbox import take_mailbox
from eesm.stages.measure import measure
from eesm.stages.modulate import modulate
from eesm.stages.record import capture, stream
from eesm.stages.reference import choose_field, choose_i_q, limit_current, limit_torque
from eesm.stages.sense import invert_u_dc, sense
from eesm.stages.speed import control_speed
from eesm.stages.stuck import watch_sensors
from eesm.stages.transforms import clarke, park

RESTS = -1  # no slot's number


def fast_step(s: Signals) -> None:
    """Samples to compare counts, every period."""
    take_mailbox(s)
    sense(s)
    invert_u_dc(s)
    read_encoder(s)
    track_angle(s)
    find_direction(s)
    clarke(s)
    park(s)
    find_flux(s)
    guard(s)
    yield_to_link(s)
    limit_exciter(s)
    control_field(s)
    control_current(s)
    modulate(s)
    excite(s)
    measure(s)


def run_slot(s: Signals) -> None:
    """The next slot: together they take OUTER_PERIODS, each no more than a period has left.

    One test after the other, for none may be longer than a board's jump reaches: what was nested would be
    asked for again in each piece.
    """
    slot = s.slot
    if s.slot_rests != 0:
        slot = RESTS
    if slot == 0:
        control_speed(s)
        damp_driveline(s)
        watch_sensors(s)
        s.slot = 1
    if slot == 1:
        limit_torque(s)
        s.slot = 2
    if slot == 2:
        limit_power(s)
        watch(s)
        s.slot = 3
    if slot == 3:
        choose_field(s)
        s.slot = 4
    if slot == 4:
        find_torque_flux(s)
        limit_current(s)
        s.slot = 5
    if slot == 5:
        choose_i_q(s)
        note_i_q(s)
        average(s)
        find_backward(s)
        s.slot = 0


def outer_step(s: Signals) -> None:
    """One slot of the outer law, then telemetry.  A period that took a letter has enough to do."""
    sum_exciter(s)
    run_slot(s)
    s.slot_rests = 0
    stream(s)
    capture(s)
