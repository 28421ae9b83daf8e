"""`python -m host_tools.accept` is `eesm accept`."""

import sys

from host_tools.cli import main

if __name__ == "__main__":
    main(["accept", *sys.argv[1:]])
