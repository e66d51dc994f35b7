"""Trainings of one cell outside of the loop, each distinct script once, and two arms that choose without looking."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.advice_tasks import Cell
from benchmarks.lab.bench import Bench
from benchmarks.lab.warm import WarmPython
from progtrain.engine.analysis.advise.candidates import state_of
from progtrain.engine.files import read_text, write_text
from progtrain.engine.script.action.operations import parse_operation
from progtrain.engine.script.header import set_version
from progtrain.engine.script.settings import find_setting


@dataclass(frozen=True)
class Trial:
    """One version. `held` only where `valid` was the best of its arm so far; errors are inf where it failed."""

    number: int
    valid: float
    held: float | None
    change: str = ""

    @property
    def failed(self) -> bool:
        return math.isinf(self.valid)

    def line(self) -> str:
        shown = {k: None if isinstance(v, float) and math.isinf(v) else v for k, v in asdict(self).items()}
        return json.dumps(shown)

    @classmethod
    def of(cls, line: str) -> Trial:
        data = json.loads(line)
        return cls(data["number"], math.inf if data["valid"] is None else data["valid"], data["held"], data["change"])


class Desk:
    """A cell's workspace where one script after another is tried. What is known already is not trained again."""

    def __init__(self, cell: Cell, folder: Path, warm: WarmPython, root: Path) -> None:
        self.cell = cell
        self._known = folder / "trials" / f"{cell.name}.jsonl"
        self._known.parent.mkdir(parents=True, exist_ok=True)
        self._results: dict[str, dict[str, float | None]] = {}
        if self._known.is_file():
            for line in self._known.read_text().splitlines():
                data = json.loads(line)
                self._results[data.pop("state")] = data
        cell.write(root, versions=10)
        self._bench = Bench(root, warm)
        self.first = read_text(self._bench.ws.script("v001"))

    def measure(self, source: str, below: float = math.inf) -> tuple[float, float | None]:
        """Errors on validation and held out, the latter where the former is below a bound. inf: it failed."""
        state = state_of(source)
        known = self._results.get(state)
        if known is None or (known["held"] is None and known["valid"] is not None and known["valid"] < below):
            known = self._trained(source, below)
            self._results[state] = known
            with self._known.open("a") as file:
                file.write(json.dumps({"state": state, **known}) + "\n")
        valid = math.inf if known["valid"] is None else known["valid"]
        return valid, known["held"] if valid < below else None

    def _trained(self, source: str, below: float) -> dict[str, float | None]:
        version = "v002"
        write_text(self._bench.ws.script(version), set_version(source, version))
        valid = self._bench.score(version) if self._bench.train(version) else None
        if valid is None or math.isinf(valid.error):
            return {"valid": None, "held": None}
        held = self._bench.score(version, "test") if valid.error < below else None
        return {"valid": valid.error, "held": held.error if held and math.isfinite(held.error) else None}

    def follow(self, sources: Iterator[tuple[str, str]], count: int) -> list[Trial]:
        """The first version and then so many scripts as make `count` in all."""
        trials: list[Trial] = []
        best = math.inf
        for source, change in _with_first(self.first, sources):
            if len(trials) == count:
                break
            valid, held = self.measure(source, best)
            trials.append(Trial(len(trials) + 1, valid, held, change))
            best = min(best, valid)
        return trials


def _with_first(first: str, more: Iterator[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    yield first, ""
    yield from more


def set_value(source: str, key: str, value: Any) -> str:
    return parse_operation({"operation": "set", "setting": key, "to": value}).apply(source)


def value_of(source: str, key: str) -> Any:
    setting = find_setting(source, key)
    return None if setting is None else setting.value


# arms that choose without looking


def seeds(desk: Desk, count: int) -> list[Trial]:
    """The same script with another seed each time: what luck alone brings."""
    line = f"SEED = {desk.cell.start.seed}\n"
    others = [f"SEED = {desk.cell.start.seed + n}\n" for n in range(1, count)]
    return desk.follow(((desk.first.replace(line, other), other.strip()) for other in others), count)


def halving(desk: Desk, count: int) -> list[Trial]:
    """Half the learning rate each time."""
    rate = float(value_of(desk.first, "learning_rate"))
    rates = [float(f"{rate / 2**n:.3g}") for n in range(1, count)]
    return desk.follow(((set_value(desk.first, "learning_rate", r), f"learning_rate {r:g}") for r in rates), count)
