"""The acceptance suite: what the control law must reach, measured in closed loop with the plant.

    eesm accept [--unit NAME|FILE ...] [--only WORD ...]      or: python -m host_tools.accept

sheet      one requirement: measured, limit, ok, and the curves behind it
suite      the families of requirements and their order
runner     families in parallel processes, table, build/accept.json, plots
others     a family each: `check(unit, sheet)` runs experiments and writes rows

Every measured value comes from the linked integer kernel in closed loop with the plant: 20 kHz, one
period of delay, 12-bit converter with noise, dead time, encoder.  Every limit follows from the
machine's own parameters, or is the same for all machines.
"""
