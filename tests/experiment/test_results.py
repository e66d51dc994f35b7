"""What is kept of an experiment's runs, and what counts of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from progtrain.engine.experiment import results
from progtrain.engine.experiment.folder import ExperimentFolder
from progtrain.engine.experiment.results import Row
from progtrain.engine.experiment.workers.base import Score


def row(run: str = "rank8", **more: Any) -> Row:
    return Row(
        **{"experiment": "cap", "run": run, "point": run, "task": "caps", "epoch": "best", "state": "done"} | more
    )


def test_what_is_appended_is_read_again(tmp_path: Path) -> None:
    folder = ExperimentFolder(tmp_path)
    assert results.read(folder) == []
    scored = results.measured([Score("acc", 0.8, 40, True), Score("loss", float("nan"), 40, False)])
    results.append(folder, row(metrics=scored, parameters={"rank": 8}))
    (read,) = results.read(folder)
    assert [(m.name, m.value, m.higher_is_better, results.samples_of(m)) for m in read.metrics] == [
        ("acc", 0.8, True, 40),
        ("loss", None, False, 40),
    ]
    assert read.parameters == {"rank": 8}


def test_the_last_line_about_a_run_task_and_epoch_counts(tmp_path: Path) -> None:
    folder = ExperimentFolder(tmp_path)
    for epoch, seed in (("best", 1), ("last", 2), ("best", 3)):
        results.append(folder, row(epoch=epoch, seed=seed))
    assert [(r.epoch, r.seed) for r in results.read(folder)] == [("best", 3), ("last", 2)]


def test_a_failure_is_over_once_the_run_is_done_and_takes_older_evaluations_with_it(tmp_path: Path) -> None:
    folder = ExperimentFolder(tmp_path)
    results.append(folder, row())
    results.append(folder, row(task=None, epoch=None, state="failed", cause="time limit"))
    assert [(r.task, r.cause) for r in results.read(folder)] == [(None, "time limit")]
    results.append(folder, row(seed=2))
    assert [(r.task, r.seed) for r in results.read(folder)] == [("caps", 2)]


def test_torn_and_foreign_lines_cost_nothing_but_themselves(tmp_path: Path) -> None:
    folder = ExperimentFolder(tmp_path)
    results.append(folder, row())
    with folder.results.open("ab") as file:
        file.write(b'{"of": "another kind"}\n{"experiment": "cap", "ru')
    assert len(results.read(folder)) == 1
    # the next writer closes the torn line; keys of a later version are kept
    results.append(folder, row("rank16", later=[1]))
    assert [(r.run, r.model_extra) for r in results.read(folder)] == [("rank8", {}), ("rank16", {"later": [1]})]
