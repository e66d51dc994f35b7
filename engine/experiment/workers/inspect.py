"""Evaluates with inspect-ai: a model in a local folder, with or without adapters, or one that a server here serves.

    evaluation:
      tasks: [{name: caps, tool: inspect, script: tasks/caps.py, options: {max_tokens: 16}}]

`progtrain create-inspect-task` writes such a script. What is run is `engine/experiment/tools/progtrain_inspect.py`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from progtrain.engine import values
from progtrain.engine.errors import InputError
from progtrain.engine.experiment import inspect_log, interpreter, locked, outcome, scored
from progtrain.engine.experiment.plan import Task
from progtrain.engine.experiment.workers.base import Ended, EvaluationWorker, Experiment, Piece, Score
from progtrain.engine.files import object_in, read_json, read_loosely, write_json
from progtrain.engine.schema import JobRequest, JobState
from progtrain.engine.script.names import nearest
from progtrain.engine.script.repair.failure import Failure
from progtrain.engine.workspace import JobFolder
from progtrain.engine.yaml_text import as_yaml

SCRIPT = Path(__file__).parents[1] / "tools" / "progtrain_inspect.py"
_NEEDED = {"inspect-ai": "inspect-ai"}
_LOCAL = {**_NEEDED, "transformers": "transformers", "accelerate": "accelerate"}
#: options of a task that `inspect eval` takes as they are
_PASSED = ("limit", "epochs", "max_tokens", "max_connections", "temperature", "top_p", "seed", "time_limit")
#: for the provider of local models
_MODEL = ("device", "batch_size", "torch_dtype")
_OPTIONS = (*_PASSED, *_MODEL, "model", "base_url", "args", "higher_is_better")
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


class Inspect(EvaluationWorker):
    name = "inspect"
    about = "a task of inspect-ai: a model in a local folder, or one that a server on this machine serves"

    def problems(self, experiment: Experiment) -> list[InputError]:
        mine = [task for task in experiment.plan.tasks if experiment.plan.tool_of(task) == self.name]
        needed = _LOCAL if any("model" not in task.options for task in mine) else _NEEDED
        adapters = {"peft": "peft"} if needed is _LOCAL and experiment.plan.tools.training == "peft" else {}
        served = {"openai": "openai"} if any("base_url" in task.options for task in mine) else {}
        return interpreter.missing(experiment, {**needed, **adapters, **served}, self.name)

    def for_task(self, experiment: Experiment, task: Task) -> list[InputError]:
        return [*_wrong_task(experiment, task), *_wrong_locks(experiment, task)]

    def files(self, piece: Piece) -> dict[Path, str]:
        assert piece.cell is not None
        task = piece.cell.task
        told = {"tool": self.name, "task": task.name, "script": task.script, "epoch": piece.cell.epoch}
        return {piece.cell_folder.config: as_yaml(told | {"scorers": task.scorers, "options": task.options})}

    def request(self, piece: Piece, attempt: JobFolder, *, resume: bool = False) -> JobRequest:
        assert piece.cell is not None
        task, folder = piece.cell.task, piece.cell_folder
        model, arguments, environment = _model(piece, task)
        words = [str(task.script), "--model", model]
        for name in _PASSED:
            if name in task.options:
                words += [f"--{name.replace('_', '-')}", outcome.text_of(task.options[name])]
        for name, value in (task.options.get("args") or {}).items():
            words += ["-T", f"{name}={outcome.text_of(value)}"]
        scored.clear(folder)
        for path in (*folder.path.glob("*.eval"), *map(_dump_of, folder.path.glob("*.eval"))):
            path.unlink(missing_ok=True)
        fixed = ["--logs", str(folder.path.absolute()), "--model-args", json.dumps(arguments)]
        command = [piece.experiment.python, str(SCRIPT), *fixed, "--", *words]
        return outcome.request(piece, attempt, command, {**outcome.OFFLINE, **environment})

    def ended(self, piece: Piece, attempt: JobFolder, state: JobState) -> Ended:
        assert piece.cell is not None
        task, folder = piece.cell.task, piece.cell_folder
        logs = sorted(folder.path.glob("*.eval")) if folder.path.is_dir() else []
        # a task that fails is told of in its log, whatever the exit code
        if (failure := outcome.failed(attempt, state)) and (state.ended_by or not logs):
            return Ended(failure)
        if not logs:
            return Ended(Failure("outputs", "inspect has written no log", "see the output of the evaluation"))
        dump = _dump_of(logs[-1])
        try:
            log = inspect_log.read(dump)
            found = inspect_log.scores(log, task.scorers, task.options.get("higher_is_better"), dump)
            header, rows = inspect_log.samples(log, task.scorers, dump)
        except InputError as error:
            return Ended(Failure("outputs", error.located, error.fix or "see the output of the evaluation"))
        if failure := locked.broken(piece, inspect_log.used(log), dump):
            return Ended(failure)
        scored.write_table(folder.per_sample, header, rows)
        write_json(folder.score, _score(piece, found))
        code = scored.fingerprint(piece.experiment.path(_file_of(task)))
        options = {name: value for name, value in task.options.items() if name not in ("model", "base_url")}
        evaluator = {"script": task.script, "code": code, "options": options, "scorers": task.scorers}
        ended = scored.taken(piece, evaluator, inspect_log.data_sha256(log))
        return ended._replace(outputs=[*ended.outputs, logs[-1], dump]) if ended.failure is None else ended

    def scores(self, piece: Piece) -> list[Score]:
        return scored.read(piece.cell_folder)


WORKERS = (Inspect(),)


def _dump_of(log: Path) -> Path:
    return log.with_suffix(".json")


def _file_of(task: Task) -> str:
    """Of `tasks/caps.py@caps`: the file."""
    return (task.script or "").partition("@")[0]


def _score(piece: Piece, found: list[Score]) -> dict[str, Any]:
    told = [score._asdict() for score in found]
    rows = [{"name": row.pop("metric"), **row} for row in told]
    return {
        "dataset_id": piece.experiment.dataset_id or (piece.cell.task.name if piece.cell else ""),
        "created_at": piece.experiment.clock().isoformat(),
        "num_samples": found[0].samples,
        "metrics": rows,
        "latency_ms": None,
    }


def _model(piece: Piece, task: Task) -> tuple[str, dict[str, Any], dict[str, str]]:
    """How inspect calls it, arguments of its provider, and the environment that these need."""
    named = task.options.get("model")
    if named is not None and "base_url" not in task.options:
        return str(named).replace("{run}", piece.run.name), {}, {}
    if named is not None:
        served = str(named).replace("{run}", piece.run.name)
        there = {"PROGTRAIN_BASE_URL": str(task.options["base_url"]), "PROGTRAIN_API_KEY": "none"}
        return f"openai-api/progtrain/{served}", {}, there
    folder = outcome.checkpoint(piece)
    tokens = _tokenizer(folder, piece)
    arguments: dict[str, Any] = {"model_path": str(folder)}
    if tokens != folder:
        arguments["tokenizer_path"] = str(tokens)
    arguments |= {name: task.options[name] for name in _MODEL if name in task.options}
    # drawn at random, two evaluations of one model would differ
    arguments["do_sample"] = (values.number(task.options.get("temperature")) or 0) > 0
    if _template_begins_by_itself(tokens):
        arguments["tokenizer_call_args"] = {"add_special_tokens": False}
    return f"hf/{piece.run.name}", arguments, {}


def _tokenizer(folder: Path, piece: Piece) -> Path:
    """Its folder. Raises `InputError` where the model, the model below its adapters, or the tokenizer is missing."""
    if not folder.is_dir():
        fix = "train the run first, or name the folder of a model"
        raise InputError("there is no folder with a model", file=folder, fix=fix)
    adapters = folder / "adapter_config.json"
    below = read_json(adapters).get("base_model_name_or_path") if adapters.is_file() else None
    if below is not None and not Path(below).is_dir():
        fix = "put the model there again, or correct base_model_name_or_path"
        raise InputError(f"the model that these adapters belong to is not at {below}", file=adapters, fix=fix)
    if below is None and not (folder / "config.json").is_file():
        fix = "evaluate a folder with config.json and weights, as save_pretrained writes it"
        raise InputError("there is no model and there are no adapters", file=folder, fix=fix)
    base = piece.experiment.plan.base.model.get("path")
    places = [folder, *([Path(below)] if below else []), *([piece.experiment.path(base).absolute()] if base else [])]
    found = next((place for place in places if (place / "tokenizer_config.json").is_file()), None)
    if found is None:
        raise InputError("there is no tokenizer_config.json", file=folder, fix="save the tokenizer beside the model")
    return found


def _template_begins_by_itself(folder: Path) -> bool:
    """Whether the chat template writes the token that begins a text, which must not come twice."""
    file = folder / "chat_template.jinja"
    told = object_in(folder / "tokenizer_config.json")
    text = read_loosely(file) if file.is_file() else str(told.get("chat_template") or "")
    return "bos_token" in text or str(told.get("bos_token") or "\0") in text


def _wrong_task(experiment: Experiment, task: Task) -> Iterator[InputError]:
    key = f"evaluation.tasks.{task.name}"
    file = experiment.path(_file_of(task))
    if not task.script or not file.is_file():
        reason = f"there is no file {_file_of(task)}" if task.script else "inspect needs a script with the task"
        fix = f"progtrain create-inspect-task {task.name} DATA writes one"
        yield _wrong(experiment, f"{key}.script", reason, fix)
    for name in task.options:
        if name not in _OPTIONS:
            near = nearest(name, _OPTIONS, 1)
            fix = f"did you mean {near[0]}?" if near else f"known are {', '.join(_OPTIONS)}; the task's own go to args"
            yield _wrong(experiment, f"{key}.options.{name}", f"there is no option {name}", fix)
    if "args" in task.options and not isinstance(task.options["args"], Mapping):
        yield _wrong(experiment, f"{key}.options.args", "a mapping belongs here", "write `args: {limit: 20}`")
    url = task.options.get("base_url")
    if url is not None and "model" not in task.options:
        fix = "name the model as the server calls it: `model: small`"
        yield _wrong(experiment, f"{key}.options.model", "a server needs the name of a model", fix)
    if url is not None and urlsplit(str(url)).hostname not in _LOOPBACK:
        fix = "write `base_url: http://127.0.0.1:8000/v1`"
        yield _wrong(experiment, f"{key}.options.base_url", "only a server on this machine is asked", fix)


def _wrong_locks(experiment: Experiment, task: Task) -> Iterator[InputError]:
    """Options that the rules lock: the seed, and the batch that is evaluated at once."""
    rules = experiment.rules.locked
    for name, key in (("seed", "seed"), ("batch_size", "val_batch_size")):
        if name in task.options and key in rules and not values.same(task.options[name], rules[key]):
            reason = f"{name} {values.show(task.options[name])} is not allowed: the rules say {rules[key]!r}"
            fix = "leave it out of the plan, or change the rule yourself"
            yield _wrong(experiment, f"evaluation.tasks.{task.name}.options.{name}", reason, fix)


def _wrong(experiment: Experiment, key: str, reason: str, fix: str) -> InputError:
    return InputError(reason, file=experiment.folder.plan, place=f"key {key}", fix=fix)
