"""Evaluates one version on the validation data, the way it would be served: raw sample in, finished answer out.

    python 03_eval.py --version v001
    python 03_eval.py --external NAME      # a model from elsewhere: Models/external/NAME/inference_sample.py

This file is yours: read it, change it, run it alone. It writes eval_score.json, infer_samples/ and _eval/ beside
the checkpoint. Scores of two versions are comparable while this file, the data and the seed stay the same.

Of a training script it uses: its LightningModule, or load_model(checkpoint_path); load_split(split), which gives
[(sample_id, raw, target), ...] or (raws, targets), with preprocess(raw) -> Tensor where there is one; or else its
validation DataLoader; and, where they exist, postprocess(output) -> prediction, CLASS_NAMES and
per_sample_loss(output, target).
"""

from __future__ import annotations

import argparse
import csv
import difflib
import hashlib
import importlib.util
import inspect
import io
import json
import math
import os
import random
import re
import shutil
import statistics
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
import torchmetrics.functional as M
from PIL import Image, ImageOps
from torch import Tensor
from torch.utils.data import default_collate

ROOT = Path(__file__).resolve().parent
BATCH = 64  # for the metrics; the latency is measured one sample at a time
LATENCY_SAMPLES, WARM_UP = 50, 5


class EvalError(Exception):
    """What the user can fix: shown as one line."""


@contextmanager
def calling(what: str) -> Iterator[None]:
    """Turns whatever the user's code raises into one line that says where it happened."""
    try:
        yield
    except EvalError:
        raise
    except (Exception, SystemExit) as error:
        frames = [(Path(f.filename), f.lineno) for f in traceback.extract_tb(error.__traceback__)]
        own = [f for f in frames if f[0].is_relative_to(ROOT) and f[0].name != Path(__file__).name]
        own = [f for f in own if "site-packages" not in f[0].parts]
        place = f" ({own[-1][0].name}, line {own[-1][1]})" if own else ""
        message = " ".join(str(error).split())[:300]
        raise EvalError(f"{what} failed{place}: {type(error).__name__}: {message}") from error


# ---- script and model


def import_file(path: Path) -> ModuleType:
    """Imports a script by its path; its main part does not run."""
    if not path.is_file():
        raise EvalError(f"{path.relative_to(ROOT)} does not exist")
    spec = importlib.util.spec_from_file_location(f"evaluated_{path.stem}", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    sys.path.insert(0, str(path.parent))
    sys.argv = [str(path)]  # a script that parses its arguments on import gets its defaults
    with calling(f"importing {path.name}"):
        spec.loader.exec_module(module)
    return module


def model_classes(script: ModuleType) -> list[Any]:
    """The LightningModules of the script, without those that others inherit from."""
    found = [v for v in vars(script).values() if isinstance(v, type) and hasattr(v, "load_from_checkpoint")]
    found = [
        c for c in found if hasattr(c, "training_step") and not c.__module__.startswith(("lightning.", "pytorch_l"))
    ]
    return [c for c in found if not any(c is not other and issubclass(other, c) for other in found)]


def load_model(script: ModuleType, checkpoint: Path) -> Any:
    name, where = Path(str(script.__file__)).name, checkpoint.relative_to(ROOT)
    if not checkpoint.is_file():
        raise EvalError(f"{where} does not exist: run `python {name}` first")
    loaders = {cls.__name__: cls.load_from_checkpoint for cls in model_classes(script)}
    if hasattr(script, "load_model"):
        loaders = {"load_model()": lambda path, **_: script.load_model(path)}
    if not loaders:
        raise EvalError(f"{name} defines no LightningModule and offers no load_model(checkpoint_path)")
    # objects in a checkpoint were pickled while the script was the main program, and are looked up there
    main, sys.modules["__main__"] = sys.modules["__main__"], script
    problems = []
    try:
        for loader, load in loaders.items():
            try:
                with calling(f"loading it with {loader}"):
                    return load(checkpoint, map_location="cpu", weights_only=False).eval()
            except EvalError as error:
                problems.append(str(error))
    finally:
        sys.modules["__main__"] = main
    fix = "does __init__ call save_hyperparameters()? Else offer load_model(checkpoint_path)"
    raise EvalError(f"{where} does not fit the model of {name}: {'; '.join(problems)}; {fix}")


@dataclass
class Answer:
    """Of a model to one sample: scores (logits, probabilities, numbers), a finished prediction, or both."""

    scores: Tensor | None
    prediction: Any = None


class TrainedModel:
    """The best checkpoint of a version between the script's preprocess and postprocess."""

    def __init__(self, script: ModuleType, checkpoint: Path, samples: Samples) -> None:
        self.model, self.collate = load_model(script, checkpoint), samples.collate
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.lightning = hasattr(self.model, "transfer_batch_to_device")
        if self.lightning:
            self.model.to(self.device)
        self.settings = dict(getattr(self.model, "hparams", {}))
        self.preprocess = getattr(script, "preprocess", as_input) if samples.raw else lambda ready: ready
        self.postprocess: Callable[[Tensor], Any] = getattr(script, "postprocess", lambda scores: None)

    def answer(self, raws: Sequence[Any]) -> list[Answer]:
        batch = self.collate([self.preprocess(raw) for raw in raws])
        if self.lightning:
            batch = self.model.transfer_batch_to_device(batch, self.device, 0)
        if isinstance(batch, Mapping) and set(batch) <= set(inspect.signature(self.model.forward).parameters):
            output = self.model(**batch)
        else:
            several = isinstance(batch, list) and isinstance(batch[0], Tensor)
            output = self.model(*batch) if several else self.model(batch)
        output = output.get("logits") if isinstance(output, Mapping) else getattr(output, "logits", output)
        output = output[0] if isinstance(output, tuple | list) else output
        if not isinstance(output, Tensor):
            raise EvalError("forward returns neither a tensor nor a tuple, dict or object with `logits`")
        scores = output.float().cpu()
        # a forward that ends in squeeze() drops the dimension of a batch of one
        rows = list(scores) if scores.dim() and len(scores) == len(raws) else [scores]
        return [Answer(row, self.postprocess(row)) for row in rows]


class ExternalModel:
    """A model from elsewhere: predict(raw) gives scores, a label, a number, or a dict with these."""

    def __init__(self, module: ModuleType) -> None:
        if not callable(getattr(module, "predict", None)):
            raise EvalError(f"{Path(str(module.__file__)).relative_to(ROOT)} offers no predict(raw)")
        self.predict, self.device, self.settings = module.predict, "not known", dict[str, Any]()
        getattr(module, "load", lambda: None)()

    def answer(self, raws: Sequence[Any]) -> list[Answer]:
        return [self.read(self.predict(raw)) for raw in raws]

    def read(self, output: Any) -> Answer:
        prediction = None
        if isinstance(output, Mapping):
            prediction = next((output[k] for k in ("prediction", "label", "class") if k in output), None)
            output = next((output[k] for k in ("logits", "scores", "probabilities") if k in output), prediction)
        if isinstance(output, str | int | np.integer):
            return Answer(None, output)
        return Answer(torch.as_tensor(np.asarray(output)).float(), prediction)


def all_answers(model: TrainedModel | ExternalModel, raws: Sequence[Any]) -> list[Answer]:
    try:
        answers = [a for n in range(0, len(raws), BATCH) for a in model.answer(raws[n : n + BATCH])]
    except (RuntimeError, TypeError, ValueError):  # inputs of different shapes make no batch
        answers = []
    return answers if len(answers) == len(raws) else [model.answer([raw])[0] for raw in raws]


def median_latency(model: TrainedModel | ExternalModel, raws: list[Any]) -> float:
    """Milliseconds for one sample, pre- and postprocessing included."""
    times = []
    for raw in [*raws[:WARM_UP], *raws[:LATENCY_SAMPLES]]:
        start = time.perf_counter()
        model.answer([raw])
        times.append((time.perf_counter() - start) * 1000)
    return statistics.median(times[len(raws[:WARM_UP]) :])


# ---- samples


@dataclass
class Samples:
    """The samples of a split; `collate` makes a batch of preprocessed inputs."""

    ids: list[str]
    raws: list[Any]
    targets: list[Any]
    collate: Callable[[list[Any]], Any] = default_collate
    #: False: they come from a DataLoader, ready for the model
    raw: bool = True


def as_input(raw: Any) -> Any:
    """Where the script has no preprocess: text and dicts go in as they are, all else as a float32 tensor."""
    if isinstance(raw, str | Mapping):
        return raw
    return torch.as_tensor(raw if isinstance(raw, Tensor) else np.array(raw), dtype=torch.float32)


def load_samples(script: ModuleType, split: str) -> Samples:
    name = Path(str(script.__file__)).name
    with calling(f"reading the {split} samples of {name}"):
        samples = from_split(script.load_split(split)) if hasattr(script, "load_split") else from_loader(script, split)
    if not samples.ids:
        raise EvalError(f"{name} gives no samples for the split {split!r}")
    repeated, times = Counter(samples.ids).most_common(1)[0]
    if times > 1:
        raise EvalError(f"{name}: the sample id {repeated!r} comes {times} times in the split {split!r}")
    return samples


def from_split(result: Any) -> Samples:
    if isinstance(result, tuple) and len(result) == 2:
        raws, targets = (part.to_numpy() if hasattr(part, "to_numpy") else part for part in result)
        result = list(zip(raws, targets, strict=True))
    rows = [row if len(row) == 3 else (f"{n:06d}", *row) for n, row in enumerate(result)]
    return Samples([str(row[0]) for row in rows], [row[1] for row in rows], [row[2] for row in rows])


def from_loader(script: ModuleType, split: str) -> Samples:
    """Through the DataLoader of a LightningDataModule, of a function, or of the model."""
    name = "val_dataloader" if split == "valid" else f"{split}_dataloader"
    classes = [v for v in vars(script).values() if isinstance(v, type) and v.__module__ == script.__name__]
    holders: list[Any] = [c() for c in classes if hasattr(c, "prepare_data") and not hasattr(c, "training_step")]
    for data in holders:
        data.prepare_data()
        data.setup("test" if split == "test" else "fit")  # as in the training itself
    holders += [script, *(cls() for cls in model_classes(script) if name in vars(cls))]
    names = [prefix + name for prefix in ("", "make_", "get_", "build_")]
    make = next((getattr(h, n) for h in holders for n in names if callable(getattr(h, n, None))), None)
    if make is None:
        raise EvalError(f"it offers neither load_split(split) nor {name}()")
    loader = make()
    loader = loader[0] if isinstance(loader, list | tuple) else loader
    items = [split_item(loader.dataset[index]) for index in range(len(loader.dataset))]

    # a collate function takes whole items: any target will do
    def collate(inputs: list[Any]) -> Any:
        return loader.collate_fn([(x, items[0][1]) for x in inputs])[0]

    ids = [f"{index:06d}" for index in range(len(items))]
    own = default_collate if isinstance(loader.dataset[0], Mapping) else collate
    return Samples(ids, [x for x, _ in items], [target for _, target in items], own, raw=False)


def split_item(item: Any) -> tuple[Any, Any]:
    """Input and target of a dataset's item."""
    if not isinstance(item, Mapping):
        return item[0], item[1]
    key = next((k for k in ("label", "labels", "target", "targets", "y") if k in item), None)
    if key is None:
        raise EvalError(f"no label or target among the keys of a sample: {', '.join(map(str, item))}")
    rest = {k: v for k, v in item.items() if k != key}
    return (next(iter(rest.values())) if len(rest) == 1 else rest), item[key]


# ---- right and wrong


@dataclass
class Outcomes:
    """What became of the samples, row by row. Classes are indices."""

    task: str  # "classification", "binary", "multilabel" or "regression"
    targets: Tensor
    predictions: Tensor
    probabilities: Tensor | None  # None: the model tells none
    losses: Tensor
    finite: Tensor  # False: the model's answer is not a number
    names: list[str] | None

    @property
    def classes(self) -> int:
        """Classes, or labels of which several may hold."""
        seen = int(max(self.targets.max(), self.predictions.max())) + 1
        return seen if self.probabilities is None else self.probabilities.shape[-1]

    def correct(self, row: int) -> bool | None:
        right = bool(self.finite[row]) and bool((self.predictions[row] == self.targets[row]).all())
        return None if self.task == "regression" else right

    def confidence(self, row: int) -> float | None:
        if self.probabilities is None or self.task == "multilabel":
            return None
        p = self.probabilities[row]
        return float(p.max() if self.task == "classification" else torch.maximum(p, 1 - p))

    def named(self, value: Tensor) -> str:
        """A target or prediction for people: a class's name, or the number."""
        if self.task == "regression":
            return " ".join(f"{number:.7g}" for number in value.reshape(-1).tolist())
        classes = value.nonzero().flatten().tolist() if self.task == "multilabel" else [int(value)]
        return "|".join(self.names[i] if self.names and i < len(self.names) else str(i) for i in classes)


def stated_task(stats: Any) -> str:
    """`task_type` in stats.json, whatever the words and wherever it stands; "" when it is not there."""
    if not isinstance(stats, Mapping):
        return ""
    said = next((str(stats[key]) for key in ("task_type", "task", "problem_type") if key in stats), "")
    word = re.sub(r"[^a-z]", "", said.lower())
    kinds = {"multilabel": "multilabel", "regress": "regression", "binary": "classes", "class": "classes"}
    found = next((kind for part, kind in kinds.items() if part in word), "")
    return found or next((deeper for value in stats.values() if (deeper := stated_task(value))), "")


def find_task(stated: str, targets: Tensor, scores: Tensor | None) -> str:
    one_score = scores is not None and scores.shape[1] == 1
    zero_or_one = bool(((targets == 0) | (targets == 1)).all())
    if stated in ("multilabel", "regression"):
        return stated
    if not stated and targets.dim() > 1:
        return "multilabel" if zero_or_one else "regression"
    if not stated and (bool((targets != targets.round()).any()) or (one_score and not zero_or_one)):
        return "regression"
    return "binary" if one_score else "classification"


def as_numbers(values: list[Any], names: list[str] | None, what: str) -> Tensor:
    """Targets or predictions as one tensor; names of classes become their indices."""
    index = {name: number for number, name in enumerate(names or [])}
    unknown = [value for value in values if isinstance(value, str) and value not in index]
    if unknown:
        raise EvalError(f"the {what} {unknown[0]!r} is none of CLASS_NAMES ({', '.join(index) or 'there are none'})")
    numbers = [index[value] if isinstance(value, str) else value for value in values]
    return torch.tensor(np.stack([np.asarray(number, dtype=np.float64).squeeze() for number in numbers]))


def assess(answers: list[Answer], samples: Samples, script: ModuleType, stats: Any) -> Outcomes:
    names = getattr(script, "CLASS_NAMES", None) or stats.get("class_names") or stats.get("classes")
    names = [names[key] for key in sorted(names)] if isinstance(names, Mapping) else names
    names = [str(name) for name in names] if isinstance(names, list | tuple) else None
    targets = as_numbers(samples.targets, names, "target")
    told = [a.scores.reshape(-1).double() for a in answers if a.scores is not None]
    scores = torch.stack(told) if len(told) == len(answers) else None
    done = [a.prediction for a in answers if a.prediction is not None]
    given = as_numbers(done, names, "prediction") if len(done) == len(answers) else None
    numbers = scores if scores is not None else given
    if numbers is None:
        raise EvalError("some answers have scores, others a prediction only")
    task = find_task(stated_task(stats), targets, scores)
    finite = numbers.reshape(len(numbers), -1).isfinite().all(dim=1)
    if task == "regression":
        predictions = given if given is not None else numbers.reshape(targets.shape)
        losses = (predictions - targets).square().reshape(len(targets), -1).mean(dim=1)
        return Outcomes(task, targets, predictions, None, losses, finite & losses.isfinite(), None)
    probabilities, losses = judge(task, scores, targets)
    if given is None:
        sure = torch.nan_to_num(probabilities) if probabilities is not None else numbers
        given = sure.argmax(dim=1) if task == "classification" else sure >= 0.5
    if hasattr(script, "per_sample_loss"):
        pairs = zip(answers, samples.targets, strict=True)
        losses = torch.tensor([float(script.per_sample_loss(a.scores, target)) for a, target in pairs])
    return Outcomes(task, targets.long(), given.long(), probabilities, losses, finite, names)


def judge(task: str, scores: Tensor | None, targets: Tensor) -> tuple[Tensor | None, Tensor]:
    """Probabilities and the plain loss of each sample: versions trained with other losses stay comparable."""
    if scores is None:
        return None, torch.full((len(targets),), math.nan)
    classes = 2 if task == "binary" else scores.shape[1]
    if task != "multilabel" and int(targets.max()) >= classes:
        raise EvalError(f"a target is class {int(targets.max())}, but the model tells {classes} classes apart")
    are_probabilities = bool(((scores >= 0) & (scores <= 1)).all())
    if task == "classification":
        are_probabilities &= bool(((scores.sum(dim=1) - 1).abs() < 1e-3).all())
        logits = scores.clamp_min(1e-12).log() if are_probabilities else scores
        return logits.softmax(dim=1), F.cross_entropy(logits, targets.long(), reduction="none")
    logits = torch.logit(scores, eps=1e-12) if are_probabilities else scores
    logits = logits.squeeze(1) if task == "binary" else logits
    losses = F.binary_cross_entropy_with_logits(logits, targets, reduction="none")
    return logits.sigmoid(), losses.reshape(len(losses), -1).mean(dim=1)


# ---- metrics

#: Everyday names of torchmetrics' functions, whose own names (cohen_kappa, hamming_distance ...) work as well.
ALIASES = {
    "acc": "accuracy", "f1": "f1_score", "sensitivity": "recall", "roc_auc": "auroc", "auc": "auroc",
    "ap": "average_precision", "mcc": "matthews_corrcoef", "kappa": "cohen_kappa", "ece": "calibration_error",
    "jaccard": "jaccard_index", "iou": "jaccard_index", "miou": "jaccard_index", "mae": "mean_absolute_error",
    "mse": "mean_squared_error", "rmse": "root_mean_squared_error", "r2": "r2_score",
    "mape": "mean_absolute_percentage_error", "pearson": "pearson_corrcoef", "spearman": "spearman_corrcoef",
    "cross_entropy": "loss", "log_loss": "loss", "nll": "loss",
}  # fmt: skip
#: Of the metrics for classes, those that read labels. The others read probabilities.
ON_LABELS = {
    "accuracy", "f1_score", "precision", "recall", "specificity", "jaccard_index", "hamming_distance",
    "cohen_kappa", "exact_match", "matthews_corrcoef",
}  # fmt: skip
#: Words in the names of metrics of which less is better.
LOWER = ("error", "loss", "distance", "deviance", "divergence")


@dataclass
class Score:
    name: str
    value: float
    higher_is_better: bool
    #: what each sample contributes: its mean is the value (of rmse, the square); None: it does not decompose
    parts: Tensor | None = None


def score(name: str, better: bool | None, o: Outcomes) -> Score:
    """`name` as the rules spell it: "f1", "F1Score", "macro_f1", "top3_accuracy", "balanced_accuracy", "RMSE" ..."""
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower().replace("-", "_").split("_")
    average = next((word for word in ("macro", "micro", "weighted", "balanced") if word in words), None)
    key = "_".join(word for word in words if word not in (average, "val", "valid"))
    top = re.search(r"top_?(\d+)", key)
    key = "accuracy" if top else ALIASES.get(key, key)
    better = not any(word in key for word in LOWER) if better is None else better
    if key == "loss":
        return Score(name, float(o.losses.mean()), better)
    function: Any = getattr(M, key.removeprefix("root_"), None)
    takes = inspect.signature(function).parameters if callable(function) else {}
    if "preds" not in takes or ("task" in takes) != (o.task != "regression"):
        near = difflib.get_close_matches(name.lower(), [*ALIASES, *dir(M)], n=3, cutoff=0.4)
        raise EvalError(f"no metric {name!r} for {o.task}; the nearest names: {', '.join(near or ALIASES)}")
    predicted = o.predictions if o.task == "regression" or (key in ON_LABELS and not top) else o.probabilities
    if predicted is None or not bool(o.finite.all()):
        return Score(name, math.nan, better)
    default = "micro" if key == "accuracy" and average is None else "macro"
    options = {
        "task": "multiclass" if o.task == "classification" else o.task,
        "num_classes": o.classes,
        "num_labels": o.classes,
        "average": default if average in (None, "balanced") else average,
        "top_k": int(top[1]) if top else 1,
        "squared": not key.startswith("root_"),
    }
    try:
        value = function(predicted, o.targets, **{k: v for k, v in options.items() if k in takes})
        return Score(name, float(value), better, None if average or top else parts(key, o))
    except (TypeError, ValueError, RuntimeError) as error:
        print(f"warning: {name} cannot be worked out: {' '.join(str(error).split())}")
        return Score(name, math.nan, better)


def parts(key: str, o: Outcomes) -> Tensor | None:
    if key == "accuracy":
        return (o.predictions == o.targets).double().reshape(len(o.targets), -1).mean(dim=1)
    power = {"mean_absolute_error": 1, "mean_squared_error": 2, "root_mean_squared_error": 2}.get(key)
    apart = (o.predictions - o.targets).abs().reshape(len(o.targets), -1)
    return apart.pow(power).mean(dim=1) if power else None


# ---- what is written


def read_json(path: Path) -> Any:
    """An empty dict when there is no such file."""
    try:
        value = json.loads(path.read_text(encoding="utf-8-sig")) if path.is_file() else {}
    except ValueError as error:
        raise EvalError(f"{path.name} is not valid JSON: {error}") from error
    if not isinstance(value, dict):
        raise EvalError(f"{path.name} holds no JSON object")
    return value


def timestamp() -> str:
    return datetime.now().astimezone().isoformat(timespec="seconds")


def clean(value: Any) -> Any:
    """As JSON knows it: NaN becomes null, tensors and arrays lists, all that is foreign its text."""
    if isinstance(value, Mapping):
        return {str(key): clean(item) for key, item in value.items()}
    if isinstance(value, Tensor | np.ndarray | np.generic):
        return clean(value.tolist())
    if isinstance(value, list | tuple):
        return [clean(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if isinstance(value, str | int | None) else str(value)


def write(path: Path, content: Any) -> None:
    """All of it or nothing; what is no text becomes JSON."""
    text = content if isinstance(content, str) else json.dumps(clean(content), indent=2, ensure_ascii=False) + "\n"
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)


def sha256(path: Path) -> str:
    """Of a file, or of the names and contents of a folder, without what this script writes there."""
    if path.is_file():
        return hashlib.sha256(path.read_bytes()).hexdigest()
    digest = hashlib.sha256()
    for file in sorted(p for p in path.rglob("*") if p.is_file()):
        name = file.relative_to(path).as_posix()
        if not name.startswith(("_eval/", "infer_samples/", "eval_score.json", "__pycache__/")):
            digest.update(f"{name}\0{sha256(file)}\n".encode())
    return digest.hexdigest()


def as_image(raw: Any) -> Image.Image | None:
    if isinstance(raw, Image.Image):
        return raw
    pixels = np.asarray(raw) if isinstance(raw, np.ndarray | Tensor) else np.zeros(0)
    if pixels.ndim == 3 and pixels.shape[0] in (1, 3) and pixels.shape[2] not in (1, 3):
        pixels = pixels.transpose(1, 2, 0)
    pixels = pixels[..., 0] if pixels.ndim == 3 and pixels.shape[2] == 1 else pixels
    if pixels.ndim not in (2, 3) or min(pixels.shape[:2]) < 4 or (pixels.ndim == 3 and pixels.shape[2] != 3):
        return None
    if pixels.dtype != np.uint8:  # to be looked at: stretched from black to white
        low, high = float(np.nanmin(pixels)), float(np.nanmax(pixels))
        pixels = np.nan_to_num((pixels - low) / ((high - low) or 1) * 255).astype(np.uint8)
    return Image.fromarray(np.ascontiguousarray(pixels))


def write_sample(place: Path, raw: Any, answer: Answer, row: int, o: Outcomes, meta: Any) -> None:
    """One folder of infer_samples/: input, output, truth, and what became of it."""
    place.mkdir(parents=True)
    truth, said, correct = o.named(o.targets[row]), o.named(o.predictions[row]), o.correct(row)
    image, array = as_image(raw), np.asarray(raw) if isinstance(raw, np.ndarray | Tensor) else np.zeros(0)
    if image is not None:
        image.save(place / "input.png")
        large = ImageOps.contain(image.convert("RGB"), (160, 160), Image.Resampling.NEAREST)
        ImageOps.expand(large, 6, {True: "green", False: "red", None: "gray"}[correct]).save(place / "viz.png")
    elif array.ndim > 1:
        np.save(place / "input.npy", array)
    else:
        write(place / ("input.txt" if isinstance(raw, str) else "input.json"), raw)
    confidence, loss = o.confidence(row), float(o.losses[row])
    chances = o.probabilities[row] if o.probabilities is not None else None
    output = {"prediction": said, "confidence": confidence, "probabilities": chances, "scores": answer.scores}
    write(place / "output.json", output)
    write(place / "gt.json", {"truth": truth})
    write(place / "meta.json", {**meta, "correct": correct, "loss": loss})
    verdict = {True: "right", False: "wrong", None: "answer"}[correct]
    sure = "" if confidence is None else f" with confidence {confidence:.3f}"
    write(place / "summary.txt", f"{verdict}: {said}{sure}, truth {truth}, loss {loss:.4g}\n")


def per_sample_csv(samples: Samples, o: Outcomes, scores: list[Score]) -> str:
    columns = {f"part__{s.name}": s.parts for s in scores if s.parts is not None}
    sure = [] if o.task in ("regression", "multilabel") else ["confidence"]
    out = io.StringIO()
    table = csv.writer(out, lineterminator="\n")
    table.writerow(["sample_id", "truth", "prediction", "correct", "loss", *sure, *columns])
    for row, sample_id in enumerate(samples.ids):
        correct, said = o.correct(row), o.named(o.predictions[row]) if bool(o.finite[row]) else "nan"
        numbers = [float(o.losses[row]), *(o.confidence(row) for _ in sure), *(float(p[row]) for p in columns.values())]
        cells = ["" if v is None or not math.isfinite(v) else repr(v) for v in numbers]
        table.writerow([sample_id, o.named(o.targets[row]), said, "" if correct is None else int(correct), *cells])
    return out.getvalue()


def wanted_metrics(rules: Any) -> dict[str, bool | None]:
    """Name -> whether higher is better, where the rules say so. The loss is always there."""
    config = rules.get("eval_config") or {}
    wanted: dict[str, bool | None] = {"loss": None}
    for metric in [*(config.get("metrics") or []), config.get("primary_metric")]:
        if isinstance(metric, dict):
            wanted[str(metric.get("name"))] = metric.get("higher_is_better")
        elif metric:
            wanted.setdefault(str(metric), None)
    return wanted


def find_script(args: argparse.Namespace) -> Path:
    """The version's script; the newest one where an external model needs samples."""
    scripts = sorted(ROOT.glob("02_train_v*.py"), key=lambda path: (len(path.name), path.name))
    path = ROOT / f"02_train_{args.version}.py"
    if args.external and not args.version:
        path = [ROOT / "02_train_baseline.py", *scripts][-1]
    if not path.is_file():
        known = ", ".join(script.stem.removeprefix("02_train_") for script in scripts)
        raise EvalError(f"{path.name} does not exist; versions here: {known or 'none'}")
    return path


def find_dataset_id(script: ModuleType, rules: Any) -> str:
    dataset = rules.get("dataset_config") or {}
    found = getattr(script, "DATASET_ID", None) or dataset.get("dataset_id") or dataset.get("prepdata_version")
    if not found:
        raise EvalError("no dataset_id: neither DATASET_ID in the script nor dataset_config.dataset_id in the rules")
    return str(found)


def write_samples(folder: Path, samples: Samples, answers: list[Answer], o: Outcomes, about: Any, count: int) -> None:
    """Some samples to look at, drawn with the rules' seed: the same ones for every version."""
    fresh = folder / ".infer_samples.new"
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    rows = sorted(range(len(samples.ids)), key=lambda row: samples.ids[row])
    chosen = random.Random(about["seed"]).sample(rows, min(count, len(rows)))
    for place, row in enumerate(chosen, start=1):
        meta = {"sample_id": samples.ids[row], **about}
        write_sample(fresh / f"{place:04d}", samples.raws[row], answers[row], row, o, meta)
    shutil.rmtree(folder / "infer_samples", ignore_errors=True)
    fresh.replace(folder / "infer_samples")


def evaluate(args: argparse.Namespace) -> None:
    rules = read_json(ROOT / "user_defined_rules.json")
    config, seed = rules.get("eval_config") or {}, int(rules.get("seed", 42))
    if args.split == "test" and not (args.output and config.get("final_test")):
        raise EvalError("the test split is for the final report alone (eval_config.final_test), with --output")
    torch.manual_seed(seed)
    path, name = find_script(args), args.external or args.version
    script = import_file(path)
    dataset_id = find_dataset_id(script, rules)
    data = ROOT / "dataset" / "prepdata" / dataset_id
    samples = load_samples(script, args.split)
    print(f"{name}: {len(samples.ids)} samples of {dataset_id}, split {args.split}", flush=True)

    home = ROOT / "Models" / ("external" if args.external else "Artifacts") / name
    checkpoint = home if args.external else home / "best.ckpt"
    with torch.inference_mode(), calling(f"inference with {name}"):
        external = ExternalModel(import_file(home / "inference_sample.py")) if args.external else None
        model = external or TrainedModel(script, checkpoint, samples)
        answers = all_answers(model, samples.raws)
        latency = median_latency(model, samples.raws)
        o = assess(answers, samples, script, read_json(data / "stats.json"))
    if not bool(o.finite.all()):
        print(f"warning: {int((~o.finite).sum())} answers are not finite numbers: metrics of them are null")
    scores = [score(metric, better, o) for metric, better in wanted_metrics(rules).items()]
    print("\n".join(f"  {s.name} {s.value:.6g}" for s in scores) + f"\n  latency {latency:.3f} ms", flush=True)

    hashes = {"evaluator": Path(__file__), "data": data / args.split, "checkpoint": checkpoint, "script": path}
    protocol: dict[str, Any] = {f"{what}_sha256": sha256(where) for what, where in hashes.items()}
    protocol |= {"seed": seed, "split": args.split, "num_samples": len(samples.ids), "created_at": timestamp()}
    protocol |= {"class_names": o.names, "task": o.task}
    about = {"version": name, "dataset_id": dataset_id, "split": args.split, "seed": seed}
    about["conditions"] = {"batch": 1, "device": str(model.device), "torch": torch.__version__}
    about["config"] = {"script": path.name, "task": o.task, **model.settings}
    folder = args.output or home
    write_samples(folder, samples, answers, o, about, int(config.get("infer_samples", 10)))
    write(folder / "_eval" / "per_sample.csv", per_sample_csv(samples, o, scores))
    write(folder / "_eval" / "protocol.json", protocol)
    # last: where it lies, the rest is whole
    metrics = [{"name": s.name, "value": s.value, "higher_is_better": s.higher_is_better} for s in scores]
    whole = {"dataset_id": dataset_id, "created_at": timestamp(), "num_samples": len(samples.ids)}
    write(folder / "eval_score.json", {**whole, "metrics": metrics, "latency_ms": latency})
    print(f"written: {folder}", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description="Evaluates one version, or an external model.")
    parser.add_argument("--version", help="for example v001")
    parser.add_argument("--split", default="valid", choices=["valid", "test"])
    parser.add_argument("--external", metavar="NAME", help="a folder of Models/external/")
    parser.add_argument("--output", type=Path, metavar="DIR", help="where to write, instead of beside the checkpoint")
    args = parser.parse_args()
    if not args.version and not args.external:
        parser.error("say which: --version v001, or --external NAME")
    args.output = args.output.resolve() if args.output else None
    os.chdir(ROOT)  # scripts find their data from the workspace, wherever this was started
    try:
        with calling(f"evaluating {args.external or args.version}"):
            evaluate(args)
    except EvalError as error:
        print(f"03_eval.py: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
