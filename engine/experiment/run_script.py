"""The script of a run: that of the plan's base, with the run's settings in it and in the files that belong to it."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from progtrain.engine import values
from progtrain.engine.analysis.advise import at_run_time
from progtrain.engine.drafting import addition, next_script
from progtrain.engine.errors import InputError
from progtrain.engine.experiment.expand import Run
from progtrain.engine.experiment.plan import Range
from progtrain.engine.experiment.workers.base import Experiment
from progtrain.engine.files import read_text
from progtrain.engine.hooks import record_of
from progtrain.engine.rules.rules import Rules
from progtrain.engine.script import version_files
from progtrain.engine.script.action.set import SetOperation, put
from progtrain.engine.script.names import canonical, nearest
from progtrain.engine.script.settings import choose_setting, find_settings
from progtrain.engine.script.sources import joined, parted
from progtrain.engine.workspace import Workspace, next_version

_VERSION = re.compile(r"02_train_(v\d{3,}|baseline)\.py")
_OUTSIDE = re.compile(r"""["'](\.\./[^"'\n]{0,200})["']""")
#: another seed makes another run, never another data set or version
_SEED = "seed"


def workspace(experiment: Experiment) -> Workspace:
    """The user's, by its absolute path: a job starts elsewhere."""
    return Workspace(experiment.ws.root.absolute())


def version_of(experiment: Experiment, run: Run) -> str:
    """Under which version a run is trained and evaluated: that of its script, the next one for a candidate, for a
    checkpoint of a version that version. A script without a version has its own name for one.

    Raises `InputError` where the plan names no script.
    """
    ws = workspace(experiment)
    if run.checkpoint is not None:
        owner = experiment.path(run.checkpoint).absolute().parent.name
        if experiment.path(run.checkpoint).absolute().parent.parent == ws.artifacts and ws.script(owner).is_file():
            return owner
    version = _named(_path(experiment))
    return next_version(version) if run.action is not None else version


def base_is_script(experiment: Experiment) -> bool:
    return bool(experiment.plan.base.script)


def base(experiment: Experiment, version: str | None = None) -> dict[Path, str]:
    """Path -> what stands there, the script first; under names of the user's workspace, where nothing is written.

    Raises `InputError` where the script, or a file of it, cannot be read.
    """
    ws = workspace(experiment)
    if version is None or not ws.script(version).is_file():
        script = _path(experiment)
        version = _named(script)
        if script != ws.script(version):
            return version_files.lying(ws, version, {ws.script(version): read_text(script)})
    return version_files.lying(ws, version)


def of(experiment: Experiment, run: Run, settings: Mapping[str, Any]) -> dict[Path, str]:
    """As `base`, with an action or these settings. Raises `InputError` for what rules or script do not allow."""
    ws, version = workspace(experiment), version_of(experiment, run)
    if run.type == "eval-only":
        return base(experiment, version)
    texts = base(experiment)
    if run.action is not None:
        of_base = _named(_path(experiment))
        planned = next_script.plan(ws, experiment.rules, of_base, run.action, base=of_base)
        addition.see_made(ws, planned.operation, of_base)
        texts = version_files.lying(ws, version, planned.files)
    source: str = joined(ws.root, texts)
    for name, value in settings.items():
        source = _set(experiment, source, name, value)
    return parted(ws.root, ws.script(version), source)


def with_changes(ws: Workspace, version: str, changes: Mapping[str, Any]) -> dict[Path, str]:
    """What a run's own workspace has, with other values for some settings: what was edited there stays so."""
    source: str = joined(ws.root, version_files.lying(ws, version))
    for name, value in changes.items():
        source = put(source, name, value)
    return parted(ws.root, ws.script(version), source)


def source_of(experiment: Experiment, run: Run, settings: Mapping[str, Any]) -> str:
    """Script and files as one value."""
    return joined(workspace(experiment).root, of(experiment, run, settings))


def problems(experiment: Experiment, planned: list[Run]) -> list[InputError]:
    """What keeps the plan's settings and actions from being made, each told once, with its key in the plan."""
    found: list[InputError] = []
    seen: set[tuple[str, str]] = set()
    asked: set[str] = set()
    try:
        source = joined(workspace(experiment).root, base(experiment)) if experiment.plan.base.script else None
    except InputError as error:
        return [error]
    for run in planned:
        try:
            if run.action is not None:
                of(experiment, run, {})
        except InputError as error:
            found.append(_in_plan(experiment, error, f"runs.add, run {run.name}"))
        for name, value in run.settings.items():
            if source is None or (name, repr(value)) in seen:
                continue
            seen.add((name, repr(value)))
            try:
                if put(source, name, value) is not source and name not in asked:
                    # whatever its value
                    asked.add(name)
                    _refuse(experiment, source, name, value)
            except InputError as error:
                found.append(_in_plan(experiment, error, _key(experiment, name)))
    return found


def ends_of_ranges(experiment: Experiment) -> list[Run]:
    """What a search may ask for at most and at least, as runs that nobody trains."""
    ranges = {name: held for name, held in experiment.plan.variables.items() if isinstance(held, Range)}
    return [
        Run(f"{name}, {end}", "trained", {}, {name: int(value) if held.whole else value}, name)
        for name, held in ranges.items()
        for end, value in (("low", held.low), ("high", held.high))
    ]


def reaches_out(experiment: Experiment) -> list[InputError]:
    """Paths like `../data`: from a run's workspace they would lead to another place."""
    try:
        texts = base(experiment)
    except InputError:
        return []
    root, found = workspace(experiment).root, []
    for path, text in texts.items():
        for named in dict.fromkeys(_OUTSIDE.findall(text)):
            if (root / named).exists() and not (root / named).resolve().is_relative_to(root.resolve()):
                reason = f"it names {named}, which a run, in a workspace of its own, would look for elsewhere"
                found.append(InputError(reason, file=path, fix=f"write {(root / named).resolve()}"))
    return found


def rules_of(experiment: Experiment, run: Run) -> Rules:
    """Those that a finished run is checked against: repeated runs have seeds of their own."""
    rules = experiment.rules
    if run.seed is None or _SEED not in rules.stated or not has_own_seeds(experiment):
        return rules
    return replace(rules, stated={**rules.stated, _SEED: run.seed})


def can_vary(experiment: Experiment) -> dict[str, Any]:
    """Canonical name -> value in the base, without what the rules lock. Raises `InputError`."""
    source = joined(workspace(experiment).root, base(experiment))
    settings = find_settings(source)
    found: dict[str, Any] = {}
    for setting in settings:
        try:
            chosen, name = choose_setting(settings, setting.key) or setting, setting.key
        except InputError:
            chosen, name = setting, setting.full_name  # set twice, to different values
        if name not in found and not _refusal(experiment, source, setting.key):
            found[name] = chosen.value
    return found


def _named(script: Path) -> str:
    match = _VERSION.fullmatch(script.name)
    return match[1] if match else re.sub(r"\W", "_", script.stem)


def _path(experiment: Experiment) -> Path:
    stated = experiment.plan.base.script
    place, fix = "key base.script", "name a script of the workspace, such as 02_train_v001.py"
    if not stated:
        raise InputError("there is no script to run", file=experiment.folder.plan, place=place, fix=fix)
    ws = workspace(experiment)
    path = ws.root / os.path.normpath(stated)
    if path.is_file() and path.parent == ws.root and path.suffix == ".py":
        return path
    if path.is_file():
        reason = f"{stated} does not lie in the workspace's top folder, from where scripts find their modules and data"
        fix = "`progtrain adopt` brings a script into a workspace; or move it there"
    else:
        reason = f"there is no script {stated}"
        near = nearest(stated, [known.name for known in ws.root.glob("*.py")], 1)
        fix = f"did you mean {near[0]}?" if near else fix
    raise InputError(reason, file=experiment.folder.plan, place=place, fix=fix)


def _set(experiment: Experiment, source: str, name: str, value: Any) -> str:
    changed = put(source, name, value)
    if changed is not source:
        _refuse(experiment, source, name, value)
    return changed


def _refuse(experiment: Experiment, source: str, name: str, value: Any) -> None:
    """Whatever value it would get. Raises `InputError`."""
    if why := _without_effect(experiment, source, name):
        reason = f"{name} cannot vary: {why}"
        raise InputError(reason, file=_path(experiment), fix="leave it out, or let the script take it from its setting")
    if refusal := _refusal(experiment, source, name):
        rules = experiment.rules
        reason = f"{name} {values.show(value)} is not allowed: {refusal}"
        fix = "leave it out of the plan, or change the rule yourself"
        if canonical(name) == _SEED:
            fix = "give `repeats`, which have seeds of their own; or take the seed out of the rules"
        raise InputError(reason, file=rules.path if rules.has_rules else experiment.ws.instruction, fix=fix)


def _refusal(experiment: Experiment, source: str, name: str) -> str | None:
    """Why rules or instruction do not let a setting be changed; None where they do."""
    rules = experiment.rules
    touched = SetOperation(setting=name, to=None).touches(source)
    if _SEED in touched:
        stated = _SEED in {canonical(key) for key in rules.training_config} | rules.instruction.locked
        by_rules = _SEED in rules.stated and not has_own_seeds(experiment)
        return f"locked by the rules: {_SEED}" if stated or by_rules else None
    return next_script.limits(rules).refusal(touched)


def _without_effect(experiment: Experiment, source: str, name: str) -> str | None:
    """As the base's own training showed, where there was one."""
    record = record_of(workspace(experiment), _named(_path(experiment)))
    touched = SetOperation(setting=name, to=None).touches(source)
    arguments = experiment.rules.training_args
    return at_run_time.without_effect({"operation": "set"}, touched, source, record, arguments)


def has_own_seeds(experiment: Experiment) -> bool:
    """Whether its runs have seeds of their own, beside the one with which all else is done."""
    plan = experiment.plan
    return plan.repeats > 1 or plan.experiment.kind in ("repeats", "hpo")


def _key(experiment: Experiment, name: str) -> str:
    plan = experiment.plan
    if name in plan.variables:
        return f"variables.{name}"
    return f"controls.{name}" if name in plan.controls else "repeats" if name == _SEED else f"runs.add, {name}"


def _in_plan(experiment: Experiment, error: InputError, key: str) -> InputError:
    """The place in the plan; where else it stands is part of the reason."""
    where = f" ({', '.join(str(part) for part in (error.file, error.place) if part)})" if error.file else ""
    return InputError(f"{error.reason}{where}", file=experiment.folder.plan, place=f"key {key}", fix=error.fix)
