"""Which task it is, by shapes, values and the losses that the script names."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .common import EvalError

#: Tasks whose targets are classes: one a sample, 0 or 1, several at once, one a pixel, one a place of a text.
CLASSES = ("classification", "binary", "multilabel", "segmentation", "tokens")


PLACES = ("segmentation", "tokens")


def stated_task(stats: Any) -> str:
    """`task_type` in stats.json, whatever the words and wherever it stands; "" when it is not there."""
    if not isinstance(stats, Mapping):
        return ""
    said = next((str(stats[key]) for key in ("task_type", "task", "problem_type") if key in stats), "")
    word = re.sub(r"[^a-z]", "", said.lower())
    kinds = {"segment": "segmentation", "multilabel": "multilabel", "regress": "regression", "forecast": "regression"}
    kinds |= {"binary": "classes", "class": "classes"}
    found = next((kind for part, kind in kinds.items() if part in word), "")
    return found or next((deeper for value in stats.values() if (deeper := stated_task(value))), "")


def find_task(stated: str, targets: Tensor, scores: Tensor | None, source: str) -> str:
    """By shapes, values and the losses that the script names: targets (n, ...), scores (n, ...) or None where the model
    gives finished predictions.
    """
    whole = bool((targets == targets.round()).all())
    zero_or_one = bool(((targets == 0) | (targets == 1)).all())
    one_score = scores is not None and scores[0].numel() == 1
    by_bits = re.search(r"BCE|binary_cross_entropy|[Ff]ocal|[Dd]ice", source) is not None
    by_class = not by_bits and re.search(r"CrossEntropy|cross_entropy", source) is not None
    if stated in ("multilabel", "regression"):
        return stated
    if targets.dim() == 1:
        number = not stated and (not whole or (one_score and not zero_or_one))
        return "regression" if number else "binary" if one_score else "classification"
    if whole and (scores is None or lacks_one(scores, targets)) and (scores is not None or targets.dim() > 2):
        return "tokens" if targets.dim() == 2 else "segmentation"
    if targets.dim() > 2:
        return "segmentation" if zero_or_one and (by_bits or stated) else "regression"
    if is_one_hot(targets) and (by_class or stated == "classes"):
        return "classification"
    return "multilabel" if zero_or_one else "regression"


def is_one_hot(targets: Tensor) -> bool:
    zero_or_one = bool(((targets == 0) | (targets == 1)).all())
    return targets.dim() == 2 and targets.shape[1] > 1 and zero_or_one and bool((targets.sum(dim=1) == 1).all())


def lacks_one(scores: Tensor, targets: Tensor) -> bool:
    """Whether scores have one dimension more than targets, which is that of the classes: (n, C, ...) or (n, ..., C)."""
    rest = targets.shape[1:]
    return scores.dim() == targets.dim() + 1 and rest in (scores.shape[2:], scores.shape[1:-1])


def classes_second(scores: Tensor, targets: Tensor) -> Tensor:
    """(n, C, ...) of (n, ..., C): for texts the last dimension is that of the classes, for pictures the second."""
    last = scores.shape[1:-1] == targets.shape[1:]
    second = scores.shape[2:] == targets.shape[1:]
    return scores.movedim(-1, 1) if last and (not second or targets.dim() == 2) else scores


def squeezed(values: Any) -> Any:
    """Without dimensions of one, apart from that of the samples."""
    if values is None:
        return None
    values = values if values.dim() else values.reshape(1)
    return values.reshape(len(values), *(size for size in values.shape[1:] if size != 1))


def span(targets: Tensor) -> float:
    """Between the smallest and the largest value that such targets can have, by what is usual for images and sound."""
    low, high = float(targets.min()), float(targets.max())
    usual = [(0.0, 1.0), (-1.0, 1.0), (0.0, 255.0)]
    return next((b - a for a, b in usual if a <= low and high <= b), max(high - low, 1e-12))


def as_number(value: Any, index: Mapping[str, int], what: str) -> Tensor:
    """A target or prediction as a tensor; names of classes become their indices."""
    if isinstance(value, str):
        if value not in index:
            known = ", ".join(index) or "there are none"
            raise EvalError(f"the {what} {value!r} is none of CLASS_NAMES ({known})")
        value = index[value]
    if isinstance(value, (list, tuple)) and any(isinstance(part, str) for part in value):
        raise EvalError(f"the {what} {value!r} holds several texts: give one text, a class's name, or numbers")
    value = value.detach().cpu().numpy() if isinstance(value, Tensor) else value
    return torch.tensor(np.asarray(value, dtype=np.float64).squeeze())
