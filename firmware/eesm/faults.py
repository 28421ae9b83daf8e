"""Every fault by number, as the board needs them; `eesm.fault_table` on the host says the rest.

The kernel sets bits of its word `faults` for the faults up to KERNEL_FAULTS: number n is bit n - 1.
Those above are found by the main loop, which asks for the same reaction by `fault_request`, the number of
the first one; the kernel then sets ASKED.  Words of all faults, as on the link, have bit n - 1 for each.
"""

KERNEL_FAULTS = 12
ASKED = 1 << 29

NAMES = (
    "PHASE_OVERCURRENT",
    "FIELD_OVERCURRENT",
    "DC_OVERVOLTAGE",
    "DC_UNDERVOLTAGE",
    "OVERSPEED",
    "SENSOR_RANGE",
    "PERIOD_MISSED",
    "FAULT_INPUT",
    "LOAD_DUMP",
    "MAIN_LOOP_SILENT",
    "ENCODER_LOST",
    "SENSOR_STUCK",
    "OFFSET_OUT_OF_RANGE",
    "OFFSET_NOISY",
    "PHASES_SWAPPED",
    "SHUNT_INVERTED_A",
    "SHUNT_INVERTED_B",
    "WIRING_UNCLEAR",
    "PHASE_OPEN",
    "ROTOR_MOVING",
    "ANGLE_UNCLEAR",
    "ANGLE_MISMATCH",
    "FIELD_SHUNT_INVERTED",
    "FIELD_NOT_UP",
    "ENCODER_REVERSED",
    "ROTOR_BLOCKED",
    "STARTUP_LATE",
    "CURRENT_NOT_ZERO",
    "FIELD_OPEN",
    "FIELD_SHORTED",
    "FIELD_NOT_DOWN",
    "EXCITER_STUCK",
    "OVER_EXCITATION",
    "PHASE_SUM",
    "PHASE_UNBALANCE",
    "STATOR_OVERLOAD",
    "ENCODER_JUMPED",
    "ANGLE_SLIPPED",
    "TORQUE_REVERSED",
    "SPIN_OUT",
    "STALLED",
    "BOARD_HOT",
    "STATOR_HOT",
    "ROTOR_HOT",
    "TEMPERATURE_LOST",
    "TORQUE_IMPLAUSIBLE",
    "KERNEL_FAILED",
    "KERNEL_CORRUPTED",
    "MEMORY_SHORT",
    "HEAP_LOW",
    "STACK_LOW",
    "MAIN_LOOP_FAILED",
    "PERIODS_STOPPED",
    "PARAMETERS_BAD",
    "HOST_LOST",
)


class Failed(Exception):
    """A watch or a step of the start-up found the drive unfit: name of a fault, and a sentence.

    The sentence gives the measured value and the limit.
    """

    def __init__(self, name, text):
        super().__init__(text)
        self.name = name
        self.text = text


def number_of(name):
    """Number of a fault; ValueError when there is no such fault."""
    return NAMES.index(name) + 1


def bit_of(name):
    """Bit of a fault in a word of faults; ValueError when there is no such fault."""
    return 1 << NAMES.index(name)


def numbers_of(word):
    """Numbers of the bits that are set, the lowest first."""
    return [n + 1 for n in range(len(NAMES)) if word >> n & 1]


def names_of(word):
    """Names of the bits that are set."""
    return [NAMES[n - 1] for n in numbers_of(word)]
