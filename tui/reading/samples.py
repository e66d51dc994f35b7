"""Validation samples with their outcome in each version."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from typing import NamedTuple

from progtrain.engine.files import lines_of
from progtrain.engine.workspace import Workspace

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


def read_outcomes(workspace: Workspace, version: str) -> tuple[Outcome, ...]:
    """Wrong ones first, then by loss. Empty where the version is not evaluated."""
    try:
        table = csv.reader(lines_of(workspace.version(version).per_sample))
        header = next(table, [])
        places = [header.index(name) if name in header else len(header) for name in _COLUMNS]
        width = len(header) + 1
        found = [_outcome(*[cells[at] for at in places]) for row in table if (cells := _filled(row, width))]
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


def flips(before: Iterable[Outcome], after: Iterable[Outcome]) -> tuple[tuple[Outcome, Outcome], ...]:
    """Samples whose outcome differs, those that went wrong first."""
    known = {outcome.sample_id: outcome for outcome in before}
    pairs = [(known[o.sample_id], o) for o in after if o.sample_id in known]
    found = [(old, new) for old, new in pairs if {old.correct, new.correct} == {True, False}]
    return tuple(sorted(found, key=lambda pair: (bool(pair[1].correct), _badness(pair[1]))))
