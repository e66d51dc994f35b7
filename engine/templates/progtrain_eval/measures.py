"""The metrics: torchmetrics' by their everyday names, fed batch by batch."""

from __future__ import annotations

import difflib
import functools
import importlib
import inspect
import math
import statistics
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor

from .common import EvalError
from .names import MEASURED, SPELLINGS, higher_is_better, measured, taken_apart
from .seen import Seen
from .tasks import CLASSES, PLACES

if TYPE_CHECKING:
    from .judge import Judge

#: a part or another form of what torchmetrics has under that name
WITHIN = {
    "rmse": "mean_squared_error", "map_50": "mean_average_precision", "map_75": "mean_average_precision",
    "rouge1": "rouge_score", "rouge2": "rouge_score", "rougel": "rouge_score",
}  # fmt: skip
#: the mean of the losses of the samples
FROM_LOSS = ("loss", "cross_entropy", "bce", "nll")
#: of the metrics for classes, those that read labels; the others read probabilities
ON_LABELS = {
    "accuracy", "f1", "precision", "recall", "specificity", "negative_predictive_value", "jaccard_index",
    "hamming_distance", "cohen_kappa", "exact_match", "mcc", "dice", "mean_iou", "generalized_dice_score",
}  # fmt: skip
#: words in the names of metrics of which less is better
LOWER = ("error", "loss", "distance", "deviance", "divergence", "perplexity", "edit_rate")
#: one number for each column of the targets, of which the mean is taken
BY_COLUMN = {"pearson", "spearman", "kendall_rank_corrcoef", "concordance_corrcoef"}
IMAGE_AND_AUDIO = ("torchmetrics.image", "torchmetrics.audio")
#: where torchmetrics has those for tasks other than classes
FAMILIES = {
    "regression": ("torchmetrics.regression", *IMAGE_AND_AUDIO),
    "text": ("torchmetrics.text",),
    "detection": ("torchmetrics.detection",),
}


class Metric:
    """One metric over all batches. Raises `EvalError` for a name that is not known for the task."""

    def __init__(self, name: str, better: bool | None, judge: Judge) -> None:
        self.name, self.task = name, judge.task
        self.key, self.average, self.top = taken_apart(name)
        self.better = is_better(name, better)
        self.losses: list[float] = []
        self.exact: list[float] = []
        self.problem = ""
        self.metric: Any = None
        self.shaped = False
        self.places = 0  # words or characters of all true texts, of which wrong ones are counted
        self.one_hot = 0  # so many classes, for metrics that take a mask for each
        self.from_loss = self.key in FROM_LOSS and (self.key == "loss" or judge.task in (*CLASSES, "text"))
        self.from_loss |= self.key == "perplexity" and judge.task != "regression"
        if self.from_loss or (self.key == "exact_match" and judge.task == "text"):
            return
        if judge.task == "not known":
            raise EvalError(f"the metric {name!r} needs outputs and targets that can be told apart in validation_step")
        made = find_class(self.key, judge.task, name)
        if self.average == "binary" and (judge.task not in ("classification", "binary") or judge.classes > 2):
            many = f", not {judge.classes}" if judge.classes > 2 else ""
            raise EvalError(f"the metric {name!r} is that of class 1 of two classes{many}; name {self.key}")
        self.shaped = made.__module__.startswith(IMAGE_AND_AUDIO)
        takes = parameters(made)
        self.one_hot = max(judge.classes, 2) if "input_format" in takes else 0
        self.ignored = judge.ignored
        try:
            self.metric = made(**{k: v for k, v in self.options(judge).items() if k in takes and v is not None})
        except ImportError as error:
            self.problem = " ".join(str(error).split())
        except (TypeError, ValueError) as error:
            raise EvalError(f"the metric {name!r} cannot be made: {' '.join(str(error).split())}") from error

    def options(self, judge: Judge) -> dict[str, Any]:
        """Of torchmetrics' metrics, for those that take them."""
        places = judge.task in PLACES
        one_score = "binary" in (judge.task, self.average) or (places and judge.two_places)
        # torchmetrics' accuracy of one score takes no mean over the classes
        one_score &= not (self.key == "accuracy" and self.average == "macro" and judge.task == "binary")
        return {
            "task": "binary" if one_score else "multilabel" if judge.task == "multilabel" else "multiclass",
            "num_classes": max(judge.classes, 2),
            "num_labels": judge.classes,
            "average": self.average or ("micro" if self.key == "accuracy" else "macro"),
            "top_k": self.top,
            "squared": self.key != "rmse",
            "input_format": "one-hot",
            # of a mask for yes or no, what is marked
            "include_background": not one_score,
            "data_range": judge.data_range,
            "ignore_index": judge.ignored if places else None,
            "num_outputs": judge.columns if self.key in BY_COLUMN else None,
            "reduction": "mean" if self.key == "cosine_similarity" else None,
            # the fourth, rougeLsum, downloads a tokenizer
            "rouge_keys": ("rouge1", "rouge2", "rougeL") if self.task == "text" else None,
        }

    def update(self, seen: Seen) -> None:
        if self.from_loss:
            self.losses += seen.losses.tolist()
        elif self.metric is None and not self.problem:
            self.exact += [float(said == true) for said, true in zip(seen.predictions, seen.targets)]
        elif self.metric is not None and bool(seen.finite.all()):
            on_labels = self.task not in CLASSES or (self.key in ON_LABELS and self.top == 1)
            said: Any = seen.predictions if on_labels else seen.probabilities
            truth = seen.targets
            if self.task == "regression" and truth.dim() > 2 and not self.shaped:
                said, truth = said.reshape(len(said), -1), truth.reshape(len(truth), -1)
            if self.task == "regression" and truth.dim() == 3 and self.shaped:  # grey images
                said, truth = said.unsqueeze(1), truth.unsqueeze(1)
            if self.one_hot:
                said, truth = (self.masks(classes, truth) for classes in (said, truth))
            if self.key in ("bleu", "sacre_bleu_score"):
                truth = [[text] for text in truth]
            if said is None:
                self.problem = "the model gives finished answers, no probabilities"
                return
            try:
                self.metric.update(said, truth)
            except (TypeError, ValueError, RuntimeError, ImportError) as error:
                self.problem = " ".join(str(error).split())

    def masks(self, classes: Tensor, truth: Tensor) -> Tensor:
        """(n, C, ...) of (n, ...): what is ignored is in no class."""
        counted = (truth != self.ignored).unsqueeze(-1)
        return (F.one_hot(classes.clamp(0, self.one_hot - 1), self.one_hot) * counted).movedim(-1, 1)

    def parts(self, seen: Seen) -> Tensor | None:
        """What each sample contributes: the mean is the value (of rmse, the square). None: it does not decompose."""
        if self.key == "exact_match" and self.task == "text":
            return torch.tensor([float(said == true) for said, true in zip(seen.predictions, seen.targets)])
        if self.key == "accuracy" and self.average is None and self.top == 1 and self.task in CLASSES:
            same: Tensor = (seen.predictions == seen.targets).double().reshape(len(seen.targets), -1)
            return same.mean(dim=1)
        if self.key in ("wer", "cer") and self.task == "text" and self.metric is not None:
            return self.errors(seen)
        powers = {"mae": 1, "mse": 2, "rmse": 2}
        if self.key in powers and self.task == "regression":
            apart: Tensor = (seen.predictions - seen.targets).abs().reshape(len(seen.targets), -1)
            return apart.pow(powers[self.key]).mean(dim=1)
        return None

    def errors(self, seen: Seen) -> Tensor:
        """Words or characters that are wrong in each text; as many as in all true texts are counted beside."""
        rates = importlib.import_module("torchmetrics.functional.text")
        rate = rates.word_error_rate if self.key == "wer" else rates.char_error_rate
        sizes = [len(true.split() if self.key == "wer" else true) for true in seen.targets]
        self.places += sum(sizes)
        pairs = zip(seen.predictions, seen.targets, sizes)
        return torch.tensor([float(rate([said], [true])) * size if size else math.nan for said, true, size in pairs])

    def is_mean_of(self, parts: Sequence[float], value: float) -> bool:
        """Not so where samples count differently, as texts of several lengths do."""
        mean = statistics.fmean(parts) if parts else math.nan
        mean = math.sqrt(mean) if self.key == "rmse" and mean >= 0 else mean
        return math.isnan(value) or math.isclose(mean, value, rel_tol=1e-3, abs_tol=1e-6)

    def value(self, not_finite: int) -> float:
        if self.from_loss:
            mean = statistics.fmean(self.losses) if self.losses else math.nan
            return mean if self.key in FROM_LOSS else math.exp(min(mean, 700)) if math.isfinite(mean) else math.nan
        if self.exact:
            return statistics.fmean(self.exact)
        if not_finite:
            return math.nan
        if not self.problem:
            try:
                value = self.metric.compute()
                if isinstance(value, Mapping):  # rouge, boxes: the first that has the metric's own name
                    names = (self.key, f"{self.key.replace('rougel', 'rougeL')}_fmeasure", "map", "rougeL_fmeasure")
                    value = next(value[key] for key in (*names, *value) if key in value)
                return float(value.mean()) if self.key in BY_COLUMN else float(value)
            except (TypeError, ValueError, RuntimeError) as error:
                self.problem = " ".join(str(error).split())
        print(f"warning: {self.name} cannot be worked out: {self.problem}")
        return math.nan


def find_class(key: str, task: str, name: str) -> Any:
    """torchmetrics' class. Raises `EvalError` where there is none for the task."""
    known = known_metrics()
    if isinstance(known, str):
        raise EvalError(f"the metric {name!r} needs torchmetrics in the script's environment: {known}")
    found = fitting(key, task, known)
    if found is not None:
        return found
    losses = FROM_LOSS if task in (*CLASSES, "text") else FROM_LOSS[:1]
    others = [word for word in MEASURED.split() if word in losses or fitting(word, task, known) is not None]
    if measured(name):
        raise EvalError(f"the metric {name!r} does not fit {task}; those that do: {', '.join(others)}")
    spellings = {*others, *(word for word in known if fitting(word, task, known) is not None)}
    near = difflib.get_close_matches(name.lower(), spellings, n=3, cutoff=0.4)
    raise EvalError(f"no metric {name!r} for {task}; the nearest names: {', '.join(near or others)}")


def fitting(key: str, task: str, known: Mapping[str, Any]) -> Any:
    """torchmetrics' class for a task; None where there is none."""
    for spelling in (WITHIN.get(key, key), *SPELLINGS.get(key, "").split(), f"multilabel_{key}"):
        made = known.get(spelling.replace("_", ""))
        takes = set() if made is None else parameters(made)
        by_places = {"input_format", "num_classes"} <= takes and task in PLACES
        by_label = task == "multilabel" and spelling.startswith("multilabel")
        fits = "task" in takes if task in CLASSES else made is not None and made.__module__.startswith(FAMILIES[task])
        if made is not None and (by_places or by_label or fits):
            return made
    return None


@functools.lru_cache(maxsize=1)
def known_metrics() -> dict[str, Any] | str:
    """torchmetrics' classes by their names in small letters, without underscores; why there are none."""
    try:
        import torchmetrics
    except ImportError:
        return "pip install torchmetrics"
    except Exception as error:  # noqa: BLE001 - a torchvision that does not fit torch
        return f"it cannot be imported: {' '.join(str(error).split())[:200]}"
    found: dict[str, Any] = {}
    # boxes have to be asked for: the package hides them where what they need is not installed
    parts = ("classification", "regression", "segmentation", "detection.mean_ap", "detection", "text", "image", "audio")
    for part in (*(f".{part}" for part in parts), ""):
        try:
            module: Any = importlib.import_module(f"{torchmetrics.__name__}{part}")
        except ImportError:
            continue
        for name in dir(module):
            value = getattr(module, name)
            if isinstance(value, type) and (hasattr(value, "update") or "task" in parameters(value)):
                found.setdefault(name.lower(), value)
    return found


def parameters(made: Any) -> set[str]:
    return set(inspect.signature(made.__new__).parameters) | set(inspect.signature(made.__init__).parameters)


def is_better(name: str, better: bool | None) -> bool:
    """Whether more of a metric is better: what the rules say, else what its name means."""
    known = higher_is_better(name) if better is None else better
    return not any(word in taken_apart(name)[0] for word in LOWER) if known is None else known
