"""What is claimed of a Pico's faults is of all faults that a running drive can have, and as documented."""

from pathlib import Path

from eesm.fault_table import BY_NAME
from host_tools.virtual_pico.reactions import REACTIONS, WITHOUT, rest, table

PAGE = Path(__file__).resolve().parents[1] / "docs" / "virtual-pico.md"


def test_every_fault_of_a_running_drive_has_a_row_or_a_reason():
    running = {name for name, fault in BY_NAME.items() if fault.periods is not None}
    named = {row.name for row in REACTIONS} - {""}
    assert named | set(WITHOUT) == running
    assert not named & set(WITHOUT)


def test_the_page_holds_both_tables():
    page = PAGE.read_text()
    assert table() in page
    assert rest() in page
