"""Words that unit and board files share."""

EXCITERS = ("unipolar", "half_bridge", "full_bridge")
SUPPLIES = ("link", "own")
ENCODERS = ("incremental", "absolute")
# Ways to share a torque among the currents, see `host_tools.references.strategies`.
STRATEGIES = ("optimal", "i_d_zero", "constant_field", "unity_power_factor", "proportional_field")
