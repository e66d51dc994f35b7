"""The whole loop with real child processes, on scripts that need only the standard library."""

from __future__ import annotations

import csv
import json
import re
import signal
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
import pytest

from progtrain.engine.clock import now
from progtrain.engine.control import decisions, launch, lock, marks
from progtrain.engine.control.launch import Options
from progtrain.engine.drafting import history
from progtrain.engine.errors import Busy
from progtrain.engine.files import LineReader, sha256_text
from progtrain.engine.jobs.local import Local
from progtrain.engine.loop import runner
from progtrain.engine.loop.steps.evaluate import ensure_script
from progtrain.engine.rules import rules
from progtrain.engine.schema import Decision, Review
from progtrain.engine.script.header import without_header
from progtrain.engine.status.view import WorkspaceView
from progtrain.engine.text import unified_diff
from progtrain.engine.workspace import Workspace
from progtrain.tui.client import EngineClient

AUTOPILOT = Options(autopilot=True)


def run(ws: Workspace, **options: Any) -> int:
    return runner.run(ws, Options.model_validate(options))


def events(ws: Workspace, kind: str) -> list[dict[str, Any]]:
    return [e for e in LineReader(ws.journal).read() if e["event"] == kind]


def question(ws: Workspace) -> Review:
    snapshot = WorkspaceView(ws.root).snapshot()
    assert snapshot.review is not None, snapshot
    return snapshot.review


def answer(ws: Workspace, reply: str, **fields: Any) -> int:
    """Answers the open question and goes on."""
    asked = question(ws).question
    decisions.decide(ws, Decision.model_validate({"question": asked, "answer": reply, "at": now(), **fields}))
    return run(ws)


def scores(ws: Workspace) -> dict[str, Any]:
    """version -> its metrics in the leaderboard's order, latency left out: that is time."""
    report = sorted(p for p in ws.reports.iterdir() if not p.name.startswith("."))[-1]
    with (report / "leaderboard.csv").open() as file:
        rows = list(csv.DictReader(file))
    return {row["version_id"]: [v for k, v in row.items() if k.startswith("metric__")] for row in rows}


def replace(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_autopilot_goes_from_the_baseline_to_the_report(plain: Workspace) -> None:
    assert run(plain, autopilot=True) == 0
    assert plain.versions() == ["v001", "v002", "v003"]
    assert set(scores(plain)) == {"v001", "v002", "v003"}
    for version in plain.versions():
        folder = plain.version(version)
        assert folder.analysis.is_file() and folder.action.is_file()
    assert len(events(plain, "loop_finished")) == 1
    # an evaluator of the user's own takes its hashes in its own way: that is no reason to doubt its scores
    assert not any("comparable" in e["text"] for e in events(plain, "warning"))
    assert WorkspaceView(plain.root).snapshot().status == "finished"


def test_each_version_differs_by_its_declared_action_alone(finished: Workspace) -> None:
    from progtrain.engine.script.action import difference

    old, new = (finished.script(v).read_text() for v in ("v001", "v002"))
    made = events(finished, "version_authored")[-1]
    assert len(difference.compare(old, new)) >= 1
    assert made["action"] in new.split('"""')[0]
    assert 'VERSION = "v002"' in new
    assert made["base"] == "v001"


def test_finished_versions_are_not_trained_again_and_a_higher_limit_makes_a_new_loop(
    plain: Workspace, edit_rules: Callable[..., None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    count = tmp_path / "count"
    monkeypatch.setenv("COUNT_FILE", str(count))
    edit_rules(plain, loop_config={"max_versions": 1})
    assert run(plain, autopilot=True) == 0
    assert run(plain, autopilot=True) == 0
    assert len(list(plain.reports.iterdir())) == 1
    edit_rules(plain, loop_config={"max_versions": 2})
    assert run(plain, autopilot=True) == 0
    assert count.read_text().split() == ["v001", "v002"]
    assert len(list(plain.reports.iterdir())) == 2


def test_a_locked_list_stays_and_the_loop_goes_on(plain: Workspace, edit_rules: Callable[..., None]) -> None:
    script = plain.root / "02_train_baseline.py"
    replace(script, "LEARNING_RATE =", "HIDDEN_SIZES = [64, 32]\nLEARNING_RATE =")
    edit_rules(plain, training_config={"hidden_sizes": [64, 32]}, loop_config={"max_versions": 2})
    assert run(plain, autopilot=True) == 0
    assert plain.versions() == ["v001", "v002"]
    assert "HIDDEN_SIZES = [64, 32]" in plain.script("v002").read_text()
    assert not events(plain, "training_failed")


def test_nothing_starts_without_a_baseline(ws: Workspace, edit_rules: Callable[..., None]) -> None:
    ws.rules.write_text(json.dumps({"dataset_config": {"dataset_id": "d"}}))
    ws.data("d").mkdir(parents=True)
    assert run(ws) == 2
    failed = events(ws, "loop_failed")[-1]
    assert "neither a baseline nor a version" in failed["reason"] and "02_train_baseline.py" in failed["file"]


def test_dataset_id_from_the_command_line_first_and_fixed_until_the_end(
    plain: Workspace, edit_rules: Callable[..., None]
) -> None:
    assert run(plain, until="initialize", autopilot=True) == 0
    assert run(plain, dataset_id="another") == 2
    assert "cannot change" in events(plain, "loop_failed")[-1]["reason"]


def test_without_a_dataset_id_there_is_a_clear_error(plain: Workspace, edit_rules: Callable[..., None]) -> None:
    edit_rules(plain, dataset_config={"dataset_id": None})
    assert run(plain) == 2
    failed = events(plain, "loop_failed")[-1]
    assert "no dataset_id" in failed["reason"] and "--dataset-id" in failed["fix"]
    assert run(plain, dataset_id="toy_v1", until="initialize", autopilot=True) == 0


# decisions


def test_the_loop_waits_for_the_user_and_goes_on(plain: Workspace) -> None:
    """First the audit's diff, where there is one, then the review."""
    code = run(plain)
    while code == 3 and question(plain).kind == "audit":
        assert question(plain).diff
        assert not plain.script("v001").exists()
        code = answer(plain, "accept")
    assert code == 3
    review = question(plain)
    assert review.kind == "review" and review.version == "v001"
    assert review.chosen in {card.id for card in review.candidates}
    assert len(review.candidates) >= 3
    assert review.diff and review.target == "02_train_v002.py"
    assert not plain.version("v001").action.exists()
    assert answer(plain, "accept") == 3
    assert plain.version("v001").action.is_file()
    assert question(plain).version == "v002"


def test_another_candidate_is_drafted_and_asked_about(waiting: Workspace) -> None:
    first = question(waiting)
    other = next(card for card in first.candidates if card.id != first.chosen)
    assert answer(waiting, "choose", candidate=other.id) == 3
    second = question(waiting)
    assert (second.version, second.chosen) == ("v001", other.id)
    assert second.question != first.question
    assert answer(waiting, "accept") == 3
    assert other.change.split(" ")[0] in waiting.script("v002").read_text()


def _diff_of(ws: Workspace, candidate: str) -> str:
    """What the app shows for a candidate that is not drafted."""
    shown = EngineClient(ws).preview_candidate("v001", candidate)
    assert shown.diff and not shown.problems
    return shown.diff


def test_the_script_that_was_shown_is_written_for_a_candidate_that_was_not_drafted(waiting: Workspace) -> None:
    first = question(waiting)
    other = next(card for card in first.candidates if card.id != first.chosen)
    shown = _diff_of(waiting, other.id)
    assert answer(waiting, "accept", candidate=other.id, shown=sha256_text(shown)) == 3
    old, new = (without_header(waiting.script(v).read_text()) for v in ("v001", "v002"))
    assert unified_diff(old, new, "02_train_v002.py", "02_train_v001.py") == shown


@pytest.mark.parametrize("drafted", [True, False])
def test_a_script_that_was_not_shown_is_not_accepted(waiting: Workspace, drafted: bool) -> None:
    """The rules may have changed between the look and the key."""
    first = question(waiting)
    other = next(card.id for card in first.candidates if card.id != first.chosen)
    candidate = first.chosen if drafted else other
    assert answer(waiting, "accept", candidate=candidate, shown=sha256_text("another diff")) == 3
    again = question(waiting)
    assert (again.version, again.chosen) == ("v001", candidate) and again.question != first.question
    assert not waiting.script("v002").exists()
    assert "not accepted" in events(waiting, "warning")[-1]["text"]


def test_an_edited_action_counts(waiting: Workspace) -> None:
    """By hand, in the drafted file."""
    draft = waiting.drafts("v001").action
    block = "```yaml\noperation: set\nsetting: LEARNING_RATE\nfrom: 0.02\nto: 0.5\n```"
    text = draft.read_text()
    start, end = text.index("```yaml"), text.index("```", text.index("```yaml") + 3) + 3
    draft.write_text(text[:start] + block + text[end:])
    assert answer(waiting, "accept") == 3
    assert "LEARNING_RATE = 0.5" in waiting.script("v002").read_text()
    assert "Changed by the user: action-extract.md: Change" in waiting.version("v001").action.read_text()


@pytest.mark.parametrize(
    ("block", "reason"),
    [
        ("no operation at all", "operation"),
        (
            "```yaml\noperation: set\nsetting: EPOCHS\nto: 9\n```\n```yaml\noperation: set\nsetting: SEED\nto: 1\n```",
            "two",
        ),
        ("```yaml\noperation: set\nsetting: BATCH_SIZE\nto: 8\n```", "batch_size"),
        ("```yaml\noperation: set\nsetting: SEED\nto: 8\n```", "seed"),
        ("```yaml\noperation: set\nsetting: NOT_THERE\nto: 8\n```", "NOT_THERE"),
    ],
)
def test_an_edit_that_must_not_be_is_refused_and_nothing_is_lost(waiting: Workspace, block: str, reason: str) -> None:
    """No path, accepted edits included, applies what a rule forbids."""
    draft = waiting.drafts("v001").action
    text = draft.read_text()
    start, end = text.index("```yaml"), text.index("```", text.index("```yaml") + 3) + 3
    draft.write_text(text[:start] + block + text[end:])
    assert answer(waiting, "accept") == 3
    review = question(waiting)
    assert review.version == "v001" and review.problems
    assert reason in review.problems[0]
    assert not waiting.script("v002").exists()
    assert block.splitlines()[0] in draft.read_text()


def test_an_action_edited_after_acceptance_is_checked_before_it_is_applied(plain: Workspace) -> None:
    assert run(plain, autopilot=True, until="extract") == 0
    path = plain.version("v001").action
    text = path.read_text()
    start, end = text.index("```yaml"), text.index("```", text.index("```yaml") + 3) + 3
    path.write_text(text[:start] + "```yaml\noperation: set\nsetting: BATCH_SIZE\nto: 8\n```" + text[end:])
    assert run(plain, autopilot=True) == 2
    assert "batch_size" in events(plain, "loop_failed")[-1]["reason"]
    assert not plain.script("v002").exists()


def test_a_hint_reaches_the_next_draft_and_is_remembered(waiting: Workspace) -> None:
    assert answer(waiting, "redraft", hint="no longer training, please") == 3
    briefing = json.loads(waiting.drafts("v001").briefing.read_text())
    assert briefing["hints"] == ["no longer training, please"]
    assert (waiting.drafts("v001").round(1).action).is_file()


def test_stop_ends_the_loop_and_the_question_comes_again(waiting: Workspace) -> None:
    assert answer(waiting, "stop") == 0
    assert WorkspaceView(waiting.root).snapshot().status == "stopped"
    assert run(waiting) == 3


def test_rules_that_change_under_a_draft_count(waiting: Workspace, edit_rules: Callable[..., None]) -> None:
    """The draft is made anew under the present rules."""
    chosen = next(card for card in question(waiting).candidates if card.id == question(waiting).chosen)
    edit_rules(waiting, training_config={"learning_rate": 0.02, "epochs": 6, "weight_decay": 0.0})
    code = run(waiting)
    assert code in {0, 3}
    if code == 3:
        review = question(waiting)
        assert not review.problems
        assert {card.change.split(" ")[0] for card in review.candidates}.isdisjoint({"LEARNING_RATE", "EPOCHS"}), chosen
    else:
        assert any("no candidate is left" in e["text"] for e in events(waiting, "warning"))
    assert not waiting.script("v002").exists()


def test_a_loop_that_has_nothing_left_to_try_ends_with_its_report(
    plain: Workspace, edit_rules: Callable[..., None]
) -> None:
    """Every setting is locked, and the script takes no recipe."""
    edit_rules(plain, training_config={"epochs": 6, "weight_decay": 0.0})
    plain.instruction.write_text("Never change the learning rate. Never change the data.\n")
    assert run(plain, autopilot=True) == 0
    assert set(scores(plain)) == {"v001"}
    assert any("no candidate is left" in e["text"] for e in events(plain, "warning"))


# failures


def _break(ws: Workspace, code: str) -> None:
    """Makes the baseline do `code` at the end of its training."""
    replace(
        ws.baseline_script,
        'if __name__ == "__main__":\n    main()',
        f'if __name__ == "__main__":\n    main()\n    {code}',
    )


def test_a_loop_of_its_own_that_keeps_no_curve_goes_on(plain: Workspace) -> None:
    """Nothing that can be measured without it is refused."""
    _break(plain, "(ARTIFACTS / 'logs' / 'version_0' / 'metrics.csv').unlink()")
    assert run(plain, autopilot=True, until="evaluate") == 0
    assert plain.version("v001").eval_score.is_file()


@pytest.mark.parametrize(
    ("code", "summary"),
    [
        ("raise ValueError('bad shape here')", "bad shape here"),
        ("(ARTIFACTS / 'best.ckpt').unlink()", "best.ckpt"),
        ("(ARTIFACTS / '_'.join(['eval', 'score.json'])).write_text('{}')", "eval_score.json"),
        ("(ARTIFACTS / '_'.join(['infer', 'samples'])).mkdir()", "infer_samples"),
        ("(ARTIFACTS / 'spec.json').write_text('nonsense')", "not valid JSON"),
        ("(ARTIFACTS / 'spec.json').write_text('{\"epochs\": 6, \"batch_size\": 99}')", "99"),
        ("os.kill(os.getpid(), 11)", "signal"),
        ("import no_such_module_anywhere", "no_such_module_anywhere"),
    ],
)
def test_a_failed_training_is_kept_whole_and_told(plain: Workspace, code: str, summary: str) -> None:
    _break(plain, code)
    assert run(plain, autopilot=True) == 1
    failed = events(plain, "loop_failed")[-1]
    assert summary in failed["reason"]
    assert failed["fix"]
    attempt = plain.attempt("v001", 1)
    assert (attempt / "output.log").is_file() and (attempt / "02_train_v001.py").is_file()
    assert (attempt / "artifacts").is_dir()
    assert not plain.version("v001").best_checkpoint.exists()
    report = plain.version("v001").retry_report.read_text()
    assert "FAIL" in report and "root_cause_hypothesis" in report


def test_a_repaired_script_goes_on_and_the_report_tells_of_both_attempts(plain: Workspace) -> None:
    """Fixed by hand, since only a person knows; then `retry`."""
    _break(plain, "raise ValueError('not yet')")
    run(plain, autopilot=True, until="initialize")
    assert run(plain) == 3
    assert question(plain).kind == "attempts"
    replace(plain.script("v001"), "raise ValueError('not yet')", "pass")
    assert answer(plain, "retry") == 3
    report = plain.version("v001").retry_report.read_text()
    assert "FAIL" in report and "PASS" in report


def test_after_the_last_attempt_the_loop_waits(plain: Workspace, edit_rules: Callable[..., None]) -> None:
    edit_rules(plain, loop_config={"max_train_attempts": 2})
    _break(plain, "os.kill(os.getpid(), 9)")
    run(plain, autopilot=True, until="initialize")
    assert run(plain) == 3
    assert question(plain).kind == "attempts"
    assert [e["attempt"] for e in events(plain, "attempt_failed")] == [1, 2]


def test_a_script_that_hangs_is_ended_at_its_limit(plain: Workspace, edit_rules: Callable[..., None]) -> None:
    edit_rules(plain, loop_config={"step_timeout_minutes": 0.02})
    _break(plain, "time.sleep(600)")
    assert run(plain, autopilot=True) == 1
    assert "time limit" in events(plain, "attempt_failed")[0]["cause"] + events(plain, "loop_failed")[-1]["reason"]


def test_a_version_under_another_value_than_the_rules_say_fails(plain: Workspace) -> None:
    """Hparams.yaml tells what was really used."""
    replace(plain.baseline_script, "batch_size: {BATCH_SIZE}", "batch_size: 64")
    assert run(plain, autopilot=True) == 1
    reason = events(plain, "loop_failed")[-1]["reason"]
    assert "64" in reason and "16" in reason


def test_a_failed_evaluation_loses_nothing(plain: Workspace) -> None:
    replace(plain.eval_script, "def main():", "def main():\n    raise SystemExit('no such thing as a score')")
    assert run(plain, autopilot=True) == 1
    assert "no such thing as a score" in events(plain, "loop_failed")[-1]["reason"]
    assert plain.version("v001").best_checkpoint.is_file()
    replace(plain.eval_script, "\n    raise SystemExit('no such thing as a score')", "")
    assert run(plain, autopilot=True, until="evaluate") == 0
    assert len(events(plain, "attempt_failed")) == 0


@pytest.mark.parametrize(
    ("script", "until", "name"),
    [
        ("eval_script", "evaluate", "v001-evaluate"),
        pytest.param("report_script", None, "report-v001", marks=pytest.mark.slow),
    ],
    ids=["evaluation", "report"],
)
def test_a_script_that_is_killed_is_started_again(
    plain: Workspace, tmp_path: Path, script: str, until: Any, name: str
) -> None:
    """By whoever is short of memory, say: as a training is, and told where it comes to nothing."""
    path, deaths = getattr(plain, script), tmp_path / "deaths"
    ensure_script(path)
    whole = path.read_text()
    dies = f"""
    import os
    with open({str(deaths)!r}, "a+") as file:
        if file.tell() < %d:
            file.write("x")
            file.flush()
            os.kill(os.getpid(), 9)
"""

    def dying(times: int) -> str:
        deaths.write_text("")
        return re.sub(r"def main\(\).*:", lambda found: found[0] + dies % times, whole, count=1)

    path.write_text(dying(99))
    assert run(plain, autopilot=True, until=until, max_versions=1) == 1
    assert len(deaths.read_text()) == 3
    failed = events(plain, "loop_failed")[-1]
    assert (
        "three times, and each time ended by signal SIGKILL" in failed["reason"]
        and "for lack of memory" in failed["reason"]
    )
    path.write_text(dying(2))
    assert run(plain, autopilot=True, until=until, max_versions=1) == 0
    noted = [e["text"] for e in events(plain, "note") if "started again" in e["text"]]
    assert len(noted) == 4 and all(text.startswith(f"{name} was ended by signal SIGKILL: ") for text in noted)
    assert [e["version"] for e in events(plain, "step_done") if e["step"] == "train"] == ["v001"]


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ('"num_samples": len(rows),\n        "metrics"', '"num_samples": "many",\n        "metrics"', "num_samples"),
        ('"higher_is_better": True}', '"higher_is_better": False}', "higher_is_better"),
        ('"dataset_id": training.DATASET_ID', '"dataset_id": "other"', "other"),
    ],
)
def test_a_wrong_score_is_an_error_with_its_key(plain: Workspace, old: str, new: str, reason: str) -> None:
    replace(plain.eval_script, old, new)
    assert run(plain, autopilot=True) == 2
    failed = events(plain, "loop_failed")[-1]
    assert reason in failed["reason"] + str(failed["place"])
    assert "eval_score.json" in failed["file"]


def test_a_missing_primary_metric_warns_and_ranks_last(plain: Workspace) -> None:
    replace(plain.eval_script, '"name": "accuracy"', '"name": "precision"')
    assert run(plain, autopilot=True, max_versions=1) == 0
    assert any("primary metric 'accuracy'" in e["text"] for e in events(plain, "warning"))
    assert WorkspaceView(plain.root).snapshot().versions[0].value is None


# being interrupted


def _steps(ws: Workspace) -> list[tuple[str, str]]:
    return [(e["version"], e["step"]) for e in events(ws, "step_started")]


def _wait_for(condition: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize(
    "step",
    [
        "train",
        "author",
        *(pytest.param(s, marks=pytest.mark.slow) for s in ("initialize", "evaluate", "analyze", "extract", "report")),
    ],
)
def test_a_runner_killed_at_any_step_changes_nothing_in_the_end(
    plain: Workspace, finished: Workspace, edit_rules: Callable[..., None], step: str
) -> None:
    """The same leaderboard as without the kill."""
    edit_rules(plain, loop_config={"max_versions": 2})
    process = launch.start(plain, AUTOPILOT)
    _wait_for(lambda: any(name == step for _, name in _steps(plain)))
    process.kill()
    process.wait()
    assert runner.run(plain, AUTOPILOT) == 0
    assert scores(plain) == scores(finished)
    assert plain.script("v002").read_text() == finished.script("v002").read_text()


def test_a_training_survives_its_runner_and_is_attached_to(
    plain: Workspace, go_on: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is trained twice."""
    count = tmp_path / "count"
    monkeypatch.setenv("COUNT_FILE", str(count))
    process = launch.start(plain, AUTOPILOT)
    _wait_for(lambda: count.exists() and bool(count.read_text()))
    process.kill()
    process.wait()
    assert WorkspaceView(plain.root).snapshot().status == "orphan training"
    go_on.touch()
    assert run(plain, autopilot=True, until="train") == 0
    assert count.read_text().split() == ["v001"]
    assert any("attached" in e["text"] for e in events(plain, "note"))


def test_a_lost_guard_means_training_again(plain: Workspace, go_on: Path) -> None:
    process = launch.start(plain, AUTOPILOT)
    folder = plain.job("v001-train-1")
    _wait_for(lambda: (state := Local().look(folder)) is not None and state.status == "running")
    process.kill()
    process.wait()
    state = Local().look(folder)
    assert state is not None
    psutil.Process(state.pid).kill()
    go_on.touch()
    assert run(plain, autopilot=True, until="train") == 0
    assert marks.read(plain, "v001", "train") is not None


def test_stop_ends_a_training_and_the_version_is_trained_anew(
    plain: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECONDS_PER_EPOCH", "1")
    process = launch.start(plain, AUTOPILOT)
    _wait_for(lambda: any(step == "train" for _, step in _steps(plain)))
    launch.stop(plain)
    assert WorkspaceView(plain.root).snapshot().status == "stopping"
    assert process.wait(timeout=60) == 0
    assert WorkspaceView(plain.root).snapshot().status == "stopped"
    assert len(events(plain, "attempt_failed")) == 0
    assert marks.read(plain, "v001", "train") is None
    monkeypatch.setenv("SECONDS_PER_EPOCH", "0")
    assert run(plain, autopilot=True, until="train") == 0


def test_two_runners_at_once_are_refused(plain: Workspace, go_on: Path) -> None:
    process = launch.start(plain, AUTOPILOT)
    _wait_for(lambda: lock.running(plain))
    with pytest.raises(Busy):
        runner.run(plain, AUTOPILOT)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not lock.running(plain)
    go_on.touch()
    run(plain, autopilot=True, until="train")


def test_a_workspace_copied_without_the_engines_own_folder_is_not_trained_again(
    plain: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import shutil

    run(plain, autopilot=True, max_versions=1)
    shutil.rmtree(plain.own)
    count = tmp_path / "count"
    monkeypatch.setenv("COUNT_FILE", str(count))
    assert run(plain, autopilot=True, max_versions=1, until="evaluate") == 0
    assert run(plain, autopilot=True, max_versions=1, until="analyze") == 0
    assert not count.exists()
    mark = marks.read(plain, "v001", "evaluate")
    assert mark is not None and mark.adopted


def test_two_reports_in_one_minute_are_both_kept(plain: Workspace, edit_rules: Callable[..., None]) -> None:
    """The clock stands still."""
    clock = lambda: datetime(2026, 5, 4, 12, 0, tzinfo=UTC)  # noqa: E731
    for limit in (1, 2):
        edit_rules(plain, loop_config={"max_versions": limit})
        assert runner.run(plain, AUTOPILOT, clock=clock) == 0
    assert sorted(p.name for p in plain.reports.iterdir()) == ["2026-05-04_12-00", "2026-05-04_12-00-2"]


def test_an_evaluator_that_changed_makes_earlier_scores_incomparable(plain: Workspace) -> None:
    run(plain, autopilot=True, until="author", max_versions=2)
    plain.eval_script.write_text(plain.eval_script.read_text() + "\n# another\n")
    run(plain, autopilot=True, until="analyze", max_versions=2)
    found = history.records(plain, rules.load(plain), until="v002")
    assert [r.comparable for r in found] == [False, True]
    rows = WorkspaceView(plain.root).snapshot().versions
    assert [bool(row.warnings) for row in rows] == [True, False]
    assert "was scored by another evaluator or on other data: it is not ranked" in rows[0].warnings[0]


def test_dry_run_says_all_and_writes_nothing(plain: Workspace) -> None:
    from progtrain.engine.loop.plan import plan

    before = sorted(p for p in plain.root.rglob("*"))
    planned = plan(plain, Options())
    assert planned[0].step == "initialize"
    assert sorted(p for p in plain.root.rglob("*")) == before
    run(plain, autopilot=True, until="initialize")
    planned = plan(plain, Options())
    assert [item.step for item in planned] == ["train", "evaluate", "analyze", "extract", "check", "author"]
    assert planned[0].runs == (f"{sys.executable} 02_train_v001.py",)


@pytest.mark.parametrize("step", ["initialize", "train", "evaluate"])
def test_a_step_that_is_done_is_where_a_run_until_it_ends(plain: Workspace, step: str) -> None:
    assert run(plain, autopilot=True, until=step) == 0
    before = [e["step"] for e in events(plain, "step_started")]
    assert run(plain, autopilot=True, until=step) == 0
    assert [e["step"] for e in events(plain, "step_started")] == before
    assert f"until {step}, which is done for v001" in events(plain, "loop_stopped")[-1]["by"]
