"""What a linked program costs, as text."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from .cost import LOCAL, weighted, word_cost
from .emit_viper import ViperEmitter
from .flow import count_reads, count_writes
from .ir import Assign, Body, Compare, Const, Item, Load, Local, Neg, Op, Routine, Stmt, read_by, statements
from .layout import Layout
from .ranges import Facts, widened
from .viper_cost import statement_cost

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
        "words in their order: " + " ".join(scalars),
    ]
    if program.facts is not None:
        lines.append(f"operations not proven to stay within a word: {len(program.facts.unproven)}")
        loose = widened(program.facts, program.table)
        lines.append("signals not proven to stay within their row: " + (" ".join(loose) or "none"))
    for routine in program.routines:
        lines += ["", *_report_routine(routine, layout, program.facts)]
    return "\n".join(lines) + "\n"


def _report_routine(routine: Routine, layout: Layout, facts: Facts | None) -> list[str]:
    """Lines of one routine; cycles by the model of the board's compiler, each branch as likely as not."""
    reads, writes = count_reads(routine.body), count_writes(routine.body)
    emitter = ViperEmitter(layout, facts=facts)
    lines = emitter.inner(routine)
    registers = emitter.registers
    count: dict[str, int] = defaultdict(int)
    cycles: dict[str, float] = defaultdict(float)
    starts = routine.windows or [0] * len(routine.body)
    for top, start in zip(routine.body, starts, strict=True):
        emitter.base = start
        for stmt, weight in weighted([top]):
            count[stmt.place.stage] += 1
            cycles[stmt.place.stage] += weight * emitter.price(stmt, registers)
    size = sum(statement_cost(line, registers).bytes for line in lines if "ptr32" not in line)
    title = (
        f"{routine.name}: {sum(count.values())} statements, {len(writes)} locals, ~{size} bytes, "
        f"~{sum(cycles.values()):.0f} cycles; in registers {' '.join(registers) or '-'} of "
        f"{', '.join(sorted(writes, key=lambda n: -(reads[n] + writes[n]))[:4])}"
    )
    rows = [title, f"  {'stage':<20} {'statements':>10} {'~cycles':>8}"]
    return rows + [f"  {stage:<20} {count[stage]:>10} {cycles[stage]:>8.0f}" for stage in count]
