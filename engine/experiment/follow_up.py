"""Experiments that finished ones give reason for: their best point again, with further seeds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from progtrain.engine import values
from progtrain.engine.analysis.facts import signed_text
from progtrain.engine.errors import InputError
from progtrain.engine.experiment import compare, expand, report, results
from progtrain.engine.experiment import folder as folders
from progtrain.engine.experiment import plan as plans
from progtrain.engine.experiment.compare import Difference
from progtrain.engine.experiment.folder import ExperimentFolder
from progtrain.engine.experiment.ideas import SEEDS, SENTENCES, Idea, idea
from progtrain.engine.experiment.plan import Plan
from progtrain.engine.experiment.results import Row
from progtrain.engine.rules.rules import Rules
from progtrain.engine.workspace import Workspace

#: the newest: what older ones left open seldom matters any more
_LOOKED_AT = 5
#: of a plan: what a repetition takes over
_KEPT = ("tools", "base", "resources", "retry", "notify")


def of_experiments(ws: Workspace, present: Rules) -> Iterator[Idea]:
    """From those whose runs have all ended. A search is none of them: it confirms its winner with seeds itself."""
    named = [folders.folder(ws, name) for name in folders.names(ws)]
    newest = sorted((held for held in named if held.results.is_file()), key=lambda held: held.results.stat().st_mtime)
    for held in reversed(newest[-_LOOKED_AT:]):
        try:
            plan, rows = plans.read(held), results.read(held)
            ended = {row.run for row in rows} >= {run.name for run in expand.runs(plan, held)}
        except InputError:
            continue
        if ended and plan.experiment.kind != "hpo":
            yield from _best_again(held, plan, rows, present)


def _best_again(held: ExperimentFolder, plan: Plan, rows: Sequence[Row], present: Rules) -> Iterator[Idea]:
    """The best point and the one after it, where too few seeds tell them apart."""
    found = compare.measures(held, compare.ordered(plan, rows))
    if not found:
        return
    measure = report.chief(plan, found, present.primary_metric)
    order = compare.best_first(measure)
    trained = [point for point in order if measure.points[point][0].type == "trained"]
    best = order[0]
    if best not in trained or len(measure.points[best]) >= SEEDS or len(trained) < 2:
        return
    second = trained[1]
    between = compare.between(second, best, measure, rows)
    content = _of_points(plan, measure.points[best][0], measure.points[second][0])
    yield idea(
        f"repeat_best_with_seeds_of_{held.name}",
        f"repeat-{held.name}",
        f"train {best} and {second} of {held.name}, with {SEEDS} seeds each",
        f"whether {best} is better than {second} by more than what the seed does",
        content,
        (f"for: {_said(between)}", f"for: {best} was trained with {_seeds(len(measure.points[best]))}"),
        score={"within noise": 0.85, "better": 0.45}.get(between.verdict or "", 0.6),
        sentences=SENTENCES["repeats"],
    )


def _of_points(plan: Plan, best: Row, second: Row) -> Mapping[str, Any]:
    """The same plan with these two points alone, which move together in all in which they differ."""
    dumped = plan.model_dump(mode="json", exclude_defaults=True)
    content = {key: dumped[key] for key in _KEPT if key in dumped}
    evaluation = dict(dumped.get("evaluation") or {})
    evaluation["matrix"] = [row for row in evaluation.get("matrix", ()) if row.get("run", "*") == "*"]
    content |= {"repeats": SEEDS, "evaluation": {key: value for key, value in evaluation.items() if value}}
    controls = dict(dumped.get("controls") or {})
    if plan.experiment.kind == "candidates":
        wanted = {best.point, second.point}
        added = [run for run in dumped["runs"]["add"] if run["name"] in wanted or run.get("type") == "control"]
        return content | {"kind": "candidates", "controls": controls, "runs": {"add": added}}
    points = [{name: value for name, value in row.parameters.items() if name != "seed"} for row in (second, best)]
    names = [name for name in points[0] if name in points[1]]
    differing = [name for name in names if not values.same(points[0][name], points[1][name])]
    controls |= {name: points[1][name] for name in names if name not in differing}
    variables = {name: [point[name] for point in points] for name in differing}
    return content | {
        "kind": "grid",
        "variables": variables,
        "zip": [differing] if len(differing) > 1 else [],
        "controls": controls,
    }


def _said(between: Difference) -> str:
    if between.refused:
        return f"{between.b} and {between.a} cannot be told apart: {between.refused}"
    interval = f"95 % interval {signed_text(between.low)} to {signed_text(between.high)}"
    delta = f"{between.metric} {signed_text(between.delta)}"
    return f"{between.b} against {between.a} is {between.verdict}: {delta}, {interval}"


def _seeds(count: int) -> str:
    return "one seed" if count == 1 else f"{count} seeds"
