"""Candidates of a version are trained side by side, and one of them becomes the next version."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from progtrain.engine.control import lock
from progtrain.engine.control.launch import Options
from progtrain.engine.drafting import history
from progtrain.engine.errors import DecisionNeeded, InputError
from progtrain.engine.experiment import adoption, expand, runner, takeover
from progtrain.engine.experiment import folder as folders
from progtrain.engine.experiment import plan as plans
from progtrain.engine.experiment.opening import executor_of, opened
from progtrain.engine.experiment.stages import design, scaffold
from progtrain.engine.files import LineReader
from progtrain.engine.loop import runner as loop
from progtrain.engine.loop.steps import analyze
from progtrain.engine.workspace import Workspace
from tests.cli.commands import progtrain
from tests.conftest import prepare_plain
from tests.jobs.cluster import until
from tests.tui.fakes import settle
from tests.tui.test_experiments import opened_app, shows

NAMES = ["base", "epochs_up", "learning_rate_up", "learning_rate_down"]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A loop at the review of v001, and an experiment of its candidates that has ended."""
    ws = Workspace(tmp_path_factory.mktemp("bridge") / "w")
    ws.root.mkdir()
    prepare_plain(ws)
    rules = json.loads(ws.rules.read_text())
    rules["eval_config"] |= {"primary_metric": "loss"}
    ws.rules.write_text(json.dumps(rules))
    assert loop.run(ws, Options()) == DecisionNeeded.exit_code
    design.write(design.made(ws, "cap", {"from_version": "v001", "candidates": 3}))
    experiment = opened(ws, "cap")
    scaffold.run(experiment, executor_of(experiment))
    assert runner.run(ws, "cap", runner.Options()) == 0
    return ws.root


@pytest.fixture
def tried(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """Each start of a training from here on is a line in `count`."""
    shutil.copytree(made, tmp_path / "w", symlinks=True)
    monkeypatch.setenv("COUNT_FILE", str(tmp_path / "count"))
    return Workspace(tmp_path / "w")


def trained(ws: Workspace) -> list[str]:
    count = ws.root.parent / "count"
    return count.read_text().split() if count.exists() else []


def notes(ws: Workspace) -> str:
    return "\n".join(e["text"] for e in LineReader(ws.journal).read() if e["event"] == "note")


def adopt(ws: Workspace, chosen: str | None = None) -> adoption.Adoption:
    found = adoption.prepared(ws, "cap", chosen)
    adoption.carry_out(found)
    return found


def go_on(ws: Workspace) -> int:
    return loop.run(ws, Options())


def test_each_run_is_the_version_with_one_candidate_of_its_review_the_best_first(tried: Workspace) -> None:
    folder = folders.folder(tried, "cap")
    plan = plans.read(folder)
    runs = expand.runs(plan, folder)
    assert [run.name for run in runs] == NAMES
    insight = history.read_insight(tried, "v001")
    assert insight is not None
    # rows for a training are made in a review
    made_here = [candidate for candidate in insight.candidates if candidate.operation["operation"] != "data"]
    offered = {candidate.id: candidate.operation for candidate in made_here}
    assert list(offered)[:3] == NAMES[1:]
    assert [run.action for run in runs] == [None, *(offered[name] for name in NAMES[1:])]


def test_the_winner_becomes_the_next_version_and_is_not_trained_again(tried: Workspace) -> None:
    found = adopt(tried)
    assert (found.run.name, found.planned.version) == ("learning_rate_up", "v002")
    assert "better beyond noise" not in found.reason.split(";")[0] and "95 % interval" in found.reason
    assert go_on(tried) == DecisionNeeded.exit_code
    assert tried.versions() == ["v001", "v002"] and trained(tried) == []
    authored = history.authored(tried)["v002"]
    assert (authored["base"], authored["operation"]["setting"]) == ("v001", "learning_rate")
    assert "xperiment cap trained 3 candidates" in authored["reason"]
    assert "not trained again: that of experiment cap/learning_rate_up" in notes(tried)
    assert "not measured again: that of experiment cap/learning_rate_up" in notes(tried)
    assert tried.version("v002").infer_samples.is_dir()


def test_what_was_tried_beside_it_is_told_and_not_offered_again(tried: Workspace) -> None:
    adopt(tried)
    go_on(tried)
    told = tried.drafts("v002").analysis.read_text()
    assert "cap/epochs_up: epochs 6 → 18 on v001: better: loss" in told
    assert "cap/learning_rate_down: learning_rate 0.02 → 0.007 on v001: worse: loss" in told
    assert "tried beside it: epochs 6 → 18: better" in tried.version("v001").action.read_text()
    context = loop.prepare(tried, Options(), dry_run=True)
    offered = analyze.look(context, "v001").candidates
    assert not {candidate.id for candidate in offered} & set(NAMES)


def test_a_second_experiment_leaves_out_what_the_first_has_tried(tried: Workspace) -> None:
    designed = design.made(tried, "more", {"from_version": "v001", "candidates": 3})
    assert not {run.name for run in designed.runs} & set(NAMES[1:])
    assert "epochs_up is left out: cap/epochs_up has tried it" in designed.notes


def with_accuracy(ws: Workspace, change: Callable[..., None]) -> None:
    change(ws, eval_config={"primary_metric": "accuracy"})
    go_on(ws)


@pytest.mark.slow
def test_a_winner_within_noise_is_adopted_only_by_name(tried: Workspace, edit_rules: Callable[..., None]) -> None:
    with_accuracy(tried, edit_rules)
    with pytest.raises(DecisionNeeded, match="none of 3 candidates is better than v001 beyond noise"):
        adoption.prepared(tried, "cap")
    done = progtrain(tried, "experiment", "adopt", "cap", "--run", "epochs_up")
    assert done.returncode == 0, done.stderr
    assert "epochs_up becomes v002: epochs 6 → 18" in done.stdout and "its training is taken over" in done.stdout
    assert "chosen by hand" in history.authored(tried)["v002"]["reason"] and trained(tried) == []


def test_a_dry_run_writes_nothing(tried: Workspace) -> None:
    before = sorted(path for path in tried.root.rglob("*") if "__pycache__" not in path.parts)
    done = progtrain(tried, "experiment", "adopt", "cap", "--dry-run")
    assert done.returncode == 0 and "nothing is written" in done.stdout
    assert sorted(path for path in tried.root.rglob("*") if "__pycache__" not in path.parts) == before


def test_a_run_whose_script_is_another_one_is_trained_again(tried: Workspace) -> None:
    script = folders.folder(tried, "cap").run("learning_rate_up").script
    script.write_text(script.read_text().replace("BATCH_SIZE = 16", "BATCH_SIZE = 8"))
    found = adopt(tried)
    assert "is not what v002 would have" in found.takeover.not_trained
    assert go_on(tried) == DecisionNeeded.exit_code
    assert trained(tried) == ["v002"]


def test_an_evaluator_that_changed_evaluates_again(tried: Workspace) -> None:
    tried.eval_script.write_text(tried.eval_script.read_text() + "\n# another one\n")
    found = adoption.prepared(tried, "cap")
    assert (found.takeover.not_trained, found.takeover.not_evaluated) == ("", "03_eval.py has changed since")


@pytest.mark.slow
def test_what_a_run_left_is_not_taken_for_another_action(tried: Workspace) -> None:
    found = adoption.prepared(tried, "cap")
    takeover.take_over(tried, found.experiment, found.run, found.planned, found.takeover)
    done = progtrain(tried, "review", "accept", "--candidate", "epochs_up")
    assert done.returncode == 0, done.stderr
    assert trained(tried) == ["v002"]
    assert "not trained again" not in notes(tried)


def test_a_lock_that_was_set_meanwhile_holds(tried: Workspace, edit_rules: Callable[..., None]) -> None:
    edit_rules(tried, training_config={"learning_rate": 0.02})
    go_on(tried)
    with pytest.raises(InputError, match="locked by the rules: learning_rate"):
        adoption.prepared(tried, "cap", "learning_rate_up")


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        ({"loop_config": {"max_versions": 1}}, "v001 is the last version that the rules allow"),
        ({"training_config": {"weight_decay": 0.0}}, "rules or instruction have changed since v001 was drafted"),
    ],
)
def test_what_cannot_be_adopted_is_refused(
    tried: Workspace, edit_rules: Callable[..., None], rules: dict[str, Any], said: str
) -> None:
    edit_rules(tried, **rules)
    with pytest.raises(InputError, match=said):
        adoption.prepared(tried, "cap")


def test_only_the_latest_version_has_candidates_to_adopt(tried: Workspace) -> None:
    adopt(tried)
    with pytest.raises(InputError, match="the review of v001 is answered already"):
        adopt(tried)
    go_on(tried)
    with pytest.raises(InputError, match="its runs are candidates of v001, and v002 is there already"):
        adoption.prepared(tried, "cap")


@pytest.mark.slow
async def test_the_winner_is_adopted_from_the_app_and_the_loop_goes_on(tried: Workspace) -> None:
    async with opened_app(tried).run_test(size=(120, 40)) as pilot:
        await pilot.press("7")
        await shows(pilot, "learning_rate_up")
        pilot.app.screen.carry_out("adopt")  # type: ignore[attr-defined]
        await shows(pilot, "learning_rate_up becomes v002", "its training is taken over", "y adopt it")
        assert tried.versions() == ["v001"]
        await pilot.press("y")
        await settle(pilot, lambda: tried.versions() == ["v001", "v002"], 60)
        until(lambda: not lock.held(tried.lock), "the loop did not come to its next review", 120)
    assert trained(tried) == []
