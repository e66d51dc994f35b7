"""From cruijff_kit's `experiment_summary.yaml` to a plan of ours.

Keys that mean the same are taken over, those of older releases under their new names. What means nothing here is told;
a key that nobody knows is refused with the one that was probably meant.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from progtrain.engine.errors import InputError
from progtrain.engine.experiment import expand
from progtrain.engine.experiment import folder as folders
from progtrain.engine.experiment import plan as plans
from progtrain.engine.files import read_text
from progtrain.engine.script.names import nearest
from progtrain.engine.workspace import Workspace
from progtrain.engine.yaml_text import as_yaml, number, read_mapping

HEAD = "# Imported from {file}. Each key: progtrain docs experiments.\n"
#: section -> keys that it has; * stands for a list of such
_KEYS = {
    "": "experiment tools variables controls models data runs evaluation",
    "experiment": "name project question hypothesis purpose dir date",
    "tools": "preparation evaluation",
    "models": "base",
    "models.base*": "name path size_gb",
    "data": "training data_generation",
    "data.training": "path label format size_kb splits",
    "runs*": "name type model parameters compute",
    "runs*.compute": "time gpus mem",
    "evaluation": "scorers tasks matrix temperature compute",
    "evaluation.tasks*": "name script dataset description scorers split",
    "evaluation.matrix*": "run tasks epochs vis_label",
}
#: of releases up to 0.3.3: section.key -> where it stands now
_OLD = {
    "experiment.directory": "experiment.dir",
    "output": "experiment.dir and experiment.project",
    "evaluation.scorer": "evaluation.scorers",
    "evaluation.system_prompt": "controls.system_prompt",
    "evaluation.tasks*.scorer": "evaluation.scorers",
}
#: settings -> ours
_SETTINGS = {
    **{name: name for name in ("batch_size", "epochs", "seed", "weight_decay", "prompt", "system_prompt", "dtype")},
    **{name: name for name in ("gradient_accumulation_steps", "learning_rate", "rank", "alpha", "dropout")},
    "lr": "learning_rate",
    "lora_rank": "rank",
    "lora_alpha": "alpha",
    "lora_dropout": "dropout",
    "max_seq_len": "max_length",
    "max_length": "max_length",
    "num_warmup_steps": "warmup",
    "clip_grad_norm": "gradient_clip",
}
#: keys of torchtune's configs, with no like in peft
_OF_TORCHTUNE = frozenset(
    {"packed", "train_on_input", "run_val_every_n_steps", "log_every_n_steps", "save_adapter_weights_only", "compile"}
    | {"enable_activation_checkpointing", "lora_attn_modules", "apply_lora_to_mlp"}
)
#: what is one component of such a config or another, or nothing in it
_NO_LIKE = frozenset(
    {"dataset_type", "validation_during_training", "lr_scheduler", "gpus", "optimizer", "loss", "num_workers"}
    | {"conditions"}
)
#: a run's config, as cruijff_kit and we write it
_CONFIG = "finetune.yaml"
#: of a single run
_OF_DATA = ("dataset_path", "eval_dataset_path")
_TYPES = {"fine-tuned": "trained", "control": "control", "eval-only": "eval-only"}


def imported(ws: Workspace, file: Path) -> tuple[plans.Plan, str, list[str]]:
    """The plan, its text, and what a reader should know; writes nothing.

    Raises `InputError` where the file is another one, or there is an experiment of that name.
    """
    found = read_mapping(read_text(file), file)
    notes: list[str] = []
    found = _renamed(found, notes)
    _refuse_unknown(found, "", file)
    asked = _mapping(found, "experiment", file)
    if not asked.get("name"):
        raise InputError("the experiment has no name", file=file, place="key experiment.name", fix="write one")
    folder = folders.folder(ws, str(asked["name"]))
    if folder.plan.exists():
        fix = "give experiment.name another value, or move that experiment away"
        raise InputError(f"there is an experiment {folder.name} already", file=folder.plan, fix=fix)
    text = HEAD.format(file=file.name) + as_yaml(_plan(found, asked, file, notes))
    try:
        plan = plans.parse(text, folder)
        expand.cells(plan, expand.runs(plan, folder), folder)
    except InputError as error:
        # the plan is not written yet: what is wrong in it comes from here
        raise InputError(error.reason, file=file, place=error.place, fix=error.fix) from error
    return plan, text, list(dict.fromkeys(notes))


def _renamed(found: Mapping[str, Any], notes: list[str]) -> dict[str, Any]:
    """Keys of older releases, under the names that they have now."""
    made: dict[str, Any] = {key: dict(v) if isinstance(v, dict) else v for key, v in found.items()}
    asked, evaluation = made.get("experiment"), made.get("evaluation")
    output = made.pop("output", None)
    if isinstance(asked, dict):
        if "directory" in asked:
            asked.setdefault("dir", asked.pop("directory"))
            notes.append(_is_now("experiment.directory"))
        if isinstance(output, dict):
            asked.setdefault("project", output.get("wandb_project"))
            notes.append(_is_now("output"))
    if isinstance(evaluation, dict):
        if "scorer" in evaluation:
            evaluation.setdefault("scorers", evaluation.pop("scorer"))
            notes.append(_is_now("evaluation.scorer"))
        if "system_prompt" in evaluation:
            prompt = evaluation.pop("system_prompt")
            controls = made.setdefault("controls", {})
            if isinstance(controls, dict) and controls.setdefault("system_prompt", prompt) == prompt:
                notes.append(_is_now("evaluation.system_prompt"))
            else:
                notes.append("evaluation.system_prompt is another than that of the controls, which counts")
    return made


def _is_now(old: str) -> str:
    return f"{old} is {_OLD[old]} now"


def _refuse_unknown(held: Any, section: str, file: Path) -> None:
    if isinstance(held, list):
        for one in held:
            _refuse_unknown(one, f"{section}*", file)
        return
    if not isinstance(held, dict) or section not in _KEYS:
        return
    known = _KEYS[section].split()
    for key, value in held.items():
        place = f"{section}.{key}" if section else str(key)
        if key not in known:
            near = nearest(str(key), known, 1)
            fix = f"it is {_OLD[place]} now" if place in _OLD else f"did you mean {near[0]}?" if near else ""
            reason = f"there is no key {key!r} here"
            raise InputError(reason, file=file, place=f"key {place}", fix=fix or f"known are {', '.join(known)}")
        _refuse_unknown(value, place, file)


def _mapping(held: Mapping[str, Any], key: str, file: Path) -> dict[str, Any]:
    part = held.get(key) or {}
    if not isinstance(part, dict):
        raise InputError(
            "a mapping of keys belongs here", file=file, place=f"key {key}", fix="write `key: value` lines"
        )
    return part


def _listed(held: Mapping[str, Any], key: str, file: Path) -> list[dict[str, Any]]:
    part = held.get(key) or []
    if not isinstance(part, list) or not all(isinstance(one, dict) for one in part):
        raise InputError("a list of mappings belongs here", file=file, place=f"key {key}", fix="begin each with `- `")
    return part


def _plan(found: Mapping[str, Any], asked: Mapping[str, Any], file: Path, notes: list[str]) -> dict[str, Any]:
    runs = _listed(found, "runs", file)
    left = [key for key in ("project", "purpose", "dir", "date") if asked.get(key)]
    notes += [f"experiment.{key} has no place in a plan: {asked[key]}" for key in left]
    tools = _mapping(found, "tools", file)
    tool = "torchtune" if tools.get("preparation") == "torchtune" else "peft"
    controls = _settings(_mapping(found, "controls", file), "controls", file, notes, tool)
    # what varies stands in the runs themselves, under the names that they have
    _settings(_mapping(found, "variables", file), "variables", file, notes, tool)
    recipe = _config(asked, runs, file, notes) if tool == "torchtune" else "lora"
    parts = {
        "experiment": {
            "name": asked["name"],
            "question": asked.get("question") or "",
            "hypothesis": asked.get("hypothesis") or "",
            "kind": "list",
        },
        "tools": {"training": tool, "evaluation": ["inspect"]},
        "base": {"recipe": recipe, "model": {"path": _model(found, runs, file)}, "data": _data(found, file, notes)},
        "controls": controls,
        "runs": {"add": [_run(run, at, file, notes, tool) for at, run in enumerate(runs)]},
        "resources": _resources(runs, file, notes),
        "evaluation": _evaluation(_mapping(found, "evaluation", file), file, notes),
    }
    return {key: value for key, value in parts.items() if value}


def _config(asked: Mapping[str, Any], runs: Sequence[Mapping[str, Any]], file: Path, notes: list[str]) -> str:
    """That of the first run which has one; else where one is to be put."""
    places = [Path(str(asked["dir"])).expanduser()] if asked.get("dir") else []
    names = [str(run.get("name")) for run in runs if run.get("type", "fine-tuned") == "fine-tuned"]
    there = (place.absolute() / name / _CONFIG for place in (*places, file.parent) for name in names)
    if (found := next((path for path in there if path.is_file()), None)) is not None:
        return str(found)
    notes.append(
        f"put torchtune's config for this model into the workspace, as {_CONFIG}: `tune ls` lists them, "
        f"`tune cp NAME {_CONFIG}` copies one"
    )
    return _CONFIG


def _settings(held: Mapping[str, Any], section: str, file: Path, notes: list[str], tool: str) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for name, value in held.items():
        if name in _OF_TORCHTUNE and tool == "torchtune":
            made[name] = number(value)
            continue
        if name in _NO_LIKE or name in _OF_TORCHTUNE:
            why = "stands in the config itself" if tool == "torchtune" else "is torchtune's own"
            notes.append(f"{section}.{name} {why}, and is left out")
            continue
        if name == "system_prompt" and not value:
            continue
        if name not in _SETTINGS:
            near = nearest(name, [*_SETTINGS, *_OF_TORCHTUNE, *_NO_LIKE], 1)
            fix = f"did you mean {near[0]}?" if near else f"known are {', '.join(sorted(_SETTINGS))}"
            raise InputError(f"there is no setting {name!r}", file=file, place=f"key {section}.{name}", fix=fix)
        made[_SETTINGS[name]] = number(value)
    return made


def _model(found: Mapping[str, Any], runs: Sequence[Mapping[str, Any]], file: Path) -> Any:
    listed = {str(one.get("name")): one for one in _listed(_mapping(found, "models", file), "base", file)}
    used = list(dict.fromkeys(str(run["model"]) for run in runs if run.get("model"))) or list(listed)[:1]
    if len(used) > 1:
        reason = f"the runs have several models: {', '.join(used)}"
        raise InputError(reason, file=file, place="key runs", fix="make an experiment for each model")
    if not used or used[0] not in listed:
        fix = f"known are {', '.join(listed)}" if listed else "write its name and path"
        raise InputError(f"there is no model {used[0] if used else ''}", file=file, place="key models.base", fix=fix)
    return listed[used[0]].get("path")


def _data(found: Mapping[str, Any], file: Path, notes: list[str]) -> dict[str, Any]:
    data = _mapping(found, "data", file)
    if data.get("data_generation"):
        notes.append("data.data_generation is not done here: the files must be there")
    path = _mapping(data, "training", file).get("path")
    return {"train": path} if path else {}


def _run(run: Mapping[str, Any], at: int, file: Path, notes: list[str], tool: str) -> dict[str, Any]:
    place = f"runs[{at}]"
    kind = str(run.get("type", "fine-tuned"))
    if kind not in _TYPES:
        near = nearest(kind, _TYPES, 1) or list(_TYPES)
        raise InputError(f"there is no type {kind!r}", file=file, place=f"key {place}.type", fix=f"write {near[0]}")
    parameters = _mapping(run, "parameters", file)
    for name in _OF_DATA:
        if name in parameters:
            fix = "make an experiment for each set of data"
            raise InputError("all runs of a plan have the same data", file=file, place=f"key {place}.{name}", fix=fix)
    made: dict[str, Any] = {"name": run.get("name"), "type": _TYPES[kind]}
    if kind == "eval-only":
        made["checkpoint"] = run.get("model")
    elif kind == "fine-tuned":
        made["parameters"] = _settings(parameters, f"{place}.parameters", file, notes, tool)
    return made


def _resources(runs: Sequence[Mapping[str, Any]], file: Path, notes: list[str]) -> dict[str, Any]:
    """All runs ask for the same: the most that one of them asked for."""
    asked = [held for run in runs if (held := _mapping(run, "compute", file))]
    if not asked:
        return {"executor": "slurm"}
    made = {"executor": "slurm"}
    for ours, theirs in (("time", "time"), ("gpus", "gpus"), ("memory", "mem")):
        values = [one[theirs] for one in asked if one.get(theirs) is not None]
        if values:
            made[ours] = max(values, key=_size)
        if len({str(value) for value in values}) > 1:
            notes.append(f"the runs ask for other {ours} each: all are given {made[ours]}")
    return made


def _size(value: Any) -> float:
    """Of a time as seconds, of a memory in MiB, of a number as it is."""
    text = str(value)
    if ":" in text:
        return math.fsum(float(part) * 60.0**power for power, part in enumerate(reversed(text.split(":"))))
    units = {"K": 1 / 1024, "M": 1.0, "G": 1024.0, "T": 1024.0**2}
    try:
        return float(text.rstrip("KMGTkmgtiBb")) * units.get(text.rstrip("iBb")[-1:].upper(), 1.0)
    except ValueError:
        return 0.0


def _evaluation(held: Mapping[str, Any], file: Path, notes: list[str]) -> dict[str, Any]:
    if held.get("compute"):
        notes.append("evaluation.compute is left out: evaluations ask for what trainings ask for")
    scorers = [str(one.get("name") if isinstance(one, dict) else one) for one in held.get("scorers") or []]
    options = {"temperature": held["temperature"]} if held.get("temperature") is not None else {}
    tasks: list[dict[str, Any]] = []
    for task in _listed(held, "tasks", file):
        if task.get("dataset") or task.get("split"):
            notes.append(
                f"task {task.get('name')}: its script says which data it reads, dataset and split are left out"
            )
        own = task.get("scorers") or scorers
        made = {"name": task.get("name"), "tool": "inspect", "script": task.get("script"), "scorers": own}
        tasks.append({**made, "options": options} if options else made)
    rows = []
    for row in _listed(held, "matrix", file):
        if row.get("vis_label"):
            notes.append("vis_label is left out: plots have the runs' own names")
        epochs = row.get("epochs")
        rows.append({"run": row.get("run"), "tasks": row.get("tasks") or [], "epochs": epochs or ["best"]})
    return {key: value for key, value in (("tasks", tasks), ("matrix", rows)) if value}
