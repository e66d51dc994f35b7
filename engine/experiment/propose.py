"""Experiments on offer: plans made by code from what versions and finished experiments say.

As with actions, each is whole: reasons from facts, what it could decide, what it would cost, and the plan itself,
checked as any other. Locks and rules hold, since a plan that breaks one is refused by the check. What an experiment of
the workspace has done, or is about to do, is not offered again.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from progtrain.advisor.interface import Candidate
from progtrain.engine.analysis.gather import gather
from progtrain.engine.analysis.types import Insight, VersionRecord
from progtrain.engine.clock import Clock, now
from progtrain.engine.drafting import history, next_script
from progtrain.engine.errors import InputError
from progtrain.engine.experiment import expand, folder, follow_up, ideas, tried
from progtrain.engine.experiment import plan as plans
from progtrain.engine.experiment.expand import Run
from progtrain.engine.experiment.ideas import SEEDS, Idea
from progtrain.engine.experiment.plan import Plan
from progtrain.engine.experiment.stages import design
from progtrain.engine.experiment.stages.design import Designed
from progtrain.engine.rules import rules
from progtrain.engine.rules.rules import Rules
from progtrain.engine.script.names import canonical
from progtrain.engine.text import shortened
from progtrain.engine.workspace import Workspace
from progtrain.engine.yaml_text import read_mapping

#: what is offered, its `why` being what it could decide; and its plan, checked
Proposal = tuple[Candidate, Designed]


def proposals(ws: Workspace, clock: Clock = now) -> tuple[list[Proposal], list[str], Insight | None]:
    """The best first by the rules, what is left out and why, and the insight that they rest on, where there is one.

    Raises `InputError` where there is neither a version that was evaluated nor an experiment that has ended.
    """
    present = rules.load(ws)
    insight, records = latest(ws, present)
    sources: dict[str, Callable[[], Iterable[Idea]]] = {"experiments": lambda: follow_up.of_experiments(ws, present)}
    if insight is not None:
        held = (ws, present, insight, records)
        sources |= {name: lambda made=made: made(*held) for name, made in ideas.OF_VERSIONS.items()}  # type: ignore[misc]
    found: list[Proposal] = []
    left_out: list[str] = []
    taken = _planned(ws)
    for label, source in sources.items():
        _gather(ws, label, source, taken, found, left_out, clock)
    if insight is None and not found and not left_out:
        fix = "progtrain run trains and evaluates a first version"
        raise InputError(
            "nothing to propose: no version was evaluated, and no experiment has ended", file=ws.root, fix=fix
        )
    found.sort(key=lambda one: (-one[0].score, len(one[1].runs), one[0].id))
    ranked = [(offer.model_copy(update={"rank": at}), designed) for at, (offer, designed) in enumerate(found, start=1)]
    return ranked, left_out, insight


def _gather(
    ws: Workspace,
    label: str,
    source: Callable[[], Iterable[Idea]],
    taken: list[tuple[str, frozenset[str]]],
    found: list[Proposal],
    left_out: list[str],
    clock: Clock,
) -> None:
    """Adds what can be done and was not done yet."""
    try:
        listed = list(source())
    except InputError as error:
        left_out.append(_reason(ws, "", label, error))
        return
    for offer, content in listed:
        name = free_name(ws, content["experiment"]["name"])
        whole = {**content, "experiment": {**content["experiment"], "name": name}}
        try:
            designed = design.planned(ws, whole, [], clock)
        except InputError as error:
            left_out.append(_reason(ws, name, offer.id, error))
            continue
        own = _signature(designed.experiment.plan, designed.runs)
        same = next((name for name, runs in taken if own <= runs), "")
        if same:
            left_out.append(f"{offer.id}: all its runs are those of {same}")
            continue
        taken.append((offer.id, own))
        found.append((offer.model_copy(update={"change": told(designed)}), designed))


def _reason(ws: Workspace, name: str, label: str, error: InputError) -> str:
    """In one line; which plan it is about, and where the workspace lies, go without saying."""
    reason = error.reason.replace(f"{folder.folder(ws, name).plan}, ", "").replace(f"{ws.root}/", "")
    return shortened(f"{label}: {reason}", 240)


def told(designed: Designed) -> str:
    """How much it is, in words."""
    trained = [run for run in designed.runs if run.type != "eval-only"]
    repeats = designed.experiment.plan.repeats
    seeds = f", {repeats} seeds each" if repeats > 1 else ""
    return f"{len(trained)} trainings of {designed.experiment.plan.base.script or 'its base'}{seeds}"


def cost(designed: Designed) -> str:
    """Time in all, with what that rests on; said where nobody knows."""
    if designed.hours is None:
        return "time not known: nothing like it was trained here yet"
    hours = designed.hours
    time = f"{60 * hours:.0f} minutes" if hours < 2 else f"{hours:.1f} hours"
    return f"at most {time} in all ({design.basis(designed.experiment.plan)})"


def latest(ws: Workspace, present: Rules) -> tuple[Insight | None, list[VersionRecord]]:
    """What the newest evaluated version says, and all of them; worked out where nobody has analysed it."""
    records = history.records(ws, present)
    if not records:
        return None, []
    version = records[-1].version
    found = history.read_insight(ws, version)
    if found is None:
        beside, _ = tried.beside(ws, present.primary_metric)
        found = gather(ws, version, next_script.limits(present), records, beside)
    return found, records


def renamed(ws: Workspace, designed: Designed, name: str, clock: Clock = now) -> Designed:
    """The same under another name. Raises `InputError` where that is taken."""
    path = folder.folder(ws, name).plan
    if path.exists():
        raise InputError("there is a plan already", file=path, fix="choose another name")
    content = read_mapping(designed.text, designed.experiment.folder.plan)
    return design.planned(ws, {**content, "experiment": {**content["experiment"], "name": name}}, [], clock)


def free_name(ws: Workspace, wanted: str) -> str:
    """`wanted`, or the first of `wanted-2`, `wanted-3` ... that is not taken."""
    name, number = wanted, 1
    while folder.folder(ws, name).path.exists():
        number += 1
        name = f"{wanted}-{number}"
    return name


def would_decide(ws: Workspace, present: Rules, insight: Insight, records: Sequence[VersionRecord]) -> str:
    """Where a version and what it was made from cannot be told apart: what would, with its cost. Else empty."""
    compared = insight.against_base
    if compared is None or compared.verdict != "within noise":
        return ""
    found: list[Proposal] = []
    _gather(ws, "", lambda: ideas.last_action(ws, present, insight, records), _planned(ws), found, [], now)
    if not found:
        return ""
    each = f"{insight.version} and {compared.against} with {SEEDS} seeds each"
    return f"`progtrain experiment propose` (repeats: {SEEDS}) would decide it: {each}, {cost(found[0][1])}"


# what was planned before


def _planned(ws: Workspace) -> list[tuple[str, frozenset[str]]]:
    """Name and runs of each experiment that is there."""
    found = []
    for name in folder.names(ws):
        held = folder.folder(ws, name)
        try:
            plan = plans.read(held)
            found.append((name, _signature(plan, expand.runs(plan, held))))
        except InputError:
            continue  # broken: nothing can be said of it
    return found


def _signature(plan: Plan, runs: Sequence[Run]) -> frozenset[str]:
    """A text for each run, the same for runs that train the same, whatever they are called."""
    about = [plan.base.model_dump(mode="json"), plan.tools.training]

    def text(run: Run) -> str:
        settings = {canonical(name): _plain(value) for name, value in run.settings.items()}
        return json.dumps([*about, settings, run.action, run.checkpoint], sort_keys=True, default=str)

    return frozenset(map(text, runs))


def _plain(value: Any) -> Any:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else value
