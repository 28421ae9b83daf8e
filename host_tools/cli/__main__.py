"""`python -m host_tools.cli` is `eesm`."""

from host_tools.cli.entry import main

main()
