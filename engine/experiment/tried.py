"""What experiments tried beside the versions: candidates of a version that were trained side by side, each judged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from progtrain.engine import metrics
from progtrain.engine.analysis.types import VersionRecord
from progtrain.engine.errors import InputError
from progtrain.engine.experiment import compare, expand, folder, results
from progtrain.engine.experiment import plan as plans
from progtrain.engine.experiment.compare import Difference
from progtrain.engine.experiment.expand import Run
from progtrain.engine.experiment.folder import ExperimentFolder
from progtrain.engine.experiment.plan import Plan
from progtrain.engine.experiment.results import Row
from progtrain.engine.files import read_bytes
from progtrain.engine.script.action.operations import parse_operation
from progtrain.engine.workspace import Workspace


def base_of(ws: Workspace, plan: Plan) -> str | None:
    """The version whose candidates an experiment trains; None for experiments of another kind."""
    if plan.experiment.kind != "candidates":
        return None
    return next((version for version in ws.versions() if ws.script(version).name == plan.base.script), None)


def judged(plan: Plan, its: ExperimentFolder, metric: str) -> dict[str, tuple[Sequence[Row], Difference | None]]:
    """Point -> its runs that have the metric, and what they come to against the base, as `comparisons.csv` has it.

    By the first evaluation that measures the metric. None where the experiment trains no base to compare with.
    """
    rows = compare.ordered(plan, results.read(its))
    found = next((one for one in compare.measures(its, rows) if metrics.same(one.metric, metric)), None)
    if found is None:
        return {}
    against = {one.b: one for one in compare.differences(plan, rows, [found]) if one.kind == "control"}
    return {point: (runs, against.get(point)) for point, runs in found.points.items()}


def by_name(plan: Plan, its: ExperimentFolder) -> Mapping[str, Run]:
    return {run.name: run for run in expand.runs(plan, its)}


def beside(ws: Workspace, metric: str) -> tuple[list[VersionRecord], list[str]]:
    """Of all experiments: each candidate that was trained and scored, and what it brought; and which cannot be read.

    A record's version is `EXPERIMENT/RUN`, its base the version that it is a change to.
    """
    found: list[VersionRecord] = []
    broken: list[str] = []
    for name in folder.names(ws):
        its = folder.folder(ws, name)
        try:
            # most plans are of another kind, and reading one takes its time
            if b"candidates" in read_bytes(its.plan):
                found += _of(ws, its, metric)
        except (InputError, OSError) as error:
            broken.append(f"what the experiment {name} tried is not known: {error}")
    return found, broken


def _of(ws: Workspace, its: ExperimentFolder, metric: str) -> list[VersionRecord]:
    plan = plans.read(its)
    base = base_of(ws, plan)
    if base is None:
        return []
    known, found = by_name(plan, its), []
    for point, (rows, against) in judged(plan, its, metric).items():
        action = known[rows[0].run].action if rows[0].run in known else None
        if action is None:
            continue
        values = [value for row in rows if (value := compare.value_of(row, metric)) is not None]
        found.append(
            VersionRecord(
                version=f"{its.name}/{point}",
                source="",
                primary=sum(values) / len(values),
                base=base,
                operation=action,
                action_text=parse_operation(action).describe(),
                verdict_base=against.verdict if against else None,
                comparable=against is not None and not against.refused,
            )
        )
    return found
