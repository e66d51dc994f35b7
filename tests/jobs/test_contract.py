"""What every place to run must keep to. A new one is added to `EXECUTORS`, and nothing else here changes."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from progtrain.engine.control.launch import Options
from progtrain.engine.jobs.base import Executor
from progtrain.engine.jobs.local import Local
from progtrain.engine.jobs.slurm import Slurm
from progtrain.engine.loop import runner, sequence
from progtrain.engine.schema import JobRequest, JobState
from progtrain.engine.workspace import JobFolder, Workspace
from tests.jobs.toy import Toy


def slurm() -> Executor:
    return Slurm(poll_seconds=0.3)


EXECUTORS: list[Callable[[], Executor]] = [Local, Toy, slurm]


@pytest.fixture(params=EXECUTORS, ids=lambda make: make.__name__)
def make(request: pytest.FixtureRequest) -> Callable[[], Executor]:
    made: Callable[[], Executor] = request.param
    if made is slurm:
        request.getfixturevalue("cluster")
    return made


@pytest.fixture
def folder(tmp_path: Path) -> JobFolder:
    return JobFolder(tmp_path / "jöb s" / "v001-train-1")


def _python(folder: JobFolder, code: str, timeout: float | None = None) -> JobRequest:
    where = folder.path.parents[1] / "the workspace"
    where.mkdir(exist_ok=True)
    environment = {"TOLD": "from the request"}
    return JobRequest(
        name="job",
        command=[sys.executable, "-u", "-c", code],
        cwd=str(where),
        environment=environment,
        timeout_seconds=timeout,
    )


def _ended(executor: Executor, folder: JobFolder) -> JobState:
    return executor.wait(folder, lambda: None, poll_seconds=0.02)


def _wait_for_output(executor: Executor, folder: JobFolder) -> None:
    deadline = time.monotonic() + 60
    while not (executor.log(folder).exists() and executor.log(folder).read_bytes()):
        assert time.monotonic() < deadline, "the script printed nothing"
        time.sleep(0.02)


def test_a_job_that_nobody_submitted_is_none(make: Callable[[], Executor], folder: JobFolder) -> None:
    assert make().look(folder) is None


def test_output_and_exit_code_are_kept(make: Callable[[], Executor], folder: JobFolder) -> None:
    executor = make()
    executor.submit(folder, _python(folder, "import sys; print('one'); print('two', file=sys.stderr); sys.exit(3)"))
    state = _ended(executor, folder)
    assert (state.status, state.exit_code, state.ended_by) == ("ended", 3, None)
    assert state.ended_at is not None and state.ended_at >= state.started_at
    assert executor.log(folder).read_text() == "one\ntwo\n"


def test_it_runs_in_the_workspace_with_what_the_request_adds(make: Callable[[], Executor], folder: JobFolder) -> None:
    executor = make()
    executor.submit(folder, _python(folder, "import os; print(os.path.basename(os.getcwd()), os.environ['TOLD'])"))
    assert _ended(executor, folder).exit_code == 0
    assert executor.log(folder).read_text() == "the workspace from the request\n"


def test_whoever_comes_later_finds_it_at_work_and_can_end_it(make: Callable[[], Executor], folder: JobFolder) -> None:
    """Submitting returns at once, and nothing about the job is kept in memory alone."""
    begun = time.monotonic()
    make().submit(folder, _python(folder, "import time; print('here'); time.sleep(600)"))
    assert time.monotonic() - begun < 20
    _wait_for_output(make(), folder)
    state = make().look(folder)
    assert state is not None and state.status in {"pending", "running"} and state.exit_code is None
    make().cancel(folder)
    state = _ended(make(), folder)
    assert state.ended_by == "cancelled" and state.exit_code not in (0, None)


def test_a_time_limit_ends_it(make: Callable[[], Executor], folder: JobFolder) -> None:
    executor = make()
    executor.submit(folder, _python(folder, "import time; time.sleep(600)", timeout=0.5))
    assert _ended(executor, folder).ended_by == "time limit"


def test_a_program_that_cannot_be_started_is_told(make: Callable[[], Executor], folder: JobFolder) -> None:
    executor = make()
    request = _python(folder, "")
    executor.submit(folder, request.model_copy(update={"command": ["/no/such/python", "x.py"]}))
    state = _ended(executor, folder)
    assert (state.ended_by, state.exit_code) == ("could not start", 127)
    assert "No such file" in executor.log(folder).read_text()


def test_a_job_submitted_again_begins_anew(make: Callable[[], Executor], folder: JobFolder) -> None:
    executor = make()
    for word, code in (("first", 1), ("second", 0)):
        executor.submit(folder, _python(folder, f"print('{word}'); raise SystemExit({code})"))
        assert _ended(executor, folder).exit_code == code
    assert executor.log(folder).read_text() == "second\n"


def test_the_loop_trains_with_it(make: Callable[[], Executor], plain: Workspace) -> None:
    context = runner.prepare(plain, Options(autopilot=True))
    context.executor = make()
    for step in ("initialize", "train", "evaluate"):
        sequence.do_step(context, step, None)  # type: ignore[arg-type]
    assert plain.version("v001").eval_score.is_file()
