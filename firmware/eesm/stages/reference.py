"""Torque to current references: limits, loss-minimal tables, torque-first i_q.

Four slots of the outer law.  `host_tools.references.table` makes the tables and has a twin of their
look-up.  Rows: electrical speed over the voltage that R_s leaves, so one table serves motoring,
braking and every u_dc.  Columns: (r + r^2)/2 with r the root of torque over the highest torque of the
row; the optimal currents go with r, and the columns crowd where limits meet.
"""

from eesm.signals import Q15_MAX, REFERENCE_CURRENT, Signals
from eesm.stages.fixed import amplify, divide, magnitude, mul15, root_of, sat, sat15

POINTS = 17
LAST_ROW = 15
FOLD_PERIODS = 12  # of saturation without a break, before i_q is given up
FOLD_STEP = 0x900  # share of i_q in a cycle of the outer law, Q15
UNFOLD_STEP = 0x60
AHEAD_SHARE = 0x5555  # of a cycle, Q15: the next slot starts the one whose middle counts
VOLTAGE_SHARE = 31293  # of u_max that a steady i_q may ask for, Q15: 0.955
SHARE_LOST = 0x4000  # most of the voltage squared that R_s may be thought to take or give, Q15


def find_ratio(s: Signals) -> int:
    """|w_e| / sqrt(u_dc^2 - what R_s takes), Q14: torque * w_e > 0 takes voltage, braking gives some."""
    ratio = (magnitude(s.w_e) * s.inv_u_dc) >> 14
    if ratio > Q15_MAX:
        ratio = Q15_MAX
    torque = s.torque_ref
    if s.w_e < 0:
        torque = -torque
    per_volt = sat15((torque * s.inv_u_dc) >> 14)
    per_volt = sat15((per_volt * ratio) >> 14)
    lost = sat(amplify(per_volt, s.k_share, s.k_share_shift), SHARE_LOST)
    s.voltage_lost = lost
    # 1/sqrt(1 - x) - 1 = x/2 + 3/8*x^2 + 5/16*x^3
    grown = mul15(lost, 0x4000 + mul15(lost, 0x3000 + mul15(lost, 0x2800)))
    ratio = ratio + mul15(ratio, grown)
    if ratio > s.ratio_axis[16]:
        ratio = s.ratio_axis[16]
    return ratio


def find_row(s: Signals, ratio: int) -> int:
    """The row of the tables at or below a ratio, 0 .. 15."""
    row = 0
    if ratio >= s.ratio_axis[8]:
        row = 8
    if ratio >= s.ratio_axis[row + 4]:
        row = row + 4
    if ratio >= s.ratio_axis[row + 2]:
        row = row + 2
    if ratio >= s.ratio_axis[row + 1]:
        row = row + 1
    return row


def limit_torque(s: Signals) -> None:
    """Place the speed on the tables' axis, find the torque the machine can give, limit the demand.

    The highest torque goes with 1/w above the first row: along the chord, then one Newton step
    towards the reciprocal of the other table; the share of a row bends alike.
    """
    ratio = find_ratio(s)
    row = find_row(s, ratio)
    share = ((ratio - s.ratio_axis[row]) * s.ratio_step[row]) >> s.ratio_step_shift
    if share > Q15_MAX:
        share = Q15_MAX
    scale = s.torque_inverse[row]
    scale = scale + mul15(s.torque_inverse[row + 1] - scale, share)
    most = s.table_torque[row]
    most = most + mul15(s.table_torque[row + 1] - most, share)
    most = most - mul15(most, sat15(((most * scale) >> s.torque_inverse_shift) - 0x8000))
    if row > 0:
        share = share + mul15(mul15(share, Q15_MAX - share), s.table_bend)
        if share > Q15_MAX:
            share = Q15_MAX
    if most > s.torque_limit:
        most = s.torque_limit
    if s.heat_share < Q15_MAX:
        most = (most * s.heat_share) >> 15
    s.speed_row = row
    s.speed_share = share
    s.torque_scale = scale
    s.torque_max = most
    if s.reference_mode == REFERENCE_CURRENT:
        s.torque_ref = 0  # or a slow slope would leave torque for whoever asks for some next
    else:
        goal = sat(s.torque_demand, most)
        s.torque_ref = s.torque_ref + sat(goal - s.torque_ref, s.torque_slew)


def blend_i_d(s: Signals, corner: int, share: int) -> int:
    """i_d between four neighbours of its table; `corner` is the lowest one's index."""
    below = s.table_i_d[corner] + mul15(s.table_i_d[corner + 1] - s.table_i_d[corner], share)
    above = s.table_i_d[corner + 17]
    above = above + mul15(s.table_i_d[corner + 18] - above, share)
    return below + mul15(above - below, s.speed_share)


def blend_i_f(s: Signals, corner: int, share: int) -> int:
    """i_f between four neighbours of its table."""
    below = s.table_i_f[corner] + mul15(s.table_i_f[corner + 1] - s.table_i_f[corner], share)
    above = s.table_i_f[corner + 17]
    above = above + mul15(s.table_i_f[corner + 18] - above, share)
    return below + mul15(above - below, s.speed_share)


def choose_field(s: Signals) -> None:
    """i_f_ref and the next i_d_ref: the loss-minimal ones for the torque, or those the user asked for.

    i_d_ref itself changes together with i_q_ref, so that no period sees a vector longer than i_max.
    """
    if s.reference_mode == REFERENCE_CURRENT:
        s.i_d_next = sat(s.i_d_set, s.i_max)
        s.i_f_ref = s.i_f_set
    else:
        square = (magnitude(s.torque_ref) * s.torque_scale) >> s.torque_inverse_shift
        if square > Q15_MAX:
            square = Q15_MAX
        place = root_of(s, square << 15)
        place = (place + ((place * place) >> 15)) >> 1  # columns crowd towards the highest torque
        if place > 0x7FFF:
            place = 0x7FFF
        corner = s.speed_row * POINTS + (place >> 11)
        share = (place & 0x7FF) << 4
        s.i_f_ref = blend_i_f(s, corner, share)
        if s.speed_row == 0 and s.i_f_ref < s.i_f_floor:  # above, the tables know whether voltage allows it
            s.i_f_ref = s.i_f_floor
        i_d = blend_i_d(s, corner, share)
        s.i_d_next = sat(i_d - help_field(s, i_d) - weaken_field(s, i_d), s.i_max)
    if s.i_f_ref > s.i_f_max:
        s.i_f_ref = s.i_f_max


def help_field(s: Signals, i_d: int) -> int:
    """How far to go below the best `i_d` while the field lags behind its reference.

    The exciter sets only how fast the field flux rises; at that flux, i_f gains 1.5*M/L_f for
    every ampere that i_d gives up (flux conservation), and with it the torque.  The lag is that
    which i_f would have at the best i_d, so what is given up does not act back on itself.
    Beyond 5/4 of i_d_help, it and the best i_d together, i_q would lose more torque than the flux is
    worth, and in the end all of it.
    """
    give = 0
    if s.i_f_ref > s.i_f + s.i_f_slack:
        lag = sat15(amplify(s.i_f_ref - s.i_f - s.i_f_slack, s.k_help, s.k_help_shift) + i_d - s.i_d)
        if lag > 0:
            give = mul15(lag, s.help_share)
            if give > s.i_d_help:
                give = s.i_d_help
            if give - i_d > s.i_d_help + (s.i_d_help >> 2):
                give = s.i_d_help + (s.i_d_help >> 2) + i_d
                if give < 0:
                    give = 0
    return give


def weaken_field(s: Signals, i_d: int) -> int:
    """How far to go below the best `i_d` while the field current is still above its reference.

    Only where the excess would take psi_d, and with it the voltage, over what i_q leaves of it:
    elsewhere it would but press i_f up (flux conservation).
    """
    give = 0
    excess = s.i_f - s.i_f_ref - s.i_f_slack
    if s.speed_row > 0 and excess > 0:
        w_e = magnitude(s.w_e)
        u_max = (s.u_dc * s.k_u_max) >> 15
        u_d = sat((w_e * sat15(amplify(s.i_q, s.k_l_q, s.k_l_q_shift))) >> s.emf_shift, u_max)
        room = root_of(s, u_max * u_max - u_d * u_d)
        psi_d = sat15(
            s.psi_t
            + amplify(s.i_d, s.k_l_q, s.k_l_q_shift)
            + amplify(sat15(i_d - s.i_d), s.k_l_d, s.k_l_d_shift)
        )
        if (w_e * psi_d) >> s.emf_shift > room - (room >> 2):
            give = sat15(amplify(excess, s.k_weaken, s.k_weaken_shift))
    return give


def fold_back(s: Signals) -> None:
    """Give up i_q while the voltage limit binds for long, and take it back slowly.

    Less i_q needs less voltage in either axis, so the drive leaves the limit by itself whatever led
    there: a falling link, a machine unlike its parameters, an acceleration too quick for the field.
    """
    fold = s.i_q_fold
    if s.saturated > FOLD_PERIODS:
        fold = sat15(fold + FOLD_STEP)
    elif fold > UNFOLD_STEP:
        fold = fold - UNFOLD_STEP
    else:
        fold = 0
    s.i_q_fold = fold


def limit_i_q(s: Signals, psi_t: int) -> int:
    """Longest i_q: within the current circle, and within the voltage that psi_d leaves.

    While a weak field rises, torque would ask for an i_q whose L_q takes more voltage than there is.
    `psi_t` is what there will be when i_d has arrived at its reference.
    """
    room = s.i_max * s.i_max - s.i_d_next * s.i_d_next
    if room < 0:  # i_max was lowered since i_d_next was chosen
        room = 0
    limit = root_of(s, room)
    limit = limit - mul15(limit, s.i_q_fold)
    w_e = magnitude(s.w_e)
    u_max = mul15((s.u_dc * s.k_u_max) >> 15, VOLTAGE_SHARE)
    psi_d = sat15(psi_t + amplify(s.i_d_next, s.k_l_q, s.k_l_q_shift))
    emf = sat15((w_e * psi_d) >> s.emf_shift)
    square = u_max * u_max
    square = square - (square >> 15) * s.voltage_lost - emf * emf
    if square < 0:
        square = 0
    elif square > 0x3FFFFFFF:  # braking at the highest link voltage
        square = 0x3FFFFFFF
    left = root_of(s, square)
    # Of a quarter of the base.
    need = sat15((w_e * sat15(amplify(0x2000, s.k_l_q, s.k_l_q_shift))) >> s.emf_shift)
    if need * limit > left << 13:
        limit = divide(left, need, 13)
    return limit


def limit_current(s: Signals) -> None:
    """The psi_t that i_q will meet, and how long i_q may be.

    It is the psi_t there will be when i_d has arrived, in the middle of the cycle for which i_q_ref holds:
    else torque overshoots while the field is helped and rises.
    """
    fold_back(s)
    psi = sat15(s.psi_t + amplify(sat15(s.i_d - s.i_d_next), s.k_psi_help, s.k_psi_help_shift))
    rise = psi - s.psi_before
    s.psi_before = psi
    psi = psi + ((rise * AHEAD_SHARE) >> 15)
    if psi > Q15_MAX:
        psi = Q15_MAX
    elif psi < s.psi_t_min:
        psi = s.psi_t_min
    s.psi_ahead = psi
    s.i_q_limit = limit_i_q(s, psi)


def choose_i_q(s: Signals) -> None:
    """i_q_ref so that the torque is right with the field there is now (torque-first rule)."""
    s.i_d_ref = s.i_d_next
    s.torque = sat15((s.i_q * s.psi_t) >> s.torque_shift)
    i_q = s.i_q_set
    if s.reference_mode != REFERENCE_CURRENT:
        i_q = divide(s.torque_ref, s.psi_ahead, s.torque_shift)
    s.i_q_ref = sat(i_q, s.i_q_limit)
