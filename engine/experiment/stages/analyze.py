"""From results to tables, comparisons and the report."""

from __future__ import annotations

from pathlib import Path

from progtrain.engine.control import lock
from progtrain.engine.errors import InputError
from progtrain.engine.experiment import report, results, summary
from progtrain.engine.experiment.logbook import Logbook
from progtrain.engine.experiment.opening import busy
from progtrain.engine.experiment.view import look
from progtrain.engine.experiment.workers.base import Experiment


def reasons(experiment: Experiment) -> list[str]:
    """Why there is something to do; empty where the report is younger than all results."""
    made = experiment.folder.report
    if not made.exists():
        return ["there is no report yet"]
    written = experiment.folder.results.stat().st_mtime if experiment.folder.results.exists() else 0.0
    return ["there are new results"] if written > made.stat().st_mtime else []


def planned(experiment: Experiment) -> list[Path]:
    """What would be written. Raises `InputError` where nothing has been evaluated yet."""
    folder = experiment.folder
    if not any(row.state == "done" for row in results.read(folder)):
        fix = f"progtrain experiment run {folder.name}, or see its status"
        raise InputError("nothing to analyze: no evaluation has ended yet", file=folder.results, fix=fix)
    return [folder.results_table, folder.comparisons, folder.plots, folder.report]


def run(experiment: Experiment) -> list[Path]:
    """Also while the experiment goes on: of what there is. Raises `InputError`."""
    folder = experiment.folder
    planned(experiment)
    told = "; ".join(reasons(experiment)) or "as asked"
    made = report.analyze(folder, experiment.plan, experiment.ws)
    if not lock.held(folder.lock):
        # else the runner has the journal, and writes the summary
        with lock.hold_file(folder.lock, busy(folder)):
            log = Logbook(folder, "analyze", experiment.clock)
            log.write("stage_done", f"{len(made)} files written: {told}", stage="analyze")
            summary.write(experiment, look(folder).states)
    return made
