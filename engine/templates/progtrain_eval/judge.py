"""Takes what a model said, batch by batch; keeps a row a sample and what the metrics need."""

from __future__ import annotations

import math
import re
import statistics
from array import array
from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from .common import EvalError
from .measures import Metric
from .seen import Row, Score, Seen
from .tasks import PLACES, classes_second, find_task, span, squeezed, stated_task


class Judge:
    """Takes what a model said, batch by batch, and keeps of it a row a sample and what the metrics need."""

    def __init__(self, wanted: Mapping[str, bool | None], stats: Any, script_names: Any, source: str) -> None:
        names = script_names or stats.get("class_names") or stats.get("classes")
        names = [names[key] for key in sorted(names)] if isinstance(names, Mapping) else names
        self.names = [str(name) for name in names] if isinstance(names, (list, tuple)) else None
        self.stated, self.source, self.task = stated_task(stats), source, ""
        ignored = re.search(r"ignore_index\s*=\s*(-?\d+)", source)
        self.ignored = int(ignored[1]) if ignored else -100
        self.wanted = {name: better for name, better in wanted.items() if name not in ("loss", "answered")}
        self.rows: list[Row] = []
        self.path = "checkpoint"  # what answered
        self.served: dict[str, str] = {}  # sample -> what answered it, where that is another
        self.errors: dict[str, str] = {}  # sample -> why it has no answer
        self.parts: dict[str, array[float]] = {}  # metric -> what each row contributes
        self.metrics: dict[str, Metric] = {}
        self.unknown: dict[str, str] = {}  # metric -> why it cannot be worked out from outputs and targets
        self.classes = 0
        self.not_finite = 0
        self.two_places = False  # one score a pixel, for yes or no
        self.data_range: float | None = None
        self.columns = 1  # of targets that are numbers

    def see(self, ids: list[str], seen: Seen) -> None:
        """Adds a batch. `self.task` has to be known by now."""
        for name, better in self.wanted.items():
            if name not in self.metrics and name not in self.unknown:
                try:
                    self.metrics[name] = Metric(name, better, self)
                except EvalError as error:
                    self.unknown[name] = str(error)
        for metric in self.metrics.values():
            metric.update(seen)
        for name, metric in self.metrics.items():
            values = metric.parts(seen)
            if values is not None:
                self.parts.setdefault(name, array("d")).extend(values.tolist())
        self.not_finite += int((~seen.finite).sum())
        losses, finite = seen.losses.tolist(), seen.finite.tolist()
        for n, sample_id in enumerate(ids):
            said = self.named(seen.predictions[n]) if finite[n] else "nan"
            sure = self.confidence(seen, n)
            self.rows.append(Row(sample_id, self.named(seen.targets[n]), said, self.correct(seen, n), losses[n], sure))

    def judged(self, scores: Tensor | None, targets: Tensor, predictions: Tensor | None = None) -> Seen:
        """Tensors of one batch, brought into the metrics' shapes. The first batch decides the task."""
        scores, targets, predictions = squeezed(scores), squeezed(targets), squeezed(predictions)
        self.task = self.task or find_task(self.stated, targets, scores, self.source)
        numbers = scores if scores is not None else predictions
        finite = numbers.reshape(len(numbers), -1).isfinite().all(dim=1)
        if self.task == "regression":
            said = predictions if predictions is not None else numbers.reshape(targets.shape)
            losses = (said - targets).square().reshape(len(targets), -1).mean(dim=1)
            self.data_range = self.data_range or span(targets)
            self.columns = targets.shape[1] if targets.dim() == 2 else 1
            return Seen(targets, said, None, losses, finite & losses.isfinite())
        if self.task == "classification" and targets.dim() == 2:
            targets = targets.argmax(dim=1)
        by_class = scores is not None and scores.dim() > targets.dim()
        if self.task in PLACES:
            scores = classes_second(scores, targets) if by_class else scores
            self.two_places = scores is not None and not by_class
        probabilities, losses = self.compare(scores, targets.double())
        if predictions is None:
            sure = torch.nan_to_num(probabilities) if probabilities is not None else numbers
            predictions = sure.argmax(dim=1) if by_class else sure >= 0.5
        seen_classes = max(self.classes, int(targets.max()) + 1, int(predictions.max()) + 1)
        told = 2 if probabilities is None or probabilities.dim() == 1 else probabilities.shape[1]
        self.classes = seen_classes if probabilities is None or self.two_places else told
        return Seen(targets.long(), predictions.long(), probabilities, losses, finite)

    def compare(self, scores: Tensor | None, targets: Tensor) -> tuple[Tensor | None, Tensor]:
        """Probabilities and the plain loss of each sample: versions trained with other losses stay comparable."""
        if scores is None:
            return None, torch.full((len(targets),), math.nan, dtype=torch.float64)
        scores, counted = scores.double(), targets != self.ignored
        by_class = scores.dim() > targets.dim()
        told, found = scores.shape[1] if by_class else 2, int(targets[counted].max()) if bool(counted.any()) else 0
        if self.task != "multilabel" and found >= told:
            raise EvalError(f"a target is class {found}, but the model tells {told} classes apart")
        sure = bool(((scores >= 0) & (scores <= 1)).all())
        if by_class:
            sure &= bool(((scores.sum(dim=1) - 1).abs() < 1e-3).all())
            logits = scores.clamp_min(1e-12).log() if sure else scores
            losses = F.cross_entropy(logits, targets.long(), reduction="none", ignore_index=self.ignored)
        else:
            logits = torch.logit(scores, eps=1e-12) if sure else scores
            losses = F.binary_cross_entropy_with_logits(logits, targets, reduction="none") * counted
        places = counted.reshape(len(counted), -1).sum(dim=1).clamp_min(1)
        probabilities = logits.softmax(dim=1) if by_class else logits.sigmoid()
        return probabilities, losses.reshape(len(losses), -1).sum(dim=1) / places

    def correct(self, seen: Seen, row: int) -> bool | None:
        """None where there is more than right and wrong: numbers, pixels, texts of many places."""
        if self.task in ("classification", "binary", "multilabel"):
            return bool(seen.finite[row]) and bool((seen.predictions[row] == seen.targets[row]).all())
        return seen.predictions[row] == seen.targets[row] if self.task == "text" else None

    def confidence(self, seen: Seen, row: int) -> float | None:
        if seen.probabilities is None or self.task not in ("classification", "binary"):
            return None
        p = seen.probabilities[row]
        return float(p.max() if self.task == "classification" else torch.maximum(p, 1 - p))

    def named(self, value: Any) -> str:
        """A target or prediction for people: a class's name, the numbers, the text."""
        if isinstance(value, str):
            return value
        if isinstance(value, Mapping):
            return f"{len(value.get('labels', value.get('boxes', ())))} boxes"
        if self.task == "multilabel":
            return "|".join(self.class_name(i) for i in value.nonzero().flatten().tolist())
        numbers = value.reshape(-1).tolist()
        if len(numbers) > 64:
            return f"{len(numbers)} values, mean {statistics.fmean(numbers):.7g}"
        if self.task == "regression":
            return " ".join(f"{number:.7g}" for number in numbers)
        return " ".join(self.class_name(int(number)) for number in numbers if number != self.ignored)

    def of_class_one(self, key: str) -> float:
        """Precision, recall or F1 of class 1, where there are two; nan elsewhere."""
        if self.task != "classification" or self.classes != 2:
            return math.nan
        one = self.class_name(1)
        right = sum(row.truth == one == row.prediction for row in self.rows)
        true, said = sum(row.truth == one for row in self.rows), sum(row.prediction == one for row in self.rows)
        below = {"precision": said, "recall": true, "f1": (true + said) / 2}.get(key, 0)
        return right / below if below else math.nan

    def class_name(self, index: int) -> str:
        return self.names[index] if self.names and 0 <= index < len(self.names) else str(index)

    def scores(self, loss: float | None = None) -> list[Score]:
        """The loss, and each metric that is wanted and known here."""
        losses = [row.loss for row in self.rows]
        mean = statistics.fmean(losses) if losses and loss is None else loss
        found = [Score("loss", math.nan if mean is None else mean, False, "validation loss of each sample")]
        for name, metric in self.metrics.items():
            found.append(Score(name, metric.value(self.not_finite), metric.better, "torchmetrics"))
            if metric.places:
                share = len(self.rows) / metric.places
                self.parts[name] = array("d", [share * wrong for wrong in self.parts[name]])
            if not metric.is_mean_of(self.parts.get(name, ()), found[-1].value):
                self.parts.pop(name, None)
        return found
