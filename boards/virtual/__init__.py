"""The virtual board: a simulated machine, inverter, exciter and sensors."""
