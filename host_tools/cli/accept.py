"""`eesm accept`; see `host_tools.accept`."""

from host_tools.accept.command import accept

__all__ = ["accept"]
