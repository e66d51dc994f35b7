"""Trains and evaluates by any command of the user's: `[python, train.py, --rank, "{rank=8}", --out, "{artifacts}"]`.

A setting reaches the command by its name in a word, `{rank}`, with its value in the base where one is written,
`{rank=8}`; or by a variable of the environment, PROGTRAIN_PARAM_RANK. `{{rank}}` and `${rank}` stay as they are.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from progtrain.engine import hooks
from progtrain.engine.errors import InputError
from progtrain.engine.experiment import outcome, scored
from progtrain.engine.experiment.plan import Task
from progtrain.engine.experiment.workers.base import Ended, EvaluationWorker, Experiment, Piece, Score, TrainingWorker
from progtrain.engine.files import read_loosely, sha256_text
from progtrain.engine.schema import JobRequest, JobState
from progtrain.engine.script.names import nearest
from progtrain.engine.script.repair.failure import Failure
from progtrain.engine.workspace import JobFolder
from progtrain.engine.yaml_text import as_yaml, number

_PLACE = re.compile(r"\{(\{[A-Za-z_][\w.]*\})\}|(?<!\$)\{([A-Za-z_][\w.]*)(?:=([^{}]*))?\}")
_PARAMETER, _OPTION = "PROGTRAIN_PARAM_", "PROGTRAIN_OPTION_"
#: names in a command that are no settings
_GIVEN = ("python", "workspace", "run", "artifacts")
_GIVEN_TO_EVALUATION = (*_GIVEN, "output", "checkpoint", "epoch", "task")
_MOST_BYTES = 1_000_000


class Command(TrainingWorker):
    name = "command"
    about = "any command: settings as {name} in its words or as PROGTRAIN_PARAM_*, results in {artifacts}"

    def problems(self, experiment: Experiment) -> list[InputError]:
        words = experiment.plan.base.command
        if not words:
            fix = 'write `command: [python, train.py, --rate, "{rate}", --out, "{artifacts}"]`'
            return [_wrong(experiment, "base", "tool command needs a command", fix)]
        return [
            *_cannot_start(words, "base.command", experiment),
            *_not_asked_for(words, experiment),
            *_not_filled(words, experiment),
        ]

    def settings(self, experiment: Experiment) -> dict[str, Any]:
        plan = experiment.plan
        words = plan.base.command or []
        known = {name: _value(default) for name, default in _places(words).items() if name not in _GIVEN}
        text = _text(words, experiment)
        return known | {n: plan.controls.get(n) for n in _wanted(experiment) if n not in known and _asks(text, n)}

    def files(self, piece: Piece) -> dict[Path, str]:
        told = {"tool": self.name, "command": self._command(piece), "settings": dict(piece.settings)}
        return {piece.folder.setup: as_yaml(told)}

    def request(self, piece: Piece, attempt: JobFolder, *, resume: bool = False) -> JobRequest:
        command = self._command(piece)
        if resume:
            piece.folder.artifacts.mkdir(parents=True, exist_ok=True)
        else:
            outcome.set_aside(piece, attempt)
        environment = _environment(_given(piece), piece.settings) | ({"PROGTRAIN_RESUME": "1"} if resume else {})
        return outcome.request(piece, attempt, command, environment)

    def _command(self, piece: Piece) -> list[str]:
        words = piece.experiment.plan.base.command or []
        return _filled(words, {**piece.settings, **_given(piece)}, piece, "base.command")

    def ended(self, piece: Piece, attempt: JobFolder, state: JobState) -> Ended:
        if failure := outcome.failed(attempt, state):
            return Ended(failure)
        made = outcome.files_in(piece.folder.artifacts)
        if not made:
            where = piece.experiment.ws.relative(piece.folder.artifacts)
            advice = "write what the command makes to {artifacts}, or to what PROGTRAIN_ARTIFACTS names"
            return Ended(Failure("outputs", f"the command ended well, and there is nothing in {where}", advice))
        return Ended(outputs=made)

    def smaller(self, piece: Piece) -> dict[str, Any] | None:
        return outcome.halved({**self.settings(piece.experiment), **piece.settings})

    def can_resume(self, piece: Piece) -> bool:
        """A command that asks for PROGTRAIN_RESUME can go on from what lies in its artifacts."""
        text = _text(piece.experiment.plan.base.command or [], piece.experiment)
        return "PROGTRAIN_RESUME" in text and bool(outcome.files_in(piece.folder.artifacts))

    def check(self, piece: Piece) -> Failure | None:
        return outcome.broken(outcome.files_in(piece.folder.artifacts))


class CommandEvaluation(EvaluationWorker):
    name = "command"
    about = "any command: it writes eval_score.json, and per_sample.csv where it has samples, into {output}"

    def problems(self, experiment: Experiment) -> list[InputError]:
        return []

    def for_task(self, experiment: Experiment, task: Task) -> list[InputError]:
        if not task.command:
            fix = 'write `command: [python, evaluate.py, "{checkpoint}", --out, "{output}"]`'
            return [_wrong(experiment, f"evaluation.tasks.{task.name}", "tool command needs a command", fix)]
        key = f"evaluation.tasks.{task.name}.command"
        found = _cannot_start(task.command, key, experiment)
        text = _text(task.command, experiment)
        for name in task.options:
            if name not in _places(task.command) and not _asks(text, name, _OPTION):
                fix = f"write {{{name}}} into the command, or take the option out"
                found.append(_wrong(experiment, key, f"nothing in the command asks for the option {name}", fix))
        known = [*_GIVEN_TO_EVALUATION, *task.options, *_wanted(experiment)]
        return found + [
            _wrong(experiment, key, f"{{{name}}} is nothing that is known here", _meant(name, known))
            for name, default in _places(task.command).items()
            if default is None and name not in known
        ]

    def files(self, piece: Piece) -> dict[Path, str]:
        assert piece.cell is not None
        task = piece.cell.task
        told = {"tool": self.name, "task": task.name, "epoch": piece.cell.epoch}
        return {piece.cell_folder.config: as_yaml(told | {"command": task.command or [], "options": task.options})}

    def request(self, piece: Piece, attempt: JobFolder, *, resume: bool = False) -> JobRequest:
        assert piece.cell is not None
        task = piece.cell.task
        given = _given(piece) | {
            "output": str(piece.cell_folder.path.absolute()),
            "checkpoint": str(outcome.checkpoint(piece)),
            "epoch": str(piece.cell.epoch),
            "task": task.name,
        }
        words = {**piece.settings, **task.options, **given}
        command = _filled(task.command or [], words, piece, f"evaluation.tasks.{task.name}.command")
        scored.clear(piece.cell_folder)
        environment = _environment(given, piece.settings) | _named(_OPTION, task.options)
        return outcome.request(piece, attempt, command, environment)

    def ended(self, piece: Piece, attempt: JobFolder, state: JobState) -> Ended:
        assert piece.cell is not None
        if failure := outcome.failed(attempt, state):
            return Ended(failure)
        task = piece.cell.task
        files = _files(task.command or [], piece.experiment)
        code = [path for path in files if path.suffix in (".py", ".sh")]
        evaluator = {"command": task.command, "options": task.options, "code": [scored.fingerprint(p) for p in code]}
        data = [scored.fingerprint(path) for path in files if path not in code]
        return scored.taken(piece, evaluator, sha256_text(repr(data)))

    def scores(self, piece: Piece) -> list[Score]:
        return scored.read(piece.cell_folder)


WORKERS = (Command(), CommandEvaluation())


# names in words


def _places(words: Iterable[str]) -> dict[str, str | None]:
    """Each name that stands in braces -> what is written behind it: `{rank=8}` -> `{"rank": "8"}`."""
    found: dict[str, str | None] = {}
    for match in (match for word in words for match in _PLACE.finditer(word) if match[2]):
        found[match[2]] = found.get(match[2]) if match[3] is None else match[3]
    return found


def _filled(words: Sequence[str], known: Mapping[str, Any], piece: Piece, key: str) -> list[str]:
    defaults = _places(words)

    def value(match: re.Match[str]) -> str:
        if match[1]:
            return match[1]
        name = match[2]
        if name not in known and defaults.get(name) is None:
            reason = f"{piece.run.name} has no value for {{{name}}}"
            raise _wrong(piece.experiment, key, reason, f"write what it is in the base: {{{name}=...}}")
        return outcome.text_of(known[name]) if name in known else defaults[name] or ""

    filled = [_PLACE.sub(value, word) for word in words]
    # as in the loop, Python is the one that the plan names
    return [piece.experiment.python if filled[0] in ("python", "python3") else filled[0], *filled[1:]]


def _given(piece: Piece) -> dict[str, str]:
    experiment = piece.experiment
    tested = piece.run.checkpoint
    artifacts = piece.folder.artifacts if tested is None else experiment.path(tested)
    values = (experiment.python, str(experiment.ws.root.absolute()), piece.run.name, str(artifacts.absolute()))
    return dict(zip(_GIVEN, values, strict=True))


def _environment(given: Mapping[str, str], settings: Mapping[str, Any]) -> dict[str, str]:
    return (
        hooks.of_command()
        | _named(_PARAMETER, settings)
        | {f"PROGTRAIN_{name.upper()}": value for name, value in given.items()}
    )


def _named(prefix: str, known: Mapping[str, Any]) -> dict[str, str]:
    return {_variable(prefix, name): outcome.text_of(value) for name, value in known.items()}


def _variable(prefix: str, name: str) -> str:
    """`learning.rate` -> `PROGTRAIN_PARAM_LEARNING_RATE`."""
    return prefix + re.sub(r"\W", "_", name, flags=re.ASCII).upper()


def _value(text: str | None) -> Any:
    try:
        return number(json.loads(text)) if text is not None else None
    except ValueError:
        return number(text)


# what the plan gets wrong


def _wanted(experiment: Experiment) -> list[str]:
    """Names that the plan gives values to."""
    plan = experiment.plan
    added = [name for run in plan.runs.add for name in run.parameters]
    repeated = ["seed"] if plan.repeats > 1 or plan.experiment.kind == "repeats" else []
    return list(dict.fromkeys([*plan.variables, *plan.controls, *added, *repeated]))


def _not_asked_for(words: Sequence[str], experiment: Experiment) -> list[InputError]:
    plan, text, places = experiment.plan, _text(words, experiment), _places(words)
    found = []
    for name in _wanted(experiment):
        key = f"{'variables' if name in plan.variables else 'controls'}.{name}"
        if name in _GIVEN:
            found.append(_wrong(experiment, key, f"{{{name}}} means something else in a command", "name it otherwise"))
        elif name not in places and not _asks(text, name):
            fix = f"write {{{name}}} into base.command, or have what it runs read {_variable(_PARAMETER, name)}"
            found.append(_wrong(experiment, key, f"nothing in the command asks for {name}", fix))
    return found


def _not_filled(words: Sequence[str], experiment: Experiment) -> list[InputError]:
    """Names in the command that a run has no value for."""
    plan, found = experiment.plan, []
    for name, default in _places(words).items():
        if default is not None or name in _GIVEN or name in plan.controls:
            continue
        if name not in _wanted(experiment):
            known = [*_wanted(experiment), *_GIVEN]
            found.append(_wrong(experiment, "base.command", f"{{{name}}} is no setting", _meant(name, known)))
        elif lacking := next((run.name for run in plan.runs.add if _lacks(run.type, run.parameters, name)), None):
            fix = f"write what it is in the base: {{{name}=...}}"
            found.append(_wrong(experiment, "base.command", f"{lacking} has no value for {{{name}}}", fix))
    return found


def _lacks(type: str, parameters: Mapping[str, Any], name: str) -> bool:
    return type == "control" or (type == "trained" and name not in parameters)


def _cannot_start(words: Sequence[str], key: str, experiment: Experiment) -> list[InputError]:
    first = words[0]
    # what `setup` loads is there only when the job runs
    if _PLACE.search(first) or first in ("python", "python3") or experiment.plan.resources.setup:
        return []
    there = experiment.path(first).is_file() if "/" in first else shutil.which(first) is not None
    reason = f"there is no program {first}"
    fix = "correct the first word of the command: a program of PATH, or a path in the workspace"
    return [] if there else [_wrong(experiment, key, reason, fix)]


def _files(words: Iterable[str], experiment: Experiment) -> list[Path]:
    """What a command names that lies in the workspace, also as `--config=small.yaml`."""
    parts = [word.rpartition("=")[2] for word in words if not _PLACE.search(word)]
    paths = [experiment.path(part) for part in dict.fromkeys(parts) if part not in ("", ".", "/")]
    return [path for path in paths if path.is_relative_to(experiment.ws.root) and path.exists()]


def _text(words: Iterable[str], experiment: Experiment) -> str:
    """The command, with the files of the workspace that it names: what may ask for a variable of the environment."""
    words = list(words)
    files = [p for p in _files(words, experiment) if p.is_file() and p.stat().st_size <= _MOST_BYTES]
    return "\n".join([*words, *(read_loosely(path) for path in files)])


def _asks(text: str, name: str, prefix: str = _PARAMETER) -> bool:
    """Whether a text names the variable of a setting, or goes through all of them."""
    return re.search(rf"\b{_variable(prefix, name)}\b|{prefix}(?!\w)", text) is not None


def _meant(name: str, known: Sequence[str]) -> str:
    near = nearest(name, known, 1)
    return f"did you mean {{{near[0]}}}?" if near else f"known are {', '.join(dict.fromkeys(known))}"


def _wrong(experiment: Experiment, key: str, reason: str, fix: str) -> InputError:
    return InputError(reason, file=experiment.folder.plan, place=f"key {key}", fix=fix)
