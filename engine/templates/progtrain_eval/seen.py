"""The values that the parts hand one another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor


@dataclass
class Seen:
    """A batch as the metrics take it. Classes are indices, targets of -100 (or `ignored`) do not count."""

    targets: Any
    predictions: Any
    probabilities: Tensor | None  # None: the model tells none
    losses: Tensor  # (n,), nan where nobody can say
    finite: Tensor  # (n,), False: the model's answer is not a number


@dataclass
class Row:
    """Of one sample, in the table. Slots, since there may be many."""

    __slots__ = ("confidence", "correct", "loss", "prediction", "sample_id", "truth")
    sample_id: str
    truth: str
    prediction: str
    correct: bool | None
    loss: float
    confidence: float | None


@dataclass
class Score:
    name: str
    value: float
    higher_is_better: bool
    #: who says so
    source: str
