"""From options of the command line to `experiment.yaml`, checked as a whole before it is written."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import yaml

from progtrain.engine.analysis.advise.candidates import same_operation
from progtrain.engine.clock import Clock, now
from progtrain.engine.control import lock
from progtrain.engine.drafting import addition, history, next_script
from progtrain.engine.errors import InputError
from progtrain.engine.experiment import estimate, expand, tried
from progtrain.engine.experiment import folder as folders
from progtrain.engine.experiment import plan as plans
from progtrain.engine.experiment.expand import Cell, Run
from progtrain.engine.experiment.logbook import Logbook
from progtrain.engine.experiment.opening import busy, minutes, opened
from progtrain.engine.experiment.plan import Plan
from progtrain.engine.experiment.stages.scaffold import problems, refuse
from progtrain.engine.experiment.workers.base import Experiment
from progtrain.engine.files import read_text, write_text
from progtrain.engine.rules import rules
from progtrain.engine.workspace import Workspace
from progtrain.engine.yaml_text import number

_HEAD = "# The plan of an experiment. Its keys: progtrain docs experiments\n"


class Designed(NamedTuple):
    experiment: Experiment
    #: of `experiment.yaml`
    text: str
    runs: Sequence[Run]
    cells: Sequence[Cell]
    notes: Sequence[str] = ()

    @property
    def hours(self) -> float | None:
        """Of all trainings together, by the time that each is given; None: nobody says."""
        each = minutes(self.experiment.plan)
        return None if each is None else each * len([run for run in self.runs if run.type != "eval-only"]) / 60


def basis(plan: Plan) -> str:
    """What the time of a run is taken from; empty where none is known."""
    if minutes(plan) is None:
        return ""
    told = plan.estimates.get("time")
    said = told.get("basis") if plan.resources.time == "auto" and isinstance(told, dict) else ""
    return str(said or "resources.time")


def read(ws: Workspace, name: str, clock: Clock = now) -> Designed:
    """The plan that is there. Raises `InputError` with all that is wrong with it."""
    experiment = opened(ws, name, clock)
    return _checked(experiment, read_text(experiment.folder.plan))


def made(ws: Workspace, name: str, given: Mapping[str, Any], clock: Clock = now) -> Designed:
    """A plan from options; writes nothing. Raises `InputError`, also where there is a plan of that name.

    `given`: `base`, `from_version` with `candidates`, `vary` and `fixed` as `name=values`, `repeats`, `with_base`,
    `tool`, `evaluate`, `question`, `probe`, and whatever of `resources` was named.
    """
    folder = folders.folder(ws, name)
    if folder.plan.exists():
        raise InputError("there is a plan already", file=folder.plan, fix="edit it, or choose another name")
    notes: list[str] = []
    return planned(ws, content(ws, name, given, notes), notes, clock, probe=bool(given.get("probe")))


def planned(
    ws: Workspace, held: Mapping[str, Any], notes: list[str], clock: Clock = now, *, probe: bool = False
) -> Designed:
    """A plan from what its keys hold, checked, with what a run will take. Writes nothing. Raises `InputError`."""
    name = held["experiment"]["name"]
    folder, text = folders.folder(ws, name), _written(held)
    plan = plans.parse(text, folder)
    designed = _checked(opened(ws, name, clock, plan), text)
    told = estimated(designed, probe, notes)
    if told:
        # what was checked stays as it was
        text = _written({**held, "estimates": told})
        whole = replace(designed.experiment, plan=plans.parse(text, folder))
        designed = designed._replace(experiment=whole, text=text)
    return designed._replace(notes=notes)


def _written(content: Mapping[str, Any]) -> str:
    return _HEAD + yaml.safe_dump(content, sort_keys=False, allow_unicode=True, default_flow_style=None, width=110)


def estimated(designed: Designed, probe: bool, notes: list[str]) -> dict[str, Any]:
    """What a run will take, where the plan does not state it: from runs that were alike, or from a few steps."""
    experiment, asked = designed.experiment, designed.experiment.plan.resources
    if experiment.plan.tools.training is None or not any(run.type != "eval-only" for run in designed.runs):
        return {}
    runs = estimate.whole(experiment, designed.runs)
    told, missing = estimate.estimate(experiment.plan, runs, estimate.priors(experiment.plan, experiment.ws))
    if probe:
        told = estimate.probe(experiment, designed.runs) | told
    stated = {what for what in ("time", "memory") if getattr(asked, what) != "auto"}
    unknown = [what for what in missing if what not in told and what not in stated]
    # here nobody has to be asked for either
    if unknown and asked.executor != "local":
        fix = "state it, or measure a few steps with --probe"
        notes.append(f"nothing is known of {' and '.join(unknown)} of such runs: {fix}")
    return {what: found for what, found in told.items() if what not in stated}


def _checked(experiment: Experiment, text: str) -> Designed:
    runs = expand.runs(experiment.plan, experiment.folder)
    cells = expand.cells(experiment.plan, runs, experiment.folder)
    refuse(problems(experiment), experiment)
    return Designed(experiment, text, runs, cells)


def write(designed: Designed) -> None:
    folder, clock = designed.experiment.folder, designed.experiment.clock
    with lock.hold_file(folder.lock, busy(folder)):
        write_text(folder.plan, designed.text)
        text = f"{len(designed.runs)} runs, {len(designed.cells)} evaluations"
        Logbook(folder, "design", clock).write("stage_done", text, stage="design")


def content(ws: Workspace, name: str, given: Mapping[str, Any], notes: list[str]) -> dict[str, Any]:
    """What stands in a plan that options ask for, see `made`. Raises `InputError`."""
    varied = dict(map(_assigned, given.get("vary") or ()))
    version, repeats = given.get("from_version"), given.get("repeats") or 1
    base = _base(ws, given.get("base"), version)
    kind = "candidates" if version else "repeats" if repeats > 1 and not varied else "grid"
    added = [{"name": "base", "type": "control"}] if given.get("with_base") or version else []
    if version:
        added += _candidates(ws, version, given.get("candidates") or 6, notes)
    tools: dict[str, Any] = {"training": given.get("tool")} if given.get("tool") else {}
    tools |= {"evaluation": list(given["evaluate"])} if given.get("evaluate") else {}
    parts = {
        "experiment": {"name": name, "question": given.get("question") or "", "kind": kind},
        "tools": tools,
        "base": {"script": base},
        "variables": varied,
        "controls": {key: values[0] for key, values in map(_assigned, given.get("fixed") or ())},
        "repeats": repeats if repeats > 1 else None,
        "runs": {"add": added} if added else None,
        "resources": {key: value for key, value in (given.get("resources") or {}).items() if value is not None},
    }
    return {key: value for key, value in parts.items() if value}


def _base(ws: Workspace, stated: str | None, version: str | None) -> str:
    if version:
        if stated:
            raise InputError("--from names the base already", place="--base", fix="leave --base out")
        if version not in ws.versions():
            there = ", ".join(ws.versions()) or "none yet"
            raise InputError(f"there is no version {version!r}", file=ws.root, fix=f"versions are: {there}")
        return ws.script(version).name
    if stated:
        return stated
    if not ws.versions():
        there = next((path.name for path in [ws.baseline_script, *sorted(ws.root.glob("*.py"))] if path.is_file()), "")
        fix = f"name a script: --base {there or '02_train_v001.py'}"
        raise InputError("there is no version yet: what is to be trained?", place="--base", fix=fix)
    return ws.script(ws.versions()[-1]).name


def _assigned(text: str) -> tuple[str, list[Any]]:
    """`rank=8,16` -> `("rank", [8, 16])`."""
    name, sign, values = text.partition("=")
    try:
        found = number(yaml.safe_load(f"[{values}]"))
    except (yaml.YAMLError, ValueError, RecursionError):
        found = None
    if not (sign and name.strip() and found):
        raise InputError(f"{text!r} gives no values", place="--vary, --set", fix="write name=8,16")
    return name.strip(), found


def _candidates(ws: Workspace, version: str, count: int, notes: list[str]) -> list[dict[str, Any]]:
    """Those of the version's analysis that can be applied to it, the best first."""
    insight, present = history.read_insight(ws, version), rules.load(ws)
    if insight is None:
        fix = f"progtrain step analyze --version {version}"
        raise InputError(
            f"{version} has not been analysed: nothing is proposed for it", file=ws.insight(version), fix=fix
        )
    found: list[dict[str, Any]] = []
    before = [one for one in tried.beside(ws, present.primary_metric)[0] if one.base == version]
    for candidate in insight.candidates:
        if len(found) == count:
            break
        if done := next((one.version for one in before if same_operation(one.operation, candidate.operation)), None):
            notes.append(f"{candidate.id} is left out: {done} has tried it")
            continue
        if candidate.base not in (None, version):
            notes.append(f"{candidate.id} is left out: it is a change to {candidate.base}")
            continue
        try:
            planned = next_script.plan(ws, present, version, candidate.operation, base=version)
            addition.see_made(ws, planned.operation, version)
        except InputError as error:
            notes.append(f"{candidate.id} is left out: {error.reason}")
            continue
        found.append({"name": _folder_name(candidate.id), "action": dict(candidate.operation)})
    if not found:
        raise InputError(
            f"no candidate of {version} can be applied", file=ws.insight(version), fix="; ".join(notes[:3])
        )
    if len(found) < count:
        notes.append(f"{len(found)} candidates of {version} can be applied, {count} were asked for")
    return found


def _folder_name(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9_.+-]+", "-", text).strip("-.") or "candidate"
