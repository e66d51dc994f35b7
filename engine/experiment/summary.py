"""`experiment_summary.md`: plan, states and links, for people. Written anew each time, never read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from progtrain.engine import values
from progtrain.engine.experiment import view
from progtrain.engine.experiment.state import RunState
from progtrain.engine.experiment.workers.base import Experiment
from progtrain.engine.files import write_text
from progtrain.engine.text import clean_line


def write(experiment: Experiment, states: Sequence[RunState]) -> None:
    """Raises `StorageError`."""
    write_text(experiment.folder.summary, text(experiment, states))


def text(experiment: Experiment, states: Sequence[RunState]) -> str:
    plan, folder = experiment.plan, experiment.folder
    asked = plan.experiment
    lines = [
        f"# {asked.name}",
        "",
        "Written by progtrain; what is changed here is lost. The plan is `experiment.yaml`.",
    ]
    lines += _pairs(
        ("Question", asked.question),
        ("Hypothesis", asked.hypothesis),
        ("Kind", asked.kind),
        ("Base", plan.base.script or plan.base.recipe or " ".join(plan.base.command or [])),
        ("Trained by", plan.tools.training),
        ("Evaluated by", ", ".join(dict.fromkeys(plan.tool_of(task) for task in plan.tasks))),
        ("Executor", plan.resources.executor),
        *((f"Shared: {name}", values.show(value)) for name, value in plan.controls.items()),
    )
    lines += ["", "## Runs", "", *_runs(experiment, states)]
    if any(held.cells for held in states):
        lines += ["", "## Evaluations", "", *_evaluations(states)]
    links = [("Results", folder.results), ("Report", folder.report), ("What happened", folder.log("run-experiment"))]
    there = [f"- [{name}]({path.relative_to(folder.path)})" for name, path in links if path.exists()]
    lines += ["", "## Files", "", *there] if there else []
    return "\n".join(lines) + "\n"


def _pairs(*pairs: tuple[str, Any]) -> list[str]:
    return ["", *(f"- {name}: {clean_line(value)}" for name, value in pairs if value)]


def _runs(experiment: Experiment, states: Sequence[RunState]) -> list[str]:
    names = list(dict.fromkeys(name for held in states for name in held.run.parameters))
    found = view.metrics_of(experiment.folder)
    measured = list(dict.fromkeys(name for told in found.values() for name in told))
    places = {name: values.places(told.get(name) for told in found.values()) for name in measured}
    rows = [
        [
            f"[{held.run.name}]({held.run.name}/)",
            held.run.type,
            *(held.run.parameters.get(name, "") for name in names),
            held.phase,
            held.reason,
            held.training.attempt,
            *(_number(found.get(held.run.name, {}).get(name), places[name]) for name in measured),
        ]
        for held in states
    ]
    return _table(["run", "type", *names, "state", "reason", "attempts", *measured], rows)


def _evaluations(states: Sequence[RunState]) -> list[str]:
    cells = [cell for held in states for cell in held.cells]
    rows = [[cell.run.name, cell.what, cell.phase, cell.reason] for cell in cells]
    return _table(["run", "evaluation", "state", "reason"], rows)


def _number(value: float | None, places: int) -> str:
    return "" if value is None else values.metric(value, places)


def _table(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> list[str]:
    def line(cells: Sequence[Any]) -> str:
        return "| " + " | ".join(clean_line(values.show(cell)).replace("|", "\\|") for cell in cells) + " |"

    return [line(header), line(["---"] * len(header)), *map(line, rows)]
