"""The metrics: torchmetrics' by their everyday names, fed batch by batch."""

from __future__ import annotations

import difflib
import functools
import importlib
import inspect
import math
import re
import statistics
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from .common import EvalError
from .seen import Seen
from .tasks import CLASSES, PLACES

if TYPE_CHECKING:
    from .judge import Judge

#: Everyday names of torchmetrics' metrics, whose own names (cohen_kappa, hamming_distance ...) work as well.
ALIASES = {
    "acc": "accuracy", "f1": "f1_score", "sensitivity": "recall", "roc_auc": "auroc", "auc": "auroc",
    "ap": "average_precision", "mcc": "matthews_corrcoef", "kappa": "cohen_kappa", "ece": "calibration_error",
    "jaccard": "jaccard_index", "iou": "jaccard_index", "miou": "jaccard_index", "dice": "dice_score",
    "mae": "mean_absolute_error", "mse": "mean_squared_error", "rmse": "root_mean_squared_error", "r2": "r2_score",
    "mape": "mean_absolute_percentage_error", "pearson": "pearson_corrcoef", "spearman": "spearman_corrcoef",
    "cross_entropy": "loss", "log_loss": "loss", "nll": "loss", "logloss": "loss",
    "wer": "word_error_rate", "cer": "char_error_rate", "bleu": "bleu_score", "rouge": "rouge_score",
    "chrf": "chrf_score", "ter": "translation_edit_rate", "map": "mean_average_precision",
    "psnr": "peak_signal_noise_ratio", "ssim": "structural_similarity_index_measure",
    "snr": "signal_noise_ratio", "sdr": "signal_distortion_ratio", "si_snr": "scale_invariant_signal_noise_ratio",
    "si_sdr": "scale_invariant_signal_distortion_ratio",
}  # fmt: skip


#: Of the metrics for classes, those that read labels. The others read probabilities.
ON_LABELS = {
    "accuracy", "f1_score", "precision", "recall", "specificity", "jaccard_index", "hamming_distance",
    "cohen_kappa", "exact_match", "matthews_corrcoef", "dice_score", "mean_iou",
}  # fmt: skip


#: Words in the names of metrics of which less is better.
LOWER = ("error", "loss", "distance", "deviance", "divergence", "perplexity", "edit_rate")


IMAGE_AND_AUDIO = ("torchmetrics.image", "torchmetrics.audio")


class Metric:
    """One metric over all batches. Raises `EvalError` for a name that torchmetrics does not know for the task."""

    def __init__(self, name: str, better: bool | None, judge: Judge) -> None:
        self.name, self.task = name, judge.task
        self.key, self.average, self.top = metric_key(name)
        self.better = is_better(name, better)
        self.losses: list[float] = []
        self.exact: list[float] = []
        self.problem = ""
        self.metric: Any = None
        self.shaped = False
        self.from_loss = self.key == "loss" or (self.key == "perplexity" and judge.task != "regression")
        if self.from_loss or (self.key == "exact_match" and judge.task == "text"):
            return
        if judge.task == "not known":
            raise EvalError(f"the metric {name!r} needs outputs and targets that can be told apart in validation_step")
        if not known_metrics():
            raise EvalError(
                f"the metric {name!r} needs torchmetrics in the script's environment: pip install torchmetrics"
            )
        made = known_metrics().get(self.key.removeprefix("root_").replace("_", ""))
        takes = set() if made is None else parameters(made)
        fits = "task" in takes if judge.task in CLASSES else "task" not in takes
        if made is not None and {"input_format", "num_classes"} <= takes and judge.task in PLACES:
            fits = True
        if made is None or not fits:
            raise EvalError(unknown_metric(name, judge.task))
        default = "micro" if self.key == "accuracy" and self.average is None else "macro"
        places = judge.task in PLACES
        one_score = judge.task == "binary" or (places and judge.two_places)
        options = {
            "task": "binary" if one_score else "multilabel" if judge.task == "multilabel" else "multiclass",
            "num_classes": max(judge.classes, 2),
            "num_labels": judge.classes,
            "average": default if self.average in (None, "balanced") else self.average,
            "top_k": self.top,
            "squared": not self.key.startswith("root_"),
            "input_format": "index",
            "data_range": judge.data_range,
        }
        if places:
            options["ignore_index"] = judge.ignored
        try:
            self.metric = made(**{k: v for k, v in options.items() if k in takes and v is not None})
        except (ImportError, ModuleNotFoundError) as error:
            self.problem = " ".join(str(error).split())
        except (TypeError, ValueError) as error:
            raise EvalError(f"the metric {name!r} cannot be made: {' '.join(str(error).split())}") from error
        self.shaped = getattr(made, "__module__", "").startswith(IMAGE_AND_AUDIO)

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
            if self.key == "bleu_score" or self.key.startswith("sacre"):
                truth = [[text] for text in truth]
            if said is None:
                self.problem = "the model gives finished answers, no probabilities"
                return
            try:
                self.metric.update(said, truth)
            except (TypeError, ValueError, RuntimeError, ImportError) as error:
                self.problem = " ".join(str(error).split())

    def parts(self, seen: Seen) -> Tensor | None:
        """What each sample contributes: the mean is the value (of rmse, the square). None: it does not decompose."""
        if self.key == "exact_match" and self.task == "text":
            return torch.tensor([float(said == true) for said, true in zip(seen.predictions, seen.targets)])
        if self.key == "accuracy" and self.average is None and self.top == 1 and self.task in CLASSES:
            same: Tensor = (seen.predictions == seen.targets).double().reshape(len(seen.targets), -1)
            return same.mean(dim=1)
        powers = {"mean_absolute_error": 1, "mean_squared_error": 2, "root_mean_squared_error": 2}
        if self.key in powers and self.task == "regression":
            apart: Tensor = (seen.predictions - seen.targets).abs().reshape(len(seen.targets), -1)
            return apart.pow(powers[self.key]).mean(dim=1)
        return None

    def value(self, not_finite: int) -> float:
        if self.from_loss:
            mean = statistics.fmean(self.losses) if self.losses else math.nan
            return mean if self.key == "loss" else math.exp(min(mean, 700)) if math.isfinite(mean) else math.nan
        if self.exact:
            return statistics.fmean(self.exact)
        if not_finite:
            return math.nan
        if not self.problem:
            try:
                value = self.metric.compute()
                if isinstance(value, Mapping):  # rouge, boxes: the first that has the metric's own name
                    keys = ("map", "rougeL_fmeasure", *value)
                    value = next(value[key] for key in keys if key in value)
                return float(value)
            except (TypeError, ValueError, RuntimeError) as error:
                self.problem = " ".join(str(error).split())
        print(f"warning: {self.name} cannot be worked out: {self.problem}")
        return math.nan


def metric_key(name: str) -> tuple[str, str | None, int]:
    """torchmetrics' name of a metric as the rules spell it ("f1", "F1Score", "val_acc", "macro_f1", "top3_accuracy",
    "RMSE"), its average, and how many guesses count.
    """
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower().replace("-", "_").replace("/", "_").split("_")
    average = next((word for word in ("macro", "micro", "weighted", "balanced") if word in words), None)
    key = "_".join(word for word in words if word not in (average, "val", "valid", "validation", "eval"))
    top = re.search(r"top_?(\d+)", key)
    return "accuracy" if top else ALIASES.get(key, key), average, int(top[1]) if top else 1


@functools.lru_cache(maxsize=1)
def known_metrics() -> dict[str, Any]:
    """torchmetrics' classes by their names in small letters, without underscores."""
    try:
        import torchmetrics
    except ImportError:
        return {}
    found: dict[str, Any] = {}
    for part in (".classification", ".regression", ".segmentation", ".detection", ".text", ".image", ".audio", ""):
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
    return not any(word in metric_key(name)[0] for word in LOWER) if better is None else better


def unknown_metric(name: str, task: str) -> str:
    near = difflib.get_close_matches(name.lower(), [*ALIASES, *ON_LABELS, *known_metrics()], n=3, cutoff=0.4)
    return f"no metric {name!r} for {task}; the nearest names: {', '.join(near or ALIASES)}"
