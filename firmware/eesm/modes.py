"""Modes of the kernel, as in eesm.signals, which stays on the host; a test compares the two."""

BRIDGE_OFF = 0
BRIDGE_SHORT = 1
BRIDGE_CURRENT = 2
BRIDGE_VOLTAGE = 3
FIELD_OFF = 0
FIELD_CURRENT = 1
FIELD_VOLTAGE = 2
FIELD_REVERSE = 3
REFERENCE_CURRENT = 0
REFERENCE_TORQUE = 1
REFERENCE_SPEED = 2
