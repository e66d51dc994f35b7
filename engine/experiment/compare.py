"""Which points of an experiment are better than which: against the control, and along each variable.

Only what is measured alike is compared. A pair that was scored by another evaluator or on other data, or that did not
train with what it is compared along, is listed with the reason and counts nowhere.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from progtrain.engine import metrics, values
from progtrain.engine.analysis.compare import noise
from progtrain.engine.analysis.compare.noise import ALPHA, Interval, Spread
from progtrain.engine.analysis.compare.pairs import measurer, verdict
from progtrain.engine.analysis.measure.samples import PerSample, read_per_sample
from progtrain.engine.analysis.types import Verdict
from progtrain.engine.errors import InputError
from progtrain.engine.experiment import results
from progtrain.engine.experiment.folder import ExperimentFolder
from progtrain.engine.experiment.plan import Plan
from progtrain.engine.experiment.results import Row
from progtrain.engine.script import names
from progtrain.engine.status.snapshot import NOT_MEASURED

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from progtrain.engine.analysis.compare.pairs import Measured

    Array = NDArray[np.float64]

SEED = 42
#: kinds of plan whose points seldom differ in one variable alone: all are held against the best
_SCATTERED = ("random", "hpo", "list", "candidates")


#: note of a comparison by a metric that no single sample has
SEEDS_ALONE = "from the seeds alone: single samples do not tell of it"


class Difference(NamedTuple):
    """Two points, and what they come to by one metric of one evaluation: `b` against `a`."""

    kind: Literal["control", "variable", "best"]
    #: what differs, of kind variable: names joined by " and " where they move together
    along: str
    a: str
    b: str
    #: what both have, of kind variable
    fixed: str = ""
    task: str = ""
    epoch: str | int | None = None
    metric: str = ""
    #: None: refused, or nothing tells how sure it would be
    delta: float | None = None
    low: float | None = None
    high: float | None = None
    p: float | None = None
    #: adjusted for all comparisons by the same metric of the same evaluation, and how many these are
    p_holm: float | None = None
    family: int | None = None
    verdict: Verdict | None = None
    #: samples that both were measured on, and runs of `a` and `b`
    samples: int | None = None
    seeds_a: int = 0
    seeds_b: int = 0
    notes: tuple[str, ...] = ()
    #: why nothing is said of it; empty where something is
    refused: str = ""


class Measure(NamedTuple):
    """One metric of one evaluation, of all points that have it."""

    task: str
    epoch: str | int | None
    metric: str
    higher_is_better: bool
    #: point -> its runs that are done, in order of their seeds
    points: Mapping[str, Sequence[Row]]
    spread: Spread | None
    measured: Measured

    def values_of(self, rows: Sequence[Row]) -> Array:
        """As their evaluations reported it, (runs,)."""
        import numpy as np

        return np.array([value_of(row, self.metric) for row in rows])

    def level(self, point: str) -> Interval | None:
        """Mean of a point's runs with its interval; None where nothing tells how sure it is."""
        rows = self.points[point]
        found = self.measured([row.run for row in rows])
        own, drawn = (self.values_of(rows), None) if found is None else found[:2]
        level = noise.level(own, drawn, self.spread, SEED)
        if level is None or not metrics.is_share(self.metric) or not 0 <= level[0] <= 1:
            return level
        # the noise of seeds knows of no bounds
        return level[0], max(0.0, level[1]), min(1.0, level[2]), level[3]


def ordered(plan: Plan, rows: Sequence[Row]) -> list[Row]:
    """As the plan has them, whichever ended first: by their values, then by seed. What has none comes first."""

    def place(row: Row) -> tuple[int, list[float], str, int]:
        known = [name for name in plan.variables if name in row.parameters]
        return len(known), [_place(plan, name, row.parameters) for name in known], row.point, row.seed or 0

    return sorted(rows, key=place)


def variables(plan: Plan, points: Mapping[str, Sequence[Row]]) -> list[str]:
    """Those of the plan, and what else differs between its runs: of kind list only these tell."""
    told = [name for rows in points.values() for name in rows[0].parameters]
    return list(dict.fromkeys([*plan.variables, *told]))


def value_of(row: Row, metric: str) -> float | None:
    return metrics.finite(metrics.value_of(metric, {m.name: m.value for m in row.metrics}))


def measures(folder: ExperimentFolder, rows: Sequence[Row]) -> list[Measure]:
    """In the order in which tasks and metrics came first."""
    done = [row for row in rows if row.state == "done" and row.task]
    found: list[Measure] = []
    for task, epoch in dict.fromkeys((row.task or "", row.epoch) for row in done):
        cells = [row for row in done if (row.task, row.epoch) == (task, epoch)]
        samples = {row.run: _samples(folder, row) for row in cells}
        ways: dict[str, bool] = {}
        for row in cells:
            for metric in row.metrics:
                if metrics.find(metric.name, ways) is None:
                    ways[metric.name] = metric.higher_is_better
        for name, higher in ways.items():
            points: dict[str, list[Row]] = {}
            for row in cells:
                if value_of(row, name) is not None:
                    points.setdefault(row.point, []).append(row)
            spread = noise.spread_of([[value_of(r, name) or 0.0 for r in runs] for runs in points.values()])
            measured = measurer(samples, name, SEED)
            found.append(Measure(task, epoch, name, higher, points, spread, measured))
    return [measure for measure in found if measure.points]


def _samples(folder: ExperimentFolder, row: Row) -> PerSample | None:
    """None where the tool tells of none, or the file is damaged: the seeds still tell something."""
    try:
        return read_per_sample(folder.path / row.per_sample) if row.per_sample else None
    except InputError:
        return None


def differences(plan: Plan, rows: Sequence[Row], found: Sequence[Measure]) -> list[Difference]:
    return [one for measure in found for one in _of_measure(plan, rows, measure)]


def _of_measure(plan: Plan, rows: Sequence[Row], measure: Measure) -> list[Difference]:
    return adjusted([compared(pair, measure, rows) for pair in pairs(plan, rows, measure)], measure.higher_is_better)


def adjusted(judged: Sequence[Difference], higher_is_better: bool) -> list[Difference]:
    """With verdicts that count how many comparisons these are."""
    ps = [one.p for one in judged if one.p is not None]
    holm = iter(noise.holm(ps))
    return [one if one.p is None else _with_verdict(one, higher_is_better, next(holm), len(ps)) for one in judged]


def _with_verdict(one: Difference, higher_is_better: bool, p: float, family: int) -> Difference:
    alone = verdict(one.low or 0.0, one.high or 0.0, higher_is_better)
    said: Verdict = alone if p <= ALPHA else "within noise"
    notes = one.notes
    if said != alone:
        notes = (*notes, f"by itself it would be {alone}; among {family} comparisons it may be chance")
    return one._replace(p_holm=p, family=family, verdict=said, notes=notes)


# which pairs


def pairs(plan: Plan, rows: Sequence[Row], measure: Measure | None = None) -> list[Difference]:
    """Against each control; of points that differ in one variable, or in one group of the plan's `zip`; and where no
    points do, of the best by `measure` against the others. Failed points are among them."""
    first: dict[str, Row] = {}
    for row in rows:
        first.setdefault(row.point, row)
    controls = [row for row in first.values() if row.type == "control"]
    others = [row for row in first.values() if row.type != "control"]
    found = [Difference("control", "", control.point, row.point) for control in controls for row in others]
    along = list(_along(plan, [row for row in others if row.type == "trained"]))
    if not along and plan.experiment.kind in _SCATTERED and measure is not None and len(measure.points) > 1:
        best = best_first(measure)[0]
        against = {control.point for control in controls}
        found += [
            Difference("best", "", row.point, best) for row in others if row.point != best and best not in against
        ]
    return [*found, *along]


def best_first(measure: Measure) -> list[str]:
    """Points by the mean of their runs."""
    return metrics.ranked(
        measure.points, lambda point: float(measure.values_of(measure.points[point]).mean()), measure.higher_is_better
    )


def _along(plan: Plan, rows: Sequence[Row]) -> Iterator[Difference]:
    grouped = {name: tuple(group) for group in plan.zip for name in group}
    for one, other in itertools.combinations(rows, 2):
        a, b = one.parameters, other.parameters
        if a.keys() != b.keys():
            continue
        differing = [name for name in a if not values.same(a[name], b[name])]
        axes = {grouped.get(name, (name,)) for name in differing}
        if len(axes) == 1:
            rest = {name: value for name, value in a.items() if name not in differing}
            fixed = ", ".join(f"{name} {values.show(value)}" for name, value in rest.items())
            if _place(plan, differing[0], a) > _place(plan, differing[0], b):
                one, other = other, one
            yield Difference("variable", " and ".join(differing), one.point, other.point, fixed)


def _place(plan: Plan, name: str, parameters: Mapping[str, Any]) -> float:
    """Where a value stands among those of the plan; of a range, the value itself."""
    listed = plan.variables.get(name)
    if not isinstance(listed, list):
        return values.number(parameters[name]) or 0.0
    return next((at for at, value in enumerate(listed) if values.same(value, parameters[name])), len(listed))


# what each comes to


def compared(pair: Difference, measure: Measure, rows: Sequence[Row]) -> Difference:
    """With delta and interval, or why there is none; the verdict is given by `adjusted`."""
    a, b = (measure.points.get(point, ()) for point in (pair.a, pair.b))
    made = pair._replace(task=measure.task, epoch=measure.epoch, metric=measure.metric, seeds_a=len(a), seeds_b=len(b))
    if reason := _refusal(pair, measure.metric, a, b, rows):
        return made._replace(refused=reason)
    found = measure.measured([row.run for row in (*a, *b)])
    notes = [*_unplanned((*a, *b)), *_missing(pair, measure, rows)]
    if measure.spread is None:
        notes.append(NOT_MEASURED)
    values_a, values_b, at = measure.values_of(a), measure.values_of(b), len(a)
    if found is None:
        interval = noise.difference((values_a, None), (values_b, None), measure.spread, SEED)
        notes.append(SEEDS_ALONE)
    else:
        own, drawn, count = found
        interval = noise.difference((own[:at], drawn[:, :at]), (own[at:], drawn[:, at:]), measure.spread, SEED)
        made = made._replace(samples=count)
        most = max(results.samples_of(m) for row in (*a, *b) for m in row.metrics)
        if count < most:
            notes.append(f"{most - count} samples left out: not in all runs, or without a number")
    if interval is None:
        reason = "nothing tells how sure the difference is: one seed, and no outcome of single samples"
        return made._replace(refused=reason)
    delta, low, high, p = interval
    return made._replace(delta=delta, low=low, high=high, p=p, notes=tuple(notes))


def _refusal(pair: Difference, metric: str, a: Sequence[Row], b: Sequence[Row], rows: Sequence[Row]) -> str:
    """Why two points are not compared; empty where they can be."""
    for point, done in ((pair.a, a), (pair.b, b)):
        if not done:
            causes = sorted({row.cause or row.state for row in rows if row.point == point and row.state != "done"})
            return f"{point} has no {metric}: {'; '.join(causes) or 'it was not measured, or is no number'}"
    both = (*a, *b)
    if len({row.evaluator_sha256 for row in both}) > 1:
        return "scored by another evaluator"
    if len({row.data_sha256 for row in both}) > 1:
        return "scored on other data"
    for name, row in itertools.product(pair.along.split(" and ") if pair.along else (), both):
        planned = row.parameters.get(name)
        # under any spelling where the engine changed it; what a script logs by a like name may be something else
        changed = {names.canonical(key): value for key, value in row.changes.items()}.get(names.canonical(name))
        for had in (changed, row.settings.get(name)):
            if had is not None and not values.same(had, planned):
                return f"{row.run} trained with {name} {values.show(had)}, not {values.show(planned)} as planned"
    return ""


def _unplanned(rows: Sequence[Row]) -> Iterator[str]:
    for point, of_point in itertools.groupby(rows, key=lambda row: row.point):
        changed = {name: value for row in of_point for name, value in row.changes.items()}
        if changed:
            told = ", ".join(f"{name} {values.show(value)}" for name, value in changed.items())
            yield f"{point} trained with {told}, not as planned"


def _missing(pair: Difference, measure: Measure, rows: Sequence[Row]) -> Iterator[str]:
    for point in (pair.a, pair.b):
        planned = {row.run for row in rows if row.point == point}
        if missing := len(planned) - len(measure.points[point]):
            yield f"{missing} of {len(planned)} runs of {point} have no {measure.metric}"


def between(a: str, b: str, measure: Measure, rows: Sequence[Row]) -> Difference:
    """Any two points by one measure, whatever the plan holds against each other; `b` against `a`, by themselves."""
    one = compared(Difference("best", "", a, b), measure, rows)
    return one if one.p is None else _with_verdict(one, measure.higher_is_better, one.p, 1)


# tables


def results_table(rows: Sequence[Row], found: Sequence[Measure]) -> list[dict[str, Any]]:
    """A line for each run, evaluation and metric; runs without a value have one line with the cause."""
    lines: list[dict[str, Any]] = []
    for measure in found:
        for point, of_point in measure.points.items():
            whole = measure.level(point)
            for row in of_point:
                single = measure.measured([row.run])
                own = None if single is None else noise.level(single[0], single[1], None, SEED)
                lines.append(_line(row, measure, own, whole, len(of_point)))
    told = {(line["run"], line["task"], line["epoch"]) for line in lines}
    lines += [_about(row) for row in rows if (row.run, row.task or "", row.epoch) not in told]
    return lines


def _line(row: Row, measure: Measure, own: Interval | None, whole: Interval | None, seeds: int) -> dict[str, Any]:
    metric = next(m for m in row.metrics if metrics.same(m.name, measure.metric))
    return _about(row) | {
        "metric": measure.metric,
        "value": metric.value,
        "low": own and own[1],
        "high": own and own[2],
        "n": results.samples_of(metric),
        "higher_is_better": measure.higher_is_better,
        "seeds": seeds,
        "mean": float(measure.values_of(measure.points[row.point]).mean()),
        "mean_low": whole and whole[1],
        "mean_high": whole and whole[2],
    }


def _about(row: Row) -> dict[str, Any]:
    hours = None if row.seconds is None else round(row.seconds / 3600, 4)
    own = {"run": row.run, "point": row.point, "type": row.type, "seed": row.seed, "task": row.task or ""}
    end = {"attempts": row.attempts, "hours": hours, "device": row.device, "changes": row.changes}
    return {
        **own,
        "epoch": row.epoch,
        "state": row.state,
        "cause": row.cause,
        **{f"parameter.{name}": value for name, value in row.parameters.items()},
        **end,
        "settings": row.settings,
    }


def comparisons_table(found: Sequence[Difference]) -> list[dict[str, Any]]:
    return [{**one._asdict(), "notes": "; ".join(one.notes)} for one in found]
