"""Batches of any make: tensors in nested dicts, lists and tuples."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from torch import Tensor

TARGETS = ("label", "labels", "target", "targets", "y", "mask", "masks")


def batch_size(batch: Any) -> int:
    """Of its first tensor, or of its first list: (images, boxes) as `tuple(zip(*samples))` gives them."""
    parts = [part for _, part in leaves(batch)]
    first: Any = next((part for part in parts if isinstance(part, Tensor) and part.dim()), None)
    if first is None and isinstance(batch, (tuple, Mapping)):
        first = next((part for part in parts if isinstance(part, (list, tuple))), None)
    if first is None and not (isinstance(batch, list) and batch and isinstance(batch[0], (tuple, Mapping))):
        first = next((part for part in tensors(batch) if part.dim()), None)
    return len(first) if first is not None else len(batch) if isinstance(batch, Sequence) else 0


def single(value: Any, row: int, size: int) -> Any:
    """A batch of one: row `row` of all that has `size` rows."""
    if isinstance(value, Tensor):
        return value[row : row + 1] if value.dim() and len(value) == size else value
    if isinstance(value, Mapping):
        return {key: single(item, row, size) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        of_samples = len(value) == size and not any(isinstance(v, Tensor) and v.dim() and len(v) == size for v in value)
        items = [value[row]] if of_samples else [single(item, row, size) for item in value]
        return type(value)(*items) if hasattr(value, "_fields") else type(value)(items)
    return value


def tree(function: Callable[[Any], Any], value: Any) -> Any:
    """The same nested dicts, lists and tuples with `function` applied to what is none of these."""
    if isinstance(value, Mapping):
        return {key: tree(function, item) for key, item in value.items()}
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*(tree(function, item) for item in value))
    if isinstance(value, (list, tuple)):
        return type(value)(tree(function, item) for item in value)
    return function(value)


def of_kind(kind: type, value: Any) -> list[Any]:
    found: list[Any] = []
    tree(lambda item: found.append(item) if isinstance(item, kind) else None, value)
    return found


def tensors(value: Any) -> list[Tensor]:
    return of_kind(Tensor, value)


def leaves(value: Any) -> Iterator[tuple[Any, Any]]:
    """The named parts of nested dicts, and of a tuple with such, or the parts of a list by their places."""
    if isinstance(value, (list, tuple, Mapping)):
        for key, part in value.items() if isinstance(value, Mapping) else enumerate(value):
            if isinstance(part, Mapping) and not isinstance(value, list) and key not in TARGETS:
                yield from leaves(part)
            else:
                yield key, part


def loss_in(said: Any) -> float | None:
    said = said.get("loss", said.get("val_loss")) if isinstance(said, Mapping) else said
    return float(said) if isinstance(said, Tensor) and said.numel() == 1 else None


def number_of(value: Any) -> float:
    """Of what a module logs: a number, a tensor, or a metric object, which has worked it out for this batch."""
    value = getattr(value, "_forward_cache", value)
    try:
        return float(value)
    except (TypeError, ValueError, RuntimeError):
        return math.nan
