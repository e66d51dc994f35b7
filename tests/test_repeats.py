"""Other seeds of a version's script: what is trained, what counts, and what verdicts make of it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from progtrain.engine.control import decisions, launch
from progtrain.engine.control.launch import Options
from progtrain.engine.drafting import history
from progtrain.engine.files import LineReader, sha256
from progtrain.engine.jobs.local import Local
from progtrain.engine.loop import runner, sequence
from progtrain.engine.records.jobs import jobs
from progtrain.engine.repeats import found
from progtrain.engine.schema import StepName
from progtrain.engine.status.view import WorkspaceView
from progtrain.engine.workspace import Workspace
from tests.cli.commands import progtrain
from tests.conftest import prepare_plain
from tests.experiment.conftest import carried_out


def run(ws: Workspace, **options: Any) -> int:
    return runner.run(ws, Options.model_validate({"autopilot": True, **options}))


def events(ws: Workspace, kind: str) -> list[dict[str, Any]]:
    return [e for e in LineReader(ws.journal).read() if e["event"] == kind]


def replace(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def wait_for(happened: Callable[[], object]) -> None:
    deadline = time.monotonic() + 60
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def files_of(ws: Workspace, version: str) -> dict[str, str]:
    paths = [ws.script(version), *ws.version(version).path.rglob("*")]
    return {ws.relative(path): sha256(path) for path in paths if path.is_file()}


def summary(ws: Workspace, version: str) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(ws.repeats_table(version).read_text())
    return told


@pytest.fixture(scope="session")
def _evaluated(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    ws = Workspace(tmp_path_factory.mktemp("evaluated") / "a workspace é")
    ws.root.mkdir()
    prepare_plain(ws)
    assert run(ws, until="evaluate") == 0
    return ws


@pytest.fixture
def scored(ws: Workspace, _evaluated: Workspace) -> Workspace:
    """v001 is trained and evaluated: once, and copied."""
    shutil.copytree(_evaluated.root, ws.root, symlinks=True, dirs_exist_ok=True)
    return ws


def test_each_has_another_seed_and_the_version_stays_as_it_is(scored: Workspace) -> None:
    before = files_of(scored, "v001")
    assert run(scored, repeat="v001", times=3) == 0
    assert files_of(scored, "v001") == before
    told = summary(scored, "v001")
    assert [(one["run"], one["seed"], one["counts"]) for one in told["runs"]] == [
        ("r1", 43, True),
        ("r2", 44, True),
        ("r3", 45, True),
    ]
    assert len({one["checkpoint_sha256"] for one in told["runs"]}) == 3
    values = [one["metrics"][0]["value"] for one in told["runs"]]
    own = json.loads(scored.version("v001").eval_score.read_text())["metrics"][0]["value"]
    spread = told["spread"][told["runs"][0]["metrics"][0]["name"]]
    assert (spread["n"], spread["min"], spread["max"]) == (4, min(own, *values), max(own, *values))


def test_so_many_in_all_and_none_is_made_twice(
    scored: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    count = tmp_path / "count"
    monkeypatch.setenv("COUNT_FILE", str(count))
    assert run(scored, repeat="v001", times=2) == 0
    assert run(scored, repeat="v001", times=2) == 0
    assert run(scored, repeat="v001", times=3) == 0
    assert count.read_text().split() == ["v001"] * 3


def test_a_dry_run_refuses_what_the_run_would_refuse(scored: Workspace) -> None:
    assert "3 are asked for" in progtrain(scored, "repeat", "v001", "--dry-run").stdout
    scored.version("v001").eval_score.unlink()
    done = progtrain(scored, "repeat", "v001", "--dry-run")
    assert (done.returncode, done.stdout) == (2, "")
    assert "v001 is not evaluated" in done.stderr and "fix: progtrain run comes first" in done.stderr


def test_a_runner_that_is_killed_trains_nothing_twice(
    scored: Workspace, go_on: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    count = tmp_path / "count"
    monkeypatch.setenv("COUNT_FILE", str(count))
    process = launch.start(scored, Options(repeat="v001", times=2))
    view = WorkspaceView(scored.root)
    wait_for(lambda: count.exists() and count.read_text())
    # what hooks in the script tell of it: this one has none
    live = scored.repeat("v001", "r1").workspace / ".progtrain" / "live" / "v001.jsonl"
    live.parent.mkdir(parents=True, exist_ok=True)
    with live.open("a") as file:
        file.write('{"epoch": 2, "epochs": 6, "step": 20, "steps": 60}\n')
    seen = view.snapshot()
    assert (seen.status, seen.reason) == ("repeating", "v001, repeat 1 of 2, seed 43")
    assert seen.progress is not None and (seen.progress.epoch, seen.progress.steps) == (2, 60)
    assert seen.log is not None and "repeats/v001/r1" in seen.log.as_posix()
    process.kill()
    process.wait()
    left = view.snapshot()
    assert (left.status, left.fix) == ("orphan training", "progtrain repeat v001 --times 2 takes it over")
    assert left.reason == "no runner, but the training of v001, repeat 1 of 2, seed 43 goes on"
    go_on.touch()
    assert run(scored, repeat="v001", times=2) == 0
    own = Workspace(scored.repeat("v001", "r1").workspace)
    assert "attached to v001-train-1, which was started before" in [e["text"] for e in events(own, "note")]
    assert count.read_text().split() == ["v001"] * 2
    assert [one["counts"] for one in summary(scored, "v001")["runs"]] == [True, True]


def test_a_stop_is_heard_and_what_is_done_stays(scored: Workspace, go_on: Path) -> None:
    go_on.touch()
    assert run(scored, repeat="v001", times=1) == 0
    go_on.unlink()
    process = launch.start(scored, Options(repeat="v001", times=9))
    own = Workspace(scored.repeat("v001", "r2").workspace)
    wait_for(lambda: (state := Local().look(own.job("v001-train-1"))) is not None and state.status == "running")
    assert any(job.state == "running" and job.kind == "train" for job in jobs(scored))
    decisions.request_stop(scored)
    wait_for(own.live_stop("v001").exists)
    go_on.touch()
    assert process.wait(timeout=60) == 0
    assert events(scored, "loop_stopped")
    assert len(found.of(scored, "v001")) == 1
    # the one that was stopped stays in the ledger, also when it is made after all
    stopped = next(job for job in jobs(scored) if "stopped" in job.id)
    assert (stopped.state, stopped.why) == ("failed", "stopped") and stopped.log
    assert run(scored, repeat="v001", times=len(found.of(scored, "v001")) + 1) == 0
    told = {job.id: job for job in jobs(scored)}
    assert told[stopped.id].state == "failed"
    assert told[stopped.id.partition(".stopped")[0]].supersedes == stopped.id


def test_those_of_a_script_that_has_changed_since_do_not_count(scored: Workspace) -> None:
    assert run(scored, repeat="v001", times=1) == 0
    assert len(found.of(scored, "v001")) == 1
    replace(scored.script("v001"), "EPOCHS = 6", "EPOCHS = 5")
    assert found.of(scored, "v001") == ()
    assert found.outdated(scored, "v001") == ["r1 of v001 does not count: the script has changed since"]
    assert run(scored, repeat="v001", times=1) == 2
    assert "has changed since v001 was trained" in events(scored, "loop_failed")[-1]["reason"]


def test_a_seed_that_changes_nothing_is_no_repeat(plain: Workspace) -> None:
    replace(plain.baseline_script, "random.seed(SEED)", "random.seed(7)")
    assert run(plain, until="evaluate") == 0
    assert run(plain, repeat="v001", times=1) == 1
    assert "another seed changed nothing" in events(plain, "repeat_failed")[-1]["summary"]
    assert found.of(plain, "v001") == ()


def test_a_loop_goes_on_where_no_seed_will_do(plain: Workspace, edit_rules: Callable[..., None]) -> None:
    edit_rules(plain, eval_config={"repeats": "auto"})
    replace(plain.baseline_script, "random.seed(SEED)", "random.seed(7)")
    assert run(plain, until="analyze") == 0
    # three of them would tell no more
    assert len(found.folders(plain, "v001")) == 1
    assert "another seed changed nothing" in events(plain, "warning")[-1]["text"]


def test_a_loop_goes_on_where_the_script_has_changed_since(scored: Workspace, edit_rules: Callable[..., None]) -> None:
    edit_rules(scored, eval_config={"repeats": "auto"})
    replace(scored.script("v001"), "EPOCHS = 6", "EPOCHS = 5")
    assert run(scored, until="analyze") == 0
    (told,) = (e["text"] for e in events(scored, "note") if "seed noise not measured" in e["text"])
    assert told.startswith("v001: seed noise not measured: 02_train_v001.py has changed since v001 was trained")


def test_the_same_seed_tells_of_the_machine_alone(scored: Workspace) -> None:
    assert run(scored, repeat="v001", times=1, same_seed=True) == 0
    assert found.of(scored, "v001") == ()
    assert [one["same_seed"] for one in summary(scored, "v001")["runs"]] == [True]


def test_a_seed_that_the_rules_lock_is_locked_for_versions(plain: Workspace, edit_rules: Callable[..., None]) -> None:
    edit_rules(plain, seed=42)
    assert run(plain, until="evaluate") == 0
    assert run(plain, repeat="v001", times=1) == 0
    assert [one.seed for one in found.of(plain, "v001")] == [43]


def test_a_failed_one_is_told_and_kept_and_the_others_are_made(plain: Workspace) -> None:
    seeded = "    random.seed(SEED)"
    replace(plain.baseline_script, seeded, f"    assert SEED != 43, 'not with 43'\n{seeded}")
    assert run(plain, until="evaluate") == 0
    assert run(plain, repeat="v001", times=2) == 1
    assert "not with 43" in events(plain, "repeat_failed")[-1]["summary"]
    assert [one.seed for one in found.of(plain, "v001")] == [44]
    told = [(one["run"], one["counts"], one["why_not"]) for one in summary(plain, "v001")["runs"]]
    assert told[0][:2] == ("r1", False) and "not with 43" in told[0][2]


def test_verdicts_say_what_they_know_of_seeds(plain: Workspace, edit_rules: Callable[..., None]) -> None:
    edit_rules(plain, eval_config={"primary_metric": "loss", "metrics": ["accuracy"]})
    assert run(plain) == 0
    before = history.read_insight(plain, "v002")
    assert before is not None and before.against_previous is not None
    assert before.against_previous.seed_noise == "seed noise not measured"
    assert run(plain, repeat="v001", times=3) == 0
    after = history.read_insight(plain, "v002")
    assert after is not None and after.against_previous is not None
    compared = after.against_previous
    assert compared.runs == (4, 1)
    assert compared.noise_freedom == 3 and compared.noise_from == "v001"
    assert "4 runs of v001" in compared.seed_noise
    assert compared.high - compared.low > before.against_previous.high - before.against_previous.low
    # v003 was compared with v002: what v001 told is carried on
    later = history.read_insight(plain, "v003")
    assert later is not None and later.against_previous is not None
    assert (later.against_previous.runs, later.against_previous.noise_from) == ((1, 1), "v001")


def test_the_rules_ask_for_repeats_of_the_first_and_of_what_scores_best(
    plain: Workspace, edit_rules: Callable[..., None]
) -> None:
    edit_rules(plain, eval_config={"primary_metric": "loss", "metrics": ["accuracy"], "repeats": "auto"})
    edit_rules(plain, loop_config={"max_versions": 2})
    assert run(plain) == 0
    losses = {version: found.reported(plain, version)[0]["loss"] or 0.0 for version in plain.versions()}
    best_so_far = {v for v in losses if losses[v] == min(losses[u] for u in losses if u <= v)}
    assert {version for version in losses if found.of(plain, version)} == best_so_far
    assert all(len(found.of(plain, version)) == 3 for version in best_so_far)
    insight = history.read_insight(plain, "v002")
    assert insight is not None and insight.against_previous is not None
    assert insight.against_previous.noise_sd is not None
    assert insight.fact("noise_sd") is not None
    assert "seed noise not measured" not in plain.version("v002").analysis.read_text()


@pytest.mark.slow
def test_so_many_of_each_version_as_the_rules_say(plain: Workspace, edit_rules: Callable[..., None]) -> None:
    edit_rules(plain, eval_config={"repeats": 1}, loop_config={"max_versions": 2})
    assert run(plain) == 0
    assert [len(found.of(plain, version)) for version in plain.versions()] == [1, 1]


def test_in_autopilot_what_is_within_noise_is_not_built_on(two: Workspace, edit_rules: Callable[..., None]) -> None:
    edit_rules(two, loop_config={"max_versions": 4})
    assert run(two) == 0
    made = history.authored(two)
    assert len(made) >= 3
    for version, event in made.items():
        insight = history.read_insight(two, str(event["base"])) if event.get("base") else None
        if insight is not None and insight.against_base is not None:
            assert insight.against_base.verdict == "better", version


def test_a_loop_is_where_it_was_after_repeats(two: Workspace) -> None:
    before = WorkspaceView(two.root).snapshot()
    assert before.status == "finished"
    assert [row.seed_noise for row in before.versions] == ["", "seed noise not measured"]
    assert run(two, repeat="v002", times=1) == 0
    after = WorkspaceView(two.root).snapshot()
    assert (after.status, after.step, after.reason) == (before.status, before.step, before.reason)
    assert [row.runs for row in after.versions] == [1, 2]
    assert after.versions[1].seed_noise.endswith("from 2 runs of v002")


@pytest.fixture
def two(ws: Workspace, finished: Workspace) -> Workspace:
    """Two versions and a report."""
    shutil.copytree(finished.root, ws.root, symlinks=True, dirs_exist_ok=True)
    return ws


def do_step(ws: Workspace, name: StepName) -> None:
    """As `progtrain step` does, without another process."""
    context = runner.prepare(ws, Options(autopilot=True))
    with closing(context.executor):
        sequence.do_step(context, name, None)


def trained_again(ws: Workspace) -> None:
    do_step(ws, "train")
    assert run(ws, until="evaluate") == 0


def test_a_training_before_counts_where_the_seed_alone_was_edited(scored: Workspace) -> None:
    first = found.reported(scored, "v001")[0]
    replace(scored.script("v001"), "SEED = 42", "SEED = 7")
    trained_again(scored)
    (before,) = found.of(scored, "v001")
    assert (before.name, before.seed, before.metrics) == ("before-1", 42, first)
    assert before.per_sample is not None and before.per_sample.is_file()
    # the analysis goes by it, and whoever asks is told
    assert run(scored, until="analyze") == 0
    told = summary(scored, "v001")
    assert [(one["run"], one["counts"]) for one in told["runs"]] == [("before-1", True)]
    assert WorkspaceView(scored.root).snapshot().versions[0].runs == 2
    # seed 42 would come to the same weights: it is not drawn again
    replace(scored.script("v001"), "SEED = 7", "SEED = 41")
    trained_again(scored)
    assert [one.seed for one in found.of(scored, "v001")] == [42, 7]
    assert run(scored, repeat="v001", times=1) == 0
    assert [one.seed for one in found.of(scored, "v001")] == [43, 42, 7]


def test_a_training_before_with_the_same_seed_or_another_script_tells_nothing(scored: Workspace) -> None:
    trained_again(scored)
    assert scored.attempt("v001", 1).with_name("before-1").is_dir()
    assert found.of(scored, "v001") == ()
    replace(scored.script("v001"), "SEED = 42", "SEED = 7")
    replace(scored.script("v001"), "EPOCHS = 6", "EPOCHS = 5")
    trained_again(scored)
    assert found.of(scored, "v001") == ()


def test_a_script_without_a_seed_draws_another_one_each_time(plain: Workspace) -> None:
    replace(plain.baseline_script, "SEED = 42\n", "")
    replace(plain.baseline_script, "random.seed(SEED)", "random.seed()")
    assert run(plain, until="evaluate") == 0
    trained_again(plain)
    assert [(one.name, one.seed) for one in found.of(plain, "v001")] == [("before-1", None)]


def test_runs_of_experiments_in_which_the_seed_alone_differs_count(
    scored: Workspace, edit_rules: Callable[..., None]
) -> None:
    words = ["--base", "02_train_v001.py", "--with-base", "--vary", "learning_rate=0.5", "--repeats", "2"]
    designed = progtrain(scored, "experiment", "design", "rates", *words)
    assert designed.returncode == 0, designed.stderr
    assert carried_out(scored, "rates") == 0
    runs = found.of(scored, "v001")
    assert all(one.name.startswith("experiment rates/base") and one.per_sample for one in runs)
    assert [one.seed for one in runs] == [43]
    # and what is there is not made again
    edit_rules(scored, eval_config={"repeats": 1})
    assert run(scored, until="evaluate") == 0
    assert not events(scored, "repeat_started")
    replace(scored.script("v001"), "EPOCHS = 6", "EPOCHS = 5")
    assert found.of(scored, "v001") == ()


def test_before_the_report_the_first_and_the_best_have_the_repeats_that_the_rules_ask_for(
    two: Workspace, edit_rules: Callable[..., None]
) -> None:
    """Also where they were made before the rules did."""
    ws = two
    best = next(row.version for row in WorkspaceView(ws.root).snapshot().versions if row.is_best)
    edit_rules(ws, eval_config={"repeats": 1})
    do_step(ws, "report")
    assert {version for version in ws.versions() if found.of(ws, version)} == {"v001", best}
    folder = max(ws.reports.glob("2*"), key=lambda path: path.stat().st_mtime)
    told = json.loads((folder / "confirmed.json").read_text())
    assert told["best"] == best and all(one["measured"] for one in told["against"])
    text = (folder / "final-analysis.md").read_text()
    assert f"| {best} | 2 |" in text and "## How sure the first place is" in text


def test_one_whose_guard_is_killed_is_trained_once_more(
    scored: Workspace, go_on: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    count = tmp_path / "count"
    monkeypatch.setenv("COUNT_FILE", str(count))
    process = launch.start(scored, Options(repeat="v001", times=1))
    wait_for(lambda: count.exists() and count.read_text())
    job = Local().look(Workspace(scored.repeat("v001", "r1").workspace).job("v001-train-1"))
    assert job is not None
    os.kill(job.pid, signal.SIGKILL)
    go_on.touch()
    assert process.wait(timeout=60) == 0
    assert count.read_text().split() == ["v001"] * 2
    assert [one.seed for one in found.of(scored, "v001")] == [43]
