"""An experiment from its plan to its results, by the commands that a user types."""

from __future__ import annotations

from collections.abc import Callable

from progtrain.engine.experiment.folder import ExperimentFolder
from progtrain.engine.workspace import Workspace
from tests.cli.commands import progtrain
from tests.experiment.conftest import lines, starts

RUNS = ["rank8_rate0.1", "rank8_rate0.2", "rank16_rate0.1", "rank16_rate0.2", "base"]
Planned = Callable[..., ExperimentFolder]


def test_a_plan_is_scaffolded_run_and_shown(lab: Workspace, planned: Planned) -> None:
    folder = planned()
    before = progtrain(lab, "experiment", "run", "cap")
    assert before.returncode == 2 and "not scaffolded" in before.stderr
    made = progtrain(lab, "experiment", "scaffold", "cap")
    assert made.returncode == 0, made.stderr
    done = progtrain(lab, "experiment", "run", "cap")
    assert done.returncode == 0, done.stderr
    shown = progtrain(lab, "experiment", "status", "cap")
    assert "5 runs: 5 done; evaluations 5/5" in shown.stdout
    assert "| [rank8_rate0.1](rank8_rate0.1/) | trained | 8 | 0.1 | done |" in folder.summary.read_text()
    assert len(lines(folder.results)) == 5
    assert sorted(starts(lab)) == sorted(RUNS)
    assert sorted(lines(lab.root / "evaluations.txt")) == sorted(RUNS)
