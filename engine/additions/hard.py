"""Which training rows are hard: by the loss of the version's best checkpoint on them, or out of fold."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import psutil

from progtrain.engine import hooks, metrics, values
from progtrain.engine.additions import vectors
from progtrain.engine.additions.focus import class_name
from progtrain.engine.additions.tools.progtrain_additions_rows import Rows
from progtrain.engine.analysis.measure.samples import PerSample, read_per_sample
from progtrain.engine.errors import InputError, StepFailed
from progtrain.engine.files import object_in, sha256, try_read_json
from progtrain.engine.jobs.detached import with_parent
from progtrain.engine.templates.progtrain_eval.common import evaluator_sha256
from progtrain.engine.text import clean_line, last_line
from progtrain.engine.workspace import Workspace

if TYPE_CHECKING:
    import numpy as np

#: runs the workspace's evaluator with the user's interpreter: its words in, its name first; exit code and output out
Run = Callable[[Sequence[str]], tuple[int, str]]
FOLDS = 5
HOW = {
    "training_loss": "training loss of best.ckpt on train",
    "out_of_fold": f"out-of-fold loss on train, {FOLDS} folds, of a linear model",
}
_OTHER = "take hard_by: out_of_fold (--hard-by out_of_fold; of suspects: --out-of-fold), which needs no model"


class Hard(NamedTuple):
    """By place of the training rows: `loss`, and of classes what each row is taken for.

    `given` and `said` are numbers of classes (`classes` names them), `of_given` and `of_said` their probabilities.
    Without classes these four are empty.
    """

    how: str
    loss: list[float]
    classes: list[str]
    given: list[int]
    of_given: list[float]
    said: list[int]
    of_said: list[float]
    parts: dict[str, list[float | None]]


def plainly(ws: Workspace, python: str, seconds: float | None = None) -> Run:
    """In a child process, which ends with this one's wait for it."""

    def run(words: Sequence[str]) -> tuple[int, str]:
        started, variables = hooks.evaluator(ws)
        try:
            process = subprocess.Popen(
                [python, *started, *words[1:]],
                cwd=ws.root,
                env={**os.environ, **hooks.of_script(), **variables},
                stdin=subprocess.DEVNULL,
                preexec_fn=with_parent,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
            )
        except OSError as error:
            raise InputError(
                f"the interpreter cannot be started: {error.strerror}", file=python, fix="name another"
            ) from error
        with process:
            try:
                said, _ = process.communicate(timeout=seconds)
            except subprocess.TimeoutExpired as error:
                reason = f"{words[0]} ran for more than {seconds:.0f} s and was ended"
                raise StepFailed(reason, file=words[0]) from error
            finally:
                # those that it has asked the script in do not end by themselves where the script hangs
                _end(process)
        return process.returncode, said

    return run


def _end(process: subprocess.Popen[str]) -> None:
    with suppress(psutil.NoSuchProcess):
        for one in [] if process.poll() is not None else psutil.Process(process.pid).children(recursive=True):
            with suppress(psutil.NoSuchProcess):
                one.kill()
    process.kill()


def by_training(ws: Workspace, version: str, rows: Rows, run: Run) -> Hard:
    """One pass of `best.ckpt` over the training split, by the workspace's own 03_eval.py.

    It is kept until model, evaluator or data change. Raises `InputError` where that cannot say which rows are meant,
    `StepFailed` where it fails.
    """
    samples = _evaluated(ws, version, run)
    names = _class_names(ws, version)
    at = _places(ws, version, samples, rows, names)
    if any(loss is None for loss in samples.loss):
        reason = "the evaluation knows no loss for some training rows"
        raise InputError(reason, file=ws.train_scores(version).per_sample, fix=_OTHER)
    loss = [float(samples.loss[place] or 0) for place in at]
    parts = {name: [column[place] for place in at] for name, column in samples.parts.items()}
    classes = (
        sorted({samples.truth[place] for place in at} | set(samples.prediction)) if samples.is_classification else []
    )
    if not classes or any(value is None for value in samples.confidence):
        return Hard(HOW["training_loss"], loss, [], [], [], [], [], parts)
    from math import exp

    number = {name: place for place, name in enumerate(classes)}
    return Hard(
        HOW["training_loss"],
        loss,
        classes,
        [number[samples.truth[place]] for place in at],
        [exp(-value) for value in loss],
        [number[samples.prediction[place]] for place in at],
        [float(samples.confidence[place] or 0) for place in at],
        parts,
    )


def _evaluated(ws: Workspace, version: str, run: Run) -> PerSample:
    folder, best = ws.train_scores(version), ws.version(version).best_checkpoint
    if not best.is_file():
        raise InputError(f"{version} has no best.ckpt", file=best, fix=_OTHER)
    if not _is_current(ws, version):
        words = [ws.eval_script.name, "--version", version, "--split", "train", "--output", str(folder.path)]
        if not ws.eval_script.is_file():
            fix = f"progtrain step evaluate --version {version} writes it; or {_OTHER}"
            raise InputError("there is no 03_eval.py to ask the model with", file=ws.eval_script, fix=fix)
        code, said = run(words)
        if "invalid choice: 'train'" in said:
            reason = "this 03_eval.py is older and knows no --split train"
            fix = (
                f"{_OTHER}; or move 03_eval.py and progtrain_eval/ away, and evaluate each version again by the newer "
                f"ones: progtrain step evaluate --version {version}"
            )
            raise InputError(reason, file=ws.eval_script, fix=fix)
        if code:
            told = f"the evaluation on the training split failed: {clean_line(last_line(said))}"
            raise StepFailed(told, file=ws.eval_script, fix=_OTHER)
    if not folder.per_sample.is_file():
        reason = f"{version} has no scores of single samples: the script reports its own"
        raise InputError(reason, file=ws.script(version), fix=_OTHER)
    return read_per_sample(folder.per_sample)


def _is_current(ws: Workspace, version: str) -> bool:
    told = try_read_json(ws.train_scores(version).protocol)
    if told is None or not ws.eval_script.is_file():
        return False
    data = ws.split(str(_dataset(ws, version)), "train")
    now = {
        "evaluator_sha256": evaluator_sha256(ws.root),
        "checkpoint_sha256": sha256(ws.version(version).best_checkpoint),
        "data_sha256": sha256(data) if data.is_dir() else None,
        "split": "train",
    }
    return all(told.get(key) == value for key, value in now.items())


def _dataset(ws: Workspace, version: str) -> Any:
    return object_in(ws.train_scores(version).eval_score).get("dataset_id")


def _class_names(ws: Workspace, version: str) -> list[str]:
    names = object_in(ws.train_scores(version).protocol).get("class_names")
    return [str(name) for name in names] if isinstance(names, list) else []


def _places(ws: Workspace, version: str, samples: PerSample, rows: Rows, names: Sequence[str]) -> list[int]:
    """Of each training row, its place among the evaluation's samples. Raises `InputError`."""
    file = ws.train_scores(version).per_sample
    if set(rows.ids) <= samples.row.keys():
        found = [samples.row[name] for name in rows.ids]
    elif len(samples) == len(rows):
        found = list(range(len(rows)))  # samples without ids are numbered as they come
    else:
        reason = f"{version} trains on {len(samples)} samples with other ids than the {len(rows)} rows of train/"
        raise InputError(reason, file=file, fix=_OTHER)
    for place, label in zip(found, rows.labels, strict=True):
        truth = samples.truth[place]
        if isinstance(label, list) or truth == class_name(label, names):
            continue
        one, other = values.number(truth), values.number(label)
        if one is None or other is None or abs(one - other) > 1e-5 * max(1.0, abs(other)):
            name = samples.ids[place]
            reason = f"the evaluation calls sample {name} {truth!r}, the row in train/ has {label!r}"
            raise InputError(clean_line(reason), file=file, fix=_OTHER)
    return found


def out_of_fold(rows: Rows, root: Path, regression: bool, seed: int = 0) -> Hard:
    """Each fifth judged by a linear model of the other four: softmax regression for classes, ridge for numbers."""
    import numpy as np

    inputs = vectors.for_model(rows, root)
    rng = np.random.default_rng(seed)
    fold = rng.permutation(len(rows)) % FOLDS
    if regression:
        targets = np.array([metrics.finite(values.number(label)) or 0.0 for label in rows.labels])
        said = np.zeros(len(rows))
        for part in range(FOLDS):
            said[fold == part] = _ridge(inputs[fold != part], targets[fold != part], inputs[fold == part])
        return Hard(HOW["out_of_fold"], ((said - targets) ** 2).tolist(), [], [], [], [], [], {})
    classes = sorted({str(label) for label in rows.labels})
    number = {name: place for place, name in enumerate(classes)}
    given = np.array([number[str(label)] for label in rows.labels])
    chances = np.zeros((len(rows), len(classes)))
    for part in range(FOLDS):
        there = fold != part
        chances[~there] = _softmax(inputs[there], given[there], inputs[~there], len(classes))
    of_given = chances[np.arange(len(rows)), given]
    best = _above(chances, given)
    loss = -np.log(np.maximum(of_given, 1e-9))
    of_best = chances[np.arange(len(rows)), best]
    lists = (given.tolist(), of_given.tolist(), best.tolist(), of_best.tolist())
    return Hard(HOW["out_of_fold"], loss.tolist(), classes, *lists, {})


def _above(chances: np.ndarray[Any, Any], given: np.ndarray[Any, Any]) -> Any:
    """Of each row the likeliest class among those that are as likely as in rows that have that label."""
    import numpy as np

    usual = np.array(
        [chances[given == one, one].mean() if (given == one).any() else 2 for one in range(chances.shape[1])]
    )
    above = np.where(chances >= usual, chances, -1)
    return np.where(above.max(axis=1) >= 0, above.argmax(axis=1), chances.argmax(axis=1))


#: of the softmax regression
_STEPS, _WEIGHT_DECAY, _MOST_ROWS = 300, 1e-2, 20_000


def _softmax(x: np.ndarray[Any, Any], y: np.ndarray[Any, Any], other: np.ndarray[Any, Any], classes: int) -> Any:
    """Probabilities of `other` after gradient descent with momentum (Nesterov 1983) on the cross entropy."""
    import numpy as np

    step = max(1, len(x) // _MOST_ROWS)
    x, y = x[::step], y[::step]
    x, other = (np.concatenate([one, np.ones((len(one), 1), dtype=np.float32)], axis=1) for one in (x, other))
    # twice the largest curvature of the loss bounds the step
    power = np.ones(x.shape[1], dtype=np.float32)
    for _ in range(10):
        power = x.T @ (x @ power)
        power /= np.linalg.norm(power) or 1
    rate = 2 / (np.linalg.norm(x @ power) ** 2 / len(x) + _WEIGHT_DECAY)
    wanted = np.eye(classes, dtype=np.float32)[y]
    weights = np.zeros((x.shape[1], classes), dtype=np.float32)
    before = weights
    for n in range(_STEPS):
        ahead = weights + n / (n + 3) * (weights - before)
        slope = x.T @ (_chances(x @ ahead) - wanted) / len(x) + _WEIGHT_DECAY * ahead
        before, weights = weights, ahead - rate * slope
    return _chances(other @ weights)


def _chances(scores: np.ndarray[Any, Any]) -> Any:
    import numpy as np

    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def _ridge(x: np.ndarray[Any, Any], y: np.ndarray[Any, Any], other: np.ndarray[Any, Any]) -> Any:
    import numpy as np

    mean = y.mean()
    square = x.T @ x + 0.01 * len(x) * np.eye(x.shape[1], dtype=np.float32)
    return other @ np.linalg.solve(square, x.T @ (y - mean)) + mean
