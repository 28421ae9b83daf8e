"""Near the end of the voltage: quotient, i_q within the voltage left, fold back, weakening."""

import math

from hypothesis import given
from hypothesis import strategies as st

from eesm.stages.fixed import divide
from eesm.stages.reference import FOLD_PERIODS, fold_back, limit_i_q, weaken_field
from tests.stages.bench import make_signals

Q15 = st.integers(-32767, 32767)


@given(Q15, st.integers(64, 32767), st.integers(0, 15))
def test_divide_is_a_quotient(x: int, y: int, q: int) -> None:
    exact = x * 2**q / y
    assert abs(divide(x, y, q) - exact) <= 2 + 2e-4 * abs(exact)


@given(
    st.integers(0, 32767), st.integers(-20000, 20000), st.integers(1, 20000), st.integers(8192, 32767),
    st.integers(0, 16384),
)  # fmt: skip
def test_i_q_fits_into_circle_and_voltage(w_e: int, i_d: int, psi: int, u_dc: int, lost: int) -> None:
    """|i_q| <= sqrt(i_max^2 - i_d^2), and w*L_q*i_q within what w*psi_d and R_s leave."""
    s = make_signals(
        w_e=w_e, i_d_next=i_d, u_dc=u_dc, i_max=20000, k_u_max=18500, k_l_q=16384, k_l_q_shift=15,
        emf_shift=13, voltage_lost=lost,
    )  # fmt: skip
    limit = limit_i_q(s, psi)
    assert 0 <= limit <= math.sqrt(max(0, 20000**2 - i_d**2)) + 2
    u_max = u_dc * 18500 / 32768
    psi_d = max(-32767, min(32767, psi + i_d / 2))
    emf = min(32767, abs(w_e * psi_d) / 2**13)
    left = math.sqrt(max(0.0, u_max**2 * (1 - lost / 32768) - emf**2))
    need = w_e * limit / 2 / 2**13
    if w_e * 0x1000 / 2**13 < 32767:
        assert need <= 1.01 * left + 200


@given(st.integers(0, 32767), st.integers(0, 2000))
def test_fold_back_grows_while_saturated_and_ends(fold: int, saturated: int) -> None:
    s = make_signals(i_q_fold=fold, saturated=saturated)
    fold_back(s)
    if saturated > FOLD_PERIODS:
        assert s.i_q_fold > fold or s.i_q_fold == 32767
    else:
        assert s.i_q_fold < max(fold, 1)


@given(st.integers(0, 15), Q15, st.integers(0, 32767), Q15, st.integers(0, 32767))
def test_i_d_makes_up_for_too_much_field_only_where_voltage_is_short(
    row: int, i_f: int, i_f_ref: int, w_e: int, psi_t: int
) -> None:
    s = make_signals(
        speed_row=row, i_f=i_f, i_f_ref=i_f_ref, i_f_slack=300, k_weaken=16384, k_weaken_shift=14,
        w_e=w_e, psi_t=psi_t, u_dc=20000, k_u_max=18000, emf_shift=12,
    )  # fmt: skip
    give = weaken_field(s, 0)
    assert 0 <= give <= 32767
    voltage = abs(w_e) * psi_t / 2**12
    if row == 0 or i_f <= i_f_ref + 300 or voltage < 0.7 * 20000 * 18000 / 32768:
        assert give == 0
    elif voltage > 0.8 * 20000 * 18000 / 32768 + 10:
        assert give == min(32767, i_f - i_f_ref - 300)
