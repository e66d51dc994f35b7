"""`_eval/per_sample.csv`: what became of each validation sample."""

from __future__ import annotations

import csv
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from progtrain.engine import metrics, values
from progtrain.engine.errors import InputError
from progtrain.engine.files import lines_of, object_in, unread

_FIX = "run `python 03_eval.py --version ...` again"
_PART = "part__"


@dataclass(frozen=True)
class PerSample:
    """Columns of the file, rows in its order. All lists have the length of `ids`, but for columns that are missing."""

    ids: list[str]
    truth: list[str]
    prediction: list[str]
    #: None: there is no right and wrong (regression)
    correct: list[bool | None]
    loss: list[float | None]
    confidence: list[float | None]
    #: metric -> contribution of each sample
    parts: dict[str, list[float | None]] = field(default_factory=dict)
    #: what answered each sample, and why one has no answer; empty lists where the file does not say
    served_by: list[str] = field(default_factory=list)
    error: list[str] = field(default_factory=list)
    #: what class 1 is called, where there are two; empty where nobody says so
    class_one: str = ""
    #: the model gives one score for yes or no: F1 and the like are those of class 1
    one_score: bool = False

    def __len__(self) -> int:
        return len(self.ids)

    @cached_property
    def is_classification(self) -> bool:
        return any(value is not None for value in self.correct)

    @cached_property
    def row(self) -> dict[str, int]:
        """Sample id -> row, the first where an id comes twice."""
        rows: dict[str, int] = {}
        for index, sample in enumerate(self.ids):
            rows.setdefault(sample, index)
        return rows

    @cached_property
    def numbers(self) -> tuple[list[float], list[float]] | None:
        """Truth and prediction as numbers; None when one of them is not."""
        truth, prediction = (
            [value for cell in column if (value := metrics.finite(values.number(cell))) is not None]
            for column in (self.truth, self.prediction)
        )
        return (truth, prediction) if len(truth) == len(prediction) == len(self) else None


def read_per_sample(path: Path) -> PerSample:
    """Raises `InputError` when it is missing, has no `sample_id` column, or holds no row.

    Missing columns are empty; rows that are torn (a last line cut off, a row without id) are left out.
    """
    try:
        reader = csv.DictReader(lines_of(path))
        names = [name.strip() for name in reader.fieldnames or ()]
        reader.fieldnames = names
        if "sample_id" not in names:
            raise InputError("no column sample_id", file=path, place=1, fix=_FIX)
        # DictReader fills missing cells with None: such a line was cut off
        rows = [row for row in reader if row.get("sample_id") and row.get(names[-1]) is not None]
    except OSError as error:
        raise unread(error, path, _FIX) from error
    except csv.Error as error:
        raise InputError(f"cannot be read: {error}", file=path, fix=_FIX) from error
    if not rows:
        raise InputError("it holds no sample", file=path, fix=_FIX)
    told = object_in(path.with_name("protocol.json"))
    classes = told.get("class_names")
    named = [str(name) for name in classes] if isinstance(classes, list) else ["0", "1"]
    one = named[1] if len(named) == 2 else ""
    return replace(_columns(rows, names), class_one=one, one_score=told.get("task") == "binary")


def _columns(rows: list[dict[str, str]], names: list[str]) -> PerSample:
    def texts(name: str) -> list[str]:
        return [(row.get(name) or "").strip() for row in rows]

    def numbers(name: str) -> list[float | None]:
        return [metrics.finite(values.number(row.get(name))) for row in rows]

    return PerSample(
        ids=texts("sample_id"),
        truth=texts("truth"),
        prediction=texts("prediction"),
        correct=[_truth(row.get("correct")) for row in rows],
        loss=numbers("loss"),
        confidence=numbers("confidence"),
        parts={name.removeprefix(_PART): numbers(name) for name in names if name.startswith(_PART)},
        served_by=texts("served_by") if "served_by" in names else [],
        error=texts("error") if "error" in names and not _is_distance(texts("error")) else [],
    )


def _is_distance(cells: list[str]) -> bool:
    """A column `error` of numbers alone is how far off an answer is, and not why there is none."""
    said = [cell for cell in cells if cell]
    return bool(said) and all(values.number(cell) is not None for cell in said)


def _truth(cell: str | None) -> bool | None:
    return {"true": True, "1": True, "1.0": True, "yes": True, "false": False, "0": False, "0.0": False}.get(
        (cell or "").strip().casefold()
    )


def only(samples: PerSample, ids: frozenset[str]) -> PerSample:
    """Those of these ids alone."""
    kept = [row for row, one in enumerate(samples.ids) if one in ids]

    def cut(column: Any) -> Any:
        if isinstance(column, dict):
            return {name: cut(inner) for name, inner in column.items()}
        return [column[row] for row in kept] if isinstance(column, list) and column else column

    return replace(samples, **{field.name: cut(getattr(samples, field.name)) for field in fields(samples)})
