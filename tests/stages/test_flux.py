"""Fluxes: linear, and by the tables of saturation."""

from functools import cache

from hypothesis import given, settings
from hypothesis import strategies as st

from eesm import parameters
from eesm.stages.flux import find_flux, find_saturated_flux, find_torque_flux
from host_tools.references.flux_ratios import FluxRatios, look_up_flux, ratios_of_unit
from host_tools.units import load
from tests.stages.bench import make_signals

Q15 = st.integers(-32767, 32767)


@cache
def ratios() -> FluxRatios:
    return ratios_of_unit(load("c_saturated"))


@cache
def gains() -> dict[str, int]:
    words = parameters.derive(load("c_saturated").as_settings())
    return {
        name: words[name] for name in ("k_m", "k_m_shift", "k_l_q", "k_l_q_shift", "k_l_d", "k_l_d_shift")
    }


@settings(deadline=None)
@given(Q15, Q15, Q15)
def test_saturated_fluxes_are_those_of_the_host(i_d: int, i_q: int, i_f: int) -> None:
    s = make_signals(
        i_d=i_d, i_q=i_q, i_f=i_f, flux_ratio_d=ratios().ratio_d, flux_ratio_q=ratios().ratio_q,
        **gains(), **ratios().words,
    )  # fmt: skip
    find_saturated_flux(s)
    known = {name: gains()[name] for name in ("k_m", "k_m_shift", "k_l_q", "k_l_q_shift")}
    assert (s.psi_d, s.psi_q, s.psi_t) == look_up_flux(ratios(), known, i_d, i_q, i_f)


@given(Q15, Q15, Q15)
def test_torque_flux_is_psi_d_less_what_l_q_takes(i_d: int, i_q: int, i_f: int) -> None:
    s = make_signals(i_d=i_d, i_q=i_q, i_f=i_f, **gains())
    find_flux(s)
    find_torque_flux(s)
    assert all(abs(psi) <= 32767 for psi in (s.psi_d, s.psi_q, s.psi_t))
    if abs(s.psi_d) < 32767 and abs(s.psi_t) < 32767 and i_q:
        assert abs(s.psi_t - (s.psi_d - s.psi_q * i_d / i_q)) <= 2 + abs(i_d / i_q)
