"""From results to tables, comparisons and the report."""

from __future__ import annotations

from pathlib import Path

from progtrain.engine.errors import InputError
from progtrain.engine.experiment import report, results
from progtrain.engine.experiment.workers.base import Experiment


def planned(experiment: Experiment) -> list[Path]:
    """What would be written. Raises `InputError` where nothing has been evaluated yet."""
    folder = experiment.folder
    if not any(row.state == "done" for row in results.read(folder)):
        fix = f"progtrain experiment run {folder.name}, or see its status"
        raise InputError("nothing to analyze: no evaluation has ended yet", file=folder.results, fix=fix)
    return [folder.results_table, folder.comparisons, folder.report]


def run(experiment: Experiment) -> list[Path]:
    """What was written. Raises as `planned`."""
    planned(experiment)
    return report.analyze(experiment.folder, experiment.plan, experiment.ws)
