"""An external model asked several times: whether it answers each sample alike, and how far its numbers spread.

Every time is a process of its own by `03_eval.py`: nothing of an earlier answer is used.
"""

from __future__ import annotations

import math
import os
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from progtrain.engine import metrics
from progtrain.engine.analysis.compare import serving
from progtrain.engine.analysis.measure.samples import PerSample, read_per_sample
from progtrain.engine.errors import StepFailed
from progtrain.engine.hooks import of_script
from progtrain.engine.schema import EvalScore, load
from progtrain.engine.side_by_side.sides import Side
from progtrain.engine.text import last_line
from progtrain.engine.workspace import VersionFolder, Workspace


class Asked(NamedTuple):
    model: str
    runs: int
    samples: int
    #: share of the samples with the same answer in all runs; one without an answer in any of them is not among these
    same: float
    #: samples whose answers differ, or are missing in some runs
    unstable: tuple[str, ...]
    #: metric -> mean, standard deviation, smallest and largest, over the runs
    spread: dict[str, tuple[float, float, float, float]]
    #: what answered, in each run
    shares: tuple[serving.Shares, ...]


def ask(ws: Workspace, side: Side, times: int, python: str, into: Path, tell: Callable[[str], None]) -> Asked:
    """`times` evaluations, each into a folder of its own below `into`. Raises `StepFailed` where one fails."""
    held: list[PerSample] = []
    scores: list[EvalScore] = []
    for number in range(1, times + 1):
        tell(f"{side.name}: asked for the {_ordinal(number)} time, of {times}")
        folder = VersionFolder(into / f"r{number}")
        words = [python, ws.eval_script.name, f"--external={side.folder.path.name}", f"--output={folder.path}"]
        environment = {**os.environ, **of_script()}
        done = subprocess.run(
            words, cwd=ws.root, env=environment, capture_output=True, text=True, errors="replace", check=False
        )
        if done.returncode:
            reason = f"{side.name} could not be asked again: {last_line(done.stderr or done.stdout)}"
            raise StepFailed(reason, file=ws.eval_script, fix=f"python 03_eval.py --external {side.folder.path.name}")
        held.append(read_per_sample(folder.per_sample))
        scores.append(load(folder.eval_score, EvalScore))
    return measured(side.name, held, scores)


def _ordinal(number: int) -> str:
    return {1: "1st", 2: "2nd", 3: "3rd"}.get(number, f"{number}th")


def measured(model: str, held: Sequence[PerSample], scores: Sequence[EvalScore]) -> Asked:
    ids = [i for i in held[0].row if all(i in one.row for one in held)]
    unstable = tuple(i for i in ids if not _alike([_answer(one, i) for one in held]))
    found: dict[str, list[float]] = {}
    for score in scores:
        for metric in score.metrics:
            if (value := metrics.finite(metric.value)) is not None:
                found.setdefault(metric.name, []).append(value)
    spread = {name: _spread(values) for name, values in found.items() if len(values) == len(scores)}
    shares = tuple(serving.shares_of(one) for one in held)
    return Asked(
        model, len(held), len(ids), 1 - len(unstable) / len(ids) if ids else math.nan, unstable, spread, shares
    )


def _answer(samples: PerSample, sample: str) -> str | None:
    row = samples.row[sample]
    return None if samples.error and samples.error[row] else samples.prediction[row]


def _alike(answers: Sequence[str | None]) -> bool:
    return answers[0] is not None and all(answer == answers[0] for answer in answers)


def _spread(values: Sequence[float]) -> tuple[float, float, float, float]:
    mean = math.fsum(values) / len(values)
    deviation = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / max(len(values) - 1, 1))
    return mean, deviation, min(values), max(values)
