"""What is known of the prepared data: counts and task from `stats.json`, scale of the inputs from the files.

`stats.json` has no fixed schema: counts and task are looked for under their usual names, at any depth.
"""

from __future__ import annotations

import csv
import math
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from progtrain.engine import arrays
from progtrain.engine.files import lines_of, try_read_json
from progtrain.engine.metrics import finite
from progtrain.engine.prepared_data import counts_in, plain_name, task_in, walk
from progtrain.engine.workspace import Workspace

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

#: enough rows for a mean and a spread
_ROWS = 5_000
#: larger files are not opened: an analysis must not wait for data
_BYTES = 64 * 1024 * 1024
#: an input (an edge pixel, say) that leaves its usual value in fewer samples says nothing about scale
_ALIVE = 0.05
_TARGETS = frozenset(
    {"target", "targets", "label", "labels", "y", "class", "class_id", "id", "sample_id", "index", "split"}
)


def read_data(ws: Workspace, dataset_id: str) -> tuple[dict[str, Any], dict[str, str]]:
    """Fields of `Measurements`, and where they were found. Never raises: what is missing or torn is unknown."""
    path = ws.stats(dataset_id)
    stats = try_read_json(path)
    found = _input_scale(ws.split(dataset_id, "train"), _feature_names(stats))
    if found is None and (from_stats := _scale_in_stats(stats)):
        found = *from_stats, path
    scale, offset, inputs = found or (None, None, None)
    task, counts = task_in(stats), counts_in(stats)
    known = {
        "task": task.casefold() if task else None,
        "train_samples": counts.get("train"),
        "val_samples": counts.get("valid"),
        "input_scale": scale,
        "input_offset": offset,
    }
    places = {"stats": path if stats is not None else None, "task": path if task else None, "inputs": inputs}
    return known, {name: ws.relative(place) for name, place in places.items() if place}


def _scale_in_stats(stats: Any) -> tuple[float, float] | None:
    """From lists of means and standard deviations of the features."""
    found: dict[str, list[float]] = {}
    for name, value in walk(stats):
        kind = next((k for k in ("mean", "std") if k in name.split("_") or name == f"{k}s"), None)
        if kind and isinstance(value, list) and value and None not in map(finite, value):
            found.setdefault(kind, [float(item) for item in value])
    means, spreads = found.get("mean", []), found.get("std", [])
    alive = [(m, s) for m, s in zip(means, spreads, strict=False) if s > 0]
    if len(means) != len(spreads) or not alive:
        return None
    sizes = [s for _, s in alive]
    return max(sizes) / min(sizes), max(abs(m) / s for m, s in alive)


def _feature_names(stats: Any) -> frozenset[str]:
    """Column names under `features` or the like; empty where they are not told."""
    for name, value in walk(stats):
        if name in ("features", "feature_names", "input_features", "inputs") and isinstance(value, dict | list):
            return frozenset(item for item in value if isinstance(item, str))
    return frozenset()


def _input_scale(folder: Path, features: frozenset[str]) -> tuple[float, float, Path] | None:
    """Scale, offset, and the first file that holds them."""
    for path in sorted(p for p in islice(folder.rglob("*"), 2_000) if _is_readable(p)):
        values = _inputs(path, features)
        if values is not None and (found := _spread(values)):
            return *found, path
    return None


def _is_readable(path: Path) -> bool:
    try:
        return path.suffix in (".npz", ".npy", ".csv") and path.is_file() and path.stat().st_size <= _BYTES
    except OSError:
        return False


def _inputs(path: Path, features: frozenset[str]) -> Array | None:
    """(samples, ...) numbers; None when the file holds no inputs or cannot be read."""
    try:
        return _table(path, features) if path.suffix == ".csv" else _arrays(path)
    except (OSError, ValueError, csv.Error):
        return None


def _arrays(path: Path) -> Array | None:
    import numpy as np

    usable = {
        name: array
        for name, array in arrays.read(path, _BYTES).items()
        if array.ndim >= 2 and array.dtype.kind in "fiu" and plain_name(name) not in _TARGETS
    }
    if not usable:
        return None
    largest = max(usable.values(), key=lambda array: array.size)
    return np.asarray(largest[:_ROWS], dtype=np.float64)


def _table(path: Path, features: frozenset[str]) -> Array | None:
    """Numeric columns of a CSV file: the features where they are known, else all but target and ids."""
    import numpy as np

    reader = csv.reader(lines_of(path, _BYTES))
    header = next(reader, [])
    rows = [row for row in islice(reader, _ROWS) if len(row) == len(header)]
    if len(rows) < 2:
        return None
    known = features & set(header)
    columns = [
        numbers
        for index, name in enumerate(header)
        if (name in known if known else plain_name(name) not in _TARGETS)
        and (numbers := _numbers([row[index] for row in rows])) is not None
    ]
    return np.array(columns, dtype=np.float64).T if columns else None


def _numbers(cells: list[str]) -> list[float] | None:
    try:
        return [float(cell) if cell else math.nan for cell in cells]
    except ValueError:
        return None


def _spread(values: Array) -> tuple[float, float] | None:
    """Images (more than two axes) count as one feature: their pixels share a unit."""
    import numpy as np

    flat = values.reshape(len(values), -1) if values.ndim == 2 else values.reshape(-1, 1)
    flat = np.where(np.isfinite(flat), flat, np.nan)
    flat = flat[:, ~np.isnan(flat).all(axis=0)]
    if flat.shape[0] < 2 or not flat.shape[1]:
        return None
    usual = np.nanmedian(flat, axis=0)
    alive = np.nanmean(flat != usual, axis=0) >= _ALIVE
    means, spreads = np.nanmean(flat[:, alive], axis=0), np.nanstd(flat[:, alive], axis=0)
    means, spreads = means[spreads > 0], spreads[spreads > 0]
    if not len(spreads):
        return None
    return float(spreads.max() / spreads.min()), float(np.abs(means / spreads).max())
