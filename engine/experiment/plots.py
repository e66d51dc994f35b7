"""What the plots of an experiment show, as plain series: `drawing.py` makes files, a screen its own pictures.

Every number in them stands in `results.csv` or `comparisons.csv`, but for the curves.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence
from typing import Any, Literal, NamedTuple

from progtrain.engine import values
from progtrain.engine.analysis.measure.curves import Curves, read_metrics
from progtrain.engine.errors import InputError
from progtrain.engine.experiment import compare, results
from progtrain.engine.experiment.compare import Difference, Measure
from progtrain.engine.experiment.folder import ExperimentFolder, RunFolder
from progtrain.engine.experiment.plan import Plan
from progtrain.engine.experiment.results import Row
from progtrain.engine.workspace import VersionFolder

#: name, x, y, and the ends of an interval for each point (along x in a forest, along y elsewhere); None: none
Series = tuple[str, Sequence[float], Sequence[float], Sequence[tuple[float, float]] | None]

#: curves of more runs than this cannot be told apart
MOST_CURVES = 12
#: pairs in one forest
_MOST_PAIRS = 60
#: points of one curve
_POINTS = 400


class Plot(NamedTuple):
    #: of its file, without ending
    name: str
    #: lines: points that belong together are joined. heat: the third member of each point's series is its value
    kind: Literal["forest", "lines", "points", "heat"]
    title: str
    x: str
    y: str
    series: Sequence[Series]
    #: names of the places 0, 1, 2 ... on an axis; empty: numbers
    x_names: Sequence[str] = ()
    y_names: Sequence[str] = ()
    #: heat: [y][x], None where there is no such point
    cells: Sequence[Sequence[float | None]] = ()


def of(folder: ExperimentFolder, plan: Plan) -> list[Plot]:
    """For a screen: all that can be drawn of the results that are there now; empty before there are any."""
    rows = compare.ordered(plan, results.read(folder))
    found = compare.measures(folder, rows)
    return plots(folder, plan, rows, found, compare.differences(plan, rows, found))


def plots(
    folder: ExperimentFolder, plan: Plan, rows: Sequence[Row], found: Sequence[Measure], told: Sequence[Difference]
) -> list[Plot]:
    """All that can be drawn of what is there."""
    made: list[Plot] = []
    for measure in found:
        made += [*_forest(measure, told), *_effects(plan, measure), *_heat(plan, measure), *_cost(measure)]
    return [*made, *_curves(folder, rows)]


def _named(kind: str, measure: Measure, more: str = "") -> tuple[str, str]:
    """A file's name, and which evaluation a plot is of."""
    task = f"{measure.task}, {measure.epoch}" if measure.epoch not in (None, "best") else measure.task
    text = "-".join(part for part in (kind, measure.task, str(measure.epoch), measure.metric, more) if part)
    return re.sub(r"[^A-Za-z0-9_.+-]+", "_", text), task


def _forest(measure: Measure, told: Sequence[Difference]) -> Iterator[Plot]:
    of_it = [one for one in told if (one.task, one.epoch, one.metric) == (measure.task, measure.epoch, measure.metric)]
    shown = [one for one in of_it if one.delta is not None][:_MOST_PAIRS]
    if not shown:
        return
    name, task = _named("forest", measure)
    series: list[Series] = []
    for verdict in ("better", "worse", "within noise"):
        at = [place for place, one in enumerate(shown) if one.verdict == verdict]
        ends = [(shown[place].low or 0.0, shown[place].high or 0.0) for place in at]
        if at:
            series.append((verdict, [shown[place].delta or 0.0 for place in at], at, ends))
    title = f"Differences in {measure.metric} ({task}), with 95 % intervals"
    way = "higher" if measure.higher_is_better else "lower"
    labels = [_label(one, measure) for one in shown]
    yield Plot(name, "forest", title, f"difference in {measure.metric} ({way} is better)", "", series, (), labels)


def _label(one: Difference, measure: Measure) -> str:
    """By what differs, where that is less than the names of both points."""
    held = [measure.points[point] for point in (one.a, one.b) if one.kind == "variable" and point in measure.points]
    if len(held) != 2:
        return f"{one.b} against {one.a}"
    a, b = (rows[0].parameters for rows in held)
    unlike = [name for name in b if not values.same(a.get(name), b[name])]
    said = ", ".join(f"{name} {values.show(b[name])} against {values.show(a.get(name))}" for name in unlike)
    return f"{said} ({one.fixed})" if one.fixed else said


def _effects(plan: Plan, measure: Measure) -> Iterator[Plot]:
    """The mean over the others at each value of a variable, and the points that it is of."""
    for variable in compare.variables(plan, measure.points):
        at, means = _by_value(plan, measure, variable)
        if len(at) < 2:
            continue
        places = list(range(len(at)))
        averages = [sum(held.values()) / len(held) for held in means]
        rests = list(dict.fromkeys(rest for held in means for rest in held))
        others: list[Series] = []
        for rest in rests if len(rests) > 1 else ():
            there = [place for place in places if rest in means[place]]
            others.append((rest, there, [means[place][rest] for place in there], None))
        name, task = _named("effect", measure, variable)
        mean: Series = ("mean" if others else measure.metric, places, averages, None)
        title = f"{measure.metric} ({task}) by {variable}"
        yield Plot(name, "lines", title, variable, measure.metric, [mean, *others[: MOST_CURVES - 1]], at)


def _by_value(plan: Plan, measure: Measure, variable: str) -> tuple[list[str], list[dict[str, float]]]:
    """Values of a variable as text, in order, and for each: the other settings -> the metric."""
    found: dict[str, dict[str, float]] = {}
    held: dict[str, Any] = {}
    for rows in measure.points.values():
        parameters = rows[0].parameters
        if variable in parameters and rows[0].type == "trained":
            shown = values.show(parameters[variable])
            rest = ", ".join(f"{k} {values.show(v)}" for k, v in parameters.items() if k != variable)
            found.setdefault(shown, {})[rest] = float(measure.values_of(rows).mean())
            held[shown] = parameters[variable]
    order = [values.show(value) for value in _listed(plan, variable)]
    names = sorted(found, key=lambda name: (order.index(name) if name in order else len(order), _size(held[name])))
    return names, [found[name] for name in names]


def _listed(plan: Plan, variable: str) -> Sequence[Any]:
    listed = plan.variables.get(variable)
    return listed if isinstance(listed, list) else ()


def _size(value: Any) -> float:
    return values.number(value) or 0.0


def _heat(plan: Plan, measure: Measure) -> Iterator[Plot]:
    """Of each two variables; where others vary too, of their mean."""
    for one, other in itertools.combinations(compare.variables(plan, measure.points), 2):
        sums: dict[tuple[str, str], list[float]] = {}
        for rows in measure.points.values():
            held = rows[0].parameters
            if one in held and other in held:
                place = values.show(held[one]), values.show(held[other])
                sums.setdefault(place, []).append(float(measure.values_of(rows).mean()))
        x, y = (_by_value(plan, measure, name)[0] for name in (one, other))
        if len(x) < 2 or len(y) < 2 or len(x) * len(y) > 4 * len(sums):
            continue
        cells = [[_mean(sums.get((a, b))) for a in x] for b in y]
        name, task = _named("heat", measure, f"{one}-{other}")
        title = f"{measure.metric} ({task}) by {one} and {other}"
        yield Plot(name, "heat", title, one, other, [(measure.metric, (), (), None)], x, y, cells)


def _mean(held: Sequence[float] | None) -> float | None:
    return sum(held) / len(held) if held else None


def _cost(measure: Measure) -> Iterator[Plot]:
    series: list[Series] = []
    for point, rows in measure.points.items():
        hours = [row.seconds / 3600 for row in rows if row.seconds]
        if hours:
            level = measure.level(point)
            ends = [(level[1], level[2])] if level else None
            series.append((point, [sum(hours)], [float(measure.values_of(rows).mean())], ends))
    if len(series) > MOST_CURVES:
        # more cannot be told apart by their colours
        series = [("points", [x for _, (x,), _, _ in series], [y for _, _, (y,), _ in series], None)]
    if series:
        name, task = _named("cost", measure)
        title = f"{measure.metric} ({task}) against what it cost"
        yield Plot(name, "points", title, "hours of training, all seeds", measure.metric, series)


# curves


def _curves(folder: ExperimentFolder, rows: Sequence[Row]) -> Iterator[Plot]:
    runs = list(dict.fromkeys(row.run for row in rows if row.type != "eval-only"))
    logged = {run: held for run in runs if (held := curves_of(folder.run(run))) is not None}
    for title, column in (("Validation loss", "val_loss"), ("Training loss", "train_loss")):
        series = []
        for run, held in itertools.islice(logged.items(), MOST_CURVES):
            name = getattr(held, column)
            points = [] if name is None else held.per_epoch(name)
            points = [point for point in points if abs(point[1]) < float("inf")]
            if points:
                step = -(-len(points) // _POINTS)
                thin = points[::step]
                series.append((run, [float(epoch) for epoch, _ in thin], [value for _, value in thin], None))
        if series:
            left = f", {MOST_CURVES} of {len(logged)} runs" if len(logged) > MOST_CURVES else ""
            yield Plot(f"curves-{column}", "lines", f"{title}{left}", "epoch", "loss", series)


def curves_of(run: RunFolder) -> Curves | None:
    """What its training logged; None where it left no `metrics.csv` that can be read."""
    made = VersionFolder(run.artifacts)
    for place in (*reversed(made.log_dirs()), made.path):
        try:
            return read_metrics(place / "metrics.csv")
        except InputError:
            continue
    return None
