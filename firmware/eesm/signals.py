"""The signal table: every quantity of the control law once, with unit, scale, range and meaning.

Angles are phases of 30 bits (one turn = 2**30) and wrap by masking.  Currents, voltages, fluxes
and torques are Q15 of a base and saturate at +-32767.  Integrators hold 15 more bits and saturate
at +-(2**30 - 1).  A gain is a mantissa of 15 bits and a right shift: `x * k >> k_shift`.

Speeds are electrical in the law; `w_m...` signals share the same raw number, their base is that of
the shaft.
"""

from eesm.table import (
    Q15_MAX,
    Q30_MAX,
    SignalSet,
    constant,
    gain,
    input_,
    letter,
    output,
    parameter,
    per_unit,
    ring,
    shift,
    state,
    table,
    transient,
    whole,
)

PHASE_MASK = Q30_MAX
SINE_STEPS = 512
ROOT_STEPS = 256
MAILBOX_WORDS = 16
STREAM_CHANNELS = 15
STREAM_ROW = 16
STREAM_ROWS = 128
CAPTURE_CHANNELS = 8
CAPTURE_ROWS = 512
TABLE_POINTS = 17
RATIO_POINTS = 9

# bridge_mode
BRIDGE_OFF = 0
BRIDGE_SHORT = 1
BRIDGE_CURRENT = 2
BRIDGE_VOLTAGE = 3

# field_mode
FIELD_OFF = 0
FIELD_CURRENT = 1
FIELD_VOLTAGE = 2
FIELD_REVERSE = 3

# reference_mode
REFERENCE_CURRENT = 0
REFERENCE_TORQUE = 1
REFERENCE_SPEED = 2

# gate_enable
GATE_INVERTER = 1
GATE_EXCITER = 2

# capture_state
CAPTURE_IDLE = 0
CAPTURE_FILLING = 1
CAPTURE_WAITING = 2
CAPTURE_TRIGGERED = 3
CAPTURE_DONE = 4

# Bits of `faults` that the kernel sets itself, each within the period that saw the cause.
FAULT_PHASE_OVERCURRENT = 1
FAULT_FIELD_OVERCURRENT = 2
FAULT_DC_OVERVOLTAGE = 4
FAULT_DC_UNDERVOLTAGE = 8
FAULT_OVERSPEED = 16
FAULT_SENSOR_RANGE = 32
# Latched by the board's hardware, see `board_faults`.
FAULT_PERIOD_MISSED = 64
FAULT_INPUT = 128
FAULT_LOAD_DUMP = 256
FAULT_MAIN_LOOP_SILENT = 512
FAULT_ENCODER_LOST = 1024
FAULT_SENSOR_STUCK = 2048
# Set when the main loop has found a fault, whose number is `fault_request`; see `eesm.faults`.
FAULT_ASKED = 0x20000000

ADC_TOP = 4095


class Signals(SignalSet):
    """The table.  Sections follow the way of the data through one PWM period."""

    # --- time ---------------------------------------------------------------------------------
    period: int = state("t_pwm", 0, 0, Q30_MAX, "s", "number of the PWM period", Q30_MAX)
    slot: int = state("one", 0, 0, 5, "1", "slot of the outer law that this period runs")
    slot_rests: int = state("one", 0, 0, 1, "1", "1: this period took a letter and runs no slot")
    scratch: int = state("one", 0, -Q30_MAX, Q30_MAX, "1", "takes what unused mailbox entries write")

    # --- samples, written by the driver ----------------------------------------------------------
    i_a_raw: int = input_("count", 0, 0, ADC_TOP, "count", "converter count of phase a", 2048)
    i_b_raw: int = input_("count", 0, 0, ADC_TOP, "count", "converter count of phase b", 2048)
    i_f_raw: int = input_("count", 0, 0, ADC_TOP, "count", "converter count of the field", 2048)
    u_dc_raw: int = input_("count", 0, 0, ADC_TOP, "count", "converter count of the dc link", 2048)
    encoder_raw: int = input_("count", 0, 0, 0xFFFF, "count", "encoder counter, wraps at 2**16")
    board_faults: int = input_("one", 0, 0, 0xFF, "1", "fault bits that the board's hardware has latched")
    missed_periods: int = input_(
        "one", 0, 0, Q30_MAX, "1", "periods whose interrupt came too late or not at all"
    )
    period_check: int = input_("one", 0, 0, Q30_MAX, "1", "what the driver compares its period counter with")
    load_torque: int = per_unit(
        input_, "torque", "N.m", "reading of the bench's torque transducer at the shaft, 0 if none"
    )

    # --- mailbox, written by the main loop ---------------------------------------------------------
    mailbox_sequence: int = input_("one", 0, 0, 0xFFFF, "1", "bumped last, when a letter is complete")
    mailbox_due: int = input_("t_pwm", 0, 0, Q30_MAX, "s", "first period that may take the letter")
    mailbox_pumps: int = input_("one", 0, 0, Q30_MAX, "1", "bumped by each turn of the main loop: it lives")
    mailbox_taken: int = state("one", 0, 0, 0xFFFF, "1", "sequence number of the last letter taken")
    mailbox_period: int = state("t_pwm", 0, 0, Q30_MAX, "s", "period that took the last letter")
    mailbox_index: list[int] = letter(
        "one", 0, 0, 0xFFFF, "1", "memory index of each entry of the letter", 0, MAILBOX_WORDS
    )
    mailbox_value: list[int] = letter(
        "one", 0, -Q30_MAX, Q30_MAX, "1", "value of each entry of the letter", 0, MAILBOX_WORDS
    )

    # --- sensing --------------------------------------------------------------------------------
    i_a_offset: int = parameter("count", 4, 0, 0xFFFF, "count", "zero of phase a", 32768)
    i_b_offset: int = parameter("count", 4, 0, 0xFFFF, "count", "zero of phase b", 32768)
    i_f_offset: int = parameter("count", 4, 0, 0xFFFF, "count", "zero of the field", 32768)
    i_a_gain: int = parameter("one", 14, -Q15_MAX, Q15_MAX, "1", "gain of the phase a sensor", 16384)
    i_b_gain: int = parameter("one", 14, -Q15_MAX, Q15_MAX, "1", "gain of the phase b sensor", 16384)
    i_f_gain: int = parameter("one", 14, -Q15_MAX, Q15_MAX, "1", "gain of the field sensor", 16384)
    u_dc_gain: int = parameter("one", 14, 0, Q15_MAX, "1", "gain of the dc-link divider", 16384)
    i_a: int = per_unit(state, "i", "A", "current of phase a, into the machine")
    i_b: int = per_unit(state, "i", "A", "current of phase b, into the machine")
    i_f: int = per_unit(state, "i_f", "A", "field current")
    u_dc: int = state("u", 15, 0, Q15_MAX, "V", "dc-link voltage", 16384)
    inv_u_dc: int = state("per_u", 13, 0, Q15_MAX, "1/V", "reciprocal of the dc-link voltage", 8192)
    count_gain: int = transient("one", 0, 0, Q15_MAX, "1", "PWM counts per volt, 2**28 >> pwm_shift of them")
    u_max: int = transient("u", 15, 0, Q15_MAX, "V", "longest voltage vector that can be made")
    k_u_max: int = parameter("one", 15, 0, Q15_MAX, "1", "usable voltage vector over u_dc", 17000)

    # --- angle and speed ------------------------------------------------------------------------
    encoder_counts: int = parameter("one", 0, 16, 32768, "1", "encoder counts of one turn", 4096)
    encoder_gain_high: int = parameter(
        "one", 0, 0, 0x7FFF, "1", "electrical phase of one count, upper 15 of 30 bits", 16
    )
    encoder_gain_low: int = parameter(
        "one", 0, 0, 0x7FFF, "1", "electrical phase of one count, lower 15 of 30 bits"
    )
    theta_offset: int = parameter(
        "turn", 30, 0, Q30_MAX, "turn", "electrical phase of the d axis where the encoder counts 0"
    )
    encoder_last: int = state("count", 0, -1, 0xFFFF, "count", "encoder counter one period ago", -1)
    position: int = state("one", 0, 0, 32767, "1", "encoder counts from its zero, within a turn")
    theta_encoder: int = transient("turn", 30, 0, PHASE_MASK, "turn", "electrical phase by the encoder")
    theta_e: int = state("turn", 30, 0, PHASE_MASK, "turn", "electrical phase of the d axis, tracked")
    offset_tracked: int = state(
        "turn", 30, 0, Q30_MAX, "turn", "theta_offset that the tracked phase includes"
    )
    theta_error: int = transient("turn", 18, -65536, 65535, "turn", "encoder phase less tracked phase")
    w_step: int = state("turn", 30, -(1 << 27), 1 << 27, "turn", "electrical phase covered in one period")
    w_shift: int = constant("one", 0, 0, 12, "1", "w_step >> w_shift is w_e", 9)
    w_e: int = per_unit(state, "w_e", "rad/s", "electrical speed")
    k_pll_p: int = parameter("one", 0, 0, 16383, "1", "tracker, proportional", 8192)
    k_pll_p_shift: int = shift("shift of k_pll_p", low=1, initial=6)
    k_pll_i: int = parameter("one", 0, 0, 16383, "1", "tracker, integral", 8192)
    k_pll_i_shift: int = shift("shift of k_pll_i", low=3, initial=11)
    k_pll_a: int = parameter("one", 0, 0, 16383, "1", "tracker, acceleration", 8192)
    k_pll_a_shift: int = shift("shift of k_pll_a", low=3, initial=14)
    a_step: int = state("turn", 36, -Q30_MAX, Q30_MAX, "turn", "change of w_step in one period")
    sin_e: int = transient("one", 15, -32768, 32768, "1", "sine of theta_e")
    cos_e: int = transient("one", 15, -32768, 32768, "1", "cosine of theta_e")
    sin_out: int = transient("one", 15, -32768, 32768, "1", "sine of the phase at which the voltage acts")
    cos_out: int = transient("one", 15, -32768, 32768, "1", "cosine of the phase at which the voltage acts")
    turn_out: int = transient("one", 15, -40000, 40000, "rad", "angle from theta_e to where the voltage acts")
    delay_periods: int = constant(
        "one", 1, 0, 6, "1", "periods from sample to the middle of the voltage it leads to", 3
    )

    # --- transforms -----------------------------------------------------------------------------
    i_alpha: int = per_unit(transient, "i", "A", "stator current along phase a")
    i_beta: int = per_unit(transient, "i", "A", "stator current a quarter turn ahead of phase a")
    i_d: int = per_unit(state, "i", "A", "stator current along the field axis")
    i_q: int = per_unit(state, "i", "A", "stator current a quarter turn ahead of the field axis")

    # --- flux, by the linear model -----------------------------------------------------------------
    k_l_d: int = gain("L_d * i_base / psi_base", 8192)
    k_l_d_shift: int = shift("shift of k_l_d", low=2)
    k_l_q: int = gain("L_q * i_base / psi_base", 8192)
    k_l_q_shift: int = shift("shift of k_l_q", low=2)
    k_m: int = gain("M * i_f_base / psi_base", 8192)
    k_m_shift: int = shift("shift of k_m", low=2)
    saturates: int = constant("one", 0, 0, 1, "1", "1: fluxes by the tables of saturation", 0)
    k_l_main: int = gain("(L_d - L_leakage) * i_base / psi_base, of a machine that saturates", 8192)
    k_l_main_shift: int = shift("shift of k_l_main")
    k_l_leak: int = gain("L_leakage * i_base / psi_base", 8192)
    k_l_leak_shift: int = shift("shift of k_l_leak")
    k_place_d: int = gain("unsaturated main flux to its axis of the tables", 8192)
    k_place_d_shift: int = shift("shift of k_place_d")
    k_place_q: int = gain("|i_q| to its axis of the tables", 8192)
    k_place_q_shift: int = shift("shift of k_place_q")
    psi_d: int = per_unit(transient, "psi", "V.s", "stator flux along d")
    psi_q: int = per_unit(transient, "psi", "V.s", "stator flux along q")
    psi_t: int = per_unit(state, "psi", "V.s", "torque per i_q: M*i_f + (L_d - L_q)*i_d")
    emf_shift: int = constant("one", 0, 0, 15, "1", "w_e * psi >> emf_shift is a voltage", 13)

    # --- references -----------------------------------------------------------------------------
    i_d_next: int = per_unit(state, "i", "A", "reference of i_d that comes into force with the next i_q_ref")
    i_d_ref: int = per_unit(state, "i", "A", "reference of i_d")
    i_q_ref: int = per_unit(state, "i", "A", "reference of i_q")
    i_f_ref: int = state("i_f", 15, 0, Q15_MAX, "A", "reference of i_f")

    # --- modes, posted by the main loop ------------------------------------------------------------
    bridge_mode: int = parameter("one", 0, 0, 3, "1", "0 off, 1 short, 2 current control, 3 voltage")
    field_mode: int = parameter("one", 0, 0, 3, "1", "0 off, 1 current control, 2 voltage, 3 reverse")
    reference_mode: int = parameter("one", 0, 0, 2, "1", "0 currents, 1 torque, 2 speed")
    drive_state: int = parameter("one", 0, 0, 31, "1", "state of the drive, for telemetry")

    # --- field controller -----------------------------------------------------------------------
    exciter_from_link: int = constant("one", 0, 0, 1, "1", "1: the exciter is fed by the dc link", 1)
    exciter_reverses: int = constant("one", 0, 0, 1, "1", "1: the exciter can apply -u_f", 1)
    exciter_blocks: int = constant("one", 0, 0, 1, "1", "1: the exciter's diodes forbid i_f < 0", 1)
    k_u_f_max: int = parameter("one", 15, 0, Q15_MAX, "1", "usable share of the exciter's supply", 31000)
    i_f_blocked: int = parameter("i_f", 15, 0, Q15_MAX, "A", "below it the diodes end a reverse voltage", 300)
    u_dc_brake: int = parameter("u", 15, 0, Q15_MAX, "V", "above it the field is not forced down", 24000)
    u_dc_again: int = parameter("u", 15, 0, Q15_MAX, "V", "below it the field is forced down again", 23000)
    link_full: int = state("one", 0, 0, 1, "1", "1: the link takes no more of the field's energy")
    k_f_p: int = gain("field, proportional: L_f * w_f")
    k_f_p_shift: int = shift("shift of k_f_p", low=2)
    k_f_d: int = gain("field, help for a d step: 1.5 * M * w_d")
    k_f_d_shift: int = shift("shift of k_f_d", low=2)
    k_f_i: int = gain("field, integral: R_f * w_f * T_s")
    k_f_i_shift: int = shift("shift of k_f_i", low=2)
    k_f_a: int = gain("field, anti-windup: R_f * T_s / L_f")
    k_f_a_shift: int = shift("shift of k_f_a", low=2)
    field_voltage: int = per_unit(parameter, "u_f", "V", "exciter voltage in field mode 2")
    field_integral: int = state("u_f", 30, -Q30_MAX, Q30_MAX, "V", "integrator of the field controller")
    field_excess: int = transient("u_f", 15, -65535, 65535, "V", "exciter voltage beyond the resistive drop")
    u_f_max: int = transient("u_f", 15, 0, Q15_MAX, "V", "highest exciter voltage")
    u_f: int = per_unit(state, "u_f", "V", "exciter voltage after its limits")

    # --- current controllers ----------------------------------------------------------------------
    d_error: int = transient("i", 15, -65534, 65534, "A", "i_d_ref less i_d")
    k_d_p: int = gain("d, proportional: sigma*L_d * w_c")
    k_d_p_shift: int = shift("shift of k_d_p", low=2)
    k_d_f: int = gain("d, exciter feed-forward: M / L_f")
    k_d_f_shift: int = shift("shift of k_d_f", low=2)
    k_d_i: int = gain("d, integral: R_s * w_c * T_s")
    k_d_i_shift: int = shift("shift of k_d_i", low=2)
    k_d_a: int = gain("d, anti-windup: R_s * T_s / (sigma*L_d)")
    k_d_a_shift: int = shift("shift of k_d_a", low=2)
    k_q_p: int = gain("q, proportional: L_q * w_c")
    k_q_p_shift: int = shift("shift of k_q_p", low=2)
    k_q_i: int = gain("q, integral: R_s * w_c * T_s")
    k_q_i_shift: int = shift("shift of k_q_i", low=2)
    k_q_a: int = gain("q, anti-windup: R_s * T_s / L_q")
    k_q_a_shift: int = shift("shift of k_q_a", low=2)
    k_ahead: int = gain("flux that a voltage makes in one period: T_s * u_base / psi_base")
    k_ahead_shift: int = shift("shift of k_ahead", low=16, initial=16)
    d_push: int = per_unit(state, "u", "V", "voltage that changes psi_d, of the period before")
    q_push: int = per_unit(state, "u", "V", "voltage that changes psi_q, of the period before")
    d_integral: int = state("u", 30, -Q30_MAX, Q30_MAX, "V", "integrator of the d controller")
    q_integral: int = state("u", 30, -Q30_MAX, Q30_MAX, "V", "integrator of the q controller")
    u_d: int = per_unit(state, "u", "V", "stator voltage along d after its limits")
    u_q: int = per_unit(state, "u", "V", "stator voltage along q after its limits")
    saturated: int = state("one", 0, 0, Q15_MAX, "1", "periods for which the voltage limit has bound")

    # --- modulation -----------------------------------------------------------------------------
    u_alpha_test: int = per_unit(parameter, "u", "V", "alpha voltage in bridge mode 3")
    u_beta_test: int = per_unit(parameter, "u", "V", "beta voltage in bridge mode 3")
    u_alpha: int = transient("u", 15, -46341, 46341, "V", "stator voltage along phase a")
    u_beta: int = transient("u", 15, -46341, 46341, "V", "stator voltage a quarter turn ahead of phase a")
    dead_count: int = parameter("one", 12, 0, 1639 << 12, "1", "PWM counts lost to dead time")
    k_dead: int = parameter("one", 0, 0, 16383, "1", "slope of the dead-time compensation at zero current")
    k_dead_shift: int = shift("shift of k_dead")
    pwm_top: int = constant("one", 0, 64, 16383, "1", "compare count of duty 1", 3125)
    pwm_shift: int = constant("one", 0, 7, 14, "1", "bits of pwm_top", 12)
    compare_a: int = output("one", 0, 0, 16383, "1", "compare count of phase a")
    compare_b: int = output("one", 0, 0, 16383, "1", "compare count of phase b")
    compare_c: int = output("one", 0, 0, 16383, "1", "compare count of phase c")
    compare_f: int = output("one", 0, -16383, 16383, "1", "compare count of the exciter, signed")
    gate_enable: int = output("one", 0, 0, 3, "1", "bit 0 inverter, bit 1 exciter")

    # --- guard ----------------------------------------------------------------------------------
    i_trip: int = parameter("i", 15, 0, Q15_MAX, "A", "phase current that trips", Q15_MAX)
    i_f_trip: int = parameter("i_f", 15, 0, Q15_MAX, "A", "field current that trips", Q15_MAX)
    u_dc_trip: int = parameter("u", 15, 0, Q15_MAX, "V", "dc-link voltage that trips", Q15_MAX)
    u_dc_min: int = parameter("u", 15, 0, Q15_MAX, "V", "dc-link voltage below which power is refused")
    w_e_trip: int = parameter("w_e", 15, 0, Q15_MAX, "rad/s", "electrical speed that trips", Q15_MAX)
    suspect: int = state("one", 0, -1, 0, "1", "-1: the guard looks at every limit in this period")
    u_dc_jump: int = parameter(
        "u", 15, 0, Q15_MAX, "V", "rise of u_dc in a period beyond which its battery is gone", Q15_MAX
    )
    pumps_seen: int = state("one", 0, 0, Q30_MAX, "1", "mailbox_pumps at the last cycle of the outer law")
    silence: int = state("one", 0, 0, Q30_MAX, "1", "cycles of the outer law without a sign of life")
    silence_max: int = parameter(
        "one", 0, 0, Q30_MAX, "1", "cycles without one after which the main loop is dead, 0: never"
    )
    encoder_seen: int = state("count", 0, 0, 0xFFFF, "count", "encoder counter when it was last seen to move")
    w_e_before: int = per_unit(state, "w_e", "rad/s", "electrical speed one cycle of the outer law ago")
    w_e_moved: int = per_unit(state, "w_e", "rad/s", "electrical speed before it last moved")
    standing: int = state("one", 0, 0, Q30_MAX, "1", "cycles of the outer law since then")
    standing_max: int = parameter("one", 0, 2, 4096, "1", "cycles in which no shaft stops from w_e_lost", 2)
    w_e_lost: int = parameter(
        "w_e",
        15,
        0,
        Q15_MAX,
        "rad/s",
        "electrical speed from which no count stands at once",
        Q15_MAX,
    )
    i_a_seen: int = state("count", 0, 0, ADC_TOP, "count", "i_a_raw when it last changed")
    i_b_then: int = state("count", 0, 0, ADC_TOP, "count", "i_b_raw then")
    i_a_still: int = state("one", 0, 0, Q30_MAX, "1", "cycles of the outer law since then")
    theta_a_seen: int = state(
        "turn", 30, 0, PHASE_MASK, "turn", "theta_e from which on phase b has been elsewhere than then"
    )
    i_b_seen: int = state("count", 0, 0, ADC_TOP, "count", "i_b_raw when it last changed")
    i_a_then: int = state("count", 0, 0, ADC_TOP, "count", "i_a_raw then")
    i_b_still: int = state("one", 0, 0, Q30_MAX, "1", "cycles of the outer law since then")
    theta_b_seen: int = state(
        "turn", 30, 0, PHASE_MASK, "turn", "theta_e from which on phase a has been elsewhere than then"
    )
    fault_request: int = parameter("one", 0, 0, 255, "1", "number of the main loop's first fault, 0: none")
    short_allowed: int = parameter("one", 0, 0, 1, "1", "1: the bridge bears a shorted machine's current")
    short_wanted: int = parameter(
        "one", 0, 0, 1, "1", "1: after a fault, short the machine while it generates"
    )
    shorted: int = state("one", 0, 0, 1, "1", "1: after a fault, all low sides are on")
    fault_clear: int = parameter("one", 0, 0, 0xFFFF, "1", "a change of this clears the latched faults")
    fault_cleared: int = state("one", 0, 0, 0xFFFF, "1", "the last fault_clear obeyed")
    faults: int = state("one", 0, 0, 0x3FFFFFFF, "1", "latched faults, a bit each")
    fault_first: int = state("one", 0, 0, 0x3FFFFFFF, "1", "the bits that were latched first")
    fault_period: int = state("t_pwm", 0, 0, Q30_MAX, "s", "period of the first fault")
    i_f_safe: int = parameter("i_f", 15, 0, Q15_MAX, "A", "below it the field counts as down", 600)

    # --- averages for offsets, angle and wiring ------------------------------------------------------
    measure_start: int = parameter("one", 0, 0, 0xFFFF, "1", "a change of this starts a measurement")
    measure_samples: int = parameter("one", 0, 1, 4096, "1", "periods that a measurement sums", 64)
    measure_started: int = state("one", 0, 0, 0xFFFF, "1", "the last measure_start obeyed")
    measure_left: int = state("one", 0, 0, 4096, "1", "periods that the measurement still takes")
    sum_i_a_raw: int = state("count", 0, 0, 1 << 24, "count", "sum of i_a_raw")
    sum_i_b_raw: int = state("count", 0, 0, 1 << 24, "count", "sum of i_b_raw")
    sum_i_f_raw: int = state("count", 0, 0, 1 << 24, "count", "sum of i_f_raw")
    sum_i_alpha: int = state("i", 15, -(1 << 27), 1 << 27, "A", "sum of i_alpha")
    sum_i_beta: int = state("i", 15, -(1 << 27), 1 << 27, "A", "sum of i_beta")
    sum_i_f: int = state("i_f", 15, -(1 << 27), 1 << 27, "A", "sum of i_f")

    # --- setpoints ------------------------------------------------------------------------------
    i_d_set: int = per_unit(parameter, "i", "A", "i_d asked for in reference mode 0")
    i_q_set: int = per_unit(parameter, "i", "A", "i_q asked for in reference mode 0")
    i_f_set: int = parameter("i_f", 15, 0, Q15_MAX, "A", "i_f asked for in reference mode 0")
    torque_set: int = per_unit(parameter, "torque", "N.m", "torque asked for in reference mode 1")
    w_m_set: int = per_unit(parameter, "w_m", "rad/s", "speed asked for in reference mode 2")

    # --- outer law: speed ------------------------------------------------------------------------
    w_ramp_step: int = parameter("w_m", 28, 0, 1 << 27, "rad/s", "change of the speed ramp in a cycle", 8192)
    w_ramp: int = state("w_m", 28, -(1 << 28), 1 << 28, "rad/s", "speed reference, finer than Q15")
    w_m_ref: int = per_unit(state, "w_m", "rad/s", "speed reference after the ramp")
    k_w_p: int = gain("speed, proportional: J * w_s")
    k_w_p_shift: int = shift("shift of k_w_p")
    k_w_i: int = gain("speed, integral")
    k_w_i_shift: int = shift("shift of k_w_i", low=2)
    torque_ramp: int = per_unit(parameter, "torque", "N.m", "torque that the ramp needs: J * dw/dt")
    speed_integral: int = state("torque", 30, -Q30_MAX, Q30_MAX, "N.m", "integrator of the speed law")
    torque_demand: int = per_unit(state, "torque", "N.m", "torque asked for by the speed law or the user")

    # --- outer law: damping of the driveline -----------------------------------------------------
    w_slow: int = state("w_m", 28, -(1 << 28), 1 << 28, "rad/s", "shaft speed without its quick part")
    k_slow: int = gain("corner of the high-pass of the shaft's speed")
    k_slow_shift: int = shift("shift of k_slow", low=0)
    k_driveline: int = gain("torque against quick changes of speed: K_d")
    k_driveline_shift: int = shift("shift of k_driveline")
    driveline_limit: int = parameter("torque", 15, 0, Q15_MAX, "N.m", "most torque that damps the driveline")
    torque_damping: int = per_unit(state, "torque", "N.m", "torque that damps the driveline")

    # --- outer law: torque ------------------------------------------------------------------------
    torque_limit: int = parameter("torque", 15, 0, Q15_MAX, "N.m", "torque allowed by the user", Q15_MAX)
    torque_slew: int = parameter(
        "torque", 15, 1, Q15_MAX, "N.m", "change of torque allowed in a cycle", Q15_MAX
    )
    torque_max: int = state("torque", 15, 0, Q15_MAX, "N.m", "torque the machine can give at this speed")
    torque_ref: int = per_unit(state, "torque", "N.m", "torque reference after all limits")
    torque: int = per_unit(state, "torque", "N.m", "air-gap torque by the model")
    torque_shift: int = constant("one", 0, 0, 15, "1", "i_q * psi_t >> torque_shift is a torque", 12)
    i_max: int = parameter("i", 15, 0, Q15_MAX, "A", "longest current vector", 20000)
    i_f_floor: int = parameter("i_f", 15, 0, Q15_MAX, "A", "field kept up for quick torque")
    i_f_max: int = parameter("i_f", 15, 0, Q15_MAX, "A", "highest field current", 20000)
    i_f_slack: int = parameter("i_f", 15, 0, Q15_MAX, "A", "lag of i_f for which i_d does not help")
    i_d_help: int = parameter("i", 15, 0, Q15_MAX, "A", "most that i_d gives up for the field")
    k_help: int = gain("i_d that moves i_f by its lag at constant flux: L_f / (1.5 * M)")
    k_help_shift: int = shift("shift of k_help")
    help_share: int = parameter("one", 15, 0, Q15_MAX, "1", "share of the field's lag that i_d makes up for")
    k_weaken: int = gain("i_d that makes up for i_f in psi_d: M / L_d")
    k_weaken_shift: int = shift("shift of k_weaken")
    i_q_fold: int = per_unit(state, "one", "1", "share of i_q given up because the voltage limit binds")
    k_psi_help: int = gain("torque flux won per i_d given up: 1.5 * M^2 / L_f - (L_d - L_q)")
    k_psi_help_shift: int = shift("shift of k_psi_help")
    ratio_step_shift: int = parameter("one", 0, 0, 31, "1", "shift of ratio_step")
    torque_inverse_shift: int = parameter("one", 0, 0, 31, "1", "shift of torque_inverse")
    table_bend: int = parameter("one", 15, 0, Q15_MAX, "1", "curvature of 1/w within a cell of the tables")
    k_share: int = gain("torque * w_e / u_dc^2 to the share that R_s takes of the voltage")
    k_share_shift: int = shift("shift of k_share")
    voltage_lost: int = per_unit(state, "one", "1", "share of the voltage squared that R_s takes, < 0: gives")
    torque_scale: int = state(
        "one", 0, 0, Q15_MAX, "1", "reciprocal of the highest torque at the present speed, as torque_inverse"
    )
    speed_row: int = state("one", 0, 0, 15, "1", "row of the tables below the present speed")
    speed_share: int = state("one", 15, 0, Q15_MAX, "1", "share of the row above the present speed")
    psi_ahead: int = state("psi", 15, 1, Q15_MAX, "V.s", "psi_t that the next i_q_ref is chosen for", 64)
    i_q_limit: int = state("i", 15, 0, Q15_MAX, "A", "longest i_q that current circle and voltage leave")
    psi_before: int = per_unit(state, "psi", "V.s", "psi_t expected one cycle ago")
    psi_t_min: int = parameter("psi", 15, 1, Q15_MAX, "V.s", "least psi_t that i_q is computed from", 64)

    # --- outer law: power and dc link ---------------------------------------------------------------
    power_motoring: int = parameter("power", 15, 0, Q15_MAX, "W", "shaft power allowed in motoring", Q15_MAX)
    power_braking: int = parameter("power", 15, 0, Q15_MAX, "W", "shaft power allowed in braking", Q15_MAX)
    u_dc_soft: int = parameter("u", 15, 0, Q15_MAX, "V", "above it braking gives way to the link", Q15_MAX)
    u_dc_hold: int = parameter("u", 15, 0, Q15_MAX, "V", "above it braking turns to motoring", Q15_MAX)
    u_dc_low: int = parameter("u", 15, 0, Q15_MAX, "V", "below it motoring gives way to the link")
    k_link_high: int = gain("1 / (u_dc_hold - u_dc_soft)")
    k_link_high_shift: int = shift("shift of k_link_high")
    k_link_low: int = gain("1 / (u_dc_low - u_dc_min)")
    k_link_low_shift: int = shift("shift of k_link_low")
    u_dc_last: int = state("u", 15, 0, Q15_MAX, "V", "dc-link voltage one period ago", 16384)
    link_share: int = state(
        "one", 15, -Q15_MAX, Q15_MAX, "1", "share of i_q that the link's voltage leaves", Q15_MAX
    )
    i_q_asked: int = per_unit(state, "i", "A", "reference of i_q before the link's share")
    limited: int = state(
        "one",
        0,
        0,
        255,
        "1",
        "why torque is limited: 1 machine, 2 user, 4 power, 8 link high, 16 link low, 32 overload, "
        "64 temperature, 128 speed",
    )

    # --- outer law: speed and heat --------------------------------------------------------------------
    w_e_soft: int = parameter(
        "w_e", 15, 0, Q15_MAX, "rad/s", "above it torque gives way to the speed's trip", Q15_MAX
    )
    w_e_hold: int = parameter("w_e", 15, 0, Q15_MAX, "rad/s", "above it nothing drives further", Q15_MAX)
    k_runaway: int = gain("torque_limit / (w_e_hold - w_e_soft)")
    k_runaway_shift: int = shift("shift of k_runaway")
    heat_share: int = parameter("one", 15, 0, Q15_MAX, "1", "share of the torque that heat leaves", Q15_MAX)
    heat_reason: int = parameter("one", 0, 0, 96, "1", "bits of `limited` while heat takes torque")
    temperature_board: int = parameter(
        "one", 4, -8192, 8191, "degC", "temperature of the board, -512: not measured", -8192
    )
    temperature_stator: int = parameter(
        "one", 4, -8192, 8191, "degC", "temperature of the stator, -512: not measured", -8192
    )
    temperature_rotor: int = parameter(
        "one",
        4,
        -8192,
        8191,
        "degC",
        "temperature of the field winding by its resistance, -512: not known",
        -8192,
    )

    # --- means for the main loop -----------------------------------------------------------------------
    u_f_sum: int = state("u_f", 15, -(1 << 18), 1 << 18, "V", "sum of u_f over the present cycle")
    cycle_letters: int = state("one", 0, 0, 2, "1", "periods of the present cycle that took a letter")
    u_f_mean: int = state("u_f", 28, -(1 << 28), 1 << 28, "V", "mean exciter voltage, over 128 cycles")
    i_f_mean: int = state("i_f", 28, -(1 << 28), 1 << 28, "A", "mean field current, over 128 cycles")
    i_d_mean: int = state("i", 28, -(1 << 28), 1 << 28, "A", "mean i_d, over 128 cycles")
    i_square_mean: int = state(
        "one", 28, 0, 1 << 29, "1", "mean square of the stator current over that of its base, over 128 cycles"
    )
    u_d_mean: int = state("u", 28, -(1 << 28), 1 << 28, "V", "mean u_d, over 128 cycles")
    u_q_mean: int = state("u", 28, -(1 << 28), 1 << 28, "V", "mean u_q, over 128 cycles")
    u_back_along: int = state(
        "u", 26, -(1 << 28), 1 << 28, "V", "voltage that turns backwards, along phase a where theta_e is 0"
    )
    u_back_across: int = state("u", 26, -(1 << 28), 1 << 28, "V", "the same, a quarter turn ahead")

    # --- telemetry --------------------------------------------------------------------------------
    stream_divider: int = parameter("one", 0, 0, 20000, "1", "periods of a stream row, 0 for none")
    stream_count: int = parameter(
        "one", 0, 0, STREAM_CHANNELS, "1", "channels of a stream row, rounded up to fives", STREAM_CHANNELS
    )
    stream_left: int = state("one", 0, 0, 20000, "1", "periods until the next stream row")
    stream_rows: int = state("one", 0, 0, Q30_MAX, "1", "rows ever written to the stream")
    stream_head: int = state(
        "one", 0, 0, STREAM_ROW * (STREAM_ROWS - 1), "1", "word at which the next row is written"
    )
    stream_channel: list[int] = letter(
        "one", 0, 0, 0xFFFF, "1", "memory index of each stream channel", 0, STREAM_CHANNELS
    )
    capture_channel: list[int] = letter(
        "one", 0, 0, 0xFFFF, "1", "memory index of each capture channel", 0, CAPTURE_CHANNELS
    )
    capture_arm: int = parameter("one", 0, 0, 0xFFFF, "1", "a change of this arms the capture")
    capture_armed: int = state("one", 0, 0, 0xFFFF, "1", "the last capture_arm obeyed")
    capture_divider: int = parameter("one", 0, 1, 20000, "1", "periods of a captured row", 1)
    capture_left: int = state("one", 0, 0, 20000, "1", "periods until the next captured row")
    capture_state: int = state("one", 0, 0, 4, "1", "0 idle, 1 filling, 2 waiting, 3 triggered, 4 done")
    capture_head: int = state(
        "one", 0, 0, CAPTURE_CHANNELS * (CAPTURE_ROWS - 1), "1", "word at which the next row is written"
    )
    capture_pre: int = parameter("one", 0, 0, CAPTURE_ROWS - 1, "1", "rows kept before the trigger", 128)
    capture_rows_left: int = state("one", 0, 0, CAPTURE_ROWS, "1", "rows until the present phase ends")
    capture_source: int = parameter("one", 0, 0, 0xFFFF, "1", "memory index of the trigger signal")
    capture_level: int = parameter("one", 0, -Q30_MAX, Q30_MAX, "1", "raw level that triggers")
    capture_edge: int = parameter("one", 0, 0, 3, "1", "0 at once, 1 rising, 2 falling, 3 any fault")
    capture_last: int = state("one", 0, -0x7FFFFFFF, 0x7FFFFFFF, "1", "trigger signal one row ago")
    capture_period: int = state("t_pwm", 0, 0, Q30_MAX, "s", "period of the trigger")

    # --- tables and rings ------------------------------------------------------------------------
    sine: list[int] = table(
        "one", 15, -Q15_MAX, Q15_MAX, "1", "sine over 1.25 turns, 512 steps a turn", 0, 641
    )
    root: list[int] = table("one", 15, 0, 32768, "1", "square root of k/256, k = 0 .. 256", 0, 257)
    table_i_d: list[int] = table(
        "i",
        15,
        -Q15_MAX,
        Q15_MAX,
        "A",
        "loss-minimal i_d by speed and torque",
        0,
        TABLE_POINTS * TABLE_POINTS,
    )
    table_i_f: list[int] = table(
        "i_f", 15, 0, Q15_MAX, "A", "loss-minimal i_f by speed and torque", 0, TABLE_POINTS * TABLE_POINTS
    )
    table_torque: list[int] = table(
        "torque", 15, 0, Q15_MAX, "N.m", "highest torque by speed", 0, TABLE_POINTS
    )
    ratio_axis: list[int] = table(
        "one", 14, 0, Q15_MAX, "1", "rows of the tables: w_e over u_dc, in bases", 0, TABLE_POINTS
    )
    ratio_step: list[int] = table(
        "one", 0, 0, Q15_MAX, "1", "2**(15 + ratio_step_shift) over the width of a row", 0, TABLE_POINTS - 1
    )
    torque_inverse: list[int] = table(
        "one", 0, 0, Q15_MAX, "1", "2**(15 + torque_inverse_shift) over table_torque", 0, TABLE_POINTS
    )
    flux_ratio_d: list[int] = table(
        "one", 15, 0, Q15_MAX, "1", "main flux along d over that without saturation", 0, RATIO_POINTS**2
    )
    flux_ratio_q: list[int] = table(
        "one", 15, 0, Q15_MAX, "1", "psi_q over that without saturation", 0, RATIO_POINTS**2
    )
    stream_ring: list[int] = ring(
        "one", 0, -0x7FFFFFFF, 0x7FFFFFFF, "1", "rows for telemetry", 0, STREAM_ROW * STREAM_ROWS
    )
    capture_ring: list[int] = ring(
        "one", 0, -0x7FFFFFFF, 0x7FFFFFFF, "1", "rows of the capture", 0, CAPTURE_CHANNELS * CAPTURE_ROWS
    )
    memory: list[int] = whole("one", 0, -0x7FFFFFFF, 0x7FFFFFFF, "1", "every signal by its index", 0, 1)
