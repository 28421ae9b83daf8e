"""Host side of eesm: linker, interpreter, virtual drive, simulation, logs and the `eesm` command."""
