"""Made-up results of an experiment, as its runner would leave them."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from statistics import NormalDist
from typing import Any

from progtrain.engine.experiment import plan, results
from progtrain.engine.experiment.folder import ExperimentFolder
from progtrain.engine.experiment.results import Row
from progtrain.engine.experiment.workers.base import Score

QUESTION = "experiment: {name: cap, question: 'Does rank matter?', kind: %s}\nbase: {script: 02_train_v001.py}\n"


def a_plan(text: str, folder: ExperimentFolder, kind: str = "grid") -> plan.Plan:
    """Its text is written, too."""
    whole = QUESTION % kind + text
    folder.path.mkdir(parents=True, exist_ok=True)
    folder.plan.write_text(whole)
    return plan.parse(whole, folder)


def outcomes(accuracy: float, count: int, seed: int, *, of_seed: float = 0.01) -> list[bool]:
    """Of one trained model on `count` samples, always the same ones: some are hard for every model, and models with
    other seeds differ both in single samples and by `of_seed` (standard deviation) in their accuracy."""
    import numpy as np

    difficulty = np.random.default_rng(7).normal(size=count)
    rng = np.random.default_rng(seed)
    share = min(0.999, max(0.001, accuracy + rng.normal() * of_seed))
    latent = np.sqrt(0.7) * difficulty + np.sqrt(0.3) * rng.normal(size=count)
    return [bool(right) for right in latent < NormalDist().inv_cdf(share)]


def add(folder: ExperimentFolder, run: str, right: Sequence[bool] = (), **more: Any) -> Row:
    """A line of results.jsonl, with a table of samples where there are any."""
    task = more.get("task", "caps")
    told: dict[str, Any] = {"experiment": "cap", "run": run, "point": run, "task": task, "epoch": "best"}
    told |= {"state": "done", "evaluator_sha256": "e", "data_sha256": "d", "attempts": 1, "seconds": 3600.0}
    if right:
        cell = folder.run(run).cell(f"{task}_best")
        cell.path.mkdir(parents=True, exist_ok=True)
        with cell.per_sample.open("w", newline="") as file:
            lines = csv.writer(file)
            lines.writerow(("sample_id", "truth", "prediction", "correct"))
            lines.writerows((f"s{at}", "1", "1" if one else "0", one) for at, one in enumerate(right))
        scored = Score("accuracy", sum(right) / len(right), len(right), True)
        told |= {"metrics": results.measured([scored])}
        told |= {"per_sample": cell.per_sample.relative_to(folder.path).as_posix()}
    row = Row(**told | more)
    results.append(folder, row)
    return row


def grid(folder: ExperimentFolder, accuracies: Mapping[str, float], seeds: int, count: int = 300, **more: Any) -> None:
    """Points named like `rank8`, each trained with so many seeds."""
    for at, (point, accuracy) in enumerate(accuracies.items()):
        parameters = {"rank": int(point.removeprefix("rank"))} if point.startswith("rank") else {}
        for seed in range(seeds):
            right = outcomes(accuracy, count, 1000 * at + seed)
            kind = "trained" if parameters else "control"
            named = f"{point}_seed{seed}" if seeds > 1 else point
            own = {"point": point, "seed": seed, "parameters": parameters, "type": kind}
            add(folder, named, right, **own | more)
