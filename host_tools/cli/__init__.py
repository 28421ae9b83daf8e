"""The command `eesm`: one subcommand a verb.  `main` is its entry."""

from host_tools.cli.entry import main

__all__ = ["main"]
