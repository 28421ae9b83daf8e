"""Which currents give a torque at the least loss, what a machine can give, and the board's tables.

machine      flux, torque, loss, voltage
saturation   machines by a saturation formula or by flux maps from a file
closed_form  the optimum below every limit
solver       the optimum within all limits (numpy)
oracle       the same by scipy, as an independent check (extra `optimum`)
strategies   optimum, i_d = 0, constant field, unity power factor, field proportional to torque
envelope     highest torque over speed
table        what the board looks up, and a twin of its look-up in integers
judge        torque, loss and voltage of a table beside the optimum
"""
