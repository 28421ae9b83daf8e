"""Clarke and Park, amplitude invariant."""

from eesm.signals import Signals
from eesm.stages.fixed import sat15

INV_SQRT3 = 9459  # 1/sqrt(3), Q14


def clarke(s: Signals) -> None:
    """Two phase currents to the stator frame; the third is minus their sum."""
    s.i_alpha = s.i_a
    s.i_beta = sat15(((s.i_a + 2 * s.i_b) * INV_SQRT3) >> 14)


def park(s: Signals) -> None:
    """Stator frame to rotor frame."""
    s.i_d = sat15((s.i_alpha * s.cos_e + s.i_beta * s.sin_e + 0x4000) >> 15)
    s.i_q = sat15((s.i_beta * s.cos_e - s.i_alpha * s.sin_e + 0x4000) >> 15)


def turn_voltage(s: Signals) -> None:
    """Rotor frame to stator frame, at the phase where the voltage will act."""
    s.u_alpha = (s.u_d * s.cos_out - s.u_q * s.sin_out + 0x4000) >> 15
    s.u_beta = (s.u_d * s.sin_out + s.u_q * s.cos_out + 0x4000) >> 15
