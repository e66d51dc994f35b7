"""Metrics by the names under which a module logs them, and the script's own log where nothing can be measured."""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

import torch

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


def reported(home: Path, wanted: Mapping[str, bool | None], primary: str) -> list[Score]:
    """The numbers of one epoch in the newest metrics.csv: that of the checkpoint where this tells, else the best one by
    the primary metric, or by the loss where the log has no such number. Raises `EvalError` where there is none.
    """
    nothing = (
        "nothing can be evaluated: the script runs no Trainer and offers neither load_split(split) nor "
        "val_dataloader() with load_model(checkpoint_path)"
    )
    fix = "offer load_split(split) and load_model(checkpoint_path)"
    logs = sorted(home.glob("logs/version_*/metrics.csv"), key=lambda p: int(p.parent.name.rpartition("_")[2]))
    if not logs:
        raise EvalError(f"{nothing}, and there is no logs/version_0/metrics.csv; {fix}")
    epochs = epochs_in(logs[-1])
    names = {name: 0.0 for cells in epochs.values() for name in cells if re.match(r"val|eval|dev", name)}
    loss = loss_name(names)
    order = [(metric, wanted.get(metric)) for metric in (primary, "loss")] + list(wanted.items())
    ranks = ((loss if metric == "loss" else find_name(metric, names), metric, better) for metric, better in order)
    by, up = next(((name, is_better(metric, better)) for name, metric, better in ranks if name), ("", False))
    known = {epoch: cells for epoch, cells in epochs.items() if math.isfinite(cells.get(by, math.nan))}
    if not known:
        raise EvalError(f"{nothing}, and {logs[-1].relative_to(ROOT)} has no number of its validation; {fix}")
    best = (max if up else min)(known, key=lambda epoch: known[epoch][by])
    kept = of_checkpoint(home / "best.ckpt", known, names)
    epoch, why = (best, f"the best by {by}") if kept is None else (kept, "that of best.ckpt")
    print(f"note: the numbers are those of epoch {epoch} in {logs[-1].relative_to(ROOT)}, {why}")
    cells, found = known[epoch], []
    for metric, better in {"loss": None, **wanted}.items():
        named = loss if metric == "loss" else find_name(metric, cells)
        source = f"{REPORTED}: {named}, epoch {epoch} ({why})" if named else f"{REPORTED}: not in its log"
        higher = metric != "loss" and is_better(metric, better)
        found.append(Score(metric, cells.get(named or "", math.nan), higher, source))
    return found


def epochs_in(log: Path) -> dict[str, dict[str, float]]:
    """The numbers of each epoch, as the log counts them; of each row, where it does not."""
    epochs: dict[str, dict[str, float]] = {}
    with log.open(encoding="utf-8-sig", newline="") as file:
        for number, row in enumerate(csv.DictReader(file)):
            cells = {str(k): number_of(v) for k, v in row.items() if k and isinstance(v, str) and v.strip()}
            epochs.setdefault(row.get("epoch") or str(number), {}).update(cells)
    return epochs


def of_checkpoint(path: Path, epochs: Mapping[str, Mapping[str, float]], names: Iterable[str]) -> str | None:
    """The epoch whose weights it holds: the one that it names, if a number beside it stands in the log there. The name
    alone does not tell, since some count from 0 here and from 1 there.
    """
    try:
        held = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except Exception:  # noqa: BLE001 - objects of the script's own, an old format, no such file
        return None
    if not isinstance(held, Mapping) or not isinstance(held.get("epoch"), int):
        return None
    numbers = [number_of(value) for value in held.values() if isinstance(value, (float, torch.Tensor))]
    found = [
        epoch
        for epoch, cells in epochs.items()
        if abs(number_of(epoch) - held["epoch"]) <= 1
        if any(math.isclose(one, cells.get(name, math.nan), rel_tol=1e-4) for one in numbers for name in names)
    ]
    return found[0] if len(found) == 1 else None
