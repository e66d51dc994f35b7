"""From a campaign's file to its experiments: one for the variants of a version that have as many seeds.

Settings go into an experiment of kind list, actions into one of kind candidates, so that a winner of those can be
adopted.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from progtrain.engine.campaign.file import File, Variant
from progtrain.engine.clock import Clock, now
from progtrain.engine.control import lock
from progtrain.engine.errors import InputError
from progtrain.engine.experiment import expand, run_script
from progtrain.engine.experiment import folder as folders
from progtrain.engine.experiment import plan as plans
from progtrain.engine.experiment.expand import Run
from progtrain.engine.experiment.opening import busy, opened
from progtrain.engine.experiment.outcome import files_in
from progtrain.engine.experiment.plan import Plan
from progtrain.engine.experiment.stages import design
from progtrain.engine.experiment.stages.design import Designed
from progtrain.engine.experiment.workers.base import Experiment
from progtrain.engine.files import object_in, read_text, sha256, sha256_text, write_text
from progtrain.engine.script import settings
from progtrain.engine.workspace import Workspace

_SEAL = "# written by progtrain campaign: "


#: version, seeds, whether its variants are actions
_Key = tuple[str, int | tuple[int, ...], bool]


class Step(NamedTuple):
    """One experiment of a campaign."""

    version: str
    variants: Sequence[Variant]
    designed: Designed

    @property
    def name(self) -> str:
        return self.designed.experiment.folder.name


def steps(ws: Workspace, file: File, path: Path, clock: Clock = now) -> list[Step]:
    """In the order of the file. Writes nothing. Raises `InputError` with all variants that rules or scripts refuse."""
    groups: dict[_Key, list[Variant]] = {}
    for variant in file.variants:
        groups.setdefault((variant.version, variant.seeds, variant.action is not None), []).append(variant)
    _refuse(
        [problem for key, of_it in groups.items() for problem in _problems(ws, file, path, key, of_it, clock)], path
    )
    found: list[Step] = []
    for key, of_it in groups.items():
        is_first = key[0] not in {step.version for step in found}
        held = _content(ws, file, key, of_it, is_first)
        try:
            designed = design.planned(ws, held, [], clock)
        except InputError as error:
            raise InputError(error.reason, file=path, place=f"variants of {key[0]}", fix=error.fix) from error
        found.append(Step(key[0], of_it, designed))
    return found


def _refuse(found: Sequence[InputError], path: Path) -> None:
    if len(found) == 1:
        raise found[0]
    if found:
        told = "".join(
            f"\n  {number}. {problem.place}: {problem.reason}\n     fix: {problem.fix}"
            for number, problem in enumerate(found, 1)
        )
        raise InputError(f"{len(found)} things are wrong:{told}", file=path)


def _problems(
    ws: Workspace, file: File, path: Path, key: _Key, variants: Sequence[Variant], clock: Clock
) -> Iterator[InputError]:
    """What rules or the version's script do not allow, each with its place in the file."""
    held = _content(ws, file, key, variants, is_first=False)
    folder = folders.folder(ws, held["experiment"]["name"])
    experiment = opened(ws, folder.name, clock, Plan.model_validate(held))
    for variant in variants:
        place, seed = f"variants[{file.variants.index(variant)}]", expand.first_seed(experiment.plan) + 1
        asked: list[tuple[str, Mapping[str, Any]]] = [(f"{place}.set.{k}", {k: v}) for k, v in variant.settings.items()]
        asked += [(f"{place}.action", {})] if variant.action is not None else []
        asked += [(f"{place}.seeds", {"seed": seed})] if variant.trainings > 1 else []
        for where, said in asked:
            run = Run(variant.name, "trained", {}, said, variant.name, action=variant.action)
            try:
                old, new = (
                    run_script.source_of(experiment, _as_it_is(key[0]), {}),
                    run_script.source_of(experiment, run, said),
                )
            except InputError as error:
                inside = f" ({error.file}{f', {error.place}' if error.place else ''})" if error.file else ""
                fix = (error.fix or "").replace("out of the plan", "out")
                if "seed" in said:
                    fix = "leave seeds out, or take the seed out of the rules"
                yield InputError(f"{error.reason}{inside}", file=path, place=f"key {where}", fix=fix)
                continue
            if old == new and "seed" not in said:
                reason = f"it changes nothing: {key[0]} has that already"
                yield InputError(reason, file=path, place=f"key {where}", fix="take it out, or choose another value")


def _as_it_is(version: str) -> Run:
    return Run(version, "control", {}, {}, version)


def experiment_of(file: File, key: _Key) -> str:
    version, seeds, actions = key
    if isinstance(seeds, tuple):
        many = f"-x{len(seeds)}-{sha256_text(repr(seeds))[:6]}"
    else:
        many = f"-x{seeds}" if seeds > 1 else ""
    return f"{file.campaign}-{version}{'-actions' if actions else ''}{many}"


def control_of(version: str) -> str:
    """Run that trains a version as it is, where it has not been evaluated."""
    return f"{version}_control"


def _content(ws: Workspace, file: File, key: _Key, variants: Sequence[Variant], is_first: bool) -> dict[str, Any]:
    """What stands in the plan of its experiment."""
    version, seeds, actions = key
    name = experiment_of(file, key)
    added: list[dict[str, Any]] = []
    if is_first and _needs_control(ws, version, name):
        added.append({"name": control_of(version), "type": "control"})
    for variant in variants:
        if variant.action is not None:
            added.append({"name": variant.name, "action": variant.action})
        else:
            added.append({"name": variant.name, "parameters": dict(variant.settings)})
    # a plan of kind list whose runs are repeated has the base as well
    repeated: dict[str, Any] = {"seeds": list(seeds)} if isinstance(seeds, tuple) else {"repeats": seeds}
    skipped = {"skip": ["base"]} if seeds != 1 and not actions else {}
    return {
        "experiment": {"name": name, "question": file.goal, "kind": "candidates" if actions else "list"},
        "base": {"script": ws.script(version).name},
        **(repeated if seeds != 1 else {}),
        "runs": {"add": added, **skipped},
        "resources": {**file.resources.model_dump(exclude_unset=True), "parallel": 1, "max_queued": 1},
        "evaluation": {"when": "each"},
    }


def _needs_control(ws: Workspace, version: str, name: str) -> bool:
    """Where nothing is known of the version as it is now. One that was planned before stays."""
    if not _is_evaluated(ws, version):
        return True
    its = folders.folder(ws, name)
    return its.plan.is_file() and any(run.name == control_of(version) for run in plans.read(its).runs.add)


def _is_evaluated(ws: Workspace, version: str) -> bool:
    folder = ws.version(version)
    if not (folder.eval_score.is_file() and folder.protocol.is_file()):
        return False
    trained = object_in(folder.spec).get("script_sha256")
    return trained in (None, "", sha256(ws.script(version)))


# writing


def write(step: Step) -> bool:
    """The plan of its experiment; whether it was written. Raises `InputError` where another plan stands there."""
    experiment = step.designed.experiment
    folder, text = experiment.folder, step.designed.text
    if folder.plan.is_file():
        there = read_text(folder.plan)
        if _said(plans.parse(there, folder)) == _said(experiment.plan):
            return False
        if not _is_ours(there):
            reason = "this plan was made or edited by hand, and the campaign would write another one"
            raise InputError(reason, file=folder.plan, fix="give the campaign another name: key campaign")
    sealed = step.designed._replace(text=f"{text}{_SEAL}{sha256_text(text)}\n")
    if not folder.plan.is_file():
        design.write(sealed)
    else:
        with lock.hold_file(folder.lock, busy(folder)):
            write_text(folder.plan, sealed.text)
    return True


def _said(plan: Plan) -> dict[str, Any]:
    return plan.model_dump(exclude={"estimates"})


def _is_ours(text: str) -> bool:
    body, mark, digest = text.rpartition(_SEAL)
    return bool(mark) and digest.strip() == sha256_text(body)


# what it takes


def disk(ws: Workspace, trainings: Sequence[tuple[str, int]]) -> tuple[int | None, str, int]:
    """Bytes that so many trainings of versions will leave (None: nobody knows), what that rests on, and bytes that are
    free."""
    free = shutil.disk_usage(ws.root).free
    sizes = {version: _size(ws.version(version).path) for version, _ in trainings}
    unknown = [version for version, size in sizes.items() if not size]
    if unknown:
        return None, f"{', '.join(unknown)} has left nothing to go by", free
    basis = ", ".join(f"{ws.relative(ws.version(v).path)} holds {size / 2**20:.1f} MiB" for v, size in sizes.items())
    return sum(sizes[version] * count for version, count in trainings), basis, free


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in files_in(folder) if not path.is_symlink())


# what a variant changes


def changes(step: Step, variant: Variant) -> list[dict[str, Any]]:
    """Settings of the script that it has otherwise than its version: `setting`, `old`, `new`."""
    experiment = step.designed.experiment
    run = Run(variant.name, "trained", {}, dict(variant.settings), variant.name, action=variant.action)
    before = _held(experiment, _as_it_is(step.version), {})
    after = _held(experiment, run, run.settings)
    names = dict.fromkeys([*before, *after])
    found = [{"setting": name, "old": before.get(name), "new": after.get(name)} for name in names]
    return [one for one in found if one["old"] != one["new"]]


def _held(experiment: Experiment, run: Run, said: Mapping[str, Any]) -> dict[str, Any]:
    found = settings.find_settings(run_script.source_of(experiment, run, said))
    # what says which version a script is changes with every action
    return {one.name: one.value for one in found if one.key != "version"}
