"""Rows as vectors of numbers: for distances between rows, and for a small model that judges them."""

from __future__ import annotations

import hashlib
import re
import zlib
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from progtrain.engine.additions.tools.progtrain_additions_rows import Rows, number, picture, text_of

if TYPE_CHECKING:
    import numpy as np

#: a row of more numbers is made smaller by means of neighbours: 16 x 16 places
_MOST, _SIDE = 1024, 16
#: of a text: places into which its words and pairs of words fall
_WORDS = 1024
_WORD_DIMENSIONS = 8
#: signs of languages that put no space between words count as words
_TOKEN = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7a3]|\w+")


def tokens(text: str) -> list[str]:
    return _TOKEN.findall(text.casefold())


def of_numbers(rows: Rows, train: Rows, root: Path) -> np.ndarray[Any, Any] | None:
    """(n, d), float32: numbers, words and pictures, each column of a table on the training's own scale.

    Texts are left out; None where there is nothing else.
    """
    import numpy as np

    numeric = ((name, kind) for name, kind in train.kinds.items() if kind not in ("text", "json"))
    parts = [_column(rows, train, name, kind, root) for name, kind in numeric]
    return np.ascontiguousarray(np.concatenate(parts, axis=1)) if parts else None


def width(train: Rows) -> int:
    """About how many numbers a row becomes."""
    sizes: list[int] = [column[0].size for column in train.columns.values() if hasattr(column, "dtype") and len(column)]
    pictures = sum(kind == "picture" for kind in train.kinds.values())
    return sum(min(size, _MOST) for size in sizes) + 3 * _SIDE * _SIDE * pictures + len(train.kinds)


def _column(rows: Rows, train: Rows, name: str, kind: str, root: Path) -> Any:
    import numpy as np

    if kind == "picture":
        paths = rows.columns[name]
        return np.stack([_small(picture(root / path).astype(np.float32)) for path in paths])
    if kind == "number":
        column = np.array([number(value) for value in rows.columns[name]], dtype=np.float32)
        known = np.array([number(value) for value in train.columns[name]], dtype=np.float32)
        return np.nan_to_num((column - np.nanmean(known)) / (np.nanstd(known) or 1)).reshape(-1, 1)
    if kind == "word":
        return np.stack([_word(str(value)) for value in rows.columns[name]])
    column = rows.columns[name]
    if column.dtype.kind not in "biuf":
        return np.stack([_word(str(value)) for value in column])
    if column[0].size > _MOST:
        return np.stack([_small(row.astype(np.float32)) for row in column])
    flat, known = (one.reshape(len(one), -1).astype(np.float32) for one in (column, train.columns[name]))
    if column.ndim > 2 or column.dtype == np.uint8:
        return np.nan_to_num(flat - known.mean(axis=0))
    return np.nan_to_num((flat - np.nanmean(known, axis=0)) / np.where(known.std(axis=0) > 0, known.std(axis=0), 1))


def _small(value: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Means over 16 x 16 places of a picture (of each channel), or over stretches of anything else."""
    import numpy as np

    if value.ndim == 3 and value.shape[0] <= 4 < value.shape[2]:
        value = np.moveaxis(value, 0, -1)
    sides = (_SIDE, _SIDE) if value.ndim in (2, 3) and min(value.shape[:2]) >= _SIDE else (_SIDE * _SIDE,)
    value = value if len(sides) == 2 else value.reshape(-1)
    for axis, side in enumerate(sides):
        edges = np.linspace(0, value.shape[axis], min(side, value.shape[axis]) + 1).astype(int)
        sums = np.add.reduceat(value, edges[:-1], axis=axis)
        value = sums / np.diff(edges).reshape([-1 if at == axis else 1 for at in range(value.ndim)])
    if len(sides) == 2 and value.ndim == 2:
        value = np.repeat(value[:, :, None], 3, axis=2)  # a grey picture is one whose colours are the same
    return np.asarray(value.reshape(-1)[: 3 * _MOST], dtype=np.float32)


def _word(text: str) -> np.ndarray[Any, Any]:
    """A direction of its own for each word, always the same."""
    import numpy as np

    digest = hashlib.sha256(text.strip().casefold().encode("utf-8", "surrogatepass")).digest()
    return np.array([1.0 if byte & 1 else -1.0 for byte in digest[:_WORD_DIMENSIONS]], dtype=np.float32) / 2


def texts(rows: Rows) -> list[str] | None:
    """All texts of each row, one after the other; None where it has none."""
    columns = [rows.columns[name] for name, kind in rows.kinds.items() if kind == "text"]
    return [" ".join(text_of(value) for value in values) for values in zip(*columns, strict=True)] if columns else None


def for_model(rows: Rows, root: Path, some: Sequence[int] | None = None) -> np.ndarray[Any, Any]:
    """(n, d), float32: what a linear model of rows sees, columns centred and on one scale; texts by their words."""
    import numpy as np

    found = [part for part in (of_numbers(rows, rows, root), _bags(texts(rows))) if part is not None]
    whole = np.concatenate(found, axis=1) if found else np.zeros((len(rows), 1), dtype=np.float32)
    # one scale for all: places of a picture that hardly change stay as quiet as they are
    whole -= whole.mean(axis=0)
    scale = np.sqrt((whole**2).mean()) or 1
    return np.asarray(whole / scale, dtype=np.float32)


def _bags(written: Sequence[str] | None) -> np.ndarray[Any, Any] | None:
    import numpy as np

    if written is None:
        return None
    bags = np.zeros((len(written), _WORDS), dtype=np.float32)
    for at, text in enumerate(written):
        words = tokens(text)
        for word in (*words, *map(" ".join, pairwise(words))):
            bags[at, zlib.crc32(word.encode("utf-8", "surrogatepass")) % _WORDS] += 1
    return np.asarray(np.log1p(bags))
