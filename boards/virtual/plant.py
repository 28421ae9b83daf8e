"""The simulated machine: EESM, inverter, exciter, dc link and shaft, one PWM period a call.

The same text runs on CPython and MicroPython (lists) and under numba (float64 arrays, see
`host_tools.jitted`), with the same rounding: no library sine, no fast-math.

    x, c = make_plant(plant, seed)          # state and constants, flat lists of floats
    run_period(x, c, compare_a, compare_b, compare_c, compare_f, gate_enable)

`plant` is the flat dictionary of `Unit.as_plant()`.  x[LOAD_TORQUE] and x[BRAKE_TORQUE] are inputs;
what a sensor can see lies in x[I_A] .. x[TURNS].

Model (amplitude-invariant dq, d = field axis, field not referred, motor reference):
    psi_d = L_d*i_d + M*i_f     psi_q = L_q*i_q     psi_f = 1.5*M*i_d + L_f*i_f
    dpsi_ab/dt = u_ab - R_s*i_ab (stator frame)     dpsi_f/dt = u_f - R_f*i_f
    T = 1.5*p*(psi_d*i_q - psi_q*i_d)

Method: the inverter holds u_ab over the period, so in the frame that stands still where the rotor
is at mid-period the voltage integrates exactly; the rotor's turn is two exact half rotations, and
only R*i and the speed are midpoint values.  One step a period is therefore enough above 31 periods a
electrical turn, two below.  Energies are summed by Simpson's rule, apart from the integration itself, so that
their balance (see `energy_residual`) witnesses its error.
"""

from math import exp, sqrt

try:
    import micropython  # pyright: ignore
except ImportError:  # CPython: the decorator does nothing

    class micropython:  # noqa: N801
        """Stands in for the module of that name."""

        @staticmethod
        def native(function):
            return function


try:
    from micropython import const  # pyright: ignore
except ImportError:

    def const(value):
        """The compiler of MicroPython folds these."""
        return value


# --- state x: what sensors see ------------------------------------------------------------------
I_A = const(0)  # A, current of leg a into the machine
I_B = const(1)  # A, of leg b
I_F = const(2)  # A, field
U_DC = const(3)  # V
TURNS = const(4)  # turns of the shaft, 0 .. 1
# --- inputs
LOAD_TORQUE = const(5)  # N.m, of the machine coupled to the shaft, against positive rotation
BRAKE_TORQUE = const(6)  # N.m, of a brake: against any rotation
# --- state
W_M = const(7)  # rad/s, shaft
PSI_D = const(8)  # Wb
PSI_Q = const(9)
PSI_F = const(10)
I_D = const(11)  # A, at the terminals (iron loss current included)
I_Q = const(12)
COS = const(13)  # of the electrical angle
SIN = const(14)
U_RISE = const(15)  # V, by which u_dc rose in the last period
W_RISE = const(16)  # rad/s, by which w_m rose
BEND_D = const(17)  # A, mean of i_d over the last step less i_d in its middle
BEND_Q = const(18)
BEND_F = const(19)
TORQUE_NOW = const(20)  # N.m, air gap, at this instant
AGE = const(21)  # periods since the direction was computed anew
MAIN_D = const(22)  # Wb, main flux of the saturated machine
MAIN_Q = const(23)
CONDUCTS = const(24)  # 0 while the six open switches and their diodes carry nothing
# --- results of the last period
TORQUE = const(25)  # N.m, air gap, mean
U_F = const(26)  # V, mean at the field terminals
U_ALPHA = const(27)  # V, mean, machine's own phase order
U_BETA = const(28)
# --- energies in J since the beginning
E_BATTERY = const(29)  # out of the battery's emf
E_BATTERY_LOSS = const(30)
E_CLAMP = const(31)  # into the brake resistor
E_SUPPLY = const(32)  # out of the exciter's own supply
E_STATOR = const(33)  # from the inverter into the stator
E_FIELD = const(34)  # from the exciter into the field
E_COPPER_S = const(35)  # stator (and switches that conduct)
E_COPPER_F = const(36)  # field, brushes
E_IRON = const(37)
E_SHAFT = const(38)  # air gap to shaft
E_FRICTION = const(39)
E_LOAD = const(40)  # shaft to load
E_BRAKE = const(41)
E_FAULT = const(42)  # into an arc, a short circuit, the ground
E_THROUGHPUT = const(43)  # sum of |energy| through the terminals, for judging the residual
# --- driveline
W_OUT = const(44)  # rad/s, of the vehicle's inertia, seen at the motor's shaft
TWIST = const(45)  # rad, of the shaft between them, at the motor's side
# --- what a third phase sensor sees, and faults
I_C = const(46)  # A, of leg c at the beginning of the period, when the others were sampled
I_SHORT = const(47)  # A, from leg a to leg b through a short circuit between the phases
I_GROUND = const(48)  # A, from leg c to ground
_X_SIZE = const(49)

# --- constants c ----------------------------------------------------------------------------------
H = const(0)  # s, period
HALF_TURN = const(1)  # electrical rad in half a period per rad/s of the shaft
TURNS_STEP = const(2)  # turns in a period per rad/s
R_S = const(3)
R_F = const(4)
K_DD = const(5)  # i_d = K_DD*psi_d - K_DF*psi_f
K_DF = const(6)
K_FF = const(7)  # i_f = K_FF*psi_f - K_FD*psi_d
K_FD = const(8)
K_Q = const(9)  # 1/L_q
PER_L_D = const(10)
M_15 = const(11)  # 1.5*M
K_T = const(12)  # 1.5*pole_pairs
PER_TOP = const(13)
TOP = const(14)
LOST = const(15)  # dead time over period
PER_ZONE = const(16)  # 1/A, dead time acts in full beyond this current
MIRROR = const(17)  # -1: phases b and c of the motor cable swapped
EXCITER = const(18)  # 0 unipolar, 1 asymmetric half bridge, 2 full bridge
OWN_SUPPLY = const(19)  # V of the exciter's own supply, 0: fed by the link
BRUSH = const(20)  # V
EMF = const(21)  # battery
R_BATTERY = const(22)
DECAY = const(23)  # of u_dc towards the battery in one period
K_LOSS_1 = const(24)  # integrals of the battery's current squared
K_LOSS_2 = const(25)
C_DC = const(26)  # F
CLAMP = const(27)  # V
PER_R_CLAMP = const(28)
H_PER_J = const(29)
J = const(30)
B = const(31)
T_C = const(32)
HELD = const(33)  # 1: an external machine holds the speed
IRON = const(34)  # 1: iron loss acts
K_H = const(35)  # k_h / 1.5
K_E = const(36)
SATURATED = const(37)
SWAP_GATES = const(38)
EXCITER_OPEN = const(39)
BATTERY_LOST = const(40)
M_ = const(41)
L_F = const(42)
I_EPS = const(43)  # A, less is no current
POLE_PAIRS = const(44)
# saturation: main flux psi, a_0*psi + a_dd*psi^(S+1) + a_dq/2*psi_q^2*psi_d ...
L_LEAK = const(45)
L_LEAK_F = const(46)  # field leakage, referred
N_REF = const(47)  # turns ratio M / (L_d - L_leak)
S_A = const(48)
S_B = const(49)
S_DD = const(50)
S_QQ = const(51)
S_DQ = const(52)
S_HALF = const(53)  # S / 2
SUBSTEPS = const(54)  # steps of a period, at least
K_SHAFT = const(55)  # N.m/rad at the motor's side, 0: one mass
D_SHAFT = const(56)  # N.m.s
J_OUT = const(57)
# faults; the branches for them are behind one flag
FAULTY = const(58)  # 1: one of those below acts
EXCITER_STUCK = const(59)  # 1: at its supply, whatever is commanded
EXCITER_STUCK_LOW = const(60)  # 1: it cannot reverse
PHASE_OPEN = const(61)
PHASE_SHORTED = const(62)
L_SHORT = const(63)  # H, of the short circuit
R_SHORT = const(64)
SHORT_DECAY = const(65)  # of its current in one period
GROUND = const(66)  # 1/Ohm, from leg c to ground, which is the link's negative rail
SAG = const(67)  # share of the battery's emf that is missing
EMF_WHOLE = const(68)  # V, without that
FIELD_SHORTED = const(69)  # share of the field's turns that are shorted
# the windings as built, from which heat and shorted turns make what the machine has now
HEAT_S = const(70)  # resistance over that of the data
HEAT_F = const(71)
R_S_0 = const(72)
R_F_0 = const(73)
K_DF_0 = const(74)
K_FF_0 = const(75)
K_FD_0 = const(76)
M_0 = const(77)
L_F_0 = const(78)
N_REF_0 = const(79)
R_ON = const(80)  # Ohm, of the switches: part of R_S
_C_SIZE = const(81)

# `host_tools.jitted` makes a second `run_period` with 0 here, for a plant that is not FAULTY.
MAY_FAIL = const(1)

_INV_SQRT3 = 0.5773502691896258
_SQRT3_HALF = 0.8660254037844386
_TWO_PI = 6.283185307179586


@micropython.native
def turn_direction(x, turns):
    """Sine and cosine of a part of a turn to x[SIN], x[COS], by polynomials on an eighth."""
    quarter = int(turns * 4.0 + 128.5) - 128
    a = (turns - 0.25 * quarter) * 6.283185307179586
    q = a * a
    s = a * (1.0 - q * (1 / 6 - q * (1 / 120 - q * (1 / 5040 - q * (1 / 362880 - q * (1 / 39916800))))))
    k = 1.0 - q * (
        0.5 - q * (1 / 24 - q * (1 / 720 - q * (1 / 40320 - q * (1 / 3628800 - q * (1 / 479001600)))))
    )
    quarter = quarter & 3
    if quarter == 0:
        x[COS] = k
        x[SIN] = s
    elif quarter == 1:
        x[COS] = -s
        x[SIN] = k
    elif quarter == 2:
        x[COS] = -k
        x[SIN] = -s
    else:
        x[COS] = s
        x[SIN] = -k


@micropython.native
def invert_saturated(x, c, psi_d, psi_q, psi_f, opened):
    """Currents of the saturated machine: writes x[I_D], x[I_Q], x[I_F], x[MAIN_D], x[MAIN_Q].

    `opened` 0: all windings carry current; 1: the field carries none (psi_f is ignored);
    2: the stator carries none (psi_d, psi_q are ignored).  Newton from the last main flux.
    """
    leak = c[L_LEAK]
    turns = c[N_REF]
    a_0 = c[S_A]
    b_0 = c[S_B]
    a_dd = c[S_DD]
    a_qq = c[S_QQ]
    a_dq = 0.5 * c[S_DQ]
    half = c[S_HALF]
    linked = psi_f / (1.5 * turns)
    # scale*main_d + leak*i_main_d = goal_d ;  main_q + leak*i_main_q = goal_q
    scale = 1.0
    goal_d = psi_d
    goal_q = psi_q
    if opened == 0:
        ratio = leak / c[L_LEAK_F]
        scale = 1.0 + ratio
        goal_d = psi_d + ratio * linked
    elif opened == 2:
        goal_d = linked
        goal_q = 0.0
        leak = c[L_LEAK_F]
    d = x[MAIN_D]
    q = x[MAIN_Q]
    if opened == 2:
        q = 0.0
    turn = 0
    i_d = 0.0
    i_q = 0.0
    while turn < 3:
        d2 = d * d
        q2 = q * q
        d_s = 1.0
        q_s = 1.0
        k = 0.0
        while k < half:
            d_s = d_s * d2
            q_s = q_s * q2
            k = k + 1.0
        i_d = (a_0 + a_dd * d_s + a_dq * q2) * d
        i_q = (b_0 + a_qq * q_s + a_dq * d2) * q
        error_d = scale * d + leak * i_d - goal_d
        error_q = q + leak * i_q - goal_q
        grow = 2.0 * half + 1.0
        j_dd = scale + leak * (a_0 + a_dd * grow * d_s + a_dq * q2)
        j_qq = 1.0 + leak * (b_0 + a_qq * grow * q_s + a_dq * d2)
        j_dq = leak * 2.0 * a_dq * d * q
        det = j_dd * j_qq - j_dq * j_dq
        d = d - (j_qq * error_d - j_dq * error_q) / det
        q = q - (j_dd * error_q - j_dq * error_d) / det
        turn = turn + 1
    d2 = d * d
    q2 = q * q
    d_s = 1.0
    q_s = 1.0
    k = 0.0
    while k < half:
        d_s = d_s * d2
        q_s = q_s * q2
        k = k + 1.0
    i_d = (a_0 + a_dd * d_s + a_dq * q2) * d
    i_q = (b_0 + a_qq * q_s + a_dq * d2) * q
    x[MAIN_D] = d
    x[MAIN_Q] = q
    if opened == 0:
        referred = (linked - d) / c[L_LEAK_F]
        x[I_F] = referred / turns
        x[I_D] = i_d - referred
        x[I_Q] = i_q
    elif opened == 1:
        x[I_F] = 0.0
        x[I_D] = i_d
        x[I_Q] = i_q
    else:
        x[I_F] = i_d / turns
        x[I_D] = 0.0
        x[I_Q] = 0.0


@micropython.native
def find_open_voltage(x, c, cos_1, sin_1, d_1, q_1, psi_f, h, iron):
    """Voltage along phase a that leaves it without current at the end of a step, its cable being off.

    (d_1, q_1) is the flux at the end without that voltage, in the rotor's direction (cos_1, sin_1)
    then.  A secant from the linear machine's answer, for the saturated one's sake.  The main flux is left
    as it was found.
    """
    k_dd = c[K_DD]
    blocked = 0
    if x[I_F] <= 0.0 and c[K_FF] * psi_f - c[K_FD] * d_1 < 0.0:
        k_dd = c[PER_L_D]
        blocked = 1
    main_d = x[MAIN_D]
    main_q = x[MAIN_Q]
    slope = h * (k_dd * cos_1 * cos_1 + c[K_Q] * sin_1 * sin_1)
    voltage = 0.0
    last = 0.0
    before = 0.0
    turn = 0
    while turn < 4:
        d = d_1 + h * voltage * cos_1
        q = q_1 - h * voltage * sin_1
        if c[SATURATED] != 0.0:
            invert_saturated(x, c, d, q, psi_f, blocked)
            i_d = x[I_D]
            i_q = x[I_Q]
        else:
            i_d = k_dd * d
            if blocked == 0:
                i_d = i_d - c[K_DF] * psi_f
            i_q = c[K_Q] * q
        current = (i_d - iron * q) * cos_1 - (i_q + iron * d) * sin_1
        if turn > 0 and voltage != before:
            found = (current - last) / (voltage - before)
            if found > 0.0:
                slope = found
        last = current
        before = voltage
        voltage = voltage - current / slope
        turn = turn + 1
    x[MAIN_D] = main_d
    x[MAIN_Q] = main_q
    return voltage


@micropython.native
def feed_faults(x, c, u_line, u_c):
    """One period of a short circuit between legs a and b and of a leak from leg c; J taken from the link.

    The short circuit's current follows exactly from a voltage that is constant over the period.
    """
    h = c[H]
    energy = 0.0
    if c[PHASE_SHORTED] != 0.0:
        before = x[I_SHORT]
        final = u_line / c[R_SHORT]
        after = final + (before - final) * c[SHORT_DECAY]
        x[I_SHORT] = after
        mean = final - (after - before) * c[L_SHORT] / (c[R_SHORT] * h)
        energy = u_line * mean * h
        x[E_FAULT] = x[E_FAULT] + energy - 0.5 * c[L_SHORT] * (after * after - before * before)
    leak = u_c * c[GROUND]
    x[I_GROUND] = leak
    leaked = u_c * leak * h
    x[E_FAULT] = x[E_FAULT] + leaked
    return energy + leaked


@micropython.native
def find_diode_voltage(x, c, cos_1, sin_1, d_1, q_1, psi_f, h, u, iron):
    """Voltage that the diodes of six open switches put on the machine; to x[U_ALPHA], x[U_BETA].

    A leg is at 0 while its current is positive, at u while it is negative, between them when it
    is zero.  Sought is the mean leg voltage with which the currents at the end of the period obey
    that: a complementarity problem, by projected Gauss-Seidel.  (d_1, q_1) is the flux at the
    end without any voltage, in the rotor's direction (cos_1, sin_1) then.
    """
    k_dd = c[K_DD]
    k_qq = c[K_Q]
    i_d = k_dd * d_1 - c[K_DF] * psi_f
    if x[I_F] <= 0.0 and c[K_FF] * psi_f - c[K_FD] * d_1 < 0.0:
        k_dd = c[PER_L_D]
        i_d = k_dd * d_1
    i_d = i_d - iron * q_1
    i_q = k_qq * q_1 + iron * d_1
    i_alpha = i_d * cos_1 - i_q * sin_1
    i_beta = i_d * sin_1 + i_q * cos_1
    # Admittance in stator coordinates, of half the link voltage over a period, times 2/3 (Clarke).
    unit = u * h / 3.0
    g_aa = unit * (k_dd * cos_1 * cos_1 + k_qq * sin_1 * sin_1)
    g_ab = unit * (k_dd - k_qq) * cos_1 * sin_1
    g_bb = unit * (k_dd * sin_1 * sin_1 + k_qq * cos_1 * cos_1)
    s_a = 0.0
    s_b = 0.0
    s_c = 0.0
    across = _SQRT3_HALF * g_ab
    own_a = g_aa
    own_b = 0.25 * g_aa - across + 0.75 * g_bb
    own_c = 0.25 * g_aa + across + 0.75 * g_bb
    opened = c[PHASE_OPEN]
    shorted = c[PHASE_SHORTED]
    turn = 0
    while turn < 24:
        if shorted != 0.0:
            # Legs a and b are one, whose current is that of leg c, the other way.
            s = s_a + (_SQRT3_HALF * i_beta + 0.5 * i_alpha) / own_c
            if s > 1.0:
                s = 1.0
            elif s < -1.0:
                s = -1.0
            change = s - s_a
            s_a = s
            s_b = s
            i_alpha = i_alpha - change * (_SQRT3_HALF * g_ab + 0.5 * g_aa)
            i_beta = i_beta - change * (_SQRT3_HALF * g_bb + 0.5 * g_ab)
        else:
            s = s_a + i_alpha / own_a
            if opened == 0.0:  # an open phase takes whatever voltage keeps its current zero
                if s > 1.0:
                    s = 1.0
                elif s < -1.0:
                    s = -1.0
            change = s - s_a
            s_a = s
            i_alpha = i_alpha - change * g_aa
            i_beta = i_beta - change * g_ab
            s = s_b + (_SQRT3_HALF * i_beta - 0.5 * i_alpha) / own_b
            if s > 1.0:
                s = 1.0
            elif s < -1.0:
                s = -1.0
            change = s - s_b
            s_b = s
            i_alpha = i_alpha - change * (_SQRT3_HALF * g_ab - 0.5 * g_aa)
            i_beta = i_beta - change * (_SQRT3_HALF * g_bb - 0.5 * g_ab)
        s = s_c + (-_SQRT3_HALF * i_beta - 0.5 * i_alpha) / own_c
        if s > 1.0:
            s = 1.0
        elif s < -1.0:
            s = -1.0
        change = s - s_c
        s_c = s
        i_alpha = i_alpha + change * (_SQRT3_HALF * g_ab + 0.5 * g_aa)
        i_beta = i_beta + change * (_SQRT3_HALF * g_bb + 0.5 * g_ab)
        turn = turn + 1
    x[U_ALPHA] = -u * (s_a + s_a - s_b - s_c) / 6.0
    x[U_BETA] = -u * (s_b - s_c) * (0.5 * _INV_SQRT3)


@micropython.native
def run_period(x, c, compare_a, compare_b, compare_c, compare_f, gate):
    """Run the machine through one PWM period.

    compare_a .. compare_c 0 .. top (0 and top: the leg does not switch), compare_f -top .. top
    with the exciter's polarity as sign, gate bit 0 the inverter's and bit 1 the exciter's enable.
    """
    h = c[H]
    resistance = c[R_S]
    r_f = c[R_F]
    k_t = c[K_T]
    saturated = c[SATURATED]
    cos_0 = x[COS]
    sin_0 = x[SIN]
    psi_d = x[PSI_D]
    psi_q = x[PSI_Q]
    psi_f = x[PSI_F]
    i_d0 = x[I_D]
    i_q0 = x[I_Q]
    i_f0 = x[I_F]
    i_a = x[I_A]
    i_b = x[I_B]
    x[I_C] = x[I_GROUND] - i_a - i_b
    u = x[U_DC] + 0.5 * x[U_RISE]  # expected mean over the period

    # --- exciter
    supply = c[OWN_SUPPLY]
    own = supply
    if supply == 0.0:
        supply = u
    kind = c[EXCITER]
    polarity = 1.0  # the sign that diodes allow the field current, 0: any
    if gate & 2:
        u_f = supply * compare_f * c[PER_TOP]
        if kind == 0.0:
            if u_f < 0.0:
                u_f = 0.0
        elif kind == 2.0:
            polarity = 0.0
    else:
        u_f = 0.0
        if kind != 0.0:
            u_f = -supply
            if i_f0 < 0.0:
                u_f = supply
                polarity = -1.0
    faulty = 0.0
    if MAY_FAIL:
        faulty = c[FAULTY]
    fed = 0.0
    arc = 0.0
    if faulty != 0.0:
        x[I_GROUND] = 0.0
        if c[EXCITER_STUCK] != 0.0:
            u_f = supply
            polarity = 1.0
            if kind == 2.0:
                polarity = 0.0
        elif c[EXCITER_STUCK_LOW] != 0.0 and u_f < 0.0:
            u_f = 0.0
        if c[PHASE_SHORTED] != 0.0:
            x[CONDUCTS] = 1.0  # the emf has a way without the bridge
    brush = c[BRUSH]
    if i_f0 < 0.0:
        brush = -brush
    v_f = u_f - brush

    # --- inverter
    u_alpha = 0.0
    u_beta = 0.0
    steps = c[SUBSTEPS]
    free = 1  # whether currents choose the voltage: 0 the bridge does, 1 diodes, 2 an open phase
    if gate & 1:
        free = 0
        x[CONDUCTS] = 1.0
        if c[SWAP_GATES] != 0.0:
            swapped = compare_a
            compare_a = compare_b
            compare_b = swapped
        top = c[TOP]
        scale = u * c[PER_TOP]
        u_a = scale * compare_a
        u_b = scale * compare_b
        u_c = scale * compare_c
        lost = u * c[LOST]
        per_zone = c[PER_ZONE]
        if 0 < compare_a < top:
            share = i_a * per_zone
            if share > 1.0:
                share = 1.0
            elif share < -1.0:
                share = -1.0
            u_a = u_a - lost * share
        if 0 < compare_b < top:
            share = i_b * per_zone
            if share > 1.0:
                share = 1.0
            elif share < -1.0:
                share = -1.0
            u_b = u_b - lost * share
        if 0 < compare_c < top:
            share = -(i_a + i_b) * per_zone
            if share > 1.0:
                share = 1.0
            elif share < -1.0:
                share = -1.0
            u_c = u_c - lost * share
        u_alpha = (u_a + u_a - u_b - u_c) * 0.3333333333333333
        u_beta = (u_b - u_c) * 0.5773502691896258 * c[MIRROR]
        if faulty != 0.0:
            fed = feed_faults(x, c, u_a - u_b, u_c)
            if c[PHASE_OPEN] != 0.0:
                free = 2
                if steps < 4.0:
                    steps = 4.0
    elif x[CONDUCTS] != 0.0:
        if steps < 4.0:
            steps = 4.0
        eps = c[I_EPS]
        if -eps < i_a < eps and -eps < i_b < eps and -eps < i_a + i_b < eps and c[PHASE_SHORTED] == 0.0:
            # The last of the stator current ends; the flux that the field links stays.
            x[CONDUCTS] = 0.0
            if saturated != 0.0:
                invert_saturated(x, c, psi_d, psi_q, psi_f, 2)
                i_f0 = x[I_F]
            else:
                i_f0 = psi_f / c[L_F]
            i_d0 = 0.0
            i_q0 = 0.0

    # --- where the rotor will be
    w_0 = x[W_M]
    w_mid = w_0 + 0.5 * x[W_RISE]
    half = c[HALF_TURN] * w_mid
    q = half * half
    if q > 0.01 and steps < 2.0:
        steps = 2.0
    if steps != 1.0:
        h = h / steps
        half = half / steps
        q = half * half
    half_h = 0.5 * h
    sin_h = half * (1.0 - q * (0.16666666666666666 - q * 0.008333333333333333))
    cos_h = 1.0 - q * (0.5 - q * (0.041666666666666664 - q * 0.001388888888888889))

    # --- iron: a current in parallel with the machine, along the rotating emf
    iron = 0.0
    if c[IRON] != 0.0:
        w_e = w_mid * c[POLE_PAIRS]
        if w_e > 0.0:
            iron = c[K_H] + c[K_E] * w_e
        elif w_e < 0.0:
            iron = c[K_E] * w_e - c[K_H]

    aside = iron  # whether energy goes elsewhere
    if faulty != 0.0:
        aside = 1.0

    torque_0 = x[TORQUE_NOW]
    torque_sum = 0.0
    mean_f = 0.0
    square_f = 0.0
    energy_s = 0.0
    copper_s = 0.0
    loss_iron = 0.0
    while steps > 0.0:
        steps = steps - 1.0
        cos_m = cos_0 * cos_h - sin_0 * sin_h
        sin_m = sin_0 * cos_h + cos_0 * sin_h
        # Flux and current at the beginning, seen from the middle.
        d_0 = psi_d * cos_h + psi_q * sin_h
        q_0 = psi_q * cos_h - psi_d * sin_h
        j_d0 = i_d0 * cos_h + i_q0 * sin_h
        j_q0 = i_q0 * cos_h - i_d0 * sin_h
        cos_0 = cos_m * cos_h - sin_m * sin_h
        sin_0 = sin_m * cos_h + cos_m * sin_h

        stator_open = False
        if free == 1:
            if x[CONDUCTS] == 0.0:
                # Open unless the emf, line to line, exceeds the link.
                e_d = c[M_] / c[L_F] * (v_f - r_f * i_f0)
                if i_f0 <= 0.0 and e_d < 0.0:
                    e_d = 0.0
                if saturated != 0.0:
                    e_q = c[POLE_PAIRS] * w_mid * x[MAIN_D]
                else:
                    e_q = c[POLE_PAIRS] * w_mid * c[M_] * i_f0
                u_alpha = e_d * cos_m - e_q * sin_m
                u_beta = e_d * sin_m + e_q * cos_m
                spread = 1.7320508075688772 * u_beta
                if spread < 0.0:
                    spread = -spread  # b to c
                line = 1.5 * u_alpha
                if line < 0.0:
                    line = -line
                line = line + 0.5 * spread
                if line > spread and c[PHASE_OPEN] == 0.0:
                    spread = line
                if spread < u:
                    stator_open = True
                else:
                    x[CONDUCTS] = 1.0
            if not stator_open:
                d_1 = d_0 - h * resistance * j_d0
                q_1 = q_0 - h * resistance * j_q0
                x[I_F] = i_f0
                find_diode_voltage(
                    x,
                    c,
                    cos_0,
                    sin_0,
                    d_1 * cos_h + q_1 * sin_h,
                    q_1 * cos_h - d_1 * sin_h,
                    psi_f + h * (v_f - r_f * i_f0),
                    h,
                    u,
                    iron,
                )
                u_alpha = x[U_ALPHA]
                u_beta = x[U_BETA]
        elif free == 2:
            d_1 = d_0 + h * (u_beta * sin_m - resistance * j_d0)
            q_1 = q_0 + h * (u_beta * cos_m - resistance * j_q0)
            x[I_F] = i_f0
            u_alpha = find_open_voltage(
                x,
                c,
                cos_0,
                sin_0,
                d_1 * cos_h + q_1 * sin_h,
                q_1 * cos_h - d_1 * sin_h,
                psi_f + h * (v_f - r_f * i_f0),
                h,
                iron,
            )

        if stator_open:
            # --- field alone
            i_f1 = i_f0
            i_fm = i_f0
            if c[EXCITER_OPEN] != 0.0 or (i_f0 == 0.0 and v_f <= 0.0):
                i_f1 = 0.0
                i_fm = 0.0
            elif saturated != 0.0:
                invert_saturated(x, c, 0.0, 0.0, psi_f + half_h * (v_f - r_f * i_f0), 2)
                i_fm = x[I_F]
                invert_saturated(x, c, 0.0, 0.0, psi_f + h * (v_f - r_f * i_fm), 2)
                i_f1 = x[I_F]
            else:
                k_f = 1.0 / c[L_F]
                i_fm = i_f0 + half_h * k_f * (v_f - r_f * i_f0)
                i_f1 = i_f0 + h * k_f * (v_f - r_f * i_fm)
            if polarity * i_f1 < 0.0:
                i_f1 = 0.0
            if saturated != 0.0:
                if i_f1 == 0.0:
                    x[MAIN_D] = 0.0
                x[MAIN_Q] = 0.0
                psi_d = x[MAIN_D]
                psi_f = 1.5 * c[N_REF] * (psi_d + c[L_LEAK_F] * c[N_REF] * i_f1)
            else:
                psi_d = c[M_] * i_f1
                psi_f = c[L_F] * i_f1
            psi_q = 0.0
            i_d0 = 0.0
            i_q0 = 0.0
            x[BEND_D] = 0.0
            x[BEND_Q] = 0.0
            x[BEND_F] = 0.0
            torque_0 = -k_t * iron * psi_d * psi_d
            torque_sum = torque_sum + 6.0 * torque_0
            loss_iron = loss_iron - torque_0 * h * w_mid
        else:
            # --- middle of the step
            v_d = u_alpha * cos_m + u_beta * sin_m
            v_q = u_beta * cos_m - u_alpha * sin_m
            # Mean current of the first half: it turns with the rotor, from j_0 to about i_0.
            drop = 0.5 * resistance
            d_m = d_0 + half_h * (v_d - drop * (j_d0 + i_d0))
            q_m = q_0 + half_h * (v_q - drop * (j_q0 + i_q0))
            f_m = psi_f + half_h * (v_f - r_f * i_f0)
            if saturated != 0.0:
                invert_saturated(x, c, d_m, q_m, f_m, 0)
                i_dm = x[I_D]
                i_qm = x[I_Q]
                i_fm = x[I_F]
            else:
                i_dm = c[K_DD] * d_m - c[K_DF] * f_m
                i_fm = c[K_FF] * f_m - c[K_FD] * d_m
                i_qm = c[K_Q] * q_m
            blocked = False
            if c[EXCITER_OPEN] != 0.0 or (polarity * i_fm < 0.0 and polarity * i_f0 <= 0.0):
                # The diodes block: the field takes whatever voltage keeps its current zero.
                blocked = True
                i_fm = 0.0
                if saturated != 0.0:
                    invert_saturated(x, c, d_m, q_m, 0.0, 1)
                    i_dm = x[I_D]
                    i_qm = x[I_Q]
                else:
                    i_dm = c[PER_L_D] * d_m
            if iron != 0.0:
                i_dm = i_dm - iron * q_m
                i_qm = i_qm + iron * d_m

            # --- end; R*i with the mean of i, which bends within the step
            d_1 = d_0 + h * (v_d - resistance * (i_dm + x[BEND_D]))
            q_1 = q_0 + h * (v_q - resistance * (i_qm + x[BEND_Q]))
            psi_f = psi_f + h * (v_f - r_f * (i_fm + x[BEND_F]))
            psi_d = d_1 * cos_h + q_1 * sin_h
            psi_q = q_1 * cos_h - d_1 * sin_h
            if saturated != 0.0:
                if not blocked:
                    invert_saturated(x, c, psi_d, psi_q, psi_f, 0)
                    if polarity * x[I_F] < 0.0:
                        blocked = True
                if blocked:
                    invert_saturated(x, c, psi_d, psi_q, 0.0, 1)
                    psi_f = 1.5 * c[N_REF] * x[MAIN_D]
                i_d1 = x[I_D]
                i_q1 = x[I_Q]
                i_f1 = x[I_F]
            else:
                i_q1 = c[K_Q] * psi_q
                i_f1 = c[K_FF] * psi_f - c[K_FD] * psi_d
                if blocked or polarity * i_f1 < 0.0:
                    # The flux of the stator stays; the field's current ends.
                    i_f1 = 0.0
                    i_d1 = c[PER_L_D] * psi_d
                    psi_f = c[M_15] * i_d1
                else:
                    i_d1 = c[K_DD] * psi_d - c[K_DF] * psi_f
            torque_m = k_t * (d_m * i_qm - q_m * i_dm)
            if iron != 0.0:
                torque_m = torque_m - k_t * iron * (d_m * d_m + q_m * q_m)
                i_d1 = i_d1 - iron * psi_q
                i_q1 = i_q1 + iron * psi_d
                torque_1 = k_t * (psi_d * i_q1 - psi_q * i_d1 - iron * (psi_d * psi_d + psi_q * psi_q))
            else:
                torque_1 = k_t * (psi_d * i_q1 - psi_q * i_d1)
            torque_sum = torque_sum + torque_0 + 4.0 * torque_m + torque_1
            torque_0 = torque_1

            # --- energies
            j_d1 = i_d1 * cos_h - i_q1 * sin_h
            j_q1 = i_q1 * cos_h + i_d1 * sin_h
            mean_d = (j_d0 + 4.0 * i_dm + j_d1) * 0.16666666666666666
            mean_q = (j_q0 + 4.0 * i_qm + j_q1) * 0.16666666666666666
            x[BEND_D] = mean_d - i_dm
            x[BEND_Q] = mean_q - i_qm
            x[BEND_F] = (i_f0 - 2.0 * i_fm + i_f1) * 0.16666666666666666
            energy_s = energy_s + v_d * mean_d + v_q * mean_q
            copper_s = (
                copper_s
                + i_d0 * i_d0
                + i_q0 * i_q0
                + 4.0 * (i_dm * i_dm + i_qm * i_qm)
                + i_d1 * i_d1
                + i_q1 * i_q1
            )
            if aside != 0.0:
                if c[PHASE_OPEN] != 0.0:
                    # What the gap takes is not the bridge's.
                    gap_power = u_alpha * (mean_d * cos_m - mean_q * sin_m)
                    energy_s = energy_s - gap_power
                    arc = arc - gap_power
                # i_fe times the voltage behind the resistance
                loss_iron = loss_iron + 0.25 * h * iron * (
                    (v_q - resistance * j_q0) * d_0
                    - (v_d - resistance * j_d0) * q_0
                    + 4.0 * ((v_q - resistance * i_qm) * d_m - (v_d - resistance * i_dm) * q_m)
                    + (v_q - resistance * j_q1) * d_1
                    - (v_d - resistance * j_d1) * q_1
                )
            i_d0 = i_d1
            i_q0 = i_q1
        mean_f = mean_f + i_f0 + 4.0 * i_fm + i_f1
        square_f = square_f + i_f0 * i_f0 + 4.0 * i_fm * i_fm + i_f1 * i_f1
        i_f0 = i_f1

    x[PSI_D] = psi_d
    x[PSI_Q] = psi_q
    x[PSI_F] = psi_f
    x[I_D] = i_d0
    x[I_Q] = i_q0
    x[I_F] = i_f0
    sixth = h * 0.16666666666666666
    period = c[H]
    torque = torque_sum * sixth / period
    x[TORQUE_NOW] = torque_0
    x[TORQUE] = torque
    x[U_F] = u_f
    x[U_ALPHA] = u_alpha
    x[U_BETA] = u_beta

    # --- direction and shaft position at the end
    turns = x[TURNS] + c[TURNS_STEP] * w_mid
    if turns >= 1.0:
        turns = turns - 1.0
    elif turns < 0.0:
        turns = turns + 1.0
    x[TURNS] = turns
    age = x[AGE] + 1.0
    if age < 32.0:
        x[COS] = cos_0
        x[SIN] = sin_0
    else:
        age = 0.0
        turns = turns * c[POLE_PAIRS]
        turn_direction(x, turns - int(turns))
        cos_0 = x[COS]
        sin_0 = x[SIN]
    x[AGE] = age
    i_alpha = i_d0 * cos_0 - i_q0 * sin_0
    x[I_A] = i_alpha
    x[I_B] = 0.8660254037844386 * (i_d0 * sin_0 + i_q0 * cos_0) * c[MIRROR] - 0.5 * i_alpha

    # --- energies, dc link
    energy_s = energy_s * 1.5 * h
    energy_f = u_f * mean_f * sixth
    x[E_STATOR] = x[E_STATOR] + energy_s
    x[E_FIELD] = x[E_FIELD] + energy_f
    x[E_COPPER_S] = x[E_COPPER_S] + 1.5 * resistance * sixth * copper_s
    x[E_COPPER_F] = x[E_COPPER_F] + (r_f * square_f + brush * mean_f) * sixth
    through = energy_s
    if through < 0.0:
        through = -through
    if energy_f > 0.0:
        through = through + energy_f
    else:
        through = through - energy_f
    x[E_THROUGHPUT] = x[E_THROUGHPUT] + through
    if faulty != 0.0:
        energy_s = energy_s + fed
        x[E_FAULT] = x[E_FAULT] + 1.5 * h * arc
        if c[PHASE_SHORTED] != 0.0:
            short = x[I_SHORT]
            if not gate & 1:
                # The machine's own current goes through it; its inductance is little against the machine's.
                machine = 0.5 * (x[I_B] - x[I_A])
                x[E_FAULT] = x[E_FAULT] + 0.5 * c[L_SHORT] * (short * short - machine * machine)
                x[I_SHORT] = machine
                short = machine
            x[I_A] = x[I_A] + short
            x[I_B] = x[I_B] - short
    if own == 0.0:
        energy_s = energy_s + energy_f
    else:
        x[E_SUPPLY] = x[E_SUPPLY] + energy_f
    u_0 = x[U_DC]
    if u_0 > c[CLAMP]:
        burnt = u * u * c[PER_R_CLAMP] * period
        energy_s = energy_s + burnt
        x[E_CLAMP] = x[E_CLAMP] + burnt
    if c[BATTERY_LOST] == 0.0:
        i_load = energy_s / (period * u)
        emf = c[EMF]
        r_b = c[R_BATTERY]
        final = emf - r_b * i_load
        gap = u_0 - final
        u_1 = final + gap * c[DECAY]
        x[E_BATTERY] = x[E_BATTERY] + emf * (i_load * period + (u_1 - u_0) * c[C_DC])
        gap = gap / r_b
        x[E_BATTERY_LOSS] = x[E_BATTERY_LOSS] + r_b * (
            i_load * (i_load * period - gap * c[K_LOSS_1]) + gap * gap * c[K_LOSS_2]
        )
    else:
        u_1 = u_0 * u_0 - 2.0 * energy_s / c[C_DC]
        u_1 = sqrt(u_1) if u_1 > 0.0 else 0.0
    if u_1 < 0.01:
        u_1 = 0.01
    x[U_RISE] = u_1 - u_0
    x[U_DC] = u_1

    # --- shaft
    shaft = torque * period * w_mid
    x[E_SHAFT] = x[E_SHAFT] + shaft
    if loss_iron != 0.0:
        x[E_IRON] = x[E_IRON] + loss_iron
    if c[HELD] != 0.0:
        x[E_LOAD] = x[E_LOAD] + shaft
        x[W_RISE] = 0.0
    else:
        load = x[LOAD_TORQUE]
        brake = x[BRAKE_TORQUE]
        stiffness = c[K_SHAFT]
        if stiffness != 0.0:
            behind = load
            slip = w_0 - x[W_OUT]
            load = stiffness * (x[TWIST] + 0.5 * period * slip) + c[D_SHAFT] * slip
        coulomb = c[T_C] + brake
        viscous = c[B] * w_mid
        k_j = c[H_PER_J]
        free = w_0 + k_j * (torque - load - viscous)
        hold = k_j * coulomb
        w_1 = 0.0
        if free > hold:
            w_1 = free - hold
        elif free < -hold:
            w_1 = free + hold
        w_mean = 0.5 * (w_0 + w_1)
        rubbed = (free - w_1) * c[J] * w_mean
        if brake > 0.0:
            braked = rubbed * brake / coulomb
            x[E_BRAKE] = x[E_BRAKE] + braked
            rubbed = rubbed - braked
        w_h = w_mean * period
        if stiffness != 0.0:
            # Both masses see the same torque of the shaft; the load acts behind it.
            out_0 = x[W_OUT]
            out_1 = out_0 + period * (load - behind) / c[J_OUT]
            x[W_OUT] = out_1
            turned = period * (w_mean - 0.5 * (out_0 + out_1))
            x[TWIST] = x[TWIST] + turned
            x[E_FRICTION] = x[E_FRICTION] + c[D_SHAFT] * slip * turned
            x[E_LOAD] = x[E_LOAD] + behind * 0.5 * (out_0 + out_1) * period
        else:
            x[E_LOAD] = x[E_LOAD] + load * w_h
        x[E_FRICTION] = x[E_FRICTION] + rubbed + viscous * w_h
        x[W_RISE] = w_1 - w_0
        x[W_M] = w_1


# --- building and reading ---------------------------------------------------------------------


def make_plant(plant, seed=0, options=None):
    """State and constants of a plant at rest, as two lists of floats.

    `options` overrides entries of `plant`, or gives: theta_m (turns of the shaft at the beginning;
    by the seed if missing), w_m, i_f (A), iron_loss (0: off, the default), held (1: an external
    machine holds the speed), shaft_stiffness (N.m/rad), shaft_damping (N.m.s) and J_out (kg.m2) of a
    second mass behind a soft shaft, all at the motor's side, dead_time_zone (A), substeps (steps of a
    period, 1 by default).
    """
    values = dict(plant)
    values.update(options or {})
    x = [0.0] * _X_SIZE
    c = [0.0] * _C_SIZE
    h = 1.0 / values["f_pwm"]
    p = values["pole_pairs"]
    l_d, l_q, m, l_f = values["L_d"], values["L_q"], values["M"], values["L_f"]
    d = l_d * l_f - 1.5 * m * m
    if d <= 0:
        raise ValueError("sigma = 1 - 1.5*M^2/(L_d*L_f) must be positive, is %g" % (d / (l_d * l_f)))
    c[H] = h
    c[HALF_TURN] = 0.5 * h * p
    c[TURNS_STEP] = h / _TWO_PI
    c[R_S_0] = float(values["R_s"])
    c[R_ON] = float(values.get("R_on", 0.0))
    c[R_F_0] = float(values["R_f"])
    c[HEAT_S] = 1.0
    c[HEAT_F] = 1.0
    c[K_DD] = l_f / d
    c[K_DF_0] = m / d
    c[K_FF_0] = l_d / d
    c[K_FD_0] = 1.5 * m / d
    c[K_Q] = 1.0 / l_q
    c[PER_L_D] = 1.0 / l_d
    c[K_T] = 1.5 * p
    c[TOP] = float(values["pwm_top"])
    c[PER_TOP] = 1.0 / values["pwm_top"]
    c[LOST] = values["dead_time"] / h
    # Ripple makes a leg's current positive at one edge and negative at the other near zero: a
    # quarter of the ripple's peak to peak is where dead time acts in full.
    ripple = values["u_dc_nominal"] * h / (6.0 * 0.5 * (d / l_f + l_q))
    c[PER_ZONE] = 1.0 / values.get("dead_time_zone", 0.25 * ripple)
    c[MIRROR] = 1.0
    c[SUBSTEPS] = float(values.get("substeps", 1))
    c[EXCITER] = float(("unipolar", "half_bridge", "full_bridge").index(values["exciter_kind"]))
    c[OWN_SUPPLY] = 0.0 if values["exciter_from_link"] else float(values["u_f_nominal"])
    c[BRUSH] = float(values.get("u_brush", 0.0))
    c[EMF] = float(values["battery_emf"])
    c[EMF_WHOLE] = c[EMF]
    r_b, capacitance = values["battery_resistance"], values["capacitance"]
    decay = exp(-h / (r_b * capacitance))
    c[R_BATTERY] = float(r_b)
    c[DECAY] = decay
    c[K_LOSS_1] = 2.0 * r_b * capacitance * (1.0 - decay)
    c[K_LOSS_2] = 0.5 * r_b * capacitance * (1.0 - decay * decay)
    c[C_DC] = float(capacitance)
    c[CLAMP] = 1e9
    if values.get("clamp_resistance"):
        c[CLAMP] = float(values["clamp_voltage"])
        c[PER_R_CLAMP] = 1.0 / values["clamp_resistance"]
    inertia = values["J"]
    c[H_PER_J] = h / inertia
    c[J] = float(inertia)
    c[B] = float(values["B"])
    c[T_C] = float(values["T_c"])
    if values.get("shaft_stiffness"):
        c[K_SHAFT] = float(values["shaft_stiffness"])
        c[D_SHAFT] = float(values.get("shaft_damping", 0.0))
        c[J_OUT] = float(values["J_out"])
        x[W_OUT] = float(values.get("w_m", 0.0))
    c[HELD] = float(values.get("held", 0))
    c[IRON] = float(values.get("iron_loss", 0))
    c[K_H] = values.get("k_h", 0.0) / 1.5
    c[K_E] = values.get("k_e", 0.0) / 1.5
    c[M_0] = float(m)
    c[L_F_0] = float(l_f)
    c[R_SHORT] = 0.5 * c[R_S_0]
    set_short(c, SHORT / c[K_Q])
    c[I_EPS] = 2e-3 * values["i_max"]
    c[POLE_PAIRS] = float(p)
    if values.get("saturated", 0):
        leak = values["saturation_L_leakage"]
        main = l_d - leak
        turns = m / main
        c[SATURATED] = 1.0
        c[L_LEAK] = float(leak)
        c[N_REF_0] = turns
        c[L_LEAK_F] = l_f / (1.5 * turns * turns) - main
        c[S_A] = 1.0 / main
        c[S_B] = 1.0 / (l_q - leak)
        c[S_DD] = float(values["saturation_a_dd"])
        c[S_QQ] = float(values["saturation_a_qq"])
        c[S_DQ] = float(values.get("saturation_a_dq", 0.0))
        c[S_HALF] = values["saturation_exponent"] / 2.0
    wind(c)

    turns = values.get("theta_m")
    if turns is None:
        turns = scatter(seed) / 1073741824.0
    x[TURNS] = turns % 1.0
    angle = x[TURNS] * p
    turn_direction(x, angle - int(angle))
    x[W_M] = float(values.get("w_m", 0.0))
    x[U_DC] = c[EMF]
    if values.get("i_f"):
        set_currents(x, c, 0.0, 0.0, float(values["i_f"]))
    return x, c


def shuffle(r):
    """Next of a full-period sequence of 30-bit numbers above 0 (xorshift); 30 bits are small ints."""
    r = (r & 0x3FFFFFFF) or 1
    r = r ^ ((r & 0x7FFFF) << 11)
    r = r ^ (r >> 13)
    return r ^ ((r & 0x3FFFFF) << 8)


def scatter(seed):
    """A 30-bit number from a seed; neighbouring seeds give numbers far apart."""
    return shuffle(shuffle(((seed + 1) * 663608941) & 0x3FFFFFFF))


def set_currents(x, c, i_d, i_q, i_f):
    """Put the machine into a state with these currents (iron loss current not counted)."""
    if c[SATURATED]:
        turns, leak = c[N_REF], c[L_LEAK]
        want_d, want_q = i_d + turns * i_f, i_q
        d, q = want_d / c[S_A], want_q / c[S_B]
        for _ in range(60):
            d_s, q_s = d ** (2 * c[S_HALF]), q ** (2 * c[S_HALF])
            grow = 2 * c[S_HALF] + 1
            cross = 0.5 * c[S_DQ]
            slope_d = c[S_A] + grow * c[S_DD] * d_s + cross * q * q
            slope_q = c[S_B] + grow * c[S_QQ] * q_s + cross * d * d
            error_d = (c[S_A] + c[S_DD] * d_s + cross * q * q) * d - want_d
            error_q = (c[S_B] + c[S_QQ] * q_s + cross * d * d) * q - want_q
            both = 2 * cross * d * q
            det = slope_d * slope_q - both * both
            d -= (slope_q * error_d - both * error_q) / det
            q -= (slope_d * error_q - both * error_d) / det
        x[MAIN_D], x[MAIN_Q] = d, q
        x[PSI_D], x[PSI_Q] = d + leak * i_d, q + leak * i_q
        x[PSI_F] = 1.5 * turns * (d + c[L_LEAK_F] * turns * i_f)
    else:
        x[PSI_D] = i_d / c[PER_L_D] + c[M_] * i_f
        x[PSI_Q] = i_q / c[K_Q]
        x[PSI_F] = c[M_15] * i_d + c[L_F] * i_f
    x[I_D], x[I_Q], x[I_F] = i_d, i_q, i_f
    x[TORQUE_NOW] = c[K_T] * (x[PSI_D] * i_q - x[PSI_Q] * i_d)
    x[CONDUCTS] = 1.0 if i_d or i_q else 0.0
    i_alpha = i_d * x[COS] - i_q * x[SIN]
    i_beta = (i_d * x[SIN] + i_q * x[COS]) * c[MIRROR]
    x[I_A] = i_alpha
    x[I_B] = _SQRT3_HALF * i_beta - 0.5 * i_alpha


# name: index of c that becomes 1 (MIRROR -1), or the amount
FAULTS = {
    "gates_swapped": SWAP_GATES,
    "phases_swapped": MIRROR,
    "exciter_open": EXCITER_OPEN,
    "exciter_stuck": EXCITER_STUCK,
    "exciter_stuck_low": EXCITER_STUCK_LOW,
    "field_shorted": FIELD_SHORTED,
    "phase_open": PHASE_OPEN,
    "phase_shorted": PHASE_SHORTED,
    "ground_fault": GROUND,
    "battery_lost": BATTERY_LOST,
    "supply_sag": SAG,
}
# name: what an amount is, its unit, lowest and highest
AMOUNTS = {
    "field_shorted": ("share of the field's turns that are shorted", "1", 0.01, 0.95),
    "phase_shorted": ("inductance of the short circuit", "H", 1e-8, 0.1),
    "ground_fault": ("resistance from leg c to ground", "Ohm", 1e-3, 1e9),
    "supply_sag": ("share of the battery's emf that is missing", "1", 0.01, 0.95),
}
SHORT = 0.01  # inductance of a short circuit over L_q, unless said otherwise


def inject(c, name, on=True, amount=None, x=None):
    """Make a fault of FAULTS, or end it.  (Those of sensors: `sensors.inject`.)

    gates_swapped      legs a and b get each other's pulses
    phases_swapped     cables b and c of the motor exchanged
    exciter_open       no field current, nor a path for it
    exciter_stuck      both switches of one diagonal are on: u_f is the whole supply, whatever is commanded
    exciter_stuck_low  one switch is on: u_f reaches from 0 up, so the field cannot be reversed
    field_shorted      share of the turns, 0.5: R_f and M fall with the turns left, L_f with their square;
                       ampere-turns stay as they are, so i_f rises at once (x has to be given when there is
                       any field).  That the shorted turns damp is left out.
    phase_open         cable a is off: its current ends in an arc within a period
    phase_shorted      H, 1 % of L_q: legs a and b connected at the bridge by that inductance and R_s/2, so
                       their current rises by (u_a - u_b)/L; with the bridge off the emf drives it
    ground_fault       Ohm, for a tenth of i_max at half the link: from leg c to the link's negative rail,
                       behind the sensors of a and b; only while the bridge switches
    battery_lost       the link's capacitor (and its clamp, if there is one) is alone
    supply_sag         share, 0.4, by which the battery's emf falls

    Raises ValueError for an amount out of its range.
    """
    check_amount(AMOUNTS, name, amount)
    if name == "phases_swapped":
        c[MIRROR] = -1.0 if on else 1.0
    elif name == "field_shorted":
        before = 1.0 - c[FIELD_SHORTED]
        c[FIELD_SHORTED] = (0.5 if amount is None else float(amount)) if on else 0.0
        wind(c)
        if x is not None:
            ratio = (1.0 - c[FIELD_SHORTED]) / before
            x[PSI_F] = x[PSI_F] * ratio
            x[I_F] = x[I_F] / ratio
            x[BEND_F] = x[BEND_F] / ratio
    elif name == "supply_sag":
        if c[SAG] == 0.0:
            c[EMF_WHOLE] = c[EMF]
        c[SAG] = (0.4 if amount is None else float(amount)) if on else 0.0
        c[EMF] = c[EMF_WHOLE] * (1.0 - c[SAG])
    elif name == "ground_fault":
        # c[I_EPS] is 0.2 % of i_max
        resistance = c[EMF_WHOLE] / (100.0 * c[I_EPS]) if amount is None else float(amount)
        c[GROUND] = 1.0 / resistance if on else 0.0
    else:
        c[FAULTS[name]] = 1.0 if on else 0.0
        if name == "phase_shorted":
            _end_short(c, x)
            set_short(c, SHORT / c[K_Q] if amount is None or not on else float(amount))
    if x is not None and name == "ground_fault":
        x[I_GROUND] = 0.0
    acting = (EXCITER_STUCK, EXCITER_STUCK_LOW, PHASE_OPEN, PHASE_SHORTED, GROUND)
    c[FAULTY] = 1.0 if sum([c[each] for each in acting]) else 0.0


def _end_short(c, x):
    """End the current of a short circuit, whose energy is lost."""
    if x is not None:
        short = x[I_SHORT]
        x[I_A] = x[I_A] - short
        x[I_B] = x[I_B] + short
        x[E_FAULT] = x[E_FAULT] + 0.5 * c[L_SHORT] * short * short
        x[I_SHORT] = 0.0


def check_amount(known, name, amount):
    """ValueError if a fault takes no amount or not this one; `known` is a table like AMOUNTS."""
    if amount is None:
        return
    if name not in known:
        raise ValueError("%s takes no amount; those that do: %s" % (name, ", ".join(sorted(known))))
    what, unit, low, high = known[name]
    if not low <= amount <= high:
        raise ValueError(
            "amount of %s is %g, the %s; it lies in %g .. %g %s" % (name, amount, what, low, high, unit)
        )


def wind(c):
    """What follows from the windings as built, their heat, and the field's turns that are not shorted."""
    share = 1.0 - c[FIELD_SHORTED]
    c[R_S] = c[R_S_0] * c[HEAT_S] + c[R_ON]
    c[R_F] = c[R_F_0] * c[HEAT_F] * share
    c[M_] = c[M_0] * share
    c[M_15] = 1.5 * c[M_]
    c[L_F] = c[L_F_0] * (share * share)
    c[K_DF] = c[K_DF_0] / share
    c[K_FD] = c[K_FD_0] / share
    c[K_FF] = c[K_FF_0] / (share * share)
    c[N_REF] = c[N_REF_0] * share


def set_short(c, inductance):
    """Inductance in H of a short circuit between the phases, and what follows from it."""
    c[L_SHORT] = inductance
    c[SHORT_DECAY] = exp(-c[H] * c[R_SHORT] / inductance)


def stored_energy(x, c):
    """Energy in J stored in (magnetic field, dc-link capacitor, rotation)."""
    if c[SATURATED]:
        d, q, turns, leak = x[MAIN_D], x[MAIN_Q], c[N_REF], c[L_LEAK]
        s = 2 * c[S_HALF]
        main = 0.5 * (c[S_A] * d * d + c[S_B] * q * q) + 0.25 * c[S_DQ] * d * d * q * q
        main += (c[S_DD] * d ** (s + 2) + c[S_QQ] * q ** (s + 2)) / (s + 2)
        i_d, i_q = (x[PSI_D] - d) / leak, (x[PSI_Q] - q) / leak
        magnetic = 1.5 * (main + 0.5 * leak * (i_d * i_d + i_q * i_q))
        magnetic += 0.75 * c[L_LEAK_F] * (turns * x[I_F]) ** 2
    else:
        d, q, f = x[PSI_D], x[PSI_Q], x[PSI_F]
        i_d = c[K_DD] * d - c[K_DF] * f
        i_f = c[K_FF] * f - c[K_FD] * d
        magnetic = 0.75 * (d * i_d + c[K_Q] * q * q) + 0.5 * f * i_f
    magnetic += 0.5 * c[L_SHORT] * x[I_SHORT] ** 2
    moving = 0.5 * c[J] * x[W_M] ** 2 + 0.5 * c[J_OUT] * x[W_OUT] ** 2 + 0.5 * c[K_SHAFT] * x[TWIST] ** 2
    return magnetic, 0.5 * c[C_DC] * x[U_DC] ** 2, moving


def energy_residual(x, c, before):
    """Energy in J that appeared from nowhere since `before` = sum(stored_energy()) at the beginning.

    Supplies - losses - load - what is stored.  Judge it against x[E_THROUGHPUT].
    """
    supplied = x[E_BATTERY] + x[E_SUPPLY]
    lost = x[E_BATTERY_LOSS] + x[E_CLAMP] + x[E_COPPER_S] + x[E_COPPER_F] + x[E_IRON] + x[E_FRICTION]
    lost += x[E_FAULT]
    return sum(stored_energy(x, c)) - before + lost + x[E_LOAD] + x[E_BRAKE] - supplied
