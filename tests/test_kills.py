"""Processes that are killed at any instant and before any file operation: what comes of the loop is the same.

Random ones say their seed, and take it from PROGTRAIN_SEED.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Literal

import psutil
import pytest

from progtrain.advisor.locate import bundled_model
from progtrain.engine.clock import now
from progtrain.engine.control import decisions, lock, marks
from progtrain.engine.control.launch import Options
from progtrain.engine.errors import InputError
from progtrain.engine.jobs import alive
from progtrain.engine.loop import runner
from progtrain.engine.schema import Decision
from progtrain.engine.script.header import without_header
from progtrain.engine.workspace import Workspace
from tests.conftest import prepare_plain
from tests.kill_layer import sitecustomize as layer
from tests.test_loop import question, scores
from tests.tui.terminal import Terminal, app

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes are looked for in /proc")

LAYER = Path(__file__).with_name("kill_layer")
#: without a model, so that no draft depends on whether it came to its end
AUTOPILOT = Options(autopilot=True, max_versions=2, model="/nowhere/model.gguf")
#: with the bundled one, which takes the same action here as the rules do, in other words
ADVISED = Options(autopilot=True, max_versions=2)
GUARD, APP, ADVISOR = "progtrain.engine.jobs.guard", "progtrain.tui.start", "progtrain.advisor.process"
KILLED = -int(signal.SIGKILL)
#: attempts at a training or an evaluation are used up: whoever looks after the loop starts it again
FAILED = 1


@pytest.fixture
def seed() -> Iterator[str]:
    given = os.environ.get("PROGTRAIN_SEED") or str(random.randrange(10**6))
    print(f"PROGTRAIN_SEED={given}")  # noqa: T201
    yield given


@pytest.fixture
def count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A line for each training that begins, with its version."""
    path = tmp_path / "count"
    path.touch()
    monkeypatch.setenv("COUNT_FILE", str(path))
    # a script that is done in a moment is seldom met
    monkeypatch.setenv("SECONDS_PER_EPOCH", "0.05")
    return path


def forked(work: Callable[[], object], log: Path) -> int:
    """The pid of a child that does it and leaves with what it returns. It needs no time for imports."""
    pid = os.fork()
    if pid:
        return pid
    code = 99
    try:
        output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(output, 1)
        os.dup2(output, 2)
        sys.stdout = sys.stderr = os.fdopen(2, "w")  # not those of the tests
        os.setsid()
        code = int(work() or 0)  # type: ignore[call-overload]
    except BaseException:  # noqa: BLE001 - the parent reads it in the log
        traceback.print_exc()
        sys.stderr.flush()
    finally:
        os._exit(code)


def ended(pid: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def processes(ws: Workspace) -> dict[int, str]:
    """What runs for a workspace, by pid: "guard" (its keeper too), "script" or "app" (all its processes); a forked
    runner and what it asks are not among them.
    """
    found = {}
    for pid in psutil.pids():
        try:
            command = Path(f"/proc/{pid}/cmdline").read_bytes().decode("utf-8", "replace").split("\0")
            folder = str(Path(f"/proc/{pid}/cwd").readlink())
        except OSError:
            continue
        if GUARD in command and (folder.startswith(str(ws.root)) or str(ws.root) in "".join(command)):
            found[pid] = "guard"
        elif command[3:4] == [APP] and str(ws.root) in command:
            found[pid] = "app"
        elif folder.startswith(str(ws.root)):
            found[pid] = "script"
    return found


class Watched:
    """What was done when nobody was at work on it must not be done again."""

    def __init__(self, ws: Workspace, count: Path) -> None:
        self.ws, self.count = ws, count
        self.done: dict[str, int] = {}

    def look(self) -> None:
        trained = Counter(self.count.read_text().split())
        for version in self.ws.versions():
            if marks.read(self.ws, version, "train") is not None:
                assert trained[version] == self.done.setdefault(version, trained[version]), f"{version} trained again"

    def at_the_end(self, undisturbed: Workspace) -> None:
        self.look()
        assert scores(self.ws) == scores(undisturbed)
        written = [without_header(ws.script("v002").read_text()) for ws in (self.ws, undisturbed)]
        assert written[0] == written[1]
        assert len([path for path in self.ws.reports.iterdir() if path.is_dir()]) == 1
        deadline = time.monotonic() + 60
        while processes(self.ws) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert processes(self.ws) == {}
        if unfinished(self.ws):
            # too young until now
            time.sleep(2.1)
            with lock.hold(self.ws):
                pass
        assert unfinished(self.ws) == []


def unfinished(ws: Workspace) -> list[Path]:
    return [path for path in ws.root.rglob(".*") if path.suffix in (".tmp", ".old") or "report-after" in path.name]


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    ws = Workspace(tmp_path_factory.mktemp("undisturbed") / "ws")
    ws.root.mkdir()
    prepare_plain(ws)
    assert runner.run(ws, AUTOPILOT) == 0
    return ws


def _walk(ws: Workspace, watched: Watched, start: Callable[[], int], allowed: set[int], most: int) -> Counter[int]:
    """Starts it again until it is done."""
    codes: Counter[int] = Counter()
    while True:
        code = ended(start())
        codes[code] += 1
        watched.look()
        if code == 0:
            return codes
        assert code in allowed, (code, (watched.count.parent / "log").read_text()[-3000:])
        assert codes.total() < most, codes


def _before_each_operation_of_the_runner(
    ws: Workspace, count: Path, undisturbed: Workspace, seed: str, share: float
) -> int:
    died, log = count.with_name("died"), count.with_name("log")
    died.touch()

    def dying() -> int:
        layer.install(str(died), str(ws.root), share, seed)
        return runner.run(ws, AUTOPILOT)

    watched = Watched(ws, count)
    _walk(ws, watched, lambda: forked(dying, log), {KILLED}, 3000)
    watched.at_the_end(undisturbed)
    assert Counter(count.read_text().split()) == {"v001": 1, "v002": 1}, "a killed runner makes no training begin anew"
    return len(died.read_text().splitlines())


def test_the_runner_dies_before_some_of_its_file_operations(
    plain: Workspace, undisturbed: Workspace, count: Path, seed: str
) -> None:
    assert _before_each_operation_of_the_runner(plain, count, undisturbed, seed, 0.03) > 2


@pytest.mark.slow
def test_the_runner_dies_before_each_of_its_file_operations(
    plain: Workspace, undisturbed: Workspace, count: Path, seed: str
) -> None:
    deaths = _before_each_operation_of_the_runner(plain, count, undisturbed, seed, 1.0)
    print(f"{deaths} deaths of the runner")  # noqa: T201
    assert deaths > 300


def _dying(who: str, died: Path, root: Path, seed: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on each process of that module dies before an operation that none has died before."""
    died.touch()
    told = {"WHO": who, "DIED": str(died), "ROOT": str(root), "SHARE": "1.0", "SEED": seed}
    for name, value in told.items():
        monkeypatch.setenv(f"KILL_{name}", value)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, (str(LAYER), os.environ.get("PYTHONPATH")))))


def _before_each_operation_of_guards(
    ws: Workspace, count: Path, undisturbed: Workspace, seed: str, monkeypatch: pytest.MonkeyPatch
) -> int:
    died, log = count.with_name("died"), count.with_name("log")
    _dying(GUARD, died, ws.root, seed, monkeypatch)
    watched = Watched(ws, count)
    # attempts at a training are used up, so that the loop has to be started again now and then
    _walk(ws, watched, lambda: forked(lambda: runner.run(ws, AUTOPILOT), log), {FAILED}, 100)
    watched.at_the_end(undisturbed)
    return len(died.read_text().splitlines())


@pytest.mark.slow
def test_guards_die_before_each_of_their_file_operations(
    plain: Workspace, undisturbed: Workspace, count: Path, seed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    deaths = _before_each_operation_of_guards(plain, count, undisturbed, seed, monkeypatch)
    print(f"{deaths} deaths of guards")  # noqa: T201
    assert deaths > 30


def _at_random_instants(
    ws: Workspace, watched: Watched, rng: random.Random, most: int, *, whole: bool = False
) -> Counter[str]:
    """Kills until so many are dead or the loop is done, then lets it come to its end. Returns whom, how often.

    `whole`: the advisor writes its drafts, and the app looks on in a terminal, where somebody starts it again.
    """
    log = watched.count.with_name("log")
    killed, asked = Counter[str](), set[int]()

    def begin() -> int:
        return forked(lambda: runner.run(ws, ADVISED if whole else AUTOPILOT), log)

    shown, pid = Terminal(app(ws)) if whole else None, begin()
    try:
        while killed.total() < most:
            # so that it comes to its drafts meanwhile
            time.sleep(rng.uniform(0.0, 1.5 if whole else 0.5))
            if shown is not None:
                shown = _looked_at(shown, ws)
            done, status = os.waitpid(pid, os.WNOHANG)
            if done:
                code = os.waitstatus_to_exitcode(status)
                watched.look()
                if code == 0:
                    return killed
                assert code == FAILED, log.read_text()[-3000:]
                pid = begin()
                continue
            advisors = _advisors(pid)
            asked.update(advisors)
            others = {pid: "runner", **processes(ws), **dict.fromkeys(advisors, "advisor")}
            kind = rng.choice(sorted({*others.values()}))
            target = rng.choice(sorted(one for one, held in others.items() if held == kind))
            try:
                os.kill(target, signal.SIGKILL)
            except ProcessLookupError:
                continue
            killed[kind] += 1
            if kind == "runner":
                ended(pid)
                watched.look()
                pid = begin()
        if (code := ended(pid)) != 0:
            assert code == FAILED, log.read_text()[-3000:]
            _walk(ws, watched, begin, {FAILED}, 20)
    finally:
        if shown is not None:
            shown.close()
    _are_gone(asked)
    return killed


def _looked_at(shown: Terminal, ws: Workspace) -> Terminal:
    """What it has drawn is read; an app that has ended is started again."""
    if shown.read(0.01) and b"ended with " not in shown.written:
        return shown
    shown.close()
    return Terminal(app(ws))


def _advisors(parent: int) -> list[int]:
    found = []
    with suppress(psutil.NoSuchProcess):
        for child in psutil.Process(parent).children(recursive=True):
            with suppress(psutil.Error):
                if ADVISOR in child.cmdline():
                    found.append(child.pid)
    return found


def _are_gone(pids: set[int]) -> None:
    """Nobody reaps what has lost its parent here."""
    deadline = time.monotonic() + 60
    while left := [pid for pid in pids if alive.began(pid) is not None]:
        assert time.monotonic() < deadline, f"{left} are left running"
        time.sleep(0.05)


def test_whoever_is_killed_at_random_the_loop_comes_to_the_same(
    plain: Workspace, undisturbed: Workspace, count: Path, seed: str
) -> None:
    watched = Watched(plain, count)
    killed = _at_random_instants(plain, watched, random.Random(seed), 10)
    watched.at_the_end(undisturbed)
    print(killed)  # noqa: T201


@pytest.mark.slow
@pytest.mark.parametrize("whole", [False, True], ids=["of the loop", "app and advisor too"])
def test_hundreds_are_killed_at_random(
    tmp_path: Path, undisturbed: Workspace, count: Path, seed: str, whole: bool
) -> None:
    rng, killed, loops = random.Random(seed), Counter[str](), 0
    while killed.total() < int(os.environ.get("PROGTRAIN_KILLS", "500")):
        loops += 1
        ws = Workspace(tmp_path / f"ws {loops}")
        ws.root.mkdir()
        prepare_plain(ws)
        count.write_text("")
        watched = Watched(ws, count)
        killed += _at_random_instants(ws, watched, rng, 25, whole=whole)
        watched.at_the_end(undisturbed)
        print(f"{loops} loops, {killed.total()} kills: {dict(killed)}", flush=True)  # noqa: T201


@pytest.mark.slow
def test_a_killed_advisor_costs_its_draft_and_ends_with_a_killed_runner(plain: Workspace, count: Path) -> None:
    """With the bundled model: the draft is written by the rules then, and says so."""
    log = count.with_name("log")

    def begin(until: Literal["analyze"] | None) -> int:
        return forked(lambda: runner.run(plain, Options(autopilot=True, max_versions=1, until=until)), log)

    pid = begin("analyze")
    while not (advisors := _advisors(pid)):
        time.sleep(0.01)
    os.kill(pid, signal.SIGKILL)
    ended(pid)
    _are_gone(set(advisors))
    pid, killed = begin(None), set[int]()
    while not (done := os.waitpid(pid, os.WNOHANG))[0]:
        for one in {*_advisors(pid)} - killed:
            with suppress(ProcessLookupError):
                os.kill(one, signal.SIGKILL)
            killed.add(one)
        time.sleep(0.01)
    assert os.waitstatus_to_exitcode(done[1]) == 0, log.read_text()
    assert killed and set(scores(plain)) == {"v001"} and Counter(count.read_text().split()) == {"v001": 1}
    assert "drafted by the rules alone" in plain.drafts("v001").draft.read_text()


@pytest.mark.slow
def test_who_asks_the_advisor_dies_before_each_file_operation_of_a_draft(
    plain: Workspace, undisturbed: Workspace, count: Path, seed: str
) -> None:
    died, log = count.with_name("died"), count.with_name("log")
    died.touch()

    def dying() -> int:
        layer.install(str(died), str(plain.own / "drafts"), 1.0, seed)
        return runner.run(plain, ADVISED)

    watched = Watched(plain, count)
    _walk(plain, watched, lambda: forked(dying, log), {KILLED}, 300)
    watched.at_the_end(undisturbed)
    deaths = died.read_text()
    print(f"{len(deaths.splitlines())} deaths over a draft")  # noqa: T201
    assert "advisor.log" in deaths and "events" in deaths


@pytest.mark.slow
def test_the_advisor_dies_before_each_file_that_it_opens(
    plain: Workspace, undisturbed: Workspace, count: Path, seed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Model and grammar among them. Its draft is written by another start of it, or by the rules."""
    died, log = count.with_name("died"), count.with_name("log")
    monkeypatch.setenv("KILL_READS", "1")
    _dying(ADVISOR, died, bundled_model().parent, seed, monkeypatch)
    watched = Watched(plain, count)
    assert ended(forked(lambda: runner.run(plain, ADVISED), log)) == 0, log.read_text()
    watched.at_the_end(undisturbed)
    print(f"{len(died.read_text().splitlines())} deaths of the advisor")  # noqa: T201
    assert bundled_model().name in died.read_text()
    assert "llama.cpp crashed (SIGKILL, signal 9)" in plain.drafts("v001").draft.read_text()


def test_an_answer_whose_process_dies_is_given_or_is_not(waiting: Workspace, tmp_path: Path) -> None:
    """Before each of its file operations: what the app does when somebody answers."""
    died, asked = tmp_path / "died", question(waiting).question
    died.touch()
    decision = Decision.model_validate({"question": asked, "answer": "accept", "at": now()})

    def dying() -> None:
        layer.install(str(died), str(waiting.root))
        try:
            decisions.decide(waiting, decision)
        except InputError as error:
            assert "answered already" in error.reason

    codes: list[int] = []
    while not codes or codes[-1] != 0:
        codes.append(ended(forked(dying, tmp_path / "log")))
        told = decisions.answer_to(waiting, asked)
        assert told is None or told == decision
    assert told == decision
    assert set(codes) == {KILLED, 0} and len(codes) > 3
