"""(e) The app in a terminal: first frame, memory, keys, bytes, each beside an empty Textual app in the same run."""

from __future__ import annotations

import fcntl
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from benchmarks.common import alternate, finished, told, verdict
from benchmarks.terminal import Terminal, app_command, empty_command, first_frame, has_curve
from progtrain.engine.workspace import Workspace, version_id

VERSIONS = 50
ROUNDS = 5
_KEYS = 200
#: the first ones fill Textual's caches
_WARM_MINUTES, _SOAK_MINUTES = 2, 5
_MANY_VERSIONS, _MANY_SAMPLES = 1000, 10_000

#: appends 1,000 rows a second to a metrics file, in tenths of a second
_WRITER = """
import random, sys, time
step, path = int(sys.argv[2]), sys.argv[1]
while True:
    begun = time.time()
    with open(path, "a") as file:
        for _ in range(100):
            file.write(f"{step // 1000},0.001,{step},{random.random()},,\\n")
            step += 1
    time.sleep(max(0, 0.1 - (time.time() - begun)))
"""


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        os.environ["XDG_STATE_HOME"] = folder
        small = make(Path(folder) / "small", VERSIONS, 100_000)
        large = make(Path(folder) / "large", VERSIONS, 1_000_000)
        _first_frames(small, large)
        _whole(large)
        _idle(small)
        _empty_keys()
        for name, ws in (("100,000 rows", small), ("1,000,000 rows", large)):
            _training(name, ws)
        many = make(Path(folder) / "many", _MANY_VERSIONS, 1000)
        make_samples(many, version_id(_MANY_VERSIONS), _MANY_SAMPLES)
        _browse(many)


def soak() -> None:
    """Left open while a script writes a thousand rows a second, with a key now and then: memory has to stay flat."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ["XDG_STATE_HOME"] = folder
        ws = make(Path(folder) / "soaked", VERSIONS, 100_000)
        with _runs(ws, 100_000), Terminal(app_command(ws.root)) as terminal:
            terminal.seconds_until(_drawn)
            terminal.drain(10.0)
            guard = psutil.Process(terminal.process.pid)
            family = [guard, *guard.children()]
            first = warm = grown = _memory(family)
            print(f"{'at first':46} {first / 2**20:8.3f} MiB", flush=True)
            for minute in range(1, _SOAK_MINUTES + 1):
                sent, used, end = terminal.received, _cpu(family), time.perf_counter() + 60.0
                while time.perf_counter() < end:
                    _key_to_frame(terminal)
                    terminal.drain(1.0)
                grown = _memory(family)
                warm = grown if minute == _WARM_MINUTES else warm
                told = f"{(terminal.received - sent) / 60 / 1024:.1f} KiB a second, CPU {_cpu(family) - used:.1f} s"
                print(f"{f'minute {minute}':46} {grown / 2**20:8.3f} MiB, {told}", flush=True)
            # sixteen bytes for each point of two columns
            points = (_SOAK_MINUTES - _WARM_MINUTES) * 60_000 * 2 * 16
            verdict("then grew by more than the new points take", (grown - warm - points) / 2**20, 2, " MiB")


def make(root: Path, versions: int, rows: int) -> Workspace:
    """A loop whose last version trains, with so many rows logged."""
    root.mkdir()
    ws = finished(root, versions)
    version = version_id(versions)
    folder = ws.version(version).logs / "version_0"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "metrics.csv").open("w") as file:
        file.write("epoch,lr-Adam,step,train_loss,val_acc,val_loss\n")
        for step in range(rows):
            loss = math.exp(-5 * step / rows) + 0.05 * math.sin(step)
            file.write(f"{step // 1000},0.001,{step},{loss},,\n")
            if step % 1000 == 999:
                file.write(f"{step // 1000},,{step},,{step / rows},{1.1 - step / rows}\n")
    with ws.journal.open("a") as journal:
        for event in (
            {"event": "runner_started"},
            {"event": "step_started", "version": version, "step": "train", "reasons": []},
        ):
            journal.write(json.dumps({"at": "2026-01-01T00:00:00+00:00", **event}) + "\n")
    return ws


def make_samples(ws: Workspace, version: str, count: int) -> None:
    path = ws.version(version).per_sample
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [
        f"sample-{i:05d},{i % 10},{(i + (i % 7 == 0)) % 10},{int(i % 7 != 0)},{i / count},0.9" for i in range(count)
    ]
    path.write_text("sample_id,truth,prediction,correct,loss,confidence\n" + "\n".join(rows) + "\n")


def _drawn(text: str) -> bool:
    return has_curve(text) and version_id(VERSIONS) in text and version_id(VERSIONS - 1) in text


def _first_frames(small: Workspace, large: Workspace) -> None:
    empty, hundred, million = alternate(
        ROUNDS,
        lambda: first_frame(empty_command(), lambda text: "first frame" in text),
        lambda: first_frame(app_command(small.root), _drawn),
        lambda: first_frame(app_command(large.root), _drawn),
    )
    told("an empty Textual app, first frame", empty)
    told("50 versions, 100,000 rows: history and curve", hundred)
    told("50 versions, 1,000,000 rows: history and curve", million)
    middle = statistics.median
    verdict("100,000 rows beside the empty app", middle(hundred) / middle(empty), 1.4, " x")
    verdict("1,000,000 rows, more than 100,000", middle(million) - middle(hundred), 1.0, " s")


def _whole(ws: Workspace) -> None:
    """The first frame of a long log holds its beginning, and says how much; then slice after slice is drawn."""
    with Terminal(app_command(ws.root)) as terminal:
        last, slices, end = 0.0, 0, time.perf_counter() + 15.0
        while (left := end - time.perf_counter()) > 0 and time.perf_counter() - terminal.begun < max(5.0, last + 3.0):
            if "reading " in terminal.read(min(left, 0.5)):
                last, slices = time.perf_counter() - terminal.begun, slices + 1
        print(f"{'1,000,000 rows: frames that say that it is read':46} {slices:8d}", flush=True)
        print(f"{'1,000,000 rows: the last of them after':46} {last:8.3f} s", flush=True)


def _idle(ws: Workspace) -> None:
    """No runner: the app says that it is gone, and nothing moves."""
    with Terminal(app_command(ws.root)) as terminal:
        terminal.seconds_until(_drawn)
        terminal.settle(4.0)
        verdict("bytes a second when idle", terminal.drain(5.0) / 5.0, 0)


@contextmanager
def _runs(ws: Workspace, rows: int) -> Iterator[None]:
    """The runner's lock is held, and a script writes a thousand rows a second."""
    path = ws.version(version_id(VERSIONS)).logs / "version_0" / "metrics.csv"
    with ws.lock.open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        writer = subprocess.Popen([sys.executable, "-c", _WRITER, str(path), str(rows)])
        try:
            yield
        finally:
            writer.kill()
            writer.wait()


def _training(name: str, ws: Workspace) -> None:
    rows = 1_000_000 if "1,000,000" in name else 100_000
    with _runs(ws, rows), Terminal(app_command(ws.root)) as terminal:
        terminal.seconds_until(_drawn)
        terminal.drain(4.0)
        guard = psutil.Process(terminal.process.pid)
        family = [guard, *guard.children()]  # the parent that waits, and the app
        before, used = _memory(family), _cpu(family)
        verdict(f"{name}: KiB a second in training", terminal.drain(10.0) / 10.0 / 1024, 8)
        print(f"{name + ': CPU for 10,000 new rows':46} {_cpu(family) - used:8.3f} s", flush=True)
        _tell_keys(name, terminal)
        mib = _memory(family) / 2**20
        verdict(f"{name}: resident memory", mib, 120, " MiB")
        print(f"{name + ': grew meanwhile by':46} {mib - before / 2**20:8.3f} MiB", flush=True)


def _empty_keys() -> None:
    """What the machine and Textual take by themselves."""
    with Terminal(empty_command()) as terminal:
        terminal.seconds_until(lambda text: "first frame" in text)
        _tell_keys("an empty Textual app", terminal)


def _tell_keys(name: str, terminal: Terminal) -> None:
    times = sorted(_key_to_frame(terminal) * 1000 for _ in range(_KEYS))
    verdict(f"{name}: key to frame, median", statistics.median(times), 50, " ms")
    verdict(f"{name}: key to frame, 99th percentile", times[math.ceil(0.99 * len(times)) - 1], 50, " ms")


def _cpu(family: list[psutil.Process]) -> float:
    return sum(p.cpu_times().user for p in family)


def _memory(family: list[psutil.Process]) -> int:
    """Bytes in memory; what processes share is counted once."""
    return sum(p.memory_full_info().pss for p in family)


def _key_to_frame(terminal: Terminal) -> float:
    """The cursor of the curve moves: the title says another step."""
    terminal.drain(0.07)
    terminal.send("h")
    return terminal.seconds_until(lambda text: "step " in text, 5.0)


def _browse(ws: Workspace) -> None:
    with Terminal(app_command(ws.root)) as terminal:
        last = version_id(_MANY_VERSIONS)
        shown = terminal.seconds_until(lambda text: last in text, 30.0)
        print(f"{f'{_MANY_VERSIONS} versions: on screen after':46} {shown:8.3f} s", flush=True)
        terminal.settle(2.5)
        steps = (("2", "leaderboard"), ("G", "v0"), ("g", "v"), ("3", "wrong of"), ("G", "sample-"), ("g", "sample-"))
        for keys, expected in steps:
            terminal.send(keys)
            spent = terminal.seconds_until(lambda text, expected=expected: expected in text, 10.0)  # type: ignore[misc]
            print(f"{f'  key {keys}: {expected}':46} {spent * 1000:8.1f} ms", flush=True)
            time.sleep(0.2)
            terminal.drain(0.5)
