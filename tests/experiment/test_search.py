"""A search: points asked for one after the other, losers that end early, and a winner that is tried again."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from progtrain.engine.errors import InputError
from progtrain.engine.experiment import expand, plan, report, results, runner, search
from progtrain.engine.experiment.folder import ExperimentFolder
from progtrain.engine.experiment.opening import opened
from progtrain.engine.experiment.runner import Options
from progtrain.engine.experiment.search import Trial
from progtrain.engine.experiment.stages import run as run_stage
from progtrain.engine.experiment.stages import scaffold
from progtrain.engine.workspace import Workspace
from tests.experiment.conftest import carried_out, phases, scaffolded, starts

pytest.importorskip("optuna", reason="the extra `experiments` is not installed")

Planned = Callable[..., ExperimentFolder]

#: the nearer its rate to 0.3, the better, from the first epoch on; it saves and ends when it is asked to, for which
#: one that is far off leaves time
TRAIN = """
import json, os, sys, time
rate, epochs, out, seed = float(sys.argv[1]), int(sys.argv[2]), sys.argv[3], int(sys.argv[4])
with open("starts.txt", "a") as file:
    file.write(os.environ["PROGTRAIN_RUN"] + "\\n")
score = 1 - (rate - 0.3) ** 2 + seed % 5 * 1e-4
for epoch in range(1, epochs + 1):
    with open(os.environ["PROGTRAIN_LIVE_FILE"], "a") as file:
        file.write(json.dumps({"epoch": epoch, "step": epoch, "metrics": {"accuracy": score}}) + "\\n")
    time.sleep((0.15 if rate < 1 else 1) if epochs > 1 else 0)
    if os.path.exists(os.environ["PROGTRAIN_STOP_FILE"]):
        break
json.dump({"score": score, "epochs": epoch}, open(os.path.join(out, "best.json"), "w"))
"""
EVALUATE = """
import json, os, sys
made, out = sys.argv[1:]
json.dump({"metrics": {"accuracy": json.load(open(made))["score"]}, "num_samples": 4},
          open(os.path.join(out, "eval_score.json"), "w"))
"""
RATES = {"rate": {"low": 0.01, "high": 1.0, "log": True}}


@pytest.fixture
def searched(lab: Workspace, planned: Planned) -> Callable[..., ExperimentFolder]:
    (lab.root / "train.py").write_text(TRAIN)
    (lab.root / "evaluate.py").write_text(EVALUATE)

    def write(epochs: int = 1, variables: Any = RATES, **asked: Any) -> ExperimentFolder:
        words = ["python", "train.py", "{rate}", str(epochs), "{artifacts}", "{seed=42}"]
        return planned(
            experiment={"name": "cap", "kind": "hpo", "question": "Which rate?"},
            base={"command": words},
            variables=variables,
            runs={},
            resources={"parallel": 3},
            search={"metric": "accuracy", "trials": 12, "parallel": 3, **asked},
        )

    return write


def points(folder: ExperimentFolder) -> list[float]:
    return [
        json.loads(path.read_text())["parameters"]["rate"] for path in sorted(folder.path.glob("trial???/run.json"))
    ]


@pytest.mark.slow
def test_a_search_finds_its_way_and_tries_its_winner_again(lab: Workspace, searched: Planned) -> None:
    folder = searched(sampler="tpe")
    assert carried_out(lab) == 0
    assert len(points(folder)) == len(set(points(folder))) == 12
    rows = results.read(folder)
    firsts = {row.run: row.metrics[0].value for row in rows if row.run == row.point}
    best = max(firsts, key=lambda run: firsts[run] or 0)
    again = sorted(row.run for row in rows if row.run != row.point)
    assert again == [f"{best}_seed43", f"{best}_seed44"]
    assert abs(json.loads((folder.path / best / "run.json").read_text())["parameters"]["rate"] - 0.3) < 0.15
    written = report.analyze(folder, plan.read(folder), lab)[-1].read_text()
    assert f"The search tried 12 points, 0 of them ended early. Best by accuracy: **{best}**" in written
    assert "over 3 seeds" in written


def test_a_runner_that_is_killed_asks_for_no_point_twice(lab: Workspace, searched: Planned) -> None:
    folder = searched(confirm=1, trials=7)
    scaffolded(lab)
    for number in (2, 4):
        process = run_stage.start(lab, "cap", Options())
        deadline = time.monotonic() + 60
        while len(starts(lab)) < number and time.monotonic() < deadline:
            time.sleep(0.01)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    assert runner.run(lab, "cap", Options()) == 0
    assert len(set(points(folder))) == 7 and len(results.read(folder)) == 7
    assert sorted(starts(lab)) == [f"trial{number:03d}" for number in range(1, 8)]
    assert set(phases(folder).values()) == {"done"}


def test_losers_are_ended_early_and_what_they_saved_counts(lab: Workspace, searched: Planned) -> None:
    rates = {"rate": [0.3, 0.31, 0.32, 5.0, 6.0, 7.0]}
    folder = searched(epochs=12, variables=rates, trials=6, prune="asha", confirm=1, sampler="random")
    assert carried_out(lab) == 0
    told = {row.run: row for row in results.read(folder)}
    assert len(told) == 6 and set(phases(folder).values()) == {"done"}
    early = {run for run, row in told.items() if row.pruned is not None}
    # one that is told to end may have come to its end by then
    assert early and any(
        json.loads((folder.path / run / "artifacts/best.json").read_text())["epochs"] < 12 for run in early
    )
    whole = {run: row.parameters["rate"] for run, row in told.items() if run not in early}
    assert min(whole.values()) < 0.35
    assert f"{len(early)} of them ended early" in report.analyze(folder, plan.read(folder), lab)[-1].read_text()


def test_what_has_ended_is_read_once(lab: Workspace, searched: Planned) -> None:
    read: list[str] = []

    def note(event: str, given: tuple[Any, ...]) -> None:
        if counts and event == "open" and given[1] in ("r", "rb", None) and isinstance(given[0], str | Path):
            read.append(str(given[0]))

    counts = True
    sys.addaudithook(note)  # it stays for good, and does nothing once this has ended
    try:
        folder = searched(epochs=3, trials=6, prune="asha", confirm=1, sampler="random")
        assert carried_out(lab) == 0
    finally:
        counts = False
    for number in range(1, 7):
        run = folder.run(f"trial{number:03d}")
        live, mark = str(run.attempt("train", 1).path / "live.jsonl"), str(run.mark("check"))
        # it is looked at until it has ended, and what came of it once more
        assert mark in read and read[read.index(mark) :].count(live) <= 3, number
    assert read.count(str(folder.results)) <= 14


def test_the_next_point_is_the_same_for_the_same_plan_and_results(lab: Workspace, searched: Planned) -> None:
    folder = searched()
    held = plan.read(folder)
    known: list[Trial] = []
    for number in range(1, 16):
        point = search.ask(held, known, folder)
        assert point is not None and point == search.ask(held, known, folder)
        known.append(Trial(expand.trial(held, number, point), "done", 1 - (point["rate"] - 0.3) ** 2))
    asked = [trial.run.parameters["rate"] for trial in known]
    assert len(set(asked)) == 15
    # what it has learned: later points lie nearer than the first ones
    late, early = (sum(abs(rate - 0.3) for rate in part) for part in (asked[-5:], asked[:5]))
    assert late < early


def test_conditions_hold_and_a_list_comes_to_its_end(lab: Workspace, searched: Planned) -> None:
    folder = searched(variables={"rate": [0.1, 0.2, 0.3]}, confirm=1)
    text = folder.plan.read_text()
    folder.plan.write_text(text + "where: ['rate > 0.1']\n")
    assert carried_out(lab) == 0
    assert sorted(points(folder)) == [0.2, 0.3]


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"metric": "zorp"}, "nothing says whether a higher zorp is better"),
        ({"variables": {}}, "a search needs variables"),
    ],
)
def test_a_search_that_cannot_be_made_is_refused(
    lab: Workspace, searched: Planned, asked: dict[str, Any], said: str
) -> None:
    searched(**asked)
    with pytest.raises(InputError, match=said):
        scaffold.planned(opened(lab, "cap"))


def test_without_optuna_it_is_said_how_to_install_it(
    lab: Workspace, searched: Planned, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    searched()
    # as an interpreter without the package finds it
    monkeypatch.setitem(__import__("sys").modules, "optuna", None)
    with pytest.raises(InputError, match="optuna, which is not installed"):
        scaffold.planned(opened(lab, "cap"))
