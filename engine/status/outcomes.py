"""How the validation samples of a version came out, the worst first."""

from __future__ import annotations

import csv
import math

from progtrain.engine.errors import InputError
from progtrain.engine.values import number
from progtrain.engine.workspace import Workspace


def read_outcomes(
    ws: Workspace, version: str, *, wrong: bool = False, of_class: str | None = None
) -> list[dict[str, str]]:
    """Rows of `per_sample.csv`: wrong ones first, then by loss. Raises `InputError` where there is none yet."""
    path = ws.version(version).per_sample
    try:
        with path.open(newline="", encoding="utf-8", errors="replace") as file:
            rows = list(csv.DictReader(file))
    except FileNotFoundError as error:
        fix = f"progtrain step evaluate --version {version}"
        raise InputError(f"{version} has not been evaluated yet", file=path, fix=fix) from error
    if wrong:
        rows = [row for row in rows if row.get("correct") == "0"]
    if of_class is not None:
        rows = [row for row in rows if row.get("truth") == of_class]
    return sorted(rows, key=lambda row: (row.get("correct") != "0", -_loss(row)))


def _loss(row: dict[str, str]) -> float:
    """What is no number counts as worst."""
    value = number(row.get("loss"))
    return math.inf if value is None or math.isnan(value) else value
