"""The fault table: what each fault means, when it is seen, what the drive does, what to do about it.

Host, docs and tests read it; the board knows numbers and names only (`eesm.faults`).  `periods` is a claim:
the most PWM periods of 20 kHz from the cause to the last switching edge of the bridge, as `make
fault-campaign` measures it; None for what is found while no torque is possible yet, or any more.
"""

from typing import NamedTuple

from eesm.faults import NAMES

# What the drive does, from the period that sees the fault.
OPEN = "six switches open, the field forced down"
OPEN_OR_SHORT = (
    "six switches open, the field forced down; on a bridge that bears it, all low sides on "
    "while open switches would feed the link"
)
STOP = "ordered stop: torque, field, bridge"

# What sees it.
PERIOD = "control law, every period"
CYCLE = "control law, once in 6 periods"
CYCLE_OR_LOOP = "control law, once in 6 periods; main loop"
HARDWARE = "the board's hardware"
MAIN_LOOP = "main loop"
STARTUP = "start-up"
STOPPING = "ordered stop"
BOOT = "boot"


class Fault(NamedTuple):
    """A row: texts are phrases, without a full stop."""

    number: int
    name: str
    cause: str
    limit: str
    seen_by: str
    periods: int | None
    safe_state: str
    remedy: str


_ROWS = (
    (
        "PHASE_OVERCURRENT",
        "a phase current exceeded i_trip",
        "i_trip",
        PERIOD,
        2,
        OPEN,
        "look for a short between phases or to ground; lower bandwidth_current or the setpoint; check "
        "R_s, L_q and sigma_L_d against the machine",
    ),
    (
        "FIELD_OVERCURRENT",
        "the field current exceeded i_f_trip",
        "i_f_trip, which leaves room for the kick of an i_d step",
        PERIOD,
        2,
        OPEN,
        "look for shorted turns or a stuck exciter switch; check R_f, L_f, and that i_f_trip leaves "
        "room for the kick of an i_d step (about 0.3 of i_f_max)",
    ),
    (
        "DC_OVERVOLTAGE",
        "the dc link exceeded u_dc_trip",
        "u_dc_trip",
        PERIOD,
        2,
        OPEN_OR_SHORT,
        "the supply cannot take back energy: brake more gently, connect a battery or a brake resistor",
    ),
    (
        "DC_UNDERVOLTAGE",
        "the dc link fell below u_dc_min while the bridge was on",
        "u_dc_min, while the bridge is on",
        PERIOD,
        2,
        OPEN,
        "check supply, fuse and cables; accelerate more gently",
    ),
    (
        "OVERSPEED",
        "the shaft exceeded w_m_trip",
        "w_m_trip",
        CYCLE,
        20,
        OPEN,
        "lower the speed setpoint; look for a driving load, or for counts lost or doubled by the encoder",
    ),
    (
        "SENSOR_RANGE",
        "a converter read its lowest or highest count",
        "lowest or highest count of the converter",
        CYCLE,
        14,
        OPEN,
        "look for a broken or shorted sensor wire; check the scaling of the board file",
    ),
    (
        "PERIOD_MISSED",
        "the control interrupt came too late or not at all; the board's hardware switched the bridges off",
        "2 periods without a sign of life from the interrupt",
        HARDWARE,
        2,
        OPEN,
        "lower f_pwm; stop what else keeps this processor busy; build the board folder again",
    ),
    (
        "FAULT_INPUT",
        "the fault pin went low; the board's hardware switched the bridges off",
        "low level at the fault pin",
        HARDWARE,
        1,
        OPEN,
        "look at the gate drivers and their supply; check the fault pin's pull-up and cable",
    ),
    (
        "LOAD_DUMP",
        "the dc link lost its battery while the machine braked: its voltage rose faster than a "
        "battery lets it",
        "u_dc beyond u_dc_trip while it rises by more than u_dc_jump a period",
        PERIOD,
        2,
        OPEN_OR_SHORT,
        "check fuse, contactor and cables of the battery; give the link a clamp or more capacitance",
    ),
    (
        "MAIN_LOOP_SILENT",
        "the main loop has stopped while the control law still runs",
        "main_loop_timeout without a sign of life of the main loop, while armed",
        CYCLE,
        4100,
        OPEN,
        "restart the board; if it stays, reduce what the host asks for, and report what the board was doing",
    ),
    (
        "ENCODER_LOST",
        "the encoder's count stands still although the shaft turned",
        "1 count at most in 3 cycles of the control law, or in the time that 12 counts take, after more than "
        "5 % of w_m_max; after a higher speed where twice torque_max stops the shaft as quickly",
        CYCLE,
        30,
        OPEN,
        "check the encoder's cable, supply and coupling",
    ),
    (
        "SENSOR_STUCK",
        "a converter gives the same count again and again while currents change",
        "the same count of a phase in 4 cycles and a quarter turn while the other one is elsewhere by 24, or "
        "of a current for 24 looks of the main loop while another one moves by 24",
        CYCLE_OR_LOOP,
        5000,
        OPEN,
        "check the sensor named, its supply and its cable; load the board again if all of them stay",
    ),
    (
        "OFFSET_OUT_OF_RANGE",
        "a current sensor reads a current with all gates off",
        "100 counts from the converter's middle",
        STARTUP,
        None,
        OPEN,
        "check the sensor's reference voltage and wiring, and that no current flows",
    ),
    (
        "OFFSET_NOISY",
        "a current sensor is too noisy with all gates off",
        "60 counts from lowest to highest",
        STARTUP,
        None,
        OPEN,
        "check shielding and ground of the sensor; make sure that the shaft stands still",
    ),
    (
        "PHASES_SWAPPED",
        "currents answer the test voltages in the order of other phases",
        "the answer of a machine to pulses along its three axes",
        STARTUP,
        None,
        OPEN,
        "swap back the two named phases: either their gate signals or their current sensors",
    ),
    (
        "SHUNT_INVERTED_A",
        "the current sensor of phase a counts backwards",
        "the answer of a machine to pulses along its three axes",
        STARTUP,
        None,
        OPEN,
        "turn the sensor of phase a round, or set the sign of its gain",
    ),
    (
        "SHUNT_INVERTED_B",
        "the current sensor of phase b counts backwards",
        "the answer of a machine to pulses along its three axes",
        STARTUP,
        None,
        OPEN,
        "turn the sensor of phase b round, or set the sign of its gain",
    ),
    (
        "WIRING_UNCLEAR",
        "currents answer the test voltages as no machine does",
        "the answer of a machine to pulses along its three axes",
        STARTUP,
        None,
        OPEN,
        "check each phase from gate to sensor to motor terminal, one at a time",
    ),
    (
        "PHASE_OPEN",
        "a test voltage drives no current",
        "a quarter of the current that the highest inductance lets rise",
        STARTUP,
        None,
        OPEN,
        "check motor cables, gate supply and the enable signal of the bridge",
    ),
    (
        "ROTOR_MOVING",
        "the shaft turned where it has to stand still",
        "3 degrees electrical and one count",
        STARTUP,
        None,
        OPEN,
        "wait for standstill or hold the shaft, then arm again",
    ),
    (
        "ANGLE_UNCLEAR",
        "the excitation pulse gave no clear rotor angle",
        "10 degrees between both edges, a quarter of the expected current",
        STARTUP,
        None,
        OPEN,
        "check L_d, M, R_f and L_f against the machine, and offsets and noise of the phase sensors",
    ),
    (
        "ANGLE_MISMATCH",
        "the stored encoder offset contradicts the excitation pulse",
        "15 degrees electrical from the stored offset",
        STARTUP,
        None,
        OPEN,
        "if the encoder was mounted anew, set encoder_offset to the measured value; else check its coupling",
    ),
    (
        "FIELD_SHUNT_INVERTED",
        "the field current sensor counts backwards",
        "a fifth of the expected current, backwards",
        STARTUP,
        None,
        OPEN,
        "turn the field sensor round, or set the sign of its gain",
    ),
    (
        "FIELD_NOT_UP",
        "the field current did not reach its reference in time",
        "10 % of the reference within twice the exciter's time",
        STARTUP,
        None,
        OPEN,
        "check R_f and L_f against the machine, and the exciter's supply voltage",
    ),
    (
        "ENCODER_REVERSED",
        "positive torque turned the encoder backwards: encoder reversed, or two motor cables swapped "
        "behind the current sensors (both look the same from here)",
        "the sign of the speed that a test torque makes",
        STARTUP,
        None,
        OPEN,
        "set encoder_reversed (or swap the encoder's A and B), or swap two motor cables, whichever "
        "makes the shaft turn the way you call forward",
    ),
    (
        "ROTOR_BLOCKED",
        "the encoder did not move under the test torque",
        "half a degree under half of i_max",
        STARTUP,
        None,
        OPEN,
        "release brake or load, check the encoder's cable; a drive that must not move may switch the "
        "check off (check_direction = 0)",
    ),
    (
        "STARTUP_LATE",
        "the main loop was too late to read a measurement of the start-up",
        "4 attempts",
        STARTUP,
        None,
        OPEN,
        "arm again; if it stays, reduce telemetry or host load",
    ),
    (
        "CURRENT_NOT_ZERO",
        "the stator current did not fall to zero when stopping",
        "5 % of i_max, 0.1 s after the torque's ramp",
        STOPPING,
        None,
        OPEN,
        "check the current control's parameters; the speed may be too high for the dc voltage",
    ),
    (
        "FIELD_OPEN",
        "exciter voltage drives no field current",
        "10 % of the reference for 30 ms at 80 % of the exciter's voltage",
        MAIN_LOOP,
        1200,
        OPEN,
        "check brushes, field cables and the exciter's supply and fuse",
    ),
    (
        "FIELD_SHORTED",
        "the field takes more current than its resistance allows: shorted turns, or a short behind "
        "the exciter",
        "0.7 of the voltage that R_f needs at the rotor's temperature, in steady state above 20 % of "
        "i_f_max; or i_f rising at such a voltage",
        MAIN_LOOP,
        2000,
        OPEN,
        "measure the field's resistance at the slip rings against R_f; look for chafed cables and "
        "carbon dust",
    ),
    (
        "FIELD_NOT_DOWN",
        "the field current did not fall in time",
        "twice the time that the exciter needs, and 0.1 s",
        MAIN_LOOP,
        None,
        OPEN,
        "keep away from the machine: an exciter switch may be stuck on; disconnect the exciter's supply",
    ),
    (
        "EXCITER_STUCK",
        "the field current rises although the exciter is told to lower it: a switch is stuck on",
        "i_f rising, or above its reference, for 5 ms at a voltage that would let it fall",
        MAIN_LOOP,
        2000,
        OPEN_OR_SHORT,
        "keep away from the machine and disconnect the exciter's supply; replace the exciter's switches",
    ),
    (
        "OVER_EXCITATION",
        "at this speed the field makes more voltage than the dc link: open switches would not end the "
        "current",
        "no voltage to spare for 10 ms (1.5 ms in current mode), more field than wanted, and an EMF of its "
        "flux beyond the higher of u_dc and u_dc_nominal",
        MAIN_LOOP,
        1000,
        OPEN_OR_SHORT,
        "lower the speed or the field; check M and the field's reference tables against the machine",
    ),
    (
        "PHASE_SUM",
        "the three measured phase currents do not add up to zero",
        "15 % of i_max, and what the phases change in two periods, in the sum of three currents for 10 ms; "
        "only where i_c is measured",
        MAIN_LOOP,
        1200,
        OPEN,
        "look for a ground fault of the motor or its cable, then for a phase sensor that has drifted",
    ),
    (
        "PHASE_UNBALANCE",
        "the currents of the phases differ although a machine's are alike: a sensor's gain has "
        "drifted, or a phase is open",
        "8 % of the current are driven backwards by the voltages, in means over 0.3 s, for 0.25 s; from 10 % "
        "of i_max, 1.5 s after 2 % of w_m_max and 4 rad electrical in 768 periods",
        MAIN_LOOP,
        30000,
        OPEN,
        "compare the phase sensors with a clamp meter; check each phase from gate to motor terminal",
    ),
    (
        "STATOR_OVERLOAD",
        "the stator has carried more current for longer than it may, although its torque was reduced",
        "1.25 of the heat that i_continuous makes for ever; i_max takes overload_time to the first 1.0",
        MAIN_LOOP,
        3000,
        OPEN,
        "let it cool; check i_continuous and overload_time against the machine, and what drives currents "
        "past the torque limit",
    ),
    (
        "ENCODER_JUMPED",
        "the encoder's count jumped further than the shaft can turn",
        "30 degrees electrical from where the speed and twice torque_max may take it, from one look to the "
        "next, and no standstill after it",
        MAIN_LOOP,
        1200,
        OPEN,
        "look for noise on the encoder's cable: shield, ground, termination; check its coupling",
    ),
    (
        "ANGLE_SLIPPED",
        "the encoder's angle has drifted away from that of the machine's voltage",
        "15 degrees electrical between the encoder and the angle of the EMF for 10 ms, where the voltage "
        "that says so exceeds 5 % of u_dc_nominal and what half of R_s, a tenth of L_q and a changing field "
        "make",
        MAIN_LOOP,
        2000,
        OPEN,
        "look for lost counts and a slipping coupling; disarm and arm again, which finds the angle anew",
    ),
    (
        "TORQUE_REVERSED",
        "the shaft runs away against the torque that is asked for",
        "the shaft gains speed against a torque of 10 % of torque_max for 20 ms while the EMF (1.5 % of "
        "u_dc_nominal at least) is backwards, which no load makes it",
        MAIN_LOOP,
        4000,
        OPEN,
        "check encoder direction and phase order; look for a load that drives",
    ),
    (
        "SPIN_OUT",
        "the measured speed changes quicker than the machine's torque can change it",
        "twice the acceleration that torque_max makes of J, and 1 % of w_m_max, over two windows of 5 ms",
        MAIN_LOOP,
        1200,
        OPEN,
        "check the encoder and its coupling; check J against the shaft and all that is coupled to it",
    ),
    (
        "STALLED",
        "the shaft stands although the drive gives all its torque",
        "less than 1 % of w_m_max at more than 80 % of the torque allowed for 2 s",
        MAIN_LOOP,
        42000,
        OPEN,
        "release brake or load; lower torque_limit, or raise stall_time if the drive has to hold such loads",
    ),
    (
        "BOARD_HOT",
        "the board or its switches are too hot, although torque was reduced",
        "board_hot",
        MAIN_LOOP,
        3000,
        OPEN,
        "let it cool; improve cooling, lower f_pwm or the load",
    ),
    (
        "STATOR_HOT",
        "the stator is too hot, although torque was reduced",
        "stator_hot",
        MAIN_LOOP,
        3000,
        OPEN,
        "let it cool; improve cooling or lower the load",
    ),
    (
        "ROTOR_HOT",
        "the field winding is too hot, although torque was reduced",
        "rotor_hot, by the resistance of the field",
        MAIN_LOOP,
        60000,
        OPEN,
        "let it cool; lower i_f_max or the load; check R_f, which is that at 20 degrees Celsius",
    ),
    (
        "TEMPERATURE_LOST",
        "a temperature sensor is broken or shorted",
        "a reading that no sensor gives, for 1 s",
        MAIN_LOOP,
        25000,
        OPEN,
        "check the sensor and its cable; a board without one leaves it out of its board file",
    ),
    (
        "TORQUE_IMPLAUSIBLE",
        "the shaft gets torque that nobody asked for, by the power at the machine's terminals or, when slow, "
        "by its currents",
        "15 % of torque_max (and what dead time and 40 % of the copper loss make) more than asked for, or "
        "against it, for 50 ms",
        MAIN_LOOP,
        4000,
        OPEN,
        "check sensors and encoder offset, and the machine's parameters; report it if they are right",
    ),
    (
        "KERNEL_FAILED",
        "the control law could not be compiled or loaded on this board; outputs stay off",
        "-",
        BOOT,
        None,
        OPEN,
        "build and load the board folder again with the same version of the tools (`eesm build`)",
    ),
    (
        "KERNEL_CORRUPTED",
        "the control law, its tables or parameters have changed in memory",
        "any changed word",
        MAIN_LOOP,
        40000,
        OPEN,
        "restart the board; if it comes again, look at supply and ground of the board, then replace it",
    ),
    (
        "MEMORY_SHORT",
        "the board has too little memory for the drive; outputs stay off",
        "-",
        BOOT,
        None,
        OPEN,
        "use a board with more memory, or leave out tables and capture",
    ),
    (
        "HEAP_LOW",
        "the main loop has hardly any memory left",
        "6 KiB after a collection",
        MAIN_LOOP,
        40000,
        OPEN,
        "reduce what the host asks for at once; restart the board and report what it was doing",
    ),
    (
        "STACK_LOW",
        "the main loop has hardly any stack left",
        "a quarter of the stack",
        MAIN_LOOP,
        40000,
        OPEN,
        "restart the board and report what it was doing",
    ),
    (
        "MAIN_LOOP_FAILED",
        "the firmware's main loop ended by an error; the bridges are off and the board is at its prompt",
        "-",
        MAIN_LOOP,
        20,
        OPEN,
        "keep the text that the board printed, report it, and restart the board (`eesm flash` does)",
    ),
    (
        "PERIODS_STOPPED",
        "the control interrupt does not come any more; the main loop switched the bridges off",
        "20 ms without a period",
        MAIN_LOOP,
        2,
        OPEN,
        "restart the board; if it stays, look at the converter, and load the board folder again (eesm flash)",
    ),
    (
        "PARAMETERS_BAD",
        "the parameters stored on the board are damaged; defaults are in use",
        "CRC, length or version of both slots",
        BOOT,
        None,
        OPEN,
        "look at each parameter (eesm params), set what differs, and store them again; erase the "
        "store to stay with defaults",
    ),
    (
        "HOST_LOST",
        "no message of the host came; the drive has stopped in order",
        "host_timeout without a message of the host that armed the drive",
        MAIN_LOOP,
        30000,
        STOP,
        "connect again; look for a cable that came loose, a computer that slept, or raise host_timeout",
    ),
)

FAULTS = tuple([Fault(NAMES.index(row[0]) + 1, *row) for row in _ROWS])
BY_NAME = {fault.name: fault for fault in FAULTS}
