"""What a bench run on the virtual Pico says: acceptance's numbers, targets kept or missed, tables.

    python -m host_tools.virtual_pico.bench_report            the tables of the last run
    python -m host_tools.virtual_pico.bench_report --readme   into README.md, between its two marks

`build/bench/pico.json` is flat where an acceptance names a key and has one entry a case under "cases".
Cycles are of clk_sys.  A number that was not measured is None, and keeps no target.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

BOUNDS = ("ideal", "cache")
VIPER, NATIVE = "viper", "native"
RESULT = Path("build/bench/pico.json")
README = Path(__file__).resolve().parents[2] / "README.md"
BEGIN, END = "<!-- bench-pico: made by bench_report --readme -->", "<!-- bench-pico: end -->"
MOST_STAGES = 12  # in the README; all of them are in the result
NOT_MODELLED = (
    "Neither bound has contention of core and DMA on the bus, the second core, fetches beyond a branch, or "
    "late arrival and tail-chaining of interrupts. Ideal has no flash wait states and no cost of exceptions; "
    "cache costs misses of the 16 KB flash cache and 15 cycles each way of an exception."
)


class Case(NamedTuple):
    """A PWM frequency and a clock in Hz, and a form of the kernel."""

    f_pwm: float
    clock: float
    kernel: str

    @property
    def period(self) -> int:
        """Cycles of clk_sys in a PWM period."""
        return round(self.clock / self.f_pwm)

    @property
    def name(self) -> str:
        """Rate and clock as the tables show them."""
        return f"{self.f_pwm / 1e3:g} kHz, {self.clock / 1e6:g} MHz"


FIRST = Case(20e3, 125e6, VIPER)
FAST = Case(40e3, 200e6, VIPER)


class Target(NamedTuple):
    """A number that an acceptance limits to at most `limit`."""

    key: str
    says: str
    limit: float
    unit: str = "cycles"


TARGETS = (
    Target("kernel_cycles_viper", "fast step, viper compiled on the board", 2200),
    Target("kernel_cycles_native", "fast step, native C", 1100),
    Target("interrupt_cycles", "interrupt without an outer slot", 3150),
    Target("interrupt_cycles_worst", "interrupt, worst period", 4700),
    Target("cpu_load_20khz_125mhz", "average load at 20 kHz, 125 MHz", 58, "%"),
    Target("missed_20khz_125mhz_ideal", "missed at 20 kHz, 125 MHz, ideal bound", 0, "periods"),
    Target("missed_20khz_125mhz_cache", "missed at 20 kHz, 125 MHz, cache bound", 0, "periods"),
    Target("missed_40khz_200mhz_ideal", "missed at 40 kHz, 200 MHz, ideal bound", 0, "periods"),
)


def case_of(entry: Mapping[str, Any]) -> Case:
    """The case of an entry of the result."""
    return Case(entry["f_pwm"], entry["clock"], entry["kernel"])


def worst_of(found: Mapping[str, Any], name: str) -> float:
    """Worst of a measure in a bound, arming included."""
    return max(found[name]["worst"], found["from_arming"][name]["worst"])


def highest_rate(found: Mapping[str, Any], clock: float) -> float:
    """PWM frequency in Hz whose period just holds the worst of a bound, arming included."""
    return clock / max(worst_of(found, "interrupt"), worst_of(found, "wrap_to_write"))


def summarise(cases: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The keys that acceptances name, then the cases themselves; keys end in `_cache` for that bound."""
    entries = {case_of(entry): entry for entry in cases}

    def find(case: Case, bound: str) -> Mapping[str, Any] | None:
        found = entries.get(case, {}).get(bound)
        return found if found and "interrupt" in found else None

    result: dict[str, Any] = {}
    for bound in BOUNDS:
        end = "" if bound == "ideal" else "_cache"
        for kernel in (VIPER, "mpy", NATIVE):
            found = find(FIRST._replace(kernel=kernel), bound)
            result[f"kernel_cycles_{kernel}{end}"] = found and found["kernel"]["median"]
            # No slot runs in a period that takes a letter, which none of the marks tells: the fast step,
            # and the shortest of what followed it.
            quiet = found and found["kernel"]["median"] + found["rest"]["best"]
            load = found and round(100 * found["interrupt"]["mean"] / FIRST.period, 1)
            name = "" if kernel == VIPER else f"_{kernel}"
            result[f"interrupt_cycles{name}{end}"] = quiet
            result[f"interrupt_cycles_median{name}{end}"] = found and found["interrupt"]["median"]
            result[f"interrupt_cycles_worst{name}{end}"] = found and worst_of(found, "interrupt")
            result[f"cpu_load_20khz_125mhz{name}{end}"] = load
            rate = found and round(highest_rate(found, FIRST.clock))
            result[f"highest_rate_125mhz{name}_{bound}"] = rate
        for case in (FIRST, FAST):
            found = find(case, bound)
            runs = found is not None and found["state"] == "running" and "failure" not in found
            key = f"missed_{case.f_pwm / 1e3:.0f}khz_{case.clock / 1e6:.0f}mhz_{bound}"
            result[key] = found["missed_periods"] if found and runs else None
        found = find(FAST, bound)
        result[f"highest_rate_200mhz_{bound}"] = found and round(highest_rate(found, FAST.clock))
        found = find(FIRST, bound)
        result[f"heap_free{end}"] = found and found["heap_free_steady"]
        rows = (found or {}).get("stream", {}).values()
        result[f"rows_per_s{end}"] = max((row["rows_per_s"] for row in rows if row["keeps_up"]), default=None)
    known = [result[f"missed_20khz_125mhz_{bound}"] for bound in BOUNDS]
    result["missed_periods"] = None if None in known else sum(known)
    for name in ("heap_free_boot", "heap_size"):
        result[name] = entries.get(FIRST, {}).get(name)
    return {**result, "not_modelled": NOT_MODELLED, "cases": list(cases)}


def verdict(value: float | None, limit: float) -> str:
    """What is printed behind a target."""
    if value is None:
        return "not measured"
    return "holds" if value <= limit else "missed"


def show(value: float | None) -> str:
    """A number as the tables print it."""
    if value is None:
        return "-"
    return f"{value:.0f}" if value == round(value) or abs(value) >= 100 else f"{value:.1f}"


def row(*cells: str) -> str:
    """A row of a Markdown table."""
    return "| " + " | ".join(cells) + " |"


def target_table(result: Mapping[str, Any]) -> str:
    """Targets beside what was measured in both bounds."""
    lines = [row("", "ideal", "cache", "at most", "ideal bound"), "|---|---|---|---|---|"]
    for target in TARGETS:
        value = result.get(target.key)
        other = result.get(f"{target.key}_cache")
        cells = [show(value), show(other)]
        if target.key.endswith("_cache"):
            cells = ["", show(value)]
        limit = f"{target.limit:g} {target.unit}"
        lines.append(row(target.says, *cells, limit, verdict(value, target.limit)))
    return "\n".join(lines)


def case_table(result: Mapping[str, Any]) -> str:
    """Every case in both bounds; a run that failed says how."""
    head = ("PWM, clock", "kernel", "bound", "period", "interrupt", "worst", "wrap to last level", "worst")
    head += ("margin", "missed", "highest rate")
    lines = [row(*head), "|---" * len(head) + "|"]
    for entry in result["cases"]:
        case = case_of(entry)
        for bound in BOUNDS:
            found = entry.get(bound, {})
            cells = [case.name, case.kernel, bound, show(case.period)]
            if "interrupt" in found:
                worst = [worst_of(found, name) for name in ("interrupt", "wrap_to_write")]
                cells += [show(found["interrupt"]["median"]), show(worst[0])]
                cells += [show(found["wrap_to_write"]["median"]), show(worst[1])]
                ended = "" if found["state"] == "running" else f", then {found['state']}"
                cells += [show(case.period - max(worst)), show(found["missed_periods"]) + ended]
                cells += [f"{highest_rate(found, case.clock) / 1e3:.1f} kHz"]
            else:
                failure = found.get("failure") or entry.get("failure") or "not measured"
                cells += [failure.replace("|", "/")] + [""] * (len(head) - 5)
            lines.append(row(*cells))
    return "\n".join(lines)


def memory_lines(result: Mapping[str, Any]) -> str:
    """Heap and telemetry, one sentence each."""
    lines = [
        f"Heap, of {show(result['heap_size'])} bytes: {show(result['heap_free_boot'])} free after boot, "
        f"{show(result['heap_free'])} free while it runs and streams. "
        f"Rows of ten signals a second without loss: {show(result['rows_per_s'])} ideal, "
        f"{show(result['rows_per_s_cache'])} cache."
    ]
    for entry in result["cases"]:
        for bound in BOUNDS:
            failure = entry.get(bound, {}).get("failure")
            if failure and "interrupt" in entry[bound]:
                lines.append(f"{case_of(entry).name}, {entry['kernel']}, {bound}: {failure}.")
    return " ".join(lines)


def model_lines(result: Mapping[str, Any]) -> str:
    """Cycles by stage, and how far the count of `linker.cycles` is from the emulator's."""
    model = result.get("model")
    if not model:
        return "Cycles by stage were not counted."
    stages = sorted(model["stages"].items(), key=lambda each: -each[1])
    named = ", ".join(f"{name} {cycles:.0f}" for name, cycles in stages[:MOST_STAGES])
    rest = sum(cycles for _, cycles in stages[MOST_STAGES:])
    return (
        "Mean cycles by stage (`host_tools.linker.cycles`, the board's compiler, its own drive of 2 s): "
        f"{named}, the rest {rest:.0f}. "
        f"Whole interrupt there: median {show(model['interrupt_median'])}, worst "
        f"{show(model['interrupt_worst'])}; in the emulator {show(result['interrupt_cycles_median'])} and "
        f"{show(result['interrupt_cycles_worst'])}, on another drive."
    )


def markdown(result: Mapping[str, Any]) -> str:
    """All that goes into the README."""
    about = (
        "Cycles of clk_sys, unit a under load with its main loop collecting garbage, streaming ten signals "
        "at 1000 Hz, answering requests and taking set points; every worst case has arming and start-up in "
        "it. The margin is "
        "the period less the worst. The fast step is taken from the interrupt's entry to the first level "
        "written, with the driver's acknowledgement and the words it takes in. At 10 kHz unit a's "
        "bandwidths are halved, as its delay demands. 40 kHz at 125 MHz leave 3125 cycles, which only the "
        "native kernel fits. "
    )
    parts = (target_table(result), case_table(result), memory_lines(result), model_lines(result))
    parts += (about + NOT_MODELLED,)
    return "\n\n".join(parts) + "\n"


def all_kept(result: Mapping[str, Any]) -> bool:
    """True when every target holds."""
    return all(verdict(result.get(target.key), target.limit) == "holds" for target in TARGETS)


def say(entry: Mapping[str, Any]) -> str:
    """A case in one line, for those who wait."""
    case = case_of(entry)
    words = []
    for bound in BOUNDS:
        found = entry.get(bound, {})
        failure = found.get("failure") or entry.get("failure")
        if failure:
            words.append(f"{bound}: {failure}")
        elif found:
            words.append(
                f"{bound}: interrupt {show(found['interrupt']['median'])}, worst "
                f"{show(worst_of(found, 'interrupt'))}, {found['missed_periods']} missed"
            )
    return f"{case.name}, {case.kernel}: " + "; ".join(words)


def replace_between(text: str, new: str) -> str:
    """A document with another text between the two marks; ValueError when it has none."""
    head, mark, rest = text.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not mark or not end:
        raise ValueError(f"there is no {BEGIN} .. {END}")
    return f"{head}{BEGIN}\n\n{new}\n{END}{tail}"


def main(arguments: Sequence[str] | None = None) -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m host_tools.virtual_pico.bench_report")
    parser.add_argument("--readme", action="store_true", help="put the tables into README.md")
    options = parser.parse_args(arguments)
    if not RESULT.exists():
        print(f"bench: there is no {RESULT}; next: make bench-pico", file=sys.stderr)
        return 1
    text = markdown(json.loads(RESULT.read_text(encoding="utf-8")))
    if options.readme:
        README.write_text(replace_between(README.read_text(encoding="utf-8"), text), encoding="utf-8")
    else:
        print(text, end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
