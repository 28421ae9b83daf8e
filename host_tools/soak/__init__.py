"""A day of driving, an hour of the firmware, hosts that die: `python -m host_tools.soak`.

    simulated   24 h of virtual time in one process: state machine, outer loops, kernel, plant, under load
    firmware    1 h of virtual time of the whole firmware on MicroPython, with link and telemetry
    killed      hosts that end by SIGKILL while they drive

Harmless disturbances only: so no fault, no memory that grows, no record that is in no counter.
"""
