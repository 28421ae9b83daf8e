"""What a linked program costs, as text."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from .cost import HOT_WORDS, LOCAL, WARM_WORDS, weighted, word_cost
from .flow import count_reads, count_writes
from .ir import Assign, Body, Compare, Const, Item, Load, Local, Neg, Op, Routine, Stmt, read_by, statements
from .layout import Layout

if TYPE_CHECKING:
    from .program import Program

# Cycles and bytes of what is no access, on an RP2040 under the board's compiler (rounded).
OPERATION = 2.0
COMPARISON = 9.0
LARGE_LITERAL = 4.0
SMALL_LITERAL = 1.0
BYTES_PER_CYCLE = 2.2


def statement_cycles(stmt: Stmt, layout: Layout) -> float:
    """Estimate of a statement's own cycles, without its branches."""
    cycles = 0.0
    for node in read_by(stmt):
        if isinstance(node, Local):
            cycles += LOCAL
        elif isinstance(node, Load):
            cycles += word_cost(layout.offset[node.name]).load
        elif isinstance(node, Item):
            cycles += 2 * LOCAL + LARGE_LITERAL
        elif isinstance(node, (Op, Neg)):
            cycles += OPERATION
        elif isinstance(node, Compare):
            cycles += COMPARISON
        elif isinstance(node, Const):
            cycles += SMALL_LITERAL if 0 <= node.value < 256 else LARGE_LITERAL
    if isinstance(stmt, Assign):
        if isinstance(stmt.target, Local):
            cycles += LOCAL
        elif isinstance(stmt.target, Load):
            cycles += word_cost(layout.offset[stmt.target.name]).store
        else:
            cycles += 2 * LOCAL + LARGE_LITERAL
    return cycles


def estimate_bytes(body: Body, layout: Layout) -> int:
    """Estimate of the machine code of a routine or a piece of it on armv6m, in bytes."""
    return round(BYTES_PER_CYCLE * sum(statement_cycles(stmt, layout) for stmt in statements(body)))


def write_report(program: Program) -> str:
    """The report: a block of lines for the words, then one for each routine."""
    layout = program.layout
    arrays = {name: words for name, words in layout.length.items() if words}
    scalars = layout.scalars()
    lines = [
        f"identity {program.identity}",
        f"block {layout.size} words ({4 * layout.size} bytes): {len(scalars)} scalars, "
        f"{len(arrays)} arrays of {sum(arrays.values())} words",
        "hot words: " + " ".join(n for n in scalars if layout.offset[n] < HOT_WORDS),
        "warm words: " + " ".join(n for n in scalars if HOT_WORDS <= layout.offset[n] < WARM_WORDS),
    ]
    for routine in program.routines:
        lines += ["", *_report_routine(routine, layout)]
    return "\n".join(lines) + "\n"


def _report_routine(routine: Routine, layout: Layout) -> list[str]:
    reads, writes = count_reads(routine.body), count_writes(routine.body)
    count: dict[str, int] = defaultdict(int)
    cycles: dict[str, float] = defaultdict(float)
    hot: dict[str, set[str]] = defaultdict(set)
    far = 0.0
    for stmt, weight in weighted(routine.body):
        stage = stmt.place.stage
        count[stage] += 1
        cycles[stage] += weight * statement_cycles(stmt, layout)
        loads = [node.name for node in read_by(stmt) if isinstance(node, Load)]
        if isinstance(stmt, Assign) and isinstance(stmt.target, Load):
            loads.append(stmt.target.name)
        hot[stage] |= {name for name in loads if layout.offset[name] < HOT_WORDS}
        far += weight * sum(1 for name in loads if layout.offset[name] >= HOT_WORDS)
    busiest = sorted(writes, key=lambda n: -(reads[n] + writes[n]))[:2]
    lines = [
        f"{routine.name}: {sum(count.values())} statements, {len(writes)} locals, "
        f"~{estimate_bytes(routine.body, layout)} bytes, ~{sum(cycles.values()):.0f} cycles, "
        f"{far:.0f} accesses beyond word {HOT_WORDS - 1} a call; busiest locals {' '.join(busiest) or '-'}",
        f"  {'stage':<20} {'statements':>10} {'~cycles':>8}  hot signals",
    ]
    for stage in count:
        names = " ".join(sorted(hot[stage]))
        lines.append(f"  {stage:<20} {count[stage]:>10} {cycles[stage]:>8.0f}  {names}")
    return lines
