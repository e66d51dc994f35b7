"""(n) Verdicts between two seeds of one script, which must not be given, and of a planted gain, which must be found.

Fifteen seeds of each bundled example's first version. Four of them stand for a version that was repeated three times;
what they tell is carried on to all pairs of the others. A gain of two standard deviations of the seeds is planted into
the samples of six runs and held against six others, as after five repeats of both.
"""

from __future__ import annotations

import itertools
import random
import statistics
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from benchmarks.common import example, told, verdict
from progtrain.engine import metrics
from progtrain.engine.analysis.compare.noise import spread_of
from progtrain.engine.analysis.compare.pairs import Noise, Runs, compare_runs
from progtrain.engine.analysis.measure.samples import PerSample, read_per_sample
from progtrain.engine.control.launch import Options
from progtrain.engine.loop import runner
from progtrain.engine.repeats import found
from progtrain.engine.repeats import run as repeats
from progtrain.engine.rules import rules
from progtrain.engine.workspace import Workspace

EXAMPLES = ("digits", "wine", "diabetes")
SEEDS, KNOWN, SIDE = 15, 4, 6
ROUNDS = 40
VERSION = "v001"


class Run(NamedTuple):
    metrics: dict[str, float | None]
    samples: PerSample


def main(prepared: Sequence[Path] = ()) -> None:
    """`prepared`: workspaces whose first version has its repeats already, one an example."""
    rates: list[tuple[int, int]] = []
    for ws in [Workspace(path) for path in prepared] or _made():
        rates += _measure(ws)
    wrong, pairs = (sum(column) for column in zip(*rates, strict=True))
    verdict(f"verdicts between two seeds, {pairs} pairs in all", wrong / pairs, 0.05)


def _made() -> Iterator[Workspace]:
    for name in EXAMPLES:
        with example(name, until="evaluate") as ws:
            context = runner.prepare(ws, Options(autopilot=True))
            with closing(context.executor):
                repeats.repeat(context, VERSION, SEEDS - 1)
            yield ws


def _measure(ws: Workspace) -> list[tuple[int, int]]:
    present = rules.load(ws)
    primary, higher = present.primary_metric, present.higher_is_better(present.primary_metric)
    runs = _runs(ws)
    print(f"{ws.root.name}: {len(runs)} seeds")
    _spread(runs, primary)
    rates = []
    for metric, up in ((primary, higher), ("loss", False)):
        alone, known, pairs = _false(runs, metric, up)
        print(f"  {metric}: by the samples alone {alone} of {pairs} pairs of seeds get a verdict")
        verdict(f"  {metric}: with three repeats, {known} of {pairs}", known / pairs, 0.05)
        rates.append((known, pairs))
    hits = sum(_planted(runs, primary, higher, number) for number in range(ROUNDS))
    print(f"  {primary}: a gain of two standard deviations is found in {hits} of {ROUNDS} (wanted 80 %)")
    return rates


def _runs(ws: Workspace) -> list[Run]:
    own = read_per_sample(ws.version(VERSION).per_sample)
    told_by = [dict(one) for one in found.reported(ws, VERSION)]
    others = [read_per_sample(one.per_sample) for one in found.of(ws, VERSION) if one.per_sample]
    return [Run(*pair) for pair in zip(told_by, [own, *others], strict=True)]


def _value(run: Run, metric: str) -> float:
    return metrics.value_of(metric, run.metrics) or 0.0


def _spread(runs: Sequence[Run], metric: str) -> None:
    told(f"  {metric} over seeds", [_value(run, metric) for run in runs], "")


def _false(runs: Sequence[Run], metric: str, up: bool) -> tuple[int, int, int]:
    """Verdicts by the samples alone and with what three repeats of one version told, and pairs."""
    alone = known = pairs = 0
    for start in range(0, len(runs), KNOWN):
        repeated = [runs[(start + step) % len(runs)] for step in range(KNOWN)]
        spread = spread_of([[_value(run, metric) for run in repeated]])
        assert spread is not None
        noise = Noise(spread, VERSION, carried=True)
        others = [run for run in runs if run not in repeated]
        for a, b in itertools.combinations(others, 2):
            pairs += 1
            alone += _judged([a], [b], metric, up, None) != "within noise"
            known += _judged([a], [b], metric, up, noise) != "within noise"
    return alone, known, pairs


def _judged(a: Sequence[Run], b: Sequence[Run], metric: str, up: bool, noise: Noise | None) -> str:
    made = compare_runs(_side(a), _side(b), metric, up, 42, noise_of=lambda _: noise)
    assert made is not None
    return made.verdict


def _side(runs: Sequence[Run]) -> Runs:
    return Runs(tuple(run.metrics for run in runs), tuple(run.samples for run in runs))


def _planted(runs: Sequence[Run], metric: str, up: bool, number: int) -> bool:
    rng = random.Random(number)
    drawn = rng.sample(list(runs), 2 * SIDE)
    gain = 2 * statistics.stdev(_value(run, metric) for run in runs)
    a, b = drawn[:SIDE], [_better(run, metric, up, gain, rng) for run in drawn[SIDE:]]
    spread = spread_of([[_value(run, metric) for run in side] for side in (a, b)])
    assert spread is not None
    return _judged(a, b, metric, up, Noise(spread, VERSION)) == "better"


def _better(run: Run, metric: str, up: bool, gain: float, rng: random.Random) -> Run:
    """Its samples with the gain in them: wrong ones that are right now, errors that are smaller."""
    value, samples = _value(run, metric), run.samples
    if up:
        wrong = [row for row, right in enumerate(samples.correct) if right is False]
        turned = set(rng.sample(wrong, min(len(wrong), round(gain * len(samples)))))
        part = [1.0 if row in turned else held for row, held in enumerate(samples.parts[metric])]
        new = value + len(turned) / len(samples)
        correct = [True if row in turned else right for row, right in enumerate(samples.correct)]
        changed = replace(samples, parts={**samples.parts, metric: part}, correct=correct)
    else:
        new = value - gain
        share = (new / value) ** 2 if metric == "rmse" else new / value
        part = [None if held is None else held * share for held in samples.parts[metric]]
        changed = replace(samples, parts={**samples.parts, metric: part})
    return Run({**run.metrics, metric: new}, changed)


if __name__ == "__main__":
    main([Path(name) for name in sys.argv[1:]])
