"""Metrics by their names: when two names mean the same one, which way it is better, and what ranks first by it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar

# the evaluation has the same names, in the user's interpreter
from progtrain.engine.templates.progtrain_eval.names import canonical as canonical
from progtrain.engine.templates.progtrain_eval.names import higher_is_better as higher_is_better
from progtrain.engine.templates.progtrain_eval.names import measured as measured

T = TypeVar("T")


def same(one: str, other: str) -> bool:
    """Whether two names mean one metric of the validation set."""
    return canonical(one) == canonical(other)


def find(wanted: str, names: Iterable[str]) -> str | None:
    """The name that means `wanted`: the very same one, else the first that is another spelling of it."""
    alike = [name for name in names if same(name, wanted)]
    return wanted if wanted in alike else next(iter(alike), None)


def value_of(wanted: str, values: Mapping[str, T]) -> T | None:
    """What stands under any spelling of a metric's name; None where there is none."""
    name = find(wanted, values)
    return None if name is None else values[name]


_OF_PROBABILITIES = frozenset({"loss", "cross_entropy", "nll", "brier", "calibration_error"})


_SHARES = frozenset(
    {"accuracy", "balanced_accuracy", "f1", "precision", "recall", "specificity", "negative_predictive_value", "auroc"}
    | {"average_precision", "jaccard_index", "exact_match", "dice", "mean_iou", "mean_average_precision"}
    | {"map_50", "map_75", "calibration_error"}
)


def is_share(name: str) -> bool:
    """Whether it lies between 0 and 1, unless it is told in percent."""
    return canonical(name).removeprefix("macro_").removeprefix("micro_") in _SHARES


def judges_probabilities(name: str) -> bool:
    """Whether it counts how sure a model is, not only which answers are right."""
    return canonical(name) in _OF_PROBABILITIES


def finite(value: object) -> float | None:
    """None for what is not a number: it ranks nowhere and is compared with nothing."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return value if math.isfinite(value) else None
    except OverflowError:  # an integer of hundreds of digits
        return None


def count(value: object) -> int | None:
    """How many; None for what is no number of things."""
    found = finite(value)
    return int(found) if found is not None and found >= 0 else None


def turned_mode(name: str, mode: object) -> str | None:
    """What a `mode` of "min" or "max" beside a monitored metric should be, where it is the wrong one of the two."""
    higher = higher_is_better(name)
    right = None if higher is None else "max" if higher else "min"
    return right if mode in ("min", "max") and mode != right else None


def ranked(rows: Iterable[T], value: Callable[[T], float | None], higher_is_better: bool) -> list[T]:
    """Best first; ties stay as they come; without a number last."""
    sign = -1 if higher_is_better else 1
    return sorted(rows, key=lambda row: (value(row) is None, sign * (value(row) or 0.0)))


def best(rows: Iterable[T], value: Callable[[T], float | None], higher_is_better: bool) -> T | None:
    """The first of those with the best value; None where none has a number."""
    return next((row for row in ranked(rows, value, higher_is_better) if value(row) is not None), None)
