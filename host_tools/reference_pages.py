"""Reference pages made from the tables that the firmware and the tools themselves read."""

from __future__ import annotations

import click

from eesm.fault_table import FAULTS
from eesm.faults import KERNEL_FAULTS
from eesm.parameters import SETTINGS
from eesm.signals import Signals
from eesm.table import signals_of
from host_tools.errors import MEANINGS

ROLES = {
    "input": "Inputs of a period, written by the driver",
    "output": "Outputs of a period, read by the driver",
    "parameter": "Parameters, changed by letters of the main loop",
    "state": "State, kept from period to period",
    "letter": "Letters of the mailbox",
    "ring": "Rings that telemetry reads",
    "table": "Tables",
    "constant": "Constants, linked into the kernel",
    "transient": "Values within a period",
    "memory": "The block",
}


SIGNAL_RULES = """# Signals

Every quantity of the control law, from `firmware/eesm/signals.py`. A signal's SI value is its integer times
its base over 2 to the power of its fraction bits; bases follow from the unit, and `eesm info --signals` lists
them with the SI ranges of the drive that answers."""

PARAMETER_RULES = """# Parameters

What `eesm params` lists and changes, from `firmware/eesm/parameters.py`. All gains follow from these; a drive
refuses a value that its sensors or its kernel's scaling could not carry, and says the limit.
"""

FAULT_RULES = f"""# Faults

From `firmware/eesm/fault_table.py`. The first fault is latched with its period and a snapshot, later ones
are listed after it, and nothing re-arms by itself. `eesm faults` tells what was measured; `eesm faults
--clear` is refused while a cause holds or the field is not down. Faults up to {KERNEL_FAULTS} are set by the
control law in the interrupt or by the board's hardware, the others by the main loop. Periods are those of 20
kHz, from the cause to the last switching edge of the bridge; `make fault-campaign` measures them."""

COMMAND_RULES = """# Commands

What `eesm COMMAND --help` prints.
"""


def pages() -> dict[str, str]:
    """Every page: path in the site and Markdown."""
    return {
        "reference/commands.md": commands(),
        "reference/signals.md": signal_table(),
        "reference/parameters.md": parameters(),
        "reference/faults.md": faults(),
    }


def signal_table() -> str:
    """The signal table, by role."""
    lines = [SIGNAL_RULES]
    rows = signals_of(Signals)
    for role in dict.fromkeys(row.role for row in rows.values()):
        lines += ["", f"## {ROLES.get(role, role)}", "", "| signal | unit | base, bits | range | meaning |"]
        lines.append("|---|---|---|---|---|")
        for name, row in rows.items():
            if row.role == role:
                shown = f"`{name}`" + (f" ({row.length} words)" if row.length else "")
                scale = f"{row.base}, Q{row.q}"
                lines.append(f"| {shown} | {row.unit} | {scale} | {row.low} .. {row.high} | {row.meaning} |")
    return "\n".join(lines) + "\n"


def parameters() -> str:
    """Every parameter that can be changed on a drive."""
    lines = [PARAMETER_RULES, "| parameter | unit | range | meaning |", "|---|---|---|---|"]
    for name, (unit, low, high, meaning) in SETTINGS.items():
        lines.append(f"| `{name}` | {unit} | {low:g} .. {high:g} | {meaning} |")
    return "\n".join(lines) + "\n"


def faults() -> str:
    """Every fault with cause and remedy."""
    lines = [FAULT_RULES]
    for fault in FAULTS:
        within = "" if fault.periods is None else f", bridge off within {fault.periods} periods"
        lines += [
            "",
            f"## {fault.number} {fault.name}",
            "",
            f"{fault.cause[0].upper()}{fault.cause[1:]}.",
            "",
            f"- Limit: {fault.limit}.",
            f"- Seen by: {fault.seen_by}{within}.",
            f"- Safe state: {fault.safe_state}.",
            f"- Remedy: {fault.remedy}.",
        ]
    return "\n".join(lines) + "\n"


def commands() -> str:
    """Every subcommand's help, as the command line prints it."""
    from host_tools.cli.entry import COMMANDS, eesm

    lines = [COMMAND_RULES, "| exit code | meaning |", "|---|---|"]
    lines += [f"| {code} | {meaning} |" for code, meaning in MEANINGS.items()]
    top = click.Context(eesm, info_name="eesm")
    for section in dict.fromkeys(section for section, *_ in COMMANDS):
        lines += ["", f"## {section}"]
        for row in COMMANDS:
            if row[0] == section:
                command = eesm.get_command(top, row[1])
                assert command is not None
                lines += help_of(command, f"eesm {row[1]}", 3)
    return "\n".join(lines) + "\n"


def help_of(command: click.Command, name: str, level: int) -> list[str]:
    """Help of a command and of those below it."""
    context = click.Context(command, info_name=name, terminal_width=100, max_content_width=100)
    lines = ["", f"{'#' * level} {name}", "", "```text", command.get_help(context), "```"]
    if isinstance(command, click.Group):
        for below in command.list_commands(context):
            found = command.get_command(context, below)
            if found is not None:
                lines += help_of(found, f"{name} {below}", level + 1)
    return lines
