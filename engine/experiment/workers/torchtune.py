"""Trains by a recipe of torchtune as it is: `tune run RECIPE --config finetune.yaml`.

    base: {recipe: tune/lora.yaml, model: {path: models/small}}
    base: {recipe: lora_finetune_distributed, model: {path: models/small, config: tune/lora.yaml}}

A config is a file of the workspace (`tune cp` makes one from torchtune's own). Settings are its dotted keys, such as
`optimizer.lr`; the last part is enough where only one key ends so. Its development has ended in 2025, and it works with
torchao 0.15 alone: peft is the better choice for what is begun now.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from progtrain.engine.errors import InputError
from progtrain.engine.experiment import interpreter, locked, outcome
from progtrain.engine.experiment.expand import Run
from progtrain.engine.experiment.plan import Range
from progtrain.engine.experiment.scored import write_table
from progtrain.engine.experiment.workers.base import Ended, Experiment, Piece, TrainingWorker
from progtrain.engine.files import MOST_TABLE, read_json, read_loosely, read_text, write_json, write_text
from progtrain.engine.schema import JobRequest, JobState
from progtrain.engine.script.names import canonical, nearest
from progtrain.engine.script.repair.failure import Failure
from progtrain.engine.workspace import JobFolder
from progtrain.engine.yaml_text import as_yaml, number, read_mapping

_TORCHAO = "0.15.0"
_NEEDED = {"torchtune": "torchtune==0.6.1", "torchao": f"torchao=={_TORCHAO}"}
#: names of other tools -> those of torchtune's configs
_ALSO = {"rank": "lora_rank", "alpha": "lora_alpha", "dropout": "lora_dropout", "max_length": "max_seq_len"}
#: keys of a config that each run has for itself
_OURS = ("output_dir", "checkpointer.output_dir", "metric_logger", "resume_from_checkpoint")
#: in 0.6.1 its steps and its schedule begin at 0 again where it goes on: another training than the one that was planned
_STARTS_OVER = "lora_finetune_single_device"
_STEP = re.compile(r"Step (\d+) \|(.*)")
_EPOCH = re.compile(r"epoch_(\d+)")


class Torchtune(TrainingWorker):
    name = "torchtune"
    about = "a recipe of torchtune (its development has ended; peft is the better choice for what is begun now)"

    def problems(self, experiment: Experiment) -> list[InputError]:
        try:
            flat = self.settings(experiment)
            recipe = _recipe(experiment)
        except InputError as error:
            return [error]
        found = [*_wrong_settings(experiment, flat), *_wrong_base(experiment, flat)]
        stated = [(f"{group}.{name}", name, held) for group, name, held in _stated(experiment)]
        found += locked.problems(experiment, flat, stated, lambda name: _key(name, flat) or name)
        gpus = experiment.plan.resources.gpus
        if gpus > 1 and "distributed" not in recipe:
            fix = f"write `gpus: 1`, or name the recipe {recipe.replace('single_device', 'distributed')}"
            found.append(_wrong(experiment, "resources.gpus", f"{recipe} trains on one GPU", fix))
        found += interpreter.missing(experiment, _NEEDED, self.name)
        return found or _wrong_torchao(experiment)

    def settings(self, experiment: Experiment) -> dict[str, Any]:
        """Dotted key -> value in the config."""
        return dict(_flat(_config(experiment)))

    def trains(self, run: Run) -> bool:
        return run.type == "trained"

    def files(self, piece: Piece) -> dict[Path, str]:
        base = piece.experiment.plan.base
        told = {"tool": self.name, "recipe": _recipe(piece.experiment), "config": _file(piece.experiment).name}
        setup = told | {"model": base.model, "data": base.data, "run": piece.run.name}
        setup |= {"parameters": dict(piece.run.parameters)}
        return {piece.folder.setup: as_yaml(setup), piece.folder.recipe: as_yaml(self._whole(piece))}

    def _whole(self, piece: Piece) -> dict[str, Any]:
        """The config with the run's settings, and with its own folder for all that is written."""
        experiment, base = piece.experiment, piece.experiment.plan.base
        config, flat = _config(experiment), self.settings(experiment)
        for name, value in piece.run.settings.items():
            _put(config, _key(name, flat) or name, value)
        made = str(piece.folder.artifacts.absolute())
        if "path" in base.model:
            _put(config, "checkpointer.checkpoint_dir", str(experiment.path(base.model["path"]).absolute()))
        if "train" in base.data:
            _put(config, "dataset.data_files", str(experiment.path(base.data["train"]).absolute()))
        _put(config, "output_dir", made)
        _put(config, "checkpointer.output_dir", made)
        logger = "torchtune.training.metric_logging.DiskLogger"
        return config | {"metric_logger": {"_component_": logger, "log_dir": f"{made}/logs"}}

    def request(self, piece: Piece, attempt: JobFolder, *, resume: bool = False) -> JobRequest:
        experiment, recipe = piece.experiment, _recipe(piece.experiment)
        flat = self.settings(experiment)
        if not resume:
            outcome.set_aside(piece, attempt)
        several = [f"--nproc_per_node={max(1, experiment.plan.resources.gpus)}"] if "distributed" in recipe else []
        changes = [f"{_key(name, flat) or name}={outcome.text_of(value)}" for name, value in piece.changes.items()]
        command = [experiment.python, "-m", "torchtune._cli.tune", "run", *several, recipe]
        command += ["--config", str(piece.folder.recipe.absolute()), *changes]
        command += ["resume_from_checkpoint=True"] if resume else []
        # components of a config may be modules of the workspace
        path = os.pathsep.join(filter(None, (str(experiment.ws.root.absolute()), os.environ.get("PYTHONPATH"))))
        return outcome.request(piece, attempt, command, {**outcome.OFFLINE, "PYTHONPATH": path})

    def ended(self, piece: Piece, attempt: JobFolder, state: JobState) -> Ended:
        made = piece.folder.artifacts
        _write_curve(made)
        if failure := outcome.failed(attempt, state):
            return Ended(failure)
        epochs = _epochs(made)
        if not epochs:
            where = piece.experiment.ws.relative(made)
            return Ended(Failure("outputs", f"there is no epoch_N in {where}", "see the output of the training"))
        flat = self.settings(piece.experiment)
        for folder in epochs:
            _loadable(folder, str(piece.experiment.path(str(flat.get("checkpointer.checkpoint_dir", ""))).absolute()))
        # nothing is validated on the way: the last one is the best that is known
        for name in ("best", "last"):
            (made / name).unlink(missing_ok=True)
            (made / name).symlink_to(epochs[-1].name)
        changed = {name: piece.settings[name] for name in piece.settings}
        write_json(made / "spec.json", {"settings": changed, "device": flat.get("device")})
        used, meant = _used(piece, flat), lambda name: _key(name, flat) or name
        failure = self.check(piece) or locked.broken(piece, used, piece.folder.recipe, meant)
        return Ended(failure, [] if failure else outcome.files_in(made))

    def smaller(self, piece: Piece) -> dict[str, Any] | None:
        flat = self.settings(piece.experiment)
        used = flat | {_key(name, flat) or name: value for name, value in piece.settings.items()}
        found = outcome.halved({name: value for name, value in used.items() if "." not in name})
        found = locked.smaller(piece.experiment, found, lambda name: _key(name, flat) or name)
        spelled = {_key(name, flat): name for name in piece.settings}
        return found and {spelled.get(key, key): value for key, value in found.items()}

    def can_resume(self, piece: Piece) -> bool:
        """After an epoch: torchtune keeps nothing in between."""
        kept = (piece.folder.artifacts / "recipe_state" / "recipe_state.pt").is_file()
        return kept and _recipe(piece.experiment) != _STARTS_OVER

    def check(self, piece: Piece) -> Failure | None:
        epochs = _epochs(piece.folder.artifacts)
        return outcome.broken(path for folder in epochs for path in outcome.files_in(folder))


WORKERS = (Torchtune(),)


# the config


def _file(experiment: Experiment) -> Path:
    base = experiment.plan.base
    return experiment.path(str(base.model.get("config") or base.recipe))


def _config(experiment: Experiment) -> dict[str, Any]:
    file = _file(experiment)
    if not file.is_file():
        fix = "name a YAML file of the workspace; `tune ls` lists torchtune's own, `tune cp NAME FILE` copies one"
        raise _wrong(experiment, "base.recipe", f"there is no config {file.name}", fix)
    read: dict[str, Any] = _numbers(read_mapping(read_text(file), file))
    return read


def _recipe(experiment: Experiment) -> str:
    """As stated, or the one that a config is for: by LoRA or whole, on one GPU or several."""
    base = experiment.plan.base
    if "config" in base.model:
        return str(base.recipe)
    model = _config(experiment).get("model")
    component = str(model.get("_component_")) if isinstance(model, Mapping) else ""
    how = "lora_finetune" if "lora" in component.rpartition(".")[2] else "full_finetune"
    return f"{how}_{'distributed' if experiment.plan.resources.gpus > 1 else 'single_device'}"


def _numbers(held: Any) -> Any:
    """YAML 1.1 reads 1e-3 as text; written again it would stay one."""
    if isinstance(held, Mapping):
        return {key: _numbers(value) for key, value in held.items()}
    return number(held)


def _flat(config: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in config.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{above}{key}.")
        elif key != "_component_":
            yield f"{above}{key}", value


def _put(config: dict[str, Any], key: str, value: Any) -> None:
    *above, last = key.split(".")
    for part in above:
        config = config.setdefault(part, {})
    config[last] = value


def _key(name: str, flat: Mapping[str, Any]) -> str | None:
    """The key that a name of the plan means; None where it means none, or more than one."""
    if name in flat:
        return name
    ends = _ending(name, flat)
    return ends[0] if len(ends) == 1 else None


def _ending(name: str, flat: Mapping[str, Any]) -> list[str]:
    """Keys whose last part is that name, or another spelling of it; of those at the top and below, the former."""
    if "." in name:
        return []
    wanted = canonical(_ALSO.get(name, name))
    found = [key for key in flat if canonical(key.rpartition(".")[2]) == wanted]
    return [key for key in found if "." not in key] or found


# what the plan gets wrong


def _stated(experiment: Experiment) -> list[tuple[str, str, Any]]:
    """Place in the plan, name, and values or range."""
    plan = experiment.plan
    stated: list[tuple[str, str, Any]] = [("variables", name, held) for name, held in plan.variables.items()]
    stated += [("controls", name, [value]) for name, value in plan.controls.items()]
    stated += [(f"runs.add.{run.name}", name, [v]) for run in plan.runs.add for name, v in run.parameters.items()]
    return stated


def _wrong_settings(experiment: Experiment, flat: Mapping[str, Any]) -> Iterator[InputError]:
    meant: dict[str, str] = {}
    for group, name, held in _stated(experiment):
        place = f"{group}.{name}"
        key = _key(name, flat)
        if key is None:
            ends = _ending(name, flat)
            near = nearest(name, flat, 1)
            reason = f"{name} may be {' or '.join(ends)}" if ends else f"{_file(experiment).name} has no key {name}"
            fix = "write the whole key" if ends else f"did you mean {near[0]}?" if near else "add it to the config"
            yield _wrong(experiment, place, reason, fix)
        elif any(key == ours or key.startswith(f"{ours}.") for ours in _OURS):
            yield _wrong(experiment, place, f"each run has {key} for itself", "take it out of the plan")
        elif meant.setdefault(key, name) != name:
            yield _wrong(experiment, place, f"{name} and {meant[key]} are one key", "leave one of both out")
        else:
            values = [held.low, held.high] if isinstance(held, Range) else held
            if wrong := [value for value in values if not _fits(value, flat[key])]:
                reason = f"{key} is {flat[key]!r} in the config, so {wrong[0]!r} does not fit"
                yield _wrong(experiment, place, reason, "write a value of that kind")


def _fits(value: Any, base: Any) -> bool:
    """Whether it is of the kind of what stands in the config; anything fits where that is null."""
    if base is None or value is None:
        return True
    if isinstance(base, bool) or isinstance(value, bool):
        return isinstance(base, bool) and isinstance(value, bool)
    if isinstance(base, int | float):
        return isinstance(value, int | float)
    return isinstance(value, list) if isinstance(base, list) else isinstance(value, str)


def _wrong_base(experiment: Experiment, flat: Mapping[str, Any]) -> Iterator[InputError]:
    base = experiment.plan.base
    for name in base.model:
        if name not in ("path", "config"):
            yield _wrong(experiment, f"base.model.{name}", "there is no such key here", "known are path and config")
    for name in base.data:
        if name != "train" or "dataset.data_files" not in flat:
            fix = "`train` becomes the config's dataset.data_files; write anything else into the config"
            yield _wrong(experiment, f"base.data.{name}", "the config has no place for it", fix)
    paths = [str(flat.get("checkpointer.checkpoint_dir", "")), base.data.get("train")]
    if "path" in base.model:
        paths[0] = str(base.model["path"])
    for path in paths:
        # what is put together of others is known to torchtune alone
        if path and "${" not in path and not experiment.path(path).exists():
            fix = "correct the path; torchtune fetches nothing here"
            yield InputError("there is no such file or folder", file=experiment.path(path), fix=fix)


def _wrong_torchao(experiment: Experiment) -> list[InputError]:
    if experiment.plan.resources.setup:
        return []
    found = interpreter.versions(experiment.python, _NEEDED)["torchao"] or ""
    if found.split("+")[0] == _TORCHAO:
        return []
    reason = f"torchtune does not work with torchao {found}: its development ended before that"
    fix = f"{experiment.python} -m pip install torchao=={_TORCHAO}; or train with peft"
    return [InputError(reason, file=experiment.python, fix=fix)]


def _wrong(experiment: Experiment, key: str, reason: str, fix: str) -> InputError:
    return InputError(reason, file=experiment.folder.plan, place=f"key {key}", fix=fix)


# what a recipe leaves


def _used(piece: Piece, flat: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of the file that it was started with, and what its command said besides."""
    file = piece.folder.recipe
    changes = {_key(name, flat) or name: value for name, value in piece.changes.items()}
    return dict(_flat(_numbers(read_mapping(read_text(file), file)))) | changes


def _epochs(made: Path) -> list[Path]:
    folders = [path for path in made.glob("epoch_*") if path.is_dir() and _EPOCH.fullmatch(path.name)]
    return sorted(folders, key=lambda path: int(path.name.removeprefix("epoch_")))


def _loadable(folder: Path, below: str) -> None:
    """Adapters beside whole weights would have transformers look for another model: they get a folder of their own.
    Adapters alone are told what they belong to, which torchtune leaves out."""
    adapters = [path for path in folder.glob("adapter_*") if path.is_file()]
    config = folder / "adapter_config.json"
    if any(path not in adapters for path in folder.glob("*.safetensors")):
        for path in adapters:
            (folder / "adapter").mkdir(exist_ok=True)
            path.replace(folder / "adapter" / path.name)
    elif config.is_file():
        told = read_json(config)
        write_text(config, json.dumps({"base_model_name_or_path": below, **told}))


def _write_curve(made: Path) -> None:
    """`metrics.csv` from the lines that torchtune logs."""
    rows = []
    for log in sorted((made / "logs").glob("log_*.txt")):
        for match in map(_STEP.match, read_loosely(log, MOST_TABLE).splitlines()):
            told = dict(part.split(":", 1) for part in match[2].split() if ":" in part) if match else {}
            if match and "loss" in told:
                speed = told.get("tokens_per_second_per_gpu", "")
                rows.append([match[1], told["loss"], told.get("lr", ""), speed])
    if rows:
        write_table(made / "metrics.csv", ["step", "train_loss", "learning_rate", "tokens_per_second"], rows)
