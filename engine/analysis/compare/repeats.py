"""What is known of seed noise where two versions are compared: their runs, and the spread between those of a script."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from progtrain.engine import metrics
from progtrain.engine.analysis.compare.noise import spread_of
from progtrain.engine.analysis.compare.pairs import Noise, Runs
from progtrain.engine.analysis.measure.samples import PerSample, read_per_sample
from progtrain.engine.analysis.types import Repeat
from progtrain.engine.errors import InputError
from progtrain.engine.workspace import version_number

#: version -> what the evaluation of each of its runs reported, its own first
Reported = Mapping[str, Sequence[Mapping[str, float | None]]]


def runs_of(own: Mapping[str, float | None], samples: PerSample | None, repeats: Sequence[Repeat]) -> Runs:
    """A version with its repeats; one whose samples cannot be read counts by what it reported."""
    return Runs((own, *(one.metrics for one in repeats)), (samples, *(_samples(one) for one in repeats)))


def _samples(repeat: Repeat) -> PerSample | None:
    try:
        return read_per_sample(repeat.per_sample) if repeat.per_sample else None
    except InputError:
        return None


def noise_between(a: str, b: str, reported: Reported) -> Callable[[str], Noise | None]:
    """By metric: the spread between the runs of the two; of the version measured last before them where both have one
    run alone. None: nothing was measured."""

    def noise(metric: str) -> Noise | None:
        for versions in ((a, b), *((version,) for version in _before(a, b, reported))):
            spread = spread_of([_values(metric, reported.get(version, ())) for version in versions])
            if spread is not None:
                told = [v for v in versions if len(_values(metric, reported.get(v, ()))) > 1]
                return Noise(spread, " and ".join(told), carried=not {a, b} & {*told})
        return None

    return noise


def _values(metric: str, runs: Sequence[Mapping[str, float | None]]) -> list[float]:
    held = (metrics.value_of(metric, run) for run in runs)
    return [value for value in held if value is not None]


def _before(a: str, b: str, reported: Reported) -> list[str]:
    """Others that were measured, the latest first: noise changes as a script does. Those after the two come last."""
    newest = max(version_number(a) or 0, version_number(b) or 0)
    measured = [version for version, runs in reported.items() if version not in (a, b) and len(runs) > 1]

    def place(version: str) -> tuple[bool, int]:
        number = version_number(version) or 0
        return number > newest, -number if number <= newest else number

    return sorted(measured, key=place)
