"""Metrics by the names under which a module logs them, and the script's own log where nothing can be measured."""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from .batches import number_of
from .common import ROOT, EvalError
from .measures import is_better
from .names import canonical
from .seen import Score

REPORTED = "reported by the script, not measured"


def without_prefix(name: str) -> str:
    """What a module's own name of a metric means: "val/acc", "valid_accuracy_epoch" and "Accuracy/val" are the same."""
    name = re.sub(r"_epoch$|/?_?dataloader_idx_\d+$", "", name)
    return canonical(re.sub(r"[^A-Za-z0-9](?:val|valid|validation|eval|dev)$", "", name))


def of_validation(name: str) -> bool:
    return not re.search(r"(?:^|[^a-z])(?:train|test)", name.lower())


def find_name(metric: str, names: Iterable[str]) -> str | None:
    """The metric among names, under that very name or another prefix."""
    alike = (n for n in names if without_prefix(n) == without_prefix(metric) and of_validation(n))
    return metric if metric in names else next(alike, None)


def loss_name(logged: Mapping[str, float]) -> str | None:
    """The validation loss among what the module logs."""
    order = ("loss", "loss_total", "total_loss")  # before any other name with "loss" in it
    names = {without_prefix(name): name for name in reversed(list(logged)) if of_validation(name)}
    return next(
        (names[name] for name in order if name in names), next((n for p, n in names.items() if "loss" in p), None)
    )


def reported(home: Path, wanted: Mapping[str, bool | None]) -> list[Score]:
    """The numbers of the best epoch in the newest metrics.csv. Raises `EvalError` where there is none."""
    nothing = (
        "nothing can be evaluated: the script runs no Trainer and offers neither load_split(split) nor "
        "val_dataloader() with load_model(checkpoint_path)"
    )
    fix = "offer load_split(split) and load_model(checkpoint_path)"
    logs = sorted(home.glob("logs/version_*/metrics.csv"), key=lambda p: int(p.parent.name.rpartition("_")[2]))
    if not logs:
        raise EvalError(f"{nothing}, and there is no logs/version_0/metrics.csv; {fix}")
    with logs[-1].open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    epochs: dict[str, dict[str, float]] = {}
    for number, row in enumerate(rows):
        cells = {str(k): number_of(v) for k, v in row.items() if k and isinstance(v, str) and v.strip()}
        epochs.setdefault(row.get("epoch") or str(number), {}).update(cells)
    names = {name: 0.0 for cells in epochs.values() for name in cells if re.match(r"val|eval|dev", name)}
    loss = loss_name(names)
    scored = [(metric, find_name(metric, names), is_better(metric, better)) for metric, better in wanted.items()]
    by, up = next(((name, up) for metric, name, up in scored if name and metric != "loss"), ("", False))
    by, up = (loss, False) if loss else (by, up)
    known = [cells for cells in epochs.values() if math.isfinite(cells.get(by, math.nan))]
    if not known:
        raise EvalError(f"{nothing}, and {logs[-1].relative_to(ROOT)} has no number of its validation; {fix}")
    best = (max if up else min)(known, key=lambda cells: cells[by])
    found = [Score("loss", best.get(str(loss), math.nan), False, f"{REPORTED}: {loss or 'not in its log'}")]
    for metric, better in wanted.items():
        if metric != "loss":
            named = find_name(metric, best)
            source = f"{REPORTED}: {named or 'not in its log'}"
            found.append(Score(metric, best.get(named or "", math.nan), is_better(metric, better), source))
    return found
