"""Every fault once: number, name, cause, remedy.  Host, docs and link read this table.

Fault number n is bit n - 1 of the kernel's `faults` word.  Numbers up to 8 are set by the kernel
in the period that saw the cause; those above are asked for by the main loop (`fault_request`),
and the kernel latches them in the same word with the same reaction: six switches open, exciter
reversed until the field is down.
"""

KERNEL_FAULTS = 8

# (number, name, cause, remedy)
FAULTS = (
    (
        1,
        "PHASE_OVERCURRENT",
        "a phase current exceeded i_trip",
        "look for a short between phases or to ground; lower bandwidth_current or the setpoint; "
        "check R_s, L_q and sigma_L_d against the machine",
    ),
    (
        2,
        "FIELD_OVERCURRENT",
        "the field current exceeded i_f_trip",
        "look for shorted turns or a stuck exciter switch; check R_f, L_f, and that i_f_trip leaves "
        "room for the kick of an i_d step (about 0.3 of i_f_max)",
    ),
    (
        3,
        "DC_OVERVOLTAGE",
        "the dc link exceeded u_dc_trip",
        "the supply cannot take back energy: brake more gently, connect a battery or a brake resistor",
    ),
    (
        4,
        "DC_UNDERVOLTAGE",
        "the dc link fell below u_dc_min while the bridge was on",
        "check supply, fuse and cables; accelerate more gently",
    ),
    (
        5,
        "OVERSPEED",
        "the shaft exceeded w_m_trip",
        "lower the speed setpoint; look for a driving load, or for counts lost or doubled by the encoder",
    ),
    (
        6,
        "SENSOR_RANGE",
        "a converter read its lowest or highest count",
        "look for a broken or shorted sensor wire; check the scaling of the board file",
    ),
    (
        7,
        "PERIOD_MISSED",
        "the control interrupt came too late or not at all; the board's hardware switched the bridges off",
        "lower f_pwm; stop what else keeps this processor busy; build the board folder again",
    ),
    (
        8,
        "FAULT_INPUT",
        "the fault pin went low; the board's hardware switched the bridges off",
        "look at the gate drivers and their supply; check the fault pin's pull-up and cable",
    ),
    (
        9,
        "OFFSET_OUT_OF_RANGE",
        "a current sensor reads a current with all gates off",
        "check the sensor's reference voltage and wiring, and that no current flows",
    ),
    (
        10,
        "OFFSET_NOISY",
        "a current sensor is too noisy with all gates off",
        "check shielding and ground of the sensor; make sure that the shaft stands still",
    ),
    (
        11,
        "PHASES_SWAPPED",
        "currents answer the test voltages in the order of other phases",
        "swap back the two named phases: either their gate signals or their current sensors",
    ),
    (
        12,
        "SHUNT_INVERTED_A",
        "the current sensor of phase a counts backwards",
        "turn the sensor of phase a round, or set the sign of its gain",
    ),
    (
        13,
        "SHUNT_INVERTED_B",
        "the current sensor of phase b counts backwards",
        "turn the sensor of phase b round, or set the sign of its gain",
    ),
    (
        14,
        "WIRING_UNCLEAR",
        "currents answer the test voltages as no machine does, or a current's count is stuck",
        "check each phase from gate to sensor to motor terminal, one at a time",
    ),
    (
        15,
        "PHASE_OPEN",
        "a test voltage drives no current",
        "check motor cables, gate supply and the enable signal of the bridge",
    ),
    (
        16,
        "ROTOR_MOVING",
        "the shaft turned where it has to stand still",
        "wait for standstill or hold the shaft, then arm again",
    ),
    (
        17,
        "ANGLE_UNCLEAR",
        "the excitation pulse gave no clear rotor angle",
        "check L_d, M, R_f and L_f against the machine, and offsets and noise of the phase sensors",
    ),
    (
        18,
        "ANGLE_MISMATCH",
        "the stored encoder offset contradicts the excitation pulse",
        "if the encoder was mounted anew, set encoder_offset to the measured value; else check its coupling",
    ),
    (
        19,
        "FIELD_SHUNT_INVERTED",
        "the field current sensor counts backwards",
        "turn the field sensor round, or set the sign of its gain",
    ),
    (
        20,
        "FIELD_OPEN",
        "exciter voltage drives no field current",
        "check brushes, field cables and the exciter's supply and fuse",
    ),
    (
        21,
        "FIELD_NOT_UP",
        "the field current did not reach its reference in time",
        "check R_f and L_f against the machine, and the exciter's supply voltage",
    ),
    (
        22,
        "FIELD_NOT_DOWN",
        "the field current did not fall in time",
        "keep away from the machine: an exciter switch may be stuck on; disconnect the exciter's supply",
    ),
    (
        23,
        "ENCODER_REVERSED",
        "positive torque turned the encoder backwards: encoder reversed, or two motor cables swapped behind "
        "the current sensors (both look the same from here)",
        "set encoder_reversed (or swap the encoder's A and B), or swap two motor cables, whichever makes the "
        "shaft turn the way you call forward",
    ),
    (
        24,
        "ROTOR_BLOCKED",
        "the encoder did not move under the test torque, or stopped at speed from one look to the next",
        "release brake or load, check the encoder's cable; a drive that must not move may switch the check "
        "off (check_direction = 0)",
    ),
    (
        25,
        "CURRENT_NOT_ZERO",
        "the stator current did not fall to zero when stopping",
        "check the current control's parameters; the speed may be too high for the dc voltage",
    ),
    (
        26,
        "STARTUP_LATE",
        "the main loop was too late to read a measurement of the start-up",
        "arm again; if it stays, reduce telemetry or host load",
    ),
    (
        27,
        "KERNEL_FAILED",
        "the control law could not be compiled or loaded on this board; outputs stay off",
        "build and load the board folder again with the same version of the tools (`eesm build`)",
    ),
    (
        28,
        "MEMORY_SHORT",
        "the board has too little memory for the drive; outputs stay off",
        "use a board with more memory, or leave out tables and capture",
    ),
    (
        29,
        "MAIN_LOOP_FAILED",
        "the firmware's main loop ended by an error; the bridges are off and the board is at its prompt",
        "keep the text that the board printed, report it, and restart the board (`eesm flash` does)",
    ),
    (
        30,
        "PERIODS_STOPPED",
        "the control interrupt does not come any more; the main loop switched the bridges off",
        "restart the board; if it stays, look at the converter, and load the board folder again (eesm flash)",
    ),
)


def bit_of(name):
    """Bit of a fault in the `faults` word; KeyError when there is no such fault."""
    for number, known, _, _ in FAULTS:
        if known == name:
            return 1 << (number - 1)
    raise KeyError(name)


def rows_of(word):
    """Rows of the table for the bits that are set, in order of number."""
    return [row for row in FAULTS if word >> (row[0] - 1) & 1]


def names_of(word):
    """Names of the bits that are set."""
    return [row[1] for row in rows_of(word)]
