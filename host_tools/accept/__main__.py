"""`python -m host_tools.accept` is `eesm accept`."""

from host_tools.accept.command import accept

if __name__ == "__main__":
    accept()
