"""What the runner makes of trainings that fail, run out of memory, are cancelled, or whose runner is killed."""

from __future__ import annotations

import http.server
import json
import os
import random
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from progtrain.engine.clock import now
from progtrain.engine.control import lock
from progtrain.engine.errors import Busy, InputError, StorageError
from progtrain.engine.experiment import folder as folders
from progtrain.engine.experiment import results, runner, workers
from progtrain.engine.experiment.folder import ExperimentFolder
from progtrain.engine.experiment.opening import executor_of, opened
from progtrain.engine.experiment.runner import Options
from progtrain.engine.experiment.stages import run as run_stage
from progtrain.engine.experiment.stages import scaffold
from progtrain.engine.experiment.view import look
from progtrain.engine.files import LineReader, try_read_json, write_json
from progtrain.engine.jobs import alive, detached
from progtrain.engine.workspace import Workspace
from tests.cli.commands import progtrain
from tests.experiment.conftest import TRAIN, carried_out, lines, phases, reasons, scaffolded, starts

Planned = Callable[..., ExperimentFolder]
Faults = Callable[[dict[int, dict[str, Any]]], None]
ONE = {"variables": {"rank": [8]}, "runs": {}, "controls": {"rate": 0.1}}
TWO = ONE | {"variables": {"rank": [8, 16]}}
TASK = {"name": "caps", "command": ["python", "evaluate.py", "{checkpoint}", "{output}"]}
SIZED = TWO | {"controls": {"rate": 0.1, "batch_size": 8}}


def test_a_failed_run_stops_no_other_and_is_resumed_alone(lab: Workspace, planned: Planned, faults: Faults) -> None:
    folder = planned(**TWO)
    faults({8: {"exit": 7}})
    assert carried_out(lab) == 1
    assert phases(folder) == {"rank8": "failed", "rank16": "done"}
    assert "exit code 7" in reasons(folder)["rank8"]
    assert starts(lab) == ["rank8", "rank16"]
    kept = {row.run: (row.state, row.task) for row in results.read(folder)}
    assert kept == {"rank8": ("failed", None), "rank16": ("done", "caps")}
    # cause and what to do about it, wherever it is looked at
    fix = "mend it, then: progtrain experiment resume"
    told = json.loads(progtrain(lab, "experiment", "status", "cap", "--json").stdout)["rows"]
    assert [row["advice"] for row in told] == [fix, ""]
    shown = progtrain(lab, "experiment", "status", "cap").stdout.splitlines()
    assert next(line for line in shown if line.startswith("rank8 ")).endswith(f"; {fix}")
    # a runner that is started again leaves it alone
    assert runner.run(lab, "cap", Options()) == 1 and starts(lab) == ["rank8", "rank16"]
    with pytest.raises(InputError, match="nothing to resume: looked for cause out of memory; causes are unknown"):
        run_stage.resume(folder, [], "out of memory", "")
    faults({})
    assert [part.run.name for part in run_stage.resume(folder, [], None, "")] == ["rank8"]
    assert runner.run(lab, "cap", Options()) == 0
    assert starts(lab) == ["rank8", "rank16", "rank8"]
    assert phases(folder) == {"rank8": "done", "rank16": "done"}


def test_a_training_without_results_is_no_success(lab: Workspace, planned: Planned, faults: Faults) -> None:
    folder = planned(**ONE)
    faults({8: {"empty": True}})
    assert carried_out(lab) == 1
    assert reasons(folder)["rank8"].startswith("outputs: the command ended well, and there is nothing in")


def test_all_trainings_end_before_the_first_evaluation(lab: Workspace, planned: Planned) -> None:
    folder = planned(resources={"parallel": 3})
    assert carried_out(lab) == 0
    begun = {
        what: [try_read_json(path)["started_at"] for path in folder.path.glob(f"*/attempts/{what}-1/state.json")]
        for what in ("train", "caps_best")
    }
    ended = [try_read_json(path)["ended_at"] for path in folder.path.glob("*/attempts/train-1/state.json")]
    assert len(begun["train"]) == len(begun["caps_best"]) == 5
    assert max(ended) < min(begun["caps_best"])


def test_evaluations_begin_with_their_own_training_where_the_plan_says_so(lab: Workspace, planned: Planned) -> None:
    folder = planned(**TWO, evaluation={"tasks": [TASK], "when": "each"})
    assert carried_out(lab) == 0
    begun = [event for event in LineReader(folder.journal).read() if event["event"] == "submitted"]
    told = [(event["run"], event["what"]) for event in begun]
    assert told == [("rank8", "train"), ("rank16", "train"), ("rank8", "caps_best"), ("rank16", "caps_best")]


def test_an_evaluation_that_waits_in_the_queue_says_why(lab: Workspace, planned: Planned) -> None:
    folder = planned(**ONE)
    assert carried_out(lab) == 0
    # as if it had been submitted to a cluster just now
    planned(**ONE, resources={"executor": "slurm"})
    run = folder.run("rank8")
    run.mark("caps_best").unlink()
    run.attempt("caps_best", 1).state.unlink()
    job = {"phase": "queued", "reason": "it waits for nodes to become free", "job": "17"}
    write_json(folder.seen, {"at": now().isoformat(), "jobs": {"rank8/attempts/caps_best-1": job}})
    with lock.hold_file(folder.lock, Busy("here")):
        assert reasons(folder) == {"rank8": ": 0/1; caps_best queued: it waits for nodes to become free"}
        line = progtrain(lab, "experiment", "status", "cap").stdout.splitlines()[-1]
    assert line.split()[:3] == ["rank8", "evaluating", "0/1"]
    assert line.endswith("caps_best queued: it waits for nodes to become free")


def test_status_loads_nothing_that_it_does_not_need(lab: Workspace, planned: Planned) -> None:
    """With hundreds of runs most of its time went into models for lines and jobs, and into looking for garbage."""
    folder = planned(**ONE)
    assert carried_out(lab) == 0
    # what other versions or people wrote costs nothing but itself
    with folder.results.open("a") as file:
        file.write(
            '{"run": "rank8", "state": "done", "task": "caps", "metrics": {"a": 1}}\n{"run": 8, "state": "done"}\n'
        )
    code = (
        "import atexit, gc, sys; from progtrain.engine.cli.main import entry;"
        "atexit.register(lambda: print(sorted(m for m in sys.modules if m.endswith(('.schema', '.results'))"
        " and m.startswith('progtrain')), gc.get_freeze_count() > 0));"
        f"sys.argv = ['progtrain', '-C', {str(lab.root)!r}, 'experiment', 'status', 'cap']; entry()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=Path.cwd())
    *shown, last = done.stdout.splitlines()
    assert shown[-1].split() == ["rank8", "done", "1", "0.2250"]
    assert last == "[] True"


def test_results_that_were_spoilt_after_the_training_are_found_before_evaluations(
    lab: Workspace, planned: Planned
) -> None:
    folder = planned(**TWO, evaluation={"tasks": []}, tools={"training": "command", "evaluation": []})
    assert carried_out(lab) == 0
    made = folder.run("rank8").artifacts / "best.json"
    made.write_text(made.read_text()[:4])
    folder.run("rank8").mark("check").unlink()
    assert runner.run(lab, "cap", Options()) == 1
    assert reasons(folder)["rank8"] == "outputs: rank8/artifacts/best.json is not what the training wrote"
    run_stage.resume(folder, [], None, "")
    assert runner.run(lab, "cap", Options()) == 0 and starts(lab) == ["rank8", "rank16", "rank8"]


def test_runs_side_by_side_get_gpus_of_their_own(
    lab: Workspace, planned: Planned, faults: Faults, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,5")
    folder = planned(**TWO | {"variables": {"rank": [1, 2, 3]}}, resources={"gpus": 1, "parallel": 3})
    faults({rank: {"seconds": 0.7} for rank in (1, 2, 3)})
    assert carried_out(lab) == 0
    given, times = {}, {}
    for rank in (1, 2, 3):
        attempt = folder.run(f"rank{rank}").attempt("train", 1)
        given[rank] = try_read_json(attempt.job)["environment"]["CUDA_VISIBLE_DEVICES"]
        told = try_read_json(attempt.state)
        times[rank] = (told["started_at"], told["ended_at"])
    assert (given[1], given[2]) == ("3", "5")
    # the third had to wait for one of them
    assert times[3][0] >= min(times[1][1], times[2][1]) and given[3] in ("3", "5")


# memory


def test_out_of_memory_halves_the_batch_and_others_begin_with_what_fits(
    lab: Workspace, planned: Planned, faults: Faults
) -> None:
    folder = planned(**SIZED)
    faults({8: {"fits": 4}, 16: {"fits": 4}})
    assert carried_out(lab) == 0
    assert lines(lab.root / "starts.txt") == ["rank8 8 ", "rank8 4 ", "rank16 4 "]
    assert {row.run: row.changes for row in results.read(folder)} == {
        "rank8": {"batch_size": 4},
        "rank16": {"batch_size": 4},
    }


def test_what_ran_out_of_memory_beside_others_is_tried_alone_first(
    lab: Workspace, planned: Planned, faults: Faults
) -> None:
    folder = planned(**SIZED | {"variables": {"rank": [8, 1, 2]}}, resources={"parallel": 2})
    faults({8: {"fits": 4}, 1: {"seconds": 1.5}, 2: {"seconds": 0.5}})
    assert carried_out(lab) == 0
    told = lines(lab.root / "starts.txt")
    assert [line for line in told if line.startswith("rank8")] == ["rank8 8 ", "rank8 8 ", "rank8 4 "]
    second, other = (
        try_read_json(folder.run(run).attempt("train", n).state) for run, n in (("rank8", 2), ("rank1", 1))
    )
    assert second["started_at"] > other["ended_at"]


def test_a_batch_of_one_is_not_halved(lab: Workspace, planned: Planned, faults: Faults) -> None:
    folder = planned(**ONE | {"controls": {"rate": 0.1, "batch_size": 2}}, retry={"attempts": 9})
    faults({8: {"fits": 0}})
    assert carried_out(lab) == 1
    assert lines(lab.root / "starts.txt") == ["rank8 2 ", "rank8 1 "]
    assert reasons(folder)["rank8"].startswith("out of memory: ")
    failure = try_read_json(folder.run("rank8").failure("train", 2))
    assert failure["next"] is None and "cannot be made smaller" in failure["advice"]


def test_attempts_are_as_many_as_the_plan_allows(lab: Workspace, planned: Planned, faults: Faults) -> None:
    planned(**ONE | {"controls": {"rate": 0.1, "batch_size": 64}}, retry={"attempts": 3})
    faults({8: {"fits": 1}})
    assert carried_out(lab) == 1
    assert lines(lab.root / "starts.txt") == ["rank8 64 ", "rank8 32 ", "rank8 16 "]


# time, and guards that are lost


def test_a_training_whose_time_is_over_goes_on_from_what_it_saved(
    lab: Workspace, planned: Planned, faults: Faults
) -> None:
    planned(**ONE)
    faults({8: {"saves": True}})
    scaffolded(lab)
    assert runner.run(lab, "cap", Options()) == 0
    assert lines(lab.root / "starts.txt") == ["rank8 8 ", "rank8 8 1"]


def test_a_training_that_gets_no_further_is_not_repeated_again(
    lab: Workspace, planned: Planned, faults: Faults
) -> None:
    folder = planned(**ONE, retry={"attempts": 9})
    faults({8: {"saves": True, "stuck": True}})
    assert carried_out(lab) == 1
    assert lines(lab.root / "starts.txt") == ["rank8 8 ", "rank8 8 1"]
    failure = try_read_json(folder.run("rank8").failure("train", 2))
    assert failure["cause"] == "time limit"
    assert failure["advice"] == "it got no further than the attempt before; give it more time: resources.time"


@pytest.mark.parametrize("more", [{"estimates": {"time": {"value": "30"}}}, {"resources": {"time": "00:30:00"}}])
def test_the_limit_of_the_rules_holds_whatever_the_plan_says(
    lab: Workspace, planned: Planned, faults: Faults, more: dict[str, Any]
) -> None:
    write_json(lab.rules, {"loop_config": {"step_timeout_minutes": 0.02}})
    folder = planned(**ONE, **more)
    faults({8: {"seconds": 60}})
    assert carried_out(lab) == 1
    assert reasons(folder)["rank8"].startswith("time limit: ")


def test_a_training_whose_guard_was_killed_is_started_again(lab: Workspace, planned: Planned, faults: Faults) -> None:
    folder = planned(**ONE)
    faults({8: {"seconds": 60}})
    scaffolded(lab)
    process = run_stage.start(lab, "cap", Options())
    _until(lambda: starts(lab) == ["rank8"])
    faults({})
    os.kill(try_read_json(folder.run("rank8").attempt("train", 1).state)["pid"], signal.SIGKILL)
    assert process.wait(60) == 0
    assert starts(lab) == ["rank8", "rank8"]
    assert try_read_json(folder.run("rank8").failure("train", 1))["cause"] == "lost"


# plans that change, and nothing to do


def test_only_the_runs_that_a_changed_plan_touches_are_done_again(lab: Workspace, planned: Planned) -> None:
    folder = planned(**TWO)
    assert carried_out(lab) == 0
    planned(**TWO | {"variables": {"rank": [8, 32]}})
    assert phases(folder) == {"rank8": "done", "rank32": "planned"}
    assert carried_out(lab) == 0
    assert starts(lab) == ["rank8", "rank16", "rank32"]
    planned(**TWO | {"controls": {"rate": 0.2}})
    assert phases(folder) == {"rank8": "stale", "rank16": "stale"}
    assert runner.run(lab, "cap", Options()) == 2
    assert "rank8, rank16: scaffolded for an earlier plan" in folder.log("run-experiment").read_text()
    assert carried_out(lab) == 0
    assert starts(lab)[3:] == ["rank8", "rank16"]


def test_what_was_edited_by_hand_stays(lab: Workspace, planned: Planned) -> None:
    folder = planned(**ONE)
    scaffolded(lab)
    setup = folder.run("rank8").setup
    setup.write_text("mine: true\n")
    scaffolded(lab)
    assert setup.read_text() == "mine: true\n"
    assert "setup_finetune.yaml was edited, and stays as it is" in folder.log("scaffold-experiment").read_text()


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"variables": {}, "runs": {}}, "nothing to run: looked for points"),
        ({"runs": {"skip": ["rank9"]}}, "nothing matches 'rank9'"),
        ({"evaluation": {"tasks": [TASK], "matrix": [{"run": "x*", "tasks": ["caps"]}]}}, "nothing matches 'x*'"),
    ],
)
def test_what_comes_to_nothing_is_refused(lab: Workspace, planned: Planned, changed: dict[str, Any], said: str) -> None:
    planned(**changed)
    with pytest.raises(InputError, match=re.escape(said)) as refused:
        carried_out(lab)
    assert refused.value.exit_code == 2


def test_a_run_that_is_not_there_is_refused(lab: Workspace, planned: Planned) -> None:
    planned(**TWO)
    scaffolded(lab)
    assert runner.run(lab, "cap", Options(("rank9",))) == 2
    assert runner.run(lab, "cap", Options((), "peft")) == 2
    assert starts(lab) == []


def test_all_that_is_wrong_is_told_at_once_and_nothing_is_written(lab: Workspace, planned: Planned) -> None:
    folder = planned(controls={"speed": 1}, evaluation={"tasks": [{"name": "caps"}]})
    with pytest.raises(InputError, match="2 things are wrong") as refused:
        scaffolded(lab)
    assert "speed" in str(refused.value) and "needs a command" in str(refused.value)
    assert not folder.run("base").path.exists()


def test_what_is_done_stays_until_it_is_wanted_anew(lab: Workspace, planned: Planned) -> None:
    folder = planned(**TWO)
    assert carried_out(lab) == 0
    experiment = opened(lab, "cap")
    assert all(not writing.reasons for writing in scaffold.run(experiment, executor_of(experiment)))
    again = scaffold.run(experiment, executor_of(experiment), ["rank8"], anew=True)
    assert [writing.reasons for writing in again] == [("it is to be done again",)] * 2
    assert phases(folder) == {"rank8": "scaffolded", "rank16": "done"}
    assert runner.run(lab, "cap", Options()) == 0
    assert starts(lab) == ["rank8", "rank16", "rank8"]
    assert len(lines(lab.root / "evaluations.txt")) == 3


# cancelling


def test_a_run_is_cancelled_and_comes_back_only_when_it_is_resumed(
    lab: Workspace, planned: Planned, faults: Faults
) -> None:
    folder = planned(**TWO)
    faults({8: {"seconds": 60}})
    scaffolded(lab)
    process = run_stage.start(lab, "cap", Options())
    _until(lambda: starts(lab) == ["rank8"])
    assert run_stage.cancel(folder, ["rank8"], "now") == ["rank8"]
    assert process.wait(60) == 1
    assert phases(folder) == {"rank8": "cancelled", "rank16": "done"}
    assert reasons(folder)["rank8"] == "cancelled: cancelled by you"
    assert runner.run(lab, "cap", Options()) == 1 and len(starts(lab)) == 2
    faults({})
    run_stage.resume(folder, ["rank8"], None, "")
    assert runner.run(lab, "cap", Options()) == 0
    assert starts(lab) == ["rank8", "rank16", "rank8"]


@pytest.mark.slow
def test_nothing_is_left_of_a_script_that_is_deaf_and_has_children(
    lab: Workspace, planned: Planned, faults: Faults
) -> None:
    folder = planned(**ONE)
    faults({8: {"deaf": True, "seconds": 60}})
    scaffolded(lab)
    process = run_stage.start(lab, "cap", Options())
    _until(lambda: len(lines(lab.root / "pids.txt")) == 2)
    run_stage.cancel(folder, [], "now")
    assert process.wait(60) == 1
    assert phases(folder) == {"rank8": "cancelled"}
    assert not [pid for pid in lines(lab.root / "pids.txt") if alive.began(int(pid)) is not None]


def test_what_has_not_begun_is_cancelled_too(lab: Workspace, planned: Planned) -> None:
    folder = planned(**TWO)
    scaffolded(lab)
    run_stage.cancel(folder, ["rank16"], "now")
    assert runner.run(lab, "cap", Options()) == 1
    assert starts(lab) == ["rank8"]
    assert phases(folder) == {"rank8": "done", "rank16": "cancelled"}


# runners


def test_there_is_one_runner(lab: Workspace, planned: Planned) -> None:
    folder = planned(**TWO)
    scaffolded(lab)
    with lock.hold_file(folder.lock, runner.busy(folder)), pytest.raises(Busy, match="another runner is at work"):
        runner.run(lab, "cap", Options())


@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.slow), pytest.param(2, marks=pytest.mark.slow)])
def test_a_runner_that_is_killed_trains_nothing_twice(lab: Workspace, planned: Planned, seed: int) -> None:
    folder = planned(**ONE | {"variables": {"rank": [1, 2, 3, 4]}}, resources={"parallel": 2})
    scaffolded(lab)
    rng = random.Random(seed)
    for _ in range(4):
        process = run_stage.start(lab, "cap", Options())
        time.sleep(rng.uniform(0.3, 2.5))
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert runner.run(lab, "cap", Options()) == 0
    assert sorted(starts(lab)) == ["rank1", "rank2", "rank3", "rank4"]
    assert sorted(lines(lab.root / "evaluations.txt")) == ["rank1", "rank2", "rank3", "rank4"]
    assert set(phases(folder).values()) == {"done"}


def test_a_workspace_renamed_while_its_experiment_runs_goes_on_and_is_taken(
    lab: Workspace, planned: Planned, faults: Faults, tmp_path: Path
) -> None:
    planned(**ONE | {"variables": {"rank": [1]}})
    # one that keeps the absolute path of its workspace would fail, as it would without progtrain
    (lab.root / "train.py").write_text(TRAIN.replace("sys.argv[3]", "os.path.relpath(sys.argv[3])"))
    scaffolded(lab)
    faults({1: {"seconds": 4}})
    process = run_stage.start(lab, "cap", Options())
    _until(lambda: starts(lab) == ["rank1"], 60)
    moved = Workspace(tmp_path / "moved")
    lab.root.rename(moved.root)
    assert process.wait(60) == StorageError.exit_code
    assert not lab.root.exists(), "nothing is made in its old place"
    folder = folders.existing(moved, "cap")
    assert "moved or removed while it was at work\n  fix: progtrain experiment run cap" in folder.runner_log.read_text()
    assert runner.run(moved, "cap", Options()) == 0
    assert (starts(moved), set(phases(folder).values())) == (["rank1"], {"done"})


def _until(holds: Callable[[], bool], seconds: float = 90.0) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


# telling people


@pytest.fixture
def listener() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """An address on this machine, and what was posted to it."""
    heard: list[dict[str, Any]] = []

    class Heard(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            heard.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Heard)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/", heard
    server.shutdown()
    thread.join()
    server.server_close()


def test_an_address_that_the_plan_names_is_told(
    lab: Workspace, planned: Planned, faults: Faults, listener: tuple[str, list[dict[str, Any]]]
) -> None:
    url, heard = listener
    planned(**TWO, notify={"webhook": url})
    faults({8: {"exit": 7}})
    assert carried_out(lab) == 1
    _until(lambda: len(heard) == 2)
    told = {message["event"]: message for message in heard}
    assert told["failed"]["run"] == "rank8" and told["failed"]["experiment"] == "cap"
    assert told["ended"]["runs"] == {"failed": 1, "done": 1}


def test_a_desktop_shows_a_note(
    lab: Workspace, planned: Planned, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "notify-send"
    program.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/notes\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("DISPLAY", ":9")
    planned(**ONE)
    assert carried_out(lab) == 0
    _until(lambda: lines(tmp_path / "notes") == ["-- progtrain: cap done: 1 done"])


def test_those_who_only_look_ask_no_cluster(
    lab: Workspace, planned: Planned, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "squeue").write_text(f"#!/bin/sh\ntouch {tmp_path}/asked\n")
    (tmp_path / "squeue").chmod(0o755)
    folder = planned(**TWO)
    scaffolded(lab)
    folder.plan.write_text(folder.plan.read_text() + "resources: {executor: slurm}\n")
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    part = look(folder).states[0].training
    write_json(folder.run("rank8").changes("train", 1), {"of": part.identity})
    folder.run("rank8").attempt("train", 1).path.mkdir(parents=True)
    told = {"phase": "queued", "reason": "other jobs come first", "job": "17", "newer": 1}
    write_json(folder.seen, {"at": now().isoformat(), "jobs": {"rank8/attempts/train-1": told}})
    view = look(folder)
    assert view.status == "without runner" and view.stale is None
    shown = view.states[0]
    assert shown.phase == "queued" and shown.reason.startswith("other jobs come first; seen 0 s ago: no runner")
    assert shown.at_work is not None and shown.at_work.seen is not None and shown.at_work.seen.job == "17"
    assert not (tmp_path / "asked").exists()


def test_a_dead_address_delays_nothing(lab: Workspace, planned: Planned, faults: Faults) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        planned(**ONE, notify={"webhook": address})
        faults({8: {"exit": 7}})
        scaffolded(lab)
        assert runner.run(lab, "cap", Options()) == 1
        assert any(address in child.args for child in detached.children()), "whoever tells it still waits there"


def test_stages_and_runner_name_no_tool() -> None:
    engine = Path(workers.__file__).parents[1]
    sources = [*(engine / "stages").glob("*.py"), *engine.glob("*.py"), *engine.parent.glob("cli/experiment*.py")]
    ours = (
        "stages",
        "carry.py",
        "runner.py",
        "attempts.py",
        "retry.py",
        "state.py",
        "opening.py",
        "summary.py",
        "view.py",
    )
    tool = re.compile(r"lightning|peft|torchtune|inspect|(training|evaluation)\([\"']")
    named = [
        f"{path.name}: {line.strip()}"
        for path in sources
        if path.parent.name in ours or path.name in ours or path.parent.name == "cli"
        for line in path.read_text().splitlines()
        if tool.search(line)
    ]
    assert named == []


def test_the_end_of_a_part_says_how_many_runs_there_are(lab: Workspace, planned: Planned) -> None:
    folder = planned()
    assert carried_out(lab, "cap", "rank8_rate0.1") == 0
    assert "done: 1 done of 5 runs\n" in folder.log("run-experiment").read_text()
