"""Trains a language model that lies in a folder of the workspace, by LoRA or whole, with transformers and peft.

    tools: {training: peft, evaluation: [inspect]}
    base: {recipe: lora, model: {path: models/small}, data: {train: data/train.jsonl, valid: data/valid.jsonl}}
    variables: {rank: [8, 16], learning_rate: [1e-4, 3e-4]}

A run of type control is the model as it is. What trains is `engine/experiment/tools/progtrain_peft.py`.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from progtrain.engine.complaints import in_words
from progtrain.engine.errors import InputError
from progtrain.engine.experiment import interpreter, locked, outcome
from progtrain.engine.experiment.expand import Run
from progtrain.engine.experiment.plan import Range
from progtrain.engine.experiment.tools import progtrain_rows
from progtrain.engine.experiment.workers.base import Ended, Experiment, Piece, TrainingWorker
from progtrain.engine.files import read_text
from progtrain.engine.schema import JobRequest, JobState
from progtrain.engine.script.names import canonical, nearest
from progtrain.engine.script.repair.failure import Failure
from progtrain.engine.workspace import JobFolder
from progtrain.engine.yaml_text import as_yaml, number, read_mapping

SCRIPT = Path(__file__).parents[1] / "tools" / "progtrain_peft.py"
_NEEDED = {"transformers": "transformers", "peft": "peft"}
_ACCUMULATION = "gradient_accumulation_steps"
#: as peft and other tools call them
_ALSO = {"lora_rank": "rank", "lora_r": "rank", "r": "rank", "lora_alpha": "alpha", "lora_dropout": "dropout"}
_ALSO |= {"max_seq_len": "max_length", "max_seq_length": "max_length", "gradient_clip_val": "gradient_clip"}

_Number = Annotated[float, BeforeValidator(number)]


class Settings(BaseModel):
    """What can vary, with the values of `recipe: lora`."""

    model_config = ConfigDict(extra="forbid", defer_build=True)

    #: of LoRA's matrices; 0: the whole model is trained
    rank: Annotated[int, Field(ge=0)] = 16
    #: None: twice the rank
    alpha: Annotated[_Number, Field(gt=0)] | None = None
    dropout: Annotated[_Number, Field(ge=0, lt=1)] = 0.0
    #: layers by the ends of their names, "q_proj, v_proj"; "all-linear": all but the output
    target_modules: str | list[str] = "all-linear"
    learning_rate: Annotated[_Number, Field(gt=0)] = 2e-4
    epochs: Annotated[int, Field(ge=1)] = 1
    #: of the optimizer; 0: as many as the epochs have
    max_steps: Annotated[int, Field(ge=0)] = 0
    batch_size: Annotated[int, Field(ge=1)] = 8
    gradient_accumulation_steps: Annotated[int, Field(ge=1)] = 1
    #: tokens of a row; a longer question loses its beginning
    max_length: Annotated[int, Field(ge=2)] = 512
    weight_decay: Annotated[_Number, Field(ge=0)] = 0.0
    #: below 1 a share of all steps, else their number
    warmup: Annotated[_Number, Field(ge=0)] = 0.03
    schedule: Literal["linear", "cosine", "constant"] = "linear"
    #: largest norm of all gradients; 0: they are not clipped
    gradient_clip: Annotated[_Number, Field(ge=0)] = 1.0
    gradient_checkpointing: bool = False
    dtype: Literal["auto", "float32", "bfloat16"] = "auto"
    device: str = "auto"
    seed: int = 42
    #: what a model is asked for a row
    prompt: str = "{input}"
    system_prompt: str = ""
    #: whether each epoch's result is kept, as `epoch_0/`
    save_epochs: bool = True


class Peft(TrainingWorker):
    name = "peft"
    about = "LoRA, or the whole of a language model in a local folder, with transformers and peft"

    def problems(self, experiment: Experiment) -> list[InputError]:
        try:
            base = self.settings(experiment)
        except InputError as error:
            return [error]
        found = [*_wrong_settings(experiment), *_wrong_model(experiment)]
        found += locked.problems(experiment, base, _values_of(experiment), _ours)
        found += [] if found else _wrong_data(experiment)
        if experiment.plan.resources.gpus > 1:
            reason = "peft trains on one GPU"
            found.append(_wrong(experiment, "resources.gpus", reason, "write `gpus: 1`; runs go side by side"))
        return found + interpreter.missing(experiment, _NEEDED, self.name)

    def settings(self, experiment: Experiment) -> dict[str, Any]:
        recipe = experiment.plan.base.recipe
        if recipe == "lora":
            return Settings().model_dump()
        if recipe == "full":
            return Settings(rank=0, learning_rate=2e-5, save_epochs=False).model_dump()
        file = experiment.path(recipe or "")
        if recipe is None or not file.is_file():
            fix = "write `recipe: lora`, `recipe: full`, or a YAML file of the workspace with settings"
            raise _wrong(experiment, "base.recipe", f"there is no recipe {recipe}", fix)
        stated = read_mapping(read_text(file), file)
        for name, value in stated.items():
            if reason := _complaint(name, value):
                raise InputError(reason, file=file, place=f"key {name}", fix=_known(name))
        return Settings.model_validate({_ours(name): value for name, value in stated.items()}).model_dump()

    def trains(self, run: Run) -> bool:
        return run.type == "trained"

    def files(self, piece: Piece) -> dict[Path, str]:
        base = piece.experiment.plan.base
        told = {"tool": self.name, "recipe": base.recipe, "model": base.model, "data": base.data}
        setup = told | {"run": piece.run.name, "parameters": dict(piece.run.parameters)}
        return {piece.folder.setup: as_yaml(setup), piece.folder.recipe: as_yaml(self._config(piece))}

    def _config(self, piece: Piece) -> dict[str, Any]:
        experiment = piece.experiment
        base = experiment.plan.base
        varied = {_ours(name): value for name, value in piece.run.settings.items()}
        paths = {key: str(experiment.path(base.data[key]).absolute()) for key in ("train", "valid") if key in base.data}
        model = {**base.model, "path": str(experiment.path(base.model["path"]).absolute())}
        settings = Settings.model_validate({**self.settings(experiment), **varied}).model_dump()
        return {"model": model, "data": {**base.data, **paths}, **settings}

    def request(self, piece: Piece, attempt: JobFolder, *, resume: bool = False) -> JobRequest:
        if not resume:
            outcome.set_aside(piece, attempt)
        words = ["--config", str(piece.folder.recipe.absolute()), "--output", str(piece.folder.artifacts.absolute())]
        changes = [f"{_ours(name)}={outcome.text_of(value)}" for name, value in piece.changes.items()]
        command = [piece.experiment.python, str(SCRIPT), *words, *(["--resume"] if resume else []), *changes]
        return outcome.request(piece, attempt, command, outcome.OFFLINE)

    def ended(self, piece: Piece, attempt: JobFolder, state: JobState) -> Ended:
        if failure := outcome.failed(attempt, state):
            return Ended(failure)
        told = piece.folder.artifacts / "hparams.yaml"
        used = read_mapping(read_text(told), told) if told.is_file() else {}
        failure = self.check(piece) or locked.broken(piece, used, told, _ours)
        return Ended(failure, [] if failure else outcome.files_in(piece.folder.artifacts))

    def smaller(self, piece: Piece) -> dict[str, Any] | None:
        found = outcome.halved({**self._config(piece), **{_ours(n): value for n, value in piece.changes.items()}})
        found = locked.smaller(piece.experiment, found, _ours)
        spelled = {_ours(name): name for name in piece.settings}
        return found and {spelled.get(key, key): value for key, value in found.items()}

    def can_resume(self, piece: Piece) -> bool:
        return (piece.folder.artifacts / "resume" / "training.pt").is_file()

    def check(self, piece: Piece) -> Failure | None:
        """The training has read back what it saved; here it is seen to be all there still."""
        for name in ("best", "last"):
            weights = list((piece.folder.artifacts / name).glob("*.safetensors"))
            if not weights:
                where = piece.experiment.ws.relative(piece.folder.artifacts / name)
                return Failure("outputs", f"there are no weights in {where}", "train it again")
            if failure := outcome.broken(weights):
                return failure
        return None


WORKERS = (Peft(),)


def _ours(name: str) -> str:
    """The setting that a name of the plan means; the name itself where it means none."""
    key = _ALSO.get(name, name)
    same = (known for known in Settings.model_fields if canonical(known) == canonical(key))
    return key if key in Settings.model_fields else next(same, key)


def _complaint(name: str, value: Any) -> str:
    """What is wrong with a setting; empty where it is right."""
    if _ours(name) not in Settings.model_fields:
        return f"there is no setting {name}"
    try:
        Settings.model_validate({_ours(name): value})
    except ValidationError as error:
        return f"{in_words(error.errors(include_url=False)[0])}, found {value!r}"
    if _ours(name) == "prompt" and "{input}" not in value:
        return "the prompt has no {input}, so that all rows would be asked the same"
    return ""


def _known(name: str) -> str:
    near = nearest(name, [*Settings.model_fields, *_ALSO], 1)
    if _ours(name) in Settings.model_fields:
        return "correct the value"
    return f"did you mean {near[0]}?" if near else f"known are {', '.join(Settings.model_fields)}"


def _values_of(experiment: Experiment) -> Iterable[tuple[str, str, Any]]:
    return ((key, key.rpartition(".")[2], held) for key, held in _stated(experiment))


def _wrong_settings(experiment: Experiment) -> list[InputError]:
    found = list[InputError]()
    meant: dict[str, str] = {}
    for key, name, held in _values_of(experiment):
        if meant.setdefault(_ours(name), name) != name:
            reason = f"{name} and {meant[_ours(name)]} are one setting"
            found.append(_wrong(experiment, key, reason, "leave one of both out"))
        values = [held.low, held.high] if isinstance(held, Range) else held
        values = [int(value) if isinstance(held, Range) and held.whole else value for value in values]
        complaints = [reason for value in values if (reason := _complaint(name, value))]
        found += [_wrong(experiment, key, complaints[0], _known(name))] if complaints else []
    return found


def _stated(experiment: Experiment) -> Iterable[tuple[str, Any]]:
    plan = experiment.plan
    yield from ((f"variables.{name}", held) for name, held in plan.variables.items())
    yield from ((f"controls.{name}", [value]) for name, value in plan.controls.items())
    for at, run in enumerate(plan.runs.add):
        yield from ((f"runs.add[{at}].parameters.{name}", [value]) for name, value in run.parameters.items())


def _wrong_model(experiment: Experiment) -> list[InputError]:
    model = experiment.plan.base.model
    for name in model:
        if name != "path":
            return [_wrong(experiment, f"base.model.{name}", "there is no such key here", "name its folder: `path`")]
    fix = "name a folder of the workspace, as save_pretrained writes one: with config.json, weights and tokenizer"
    if not isinstance(model.get("path"), str):
        return [_wrong(experiment, "base.model.path", "the model's folder is missing", fix)]
    folder = experiment.path(model["path"])
    lacking = next((n for n in ("config.json", "tokenizer_config.json") if not (folder / n).is_file()), None)
    return [InputError(f"there is no {lacking}", file=folder, fix=fix)] if lacking else []


def _wrong_data(experiment: Experiment) -> list[InputError]:
    data = experiment.plan.base.data
    known = ("train", "valid", "input", "output")
    for name in data:
        if name not in known:
            near = nearest(name, known, 1)
            fix = f"did you mean {near[0]}?" if near else f"known are {', '.join(known)}"
            return [_wrong(experiment, f"base.data.{name}", "there is no such key here", fix)]
    if "train" not in data or ("input" in data) != ("output" in data):
        fix = "write `data: {train: data/train.jsonl, valid: data/valid.jsonl, input: question, output: answer}`"
        return [_wrong(experiment, "base.data", "train is missing, or one of input and output", fix)]
    columns = (data["input"], data["output"]) if "input" in data else None
    for file in (experiment.path(data[name]) for name in ("train", "valid") if name in data):
        try:
            progtrain_rows.read(str(file), columns)
        except (OSError, ValueError, csv.Error) as error:
            reason = str(error.strerror) if isinstance(error, OSError) else str(error)
            return [InputError(reason, file=file, fix="write rows with input and output, messages, or text")]
    return []


def _wrong(experiment: Experiment, key: str, reason: str, fix: str) -> InputError:
    return InputError(reason, file=experiment.folder.plan, place=f"key {key}", fix=fix)
