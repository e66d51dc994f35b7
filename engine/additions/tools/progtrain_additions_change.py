"""Ways to change one row without changing what it shows: each is given a value, a numpy Generator and its parameters.

Runs in the user's interpreter (Python 3.9, numpy, Pillow for `crop`). Types, shapes and the range of the training stay.
"""

from __future__ import annotations

from typing import Any

import numpy as np


def _axes(shape: tuple[int, ...]) -> tuple[int, int]:
    """Those of height and width."""
    return (1, 2) if len(shape) == 3 and shape[2] > 4 else (0, 1)


def picture(name: str, value: Any, rng: Any, low: float, high: float, parameters: dict[str, float]) -> Any:
    """A changed picture of the same shape and type, within `low` and `high`."""
    value, rows = np.asarray(value), _axes(np.shape(value))
    if name == "flip":
        return np.ascontiguousarray(np.flip(value, axis=rows[1]))
    if name == "shift":
        return _shifted(value, rng, rows, parameters["share"])
    if name == "noise":
        changed = value.astype(np.float64) + rng.normal(0, parameters["amount"] * (high - low), value.shape)
    elif name == "brightness":
        changed = (value.astype(np.float64) - low) * (
            1 + rng.choice([-1, 1]) * rng.uniform(0.3, 1) * parameters["amount"]
        ) + low
    else:
        changed = _cropped(value, rng, rows, parameters["share"])
    return like(changed, value, low, high)


def like(changed: Any, value: Any, low: Any, high: Any) -> Any:
    """In the type of `value`, rounded where that holds whole numbers, and within the range."""
    changed = np.clip(changed, low, high)
    return (np.rint(changed) if value.dtype.kind in "iub" else changed).astype(value.dtype)


def _shifted(value: Any, rng: Any, rows: tuple[int, int], share: float) -> Any:
    """By a pixel or a few, with the edge repeated where nothing comes in."""
    far = [max(1, round(value.shape[axis] * share)) for axis in rows]
    ways = [(y, x) for y in range(-far[0], far[0] + 1) for x in range(-far[1], far[1] + 1) if y or x]
    way = ways[int(rng.integers(len(ways)))]
    for axis, steps in zip(rows, way):
        at = np.clip(np.arange(value.shape[axis]) - steps, 0, value.shape[axis] - 1)
        value = np.take(value, at, axis=axis)
    return value


def _cropped(value: Any, rng: Any, rows: tuple[int, int], share: float) -> Any:
    """A window of the picture, made as large as the picture was."""
    from PIL import Image

    sizes = [value.shape[axis] for axis in rows]
    kept = [min(size - 1, max(1, round(size * share))) or 1 for size in sizes]
    starts = [int(rng.integers(size - keep + 1)) for size, keep in zip(sizes, kept)]
    channels = np.moveaxis(value.reshape((*value.shape, 1)) if value.ndim == 2 else value, rows, (-2, -1))
    box = (starts[1], starts[0], starts[1] + kept[1], starts[0] + kept[0])
    planes = channels.reshape(-1, *sizes).astype(np.float32)
    made = [
        np.asarray(Image.fromarray(p).resize((sizes[1], sizes[0]), Image.Resampling.BILINEAR, box=box)) for p in planes
    ]
    whole = np.moveaxis(np.stack(made).reshape(channels.shape), (-2, -1), rows)
    return whole.reshape(value.shape)


def jitter(values: Any, spread: Any, low: Any, high: Any, rng: Any, amount: float) -> Any:
    """Numbers moved by a share of their spread, never beyond `low` and `high`: all of one shape."""
    moved = np.asarray(values, dtype=np.float64) + rng.normal(0, 1, np.shape(values)) * amount * spread
    return np.clip(moved, low, high)
