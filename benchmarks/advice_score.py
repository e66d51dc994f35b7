"""From errors to scores: what an arm reached of what could be reached, and whether the difference is more than luck."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.advice_tasks import Cell
from benchmarks.advice_trials import Trial

#: arms in the order of the tables, with what they are
ARMS = {
    "seeds": "seeds only",
    "halving": "always halve the learning rate",
    "random_legal": "a random legal action",
    "random": "random search",
    "tpe": "TPE, 10 start-up trials",
    "tpe3": "TPE, 3 start-up trials",
    "rules": "the rules alone",
    "alone_shuffled": "the bundled model without the rules' scores, facts shuffled",
    "alone": "the bundled model without the rules' scores",
    "shuffled_all": "the bundled model, all shuffled",
    "shuffled": "the bundled model, facts shuffled",
    "model": "the bundled model",
}
#: arms that are there to find out what the model goes by
CONTROLS = frozenset({"alone", "alone_shuffled", "shuffled", "shuffled_all"})
#: arms that walk the real loop
LOOPS = CONTROLS | {"random_legal", "rules", "model"}
#: searches that go on beyond the loop's versions
LONG = frozenset({"random", "tpe", "tpe3"})
#: scores are cut here: one lucky or unlucky held-out split is not to outweigh the rest
LOWEST, HIGHEST = -1.0, 1.5
#: log of the ratio of first and best error below which there is nothing to gain
GAINS = 0.05
RESAMPLES = 2000


# results on disk


def _path(out: Path, cell: str, arm: str) -> Path:
    return out / "arms" / f"{cell}.{arm}.jsonl"


def read(out: Path, cell: str, arm: str) -> list[Trial]:
    path = _path(out, cell, arm)
    return [Trial.of(line) for line in path.read_text().splitlines()] if path.is_file() else []


def write(out: Path, cell: str, arm: str, trials: Sequence[Trial]) -> None:
    path = _path(out, cell, arm)
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_suffix(".new")
    fresh.write_text("".join(f"{trial.line()}\n" for trial in trials))
    fresh.replace(path)


def told(trials: Sequence[Trial]) -> str:
    picked = chosen(trials, len(trials))
    failed = sum(trial.failed for trial in trials)
    errors = ["failed" if t is None or t.held is None else f"{t.held:.3f}" for t in (trials[0], picked)]
    return f"{len(trials):3} versions, {failed} failed, held-out error {' → '.join(errors)}"


# scores


def chosen(trials: Sequence[Trial], count: int) -> Trial | None:
    """The best on validation of the first `count` versions, the earlier of equals; None where all failed."""
    alive = [trial for trial in trials[:count] if not trial.failed]
    return min(alive, key=lambda trial: trial.valid, default=None)


def _cut(value: float) -> float:
    return max(LOWEST, min(HIGHEST, value))


@dataclass(frozen=True)
class Scale:
    """Held-out errors of a cell: its first version's, and the best known."""

    first: float
    oracle: float

    @property
    def gain(self) -> float:
        return math.log(self.first / self.oracle)

    def score(self, held: float) -> float:
        """log(first / held) / log(first / oracle), cut: 0 is no better than the first version, 1 is all there is."""
        return _cut(math.log(self.first / held) / self.gain)

    def plain(self, held: float) -> float:
        """(first - held) / (first - oracle), cut."""
        return _cut((self.first - held) / (self.first - self.oracle))


#: held-out error of a version that failed, or of a first version that did: as bad as a script can be
WORST = 10.0


def scale(out: Path, cell: str, arms: Sequence[str] = tuple(ARMS)) -> Scale | None:
    """None where no arm found anything better than the first version."""
    trials = {arm: read(out, cell, arm) for arm in arms}
    first = next((found[0] for found in trials.values() if found), None)
    if first is None:
        return None
    before = WORST if first.held is None else first.held
    ends = [held_at(found, len(found), before) for found in trials.values() if found]
    best = min(ends)
    return Scale(before, best) if best < before else None


def held_at(trials: Sequence[Trial], count: int, first: float) -> float:
    """Held-out error of the best on validation of so many versions."""
    picked = chosen(trials, count)
    return first if picked is None else WORST if picked.held is None else picked.held


def scores(
    out: Path, cells: Sequence[Cell], arm: str, count: int, *, plain: bool = False, best: Sequence[str] = tuple(ARMS)
) -> dict[str, float]:
    """Cell -> score, for the cells where there is something to gain and the arm has gone that far. 1 is the best end of
    the arms `best`."""
    found = {}
    for cell in cells:
        trials, measure = read(out, cell.name, arm), scale(out, cell.name, best)
        if measure is None or measure.gain < GAINS or not trials or (arm in LONG and len(trials) < count):
            continue
        held = held_at(trials, count, measure.first)
        found[cell.name] = measure.plain(held) if plain else measure.score(held)
    return found


# statistics


def iqm(values: Sequence[float]) -> float:
    """The mean of the middle half; a value on its edge counts in part. nan for nothing."""
    ordered = np.sort(np.asarray(values, dtype=float))
    if not len(ordered):
        return math.nan
    # weight of each value: how much of its share of the distribution lies between the quartiles
    edges = np.linspace(0, 1, len(ordered) + 1)
    weight = np.clip(np.minimum(edges[1:], 0.75) - np.maximum(edges[:-1], 0.25), 0, None)
    return float((ordered * weight).sum() / weight.sum())


def interval(values: Sequence[float], seed: int = 0) -> tuple[float, float]:
    """95 % bootstrap interval of the interquartile mean over cells."""
    if not len(values):
        return math.nan, math.nan
    rng = np.random.default_rng(seed)
    drawn = rng.choice(np.asarray(values, dtype=float), size=(RESAMPLES, len(values)))
    found = [iqm(row) for row in drawn]
    low, high = np.quantile(found, [0.025, 0.975])
    return float(low), float(high)


def better(one: Mapping[str, float], other: Mapping[str, float]) -> float | None:
    """One-sided paired Wilcoxon: p of a lead of `one` as large as this by luck. None where nothing is common."""
    from scipy.stats import wilcoxon  # type: ignore[import-untyped]

    common = sorted(set(one) & set(other))
    if not common:
        return None
    differences = [one[name] - other[name] for name in common]
    if not any(differences):
        return 1.0
    return float(wilcoxon(differences, alternative="greater", zero_method="pratt").pvalue)


def holm(found: Mapping[str, float]) -> dict[str, float]:
    """P values corrected for their number by Holm's method."""
    ordered = sorted(found, key=lambda name: found[name])
    corrected, highest = {}, 0.0
    for place, name in enumerate(ordered):
        highest = max(highest, min(1.0, found[name] * (len(ordered) - place)))
        corrected[name] = highest
    return corrected


def compared(out: Path, cells: Sequence[Cell], count: int, who: str = "model") -> dict[str, float]:
    """Arm -> corrected p that `who` leads it by luck alone, after so many versions."""
    own = scores(out, cells, who, count)
    found = {arm: better(own, scores(out, cells, arm, count)) for arm in ARMS if arm != who}
    return holm({arm: p for arm, p in found.items() if p is not None})


def crashes(out: Path, cells: Sequence[Cell], arm: str, count: int) -> tuple[int, int]:
    """Versions that failed, and versions made, the first left out."""
    made = [trial for cell in cells for trial in read(out, cell.name, arm)[1:count]]
    return sum(trial.failed for trial in made), len(made)


def complete(out: Path, cells: Sequence[Cell], count: int) -> tuple[list[Cell], list[str]]:
    """The arms that were run at all, and the cells where each of them went so far: they are compared on the same."""
    arms = [arm for arm in ARMS if any(read(out, cell.name, arm) for cell in cells)]
    done = [cell for cell in cells if arms and all(len(read(out, cell.name, arm)) >= count for arm in arms)]
    return done, arms


def table(
    out: Path, cells: Sequence[Cell], counts: Sequence[int], *, plain: bool = False, best: Sequence[str] = tuple(ARMS)
) -> dict[str, dict[int, list[float]]]:
    """Arm -> count -> scores; searches alone go beyond ten."""
    found: dict[str, dict[int, list[float]]] = {}
    for arm in ARMS:
        gone = [n for n in counts if n <= 10 or arm in LONG]
        reached = {n: list(scores(out, cells, arm, n, plain=plain, best=best).values()) for n in gone}
        found[arm] = {n: values for n, values in reached.items() if values}
    return found


def summary(cells: Sequence[Cell], out: Path, *, versions: int, trials: int) -> str:
    counts = [count for count in (3, 5, 10, 20, 40, 60) if count <= max(versions, trials)]
    lines = [f"{'interquartile mean after':36}" + "".join(f"{count:>7}" for count in counts) + "   cells  crashes"]
    for arm, row in table(out, cells, counts).items():
        shown = "".join(f"{iqm(row[n]):7.2f}" if n in row else f"{'–':>7}" for n in counts)
        failed, made = crashes(out, cells, arm, versions)
        lines.append(f"{ARMS[arm]:36}{shown}   {max(map(len, row.values()), default=0):5}  {failed} of {made}")
    return "\n".join(lines)
