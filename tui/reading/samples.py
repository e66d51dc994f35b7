"""Validation samples with their outcome in each version, and what was kept of ten of them."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from progtrain.engine.files import try_read_json
from progtrain.engine.workspace import Workspace

_PICTURES = {".png", ".jpg", ".jpeg", ".gif", ".bmp", ".webp"}
_TEXTS = {".txt", ".json", ".csv", ".md", ".tsv", ".yaml", ".yml"}
_MOST_TEXT = 20_000
_COLUMNS = ("sample_id", "truth", "prediction", "correct", "loss", "confidence")


class Outcome(NamedTuple):
    """One validation sample in one version."""

    sample_id: str
    truth: str
    prediction: str
    #: None: there is no right or wrong, as in regression
    correct: bool | None
    loss: float | None
    confidence: float | None = None


@dataclass(frozen=True)
class Shown:
    """A file of a kept sample."""

    name: str
    path: Path
    kind: str
    text: str = ""


@dataclass(frozen=True)
class Kept:
    """`infer_samples/0001`: input, output and whatever stands beside them."""

    sample_id: str
    folder: Path
    files: tuple[Shown, ...]


def read_outcomes(workspace: Workspace, version: str) -> tuple[Outcome, ...]:
    """Wrong ones first, then by loss. Empty where the version is not evaluated."""
    try:
        with workspace.version(version).per_sample.open(encoding="utf-8", errors="replace", newline="") as file:
            rows = csv.reader(file)
            header = next(rows, [])
            places = [header.index(name) if name in header else len(header) for name in _COLUMNS]
            width = len(header) + 1
            found = [_outcome(*[cells[at] for at in places]) for row in rows if (cells := _filled(row, width))]
    except (OSError, csv.Error):
        return ()
    return tuple(sorted((outcome for outcome in found if outcome.sample_id), key=_badness))


def _filled(row: list[str], width: int) -> list[str]:
    """With an empty cell for each that is missing; nothing for a blank line."""
    return row + [""] * (width - len(row)) if row else row


def _badness(outcome: Outcome) -> tuple[bool, float, str]:
    return outcome.correct is not False, -(outcome.loss if outcome.loss is not None else 0.0), outcome.sample_id


def _outcome(sample_id: str, truth: str, prediction: str, correct: str, loss: str, confidence: str) -> Outcome:
    told = correct.strip().casefold()
    right = None if not told else told in {"1", "true", "yes", "1.0"}
    return Outcome(sample_id, truth, prediction, right, _number(loss), _number(confidence))


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if value == value else None


def kept_ids(workspace: Workspace, version: str) -> dict[str, Path]:
    """Sample id -> its folder below `infer_samples/`."""
    folder = workspace.version(version).infer_samples
    found: dict[str, Path] = {}
    try:
        folders = sorted(path for path in folder.iterdir() if path.is_dir())
    except OSError:
        return found
    for path in folders:
        meta = try_read_json(path / "meta.json")
        sample_id = meta.get("sample_id", path.name) if isinstance(meta, dict) else path.name
        found.setdefault(str(sample_id), path)
    return found


def read_kept(sample_id: str, folder: Path) -> Kept:
    try:
        paths = sorted(path for path in folder.iterdir() if path.is_file())
    except OSError:
        paths = []
    order = {"input": 0, "output": 1, "gt": 2, "viz": 3, "summary": 4, "meta": 5}
    paths.sort(key=lambda path: (order.get(path.name.partition(".")[0], 6), path.name))
    return Kept(sample_id, folder, tuple(_shown(path) for path in paths))


def _shown(path: Path) -> Shown:
    suffix = path.suffix.casefold()
    if suffix in _PICTURES:
        return Shown(path.name, path, "picture")
    if suffix not in _TEXTS:
        return Shown(path.name, path, "other")
    try:
        with path.open("rb") as file:
            text = file.read(_MOST_TEXT).decode("utf-8", "replace")
    except OSError as error:
        return Shown(path.name, path, "other", f"cannot be read: {error.strerror}")
    if suffix == ".json":
        text = _plain_json(text)
    return Shown(path.name, path, "table" if suffix in {".csv", ".tsv"} else "text", text)


def _plain_json(text: str) -> str:
    """`key: value` lines; the text itself where it is no JSON object."""
    try:
        data: Any = json.loads(text)
    except ValueError:
        return text
    if not isinstance(data, dict):
        return json.dumps(data, ensure_ascii=False)
    return "\n".join(f"{key}: {_short(value)}" for key, value in data.items())


def _short(value: Any) -> str:
    if isinstance(value, list) and value and all(isinstance(v, int | float) for v in value):
        shown = ", ".join(f"{v:.4g}" for v in value[:12])
        return f"{shown}, … ({len(value)})" if len(value) > 12 else shown
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def flips(before: Iterable[Outcome], after: Iterable[Outcome]) -> tuple[tuple[Outcome, Outcome], ...]:
    """Samples whose outcome differs, those that went wrong first."""
    known = {outcome.sample_id: outcome for outcome in before}
    pairs = [(known[o.sample_id], o) for o in after if o.sample_id in known]
    return tuple(
        sorted(
            (
                pair
                for pair in pairs
                if None not in (pair[0].correct, pair[1].correct) and pair[0].correct != pair[1].correct
            ),
            key=lambda pair: (bool(pair[1].correct), _badness(pair[1])),
        )
    )
