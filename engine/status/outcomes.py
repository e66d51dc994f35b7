"""How the validation samples of a version came out, the worst first."""

from __future__ import annotations

import csv
import math

from progtrain.engine.errors import InputError
from progtrain.engine.files import lines_of, unread
from progtrain.engine.values import number
from progtrain.engine.workspace import Workspace


def read_outcomes(
    ws: Workspace, version: str, *, wrong: bool = False, of_class: str | None = None
) -> list[dict[str, str]]:
    """Rows of `per_sample.csv`: wrong ones first, then by loss. Raises `InputError` where there is none yet."""
    path, fix = ws.version(version).per_sample, f"progtrain step evaluate --version {version}"
    try:
        found = list(csv.DictReader(lines_of(path)))
    except FileNotFoundError as error:
        raise InputError(f"{version} has not been evaluated yet", file=path, fix=fix) from error
    except OSError as error:
        raise unread(error, path) from error
    except csv.Error as error:
        raise InputError(f"not a table: {error}", file=path, fix=fix) from error
    if wrong:
        found = [row for row in found if row.get("correct") == "0"]
    if of_class is not None:
        found = [row for row in found if row.get("truth") == of_class]
    return sorted(found, key=lambda row: (row.get("correct") != "0", -_loss(row)))


def _loss(row: dict[str, str]) -> float:
    """What is no number counts as worst."""
    value = number(row.get("loss"))
    return math.inf if value is None or math.isnan(value) else value
