"""Evaluates a run's checkpoint with the workspace's `03_eval.py`, into a folder of the cell's own."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from progtrain.engine import hooks
from progtrain.engine.errors import InputError
from progtrain.engine.experiment import expand, outcome, run_script, run_workspace, scored
from progtrain.engine.experiment.placing import leading
from progtrain.engine.experiment.plan import Task
from progtrain.engine.experiment.workers.base import Ended, EvaluationWorker, Experiment, Piece, Score
from progtrain.engine.files import read_text, storage_errors
from progtrain.engine.loop.steps import evaluate
from progtrain.engine.schema import EvalScore, JobRequest, JobState, load
from progtrain.engine.script.repair.failure import Failure
from progtrain.engine.text import clean_line, last_line, tail
from progtrain.engine.workspace import JobFolder, VersionFolder, Workspace
from progtrain.engine.yaml_text import as_yaml

#: what a task may ask of the evaluator
_OPTIONS = ("split",)
#: of what the evaluator warns of, so much is told
_MOST_NOTES = 5


class Progtrain(EvaluationWorker):
    name = "progtrain"
    about = "03_eval.py of the workspace: the metrics of the rules, on the validation data of the run's script"

    def problems(self, experiment: Experiment) -> list[InputError]:
        found = []
        for run in expand.runs(experiment.plan, experiment.folder):
            if not run_script.base_is_script(experiment) and run.type != "eval-only":
                reason = "03_eval.py evaluates trainings of a script, and the plan's base is none"
                fix = "name `script: 02_train_v001.py`, or another tool in tools.evaluation"
                return [InputError(reason, file=experiment.folder.plan, place="key base", fix=fix)]
            try:
                run_script.version_of(experiment, run)
            except InputError as error:
                found.append(error)
            if run.checkpoint and not experiment.path(run.checkpoint).is_file():
                key = f"key runs.add, run {run.name}"
                fix = "name a file, such as Models/Artifacts/v003/best.ckpt"
                reason = f"there is no checkpoint {run.checkpoint}"
                found.append(InputError(reason, file=experiment.folder.plan, place=key, fix=fix))
        return found

    def for_task(self, experiment: Experiment, task: Task) -> list[InputError]:
        place, plan = f"key evaluation.tasks, task {task.name}", experiment.plan
        text = _evaluator(run_script.workspace(experiment))

        def wrong(reason: str, fix: str) -> InputError:
            return InputError(reason, file=experiment.folder.plan, place=place, fix=fix)

        given = {"script": task.script, "command": task.command, "scorers": task.scorers}
        found = [
            wrong(
                f"{key} means nothing to 03_eval.py", "take it out; the metrics are those of eval_config in the rules"
            )
            for key, value in given.items()
            if value
        ]
        unknown = [name for name in task.options if name not in _OPTIONS]
        found += [wrong(f"03_eval.py has no option {name}", f"it has {', '.join(_OPTIONS)}") for name in unknown]
        cells = [(row.run, epoch) for row in plan.evaluation.matrix if task.name in row.tasks for epoch in row.epochs]
        anew = "delete 03_eval.py: it is written anew, with all options"
        if any(epoch != "best" for _, epoch in cells) and "--checkpoint" not in text:
            found.append(wrong("this 03_eval.py evaluates best.ckpt alone: it has no option --checkpoint", anew))
        if "--output" not in text and _several(experiment):
            reason = "this 03_eval.py writes beside the checkpoint, where a second evaluation of a run would write too"
            found.append(wrong(reason, f"{anew}; or evaluate each run once"))
        return found

    def files(self, piece: Piece) -> dict[Path, str]:
        assert piece.cell is not None
        version = run_script.version_of(piece.experiment, piece.run)
        told = {"tool": self.name, "task": piece.cell.task.name, "version": version, "epoch": piece.cell.epoch}
        found = {piece.cell_folder.config: as_yaml(told | {"options": piece.cell.task.options})}
        if piece.run.checkpoint is not None:
            ws, texts = run_script.workspace(piece.experiment), run_script.base(piece.experiment, version)
            found |= run_workspace.files(ws, piece.folder, texts)
            # beside it stands on what it was trained
            spec = piece.experiment.path(piece.run.checkpoint).with_name("spec.json")
            if spec.is_file():
                found[run_workspace.of(piece.folder).version(version).spec] = read_text(spec)
        return found

    def links(self, piece: Piece) -> dict[Path, Path]:
        if piece.run.checkpoint is None:
            return {}
        version = run_script.version_of(piece.experiment, piece.run)
        ws, texts = run_script.workspace(piece.experiment), run_script.base(piece.experiment, version)
        best = run_workspace.of(piece.folder).version(version).best_checkpoint
        checkpoint = leading(best, piece.experiment.path(piece.run.checkpoint).absolute())
        return {**run_workspace.links(ws, piece.folder, texts, version), best: checkpoint}

    def request(self, piece: Piece, attempt: JobFolder, *, resume: bool = False) -> JobRequest:
        assert piece.cell is not None
        ws, version = run_workspace.of(piece.folder), run_script.version_of(piece.experiment, piece.run)
        text, words = _evaluator(ws), ["--version", version]
        scored.clear(piece.cell_folder)
        for made in _made(ws.version(version)):
            _remove(made)
        if "--output" in text:
            words += ["--output", str(piece.cell_folder.path.absolute())]
        if piece.cell.epoch != "best":
            words += ["--checkpoint", _checkpoint(ws.version(version), piece.cell.epoch)]
        for name, value in piece.cell.task.options.items():
            words += [f"--{name}", outcome.text_of(value)]
        limit = piece.experiment.rules.timeout_seconds
        started, variables = hooks.evaluator(ws, version)
        return JobRequest(
            name=f"{piece.run.name}-{attempt.path.name}",
            command=[piece.experiment.python, *started, *words],
            cwd=str(ws.root),
            environment=hooks.of_script() | variables,
            timeout_seconds=limit,
        )

    def ended(self, piece: Piece, attempt: JobFolder, state: JobState) -> Ended:
        ws, version = run_workspace.of(piece.folder), run_script.version_of(piece.experiment, piece.run)
        output = tail(attempt.restarted(state.restarts).log)
        if failure := outcome.failed(attempt, state):
            if failure.cause == "unknown":
                said = f"the evaluation failed: {clean_line(last_line(output))}"
                failure = Failure("exception", said, "what 03_eval.py says of it")
            return Ended(failure)
        try:
            _bring(ws.version(version), piece)
            score = load(piece.cell_folder.score, EvalScore)
            _check(piece, score)
        except InputError as error:
            return Ended(Failure("outputs", error.located, error.fix or "see the output of the evaluation"))
        notes = list(dict.fromkeys(re.findall(r"^warning: (.+)$", output, re.MULTILINE)))[:_MOST_NOTES]
        if not score.num_samples:
            notes.append("the script reported its scores itself: no samples were measured")
        cell = piece.cell_folder
        outputs = [path for path in (cell.score, cell.per_sample, cell.protocol) if path.is_file()]
        return Ended(None, outputs, [clean_line(note) for note in notes])

    def scores(self, piece: Piece) -> list[Score]:
        # without samples: the script reported them
        return scored.read(piece.cell_folder, counted=bool(load(piece.cell_folder.score, EvalScore).num_samples))


def _evaluator(ws: Workspace) -> str:
    """The text of 03_eval.py, as it is or would be written."""
    return read_text(evaluate.missing(ws.eval_script).get(ws.eval_script, ws.eval_script))


def _several(experiment: Experiment) -> bool:
    """Whether some run is evaluated more than once with this tool."""
    plan = experiment.plan
    planned = expand.runs(plan, experiment.folder)
    mine = [cell for cell in expand.cells(plan, planned, experiment.folder) if plan.tool_of(cell.task) == "progtrain"]
    return len(mine) > len({cell.run for cell in mine})


def _checkpoint(folder: VersionFolder, epoch: str | int) -> str:
    """The name of a checkpoint in the version's folder. Raises `InputError` where that epoch was not kept."""
    if epoch == "last":
        if folder.last_checkpoint.is_file():
            return folder.last_checkpoint.name
        reason, fix = "this training kept no last.ckpt", "evaluate epoch best, or let the script save its last one"
        raise InputError(reason, file=folder.last_checkpoint, fix=fix)
    kept = sorted(path.name for path in folder.path.glob("*.ckpt"))
    found = [name for name in kept if re.search(rf"epoch[=_-]?0*{epoch}(?!\d)", name)]
    if len(found) == 1:
        return found[0]
    reason = f"{'several checkpoints are' if found else 'no checkpoint is'} of epoch {epoch}"
    raise InputError(
        reason, file=folder.path, fix=f"there are {', '.join(kept) or 'none'}: correct epochs in the matrix"
    )


def _made(folder: VersionFolder) -> list[Path]:
    """What an evaluator without --output writes beside the checkpoint."""
    return [folder.eval_score, folder.infer_samples, folder.evaluation]


def _remove(path: Path) -> None:
    with storage_errors(path):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def _bring(folder: VersionFolder, piece: Piece) -> None:
    """To the names that a cell's files have; from beside the checkpoint where the evaluator writes nowhere else."""
    cell = piece.cell_folder
    with storage_errors(cell.path):
        for made in _made(folder) if not cell.score.exists() else ():
            if made.exists():
                _remove(cell.path / made.name)
                shutil.move(made, cell.path / made.name)
        inner = cell.path / folder.evaluation.name
        for target in (cell.per_sample, cell.protocol):
            if (inner / target.name).is_file():
                (inner / target.name).replace(target)
        if inner.is_dir() and not any(inner.iterdir()):
            inner.rmdir()


def _check(piece: Piece, score: EvalScore) -> None:
    experiment = piece.experiment
    if experiment.dataset_id and score.dataset_id != experiment.dataset_id:
        reason = f"the score is about dataset {score.dataset_id!r}, the experiment runs on {experiment.dataset_id!r}"
        raise InputError(reason, file=piece.cell_folder.score, place="key dataset_id", fix="correct 03_eval.py")
    experiment.rules.check_directions(score, piece.cell_folder.score)


WORKERS = (Progtrain(),)
