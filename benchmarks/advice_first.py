"""The first version of every cell: whether its fault costs something, and whether the diagnosis names it."""

from __future__ import annotations

import json
import shutil
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.advice_tasks import FAULTS, Cell
from benchmarks.lab.bench import Bench, gain
from benchmarks.lab.warm import WarmPython
from progtrain.engine.files import write_text
from progtrain.engine.script.header import set_version

#: log of the ratio of the errors, with the fault and without: below this a fault costs nothing worth naming
COSTS = 0.1


@dataclass(frozen=True)
class First:
    """What came of one cell's first version. `cost`: log(its error / the error of the fixed script)."""

    cell: str
    fault: str
    #: (diagnosis, strength), the strongest first; empty where the training failed
    findings: tuple[tuple[str, float], ...]
    right: tuple[str, ...]
    valid: float | None
    held: float | None
    cost_valid: float | None
    cost_held: float | None
    seconds: float

    @property
    def real(self) -> bool:
        """The fault costs something, on validation and held out; nothing is expected of a healthy one."""
        if self.fault == "healthy":
            return True
        return (self.cost_valid or 0.0) >= COSTS and (self.cost_held or 0.0) >= COSTS

    def among(self, places: int) -> bool:
        return any(name in self.right for name, _ in self.findings[:places])


def look(cells: Sequence[Cell], keep: Path | None = None) -> list[First]:
    """Trains and diagnoses, and prints a line each. `keep`: a folder where the workspaces stay, to look at."""
    found = []
    with WarmPython() as warm:
        for cell in cells:
            folder = Path(tempfile.mkdtemp(prefix="progtrain-advice-"))
            try:
                found.append(_first(cell, folder / "workspace", warm))
                if keep:
                    keep.mkdir(parents=True, exist_ok=True)
                    shutil.rmtree(keep / cell.name, ignore_errors=True)
                    shutil.move(folder / "workspace", keep / cell.name)
            finally:
                shutil.rmtree(folder)
            print(_line(found[-1]), flush=True)
    return found


def _first(cell: Cell, root: Path, warm: WarmPython) -> First:
    cell.write(root, versions=10)
    bench = Bench(root, warm)
    begun = time.monotonic()
    before = bench.both("v001") if bench.train("v001") else None
    seconds = time.monotonic() - begun
    insight = bench.look("v001") if before else None
    findings = tuple((f.id, f.strength) for f in insight.findings) if insight else ()
    costs: tuple[float, float] | None = None
    if before and cell.fault != "healthy":
        write_text(bench.ws.script("v002"), set_version(cell.fixed_script(), "v002"))
        after = bench.both("v002") if bench.train("v002") else None
        if after:
            costs = gain(before[0].error, after[0].error), gain(before[1].error, after[1].error)
    return First(
        cell.name,
        cell.fault,
        findings,
        tuple(sorted(cell.right)),
        before[0].error if before else None,
        before[1].error if before else None,
        costs[0] if costs else None,
        costs[1] if costs else None,
        round(seconds, 3),
    )


def _line(first: First) -> str:
    told = ", ".join(f"{name} {strength:.2f}" for name, strength in first.findings[:3]) or "FAILED"
    mark = "first " if first.among(1) else "second" if first.among(2) else "MISSED"
    cost = "" if first.cost_held is None else f"cost {first.cost_valid:+.2f} {first.cost_held:+.2f}"
    cost += "" if first.real else " (costs too little: left out)"
    errors = f"{first.valid or 0:.3f} {first.held or 0:.3f}"
    return f"{first.cell:32} {mark} {first.seconds:4.1f} s  error {errors}  {cost:22} {told}"


def table(found: Sequence[First]) -> str:
    """Diagnoses by fault, over the cells whose fault is real."""
    lines = [f"{'fault':18} cells  named first  among two"]
    rows = [(fault, [f for f in found if f.fault == fault and f.real]) for fault in FAULTS]
    planted = [f for f in found if f.real and f.fault != "healthy"]
    for name, of_it in [*rows, ("all planted faults", planted), ("all", [f for f in found if f.real])]:
        if of_it:
            first, two = (sum(f.among(n) for f in of_it) for n in (1, 2))
            share = f"{first:3} ({first / len(of_it):4.0%})  {two:3} ({two / len(of_it):4.0%})"
            lines.append(f"{name:18} {len(of_it):5}  {share}")
    return "\n".join(lines)


def path(out: Path, group: str) -> Path:
    """Of the results for a group of data sets."""
    return out / f"diagnosis-{group}.json"


def to_json(found: Sequence[First]) -> str:
    return json.dumps([asdict(f) | {"real": f.real} for f in found], indent=1) + "\n"
