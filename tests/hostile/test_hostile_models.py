"""Models from anybody: a broken or hostile GGUF is one line, and takes neither the app nor the machine's memory."""

from __future__ import annotations

import faulthandler
import os
import resource
import signal
import sys
import time
from pathlib import Path
from random import Random

import pytest

from progtrain.advisor import process, worker
from progtrain.advisor.llama import header
from progtrain.advisor.llama.model import ModelError
from tests.advisor import scripted
from tests.hostile import looking, model_files

#: more than the model and its context take
_MIB = 768


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return scripted.write(tmp_path_factory.mktemp("whole") / "model.gguf", {}).read_bytes()


def _headers(whole: bytes, place: Path, numbers: range) -> dict[str, int]:
    """How many are refused, and how many go to llama.cpp."""
    make, path, told = model_files.maker(whole), place / "model.gguf", {"refused": 0, "let through": 0}
    for number in numbers:
        path.write_bytes(make(Random(f"{looking.SEED}-{number}")))
        with looking.ending(f"PROGTRAIN_SEED={looking.SEED}, header {number}"), looking.little_memory():
            reason = header.problem(path)
        assert reason is None or (reason and "\n" not in reason and len(reason) < 200), number
        told["let through" if reason is None else "refused"] += 1
    return told


def test_headers_are_refused_in_a_line_or_fit_into_their_files(whole: bytes, tmp_path: Path) -> None:
    (tmp_path / "whole.gguf").write_bytes(whole)
    assert header.problem(tmp_path / "whole.gguf") is None
    assert min(_headers(whole, tmp_path, range(60)).values()) > 0


@pytest.mark.parametrize("bomb", model_files.BOMBS)
def test_a_bomb_is_refused_before_llama_sees_it(bomb: str, tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(model_files.BOMBS[bomb])
    with looking.ending(bomb), looking.little_memory():
        reason = header.problem(path)
    assert reason and "\n" not in reason and len(reason) < 200


def test_who_asks_is_told_in_a_line(tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(model_files.BOMBS["a list of a thousand million numbers"])
    found = process.inspect(path)
    assert found.problems == ("its header claims 1073741823 numbers, which is more than the file holds",)


def _loaded(path: Path) -> tuple[str, int]:
    """How loading it ended, and how many MiB that took: in a fork of this process, which has not loaded anything."""
    answer, told = os.pipe()
    if not (child := os.fork()):
        faulthandler.disable()
        signal.alarm(looking.WAITED)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_CPU, (looking.SECONDS, looking.SECONDS))
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, 1)
        os.dup2(nothing, 2)
        try:
            worker._inspect({"model": str(path)}, lambda event: None)
            os.write(told, b"loaded")
        except (ModelError, OSError, MemoryError) as error:
            os.write(told, f"refused: {error}".encode()[:4000])
        except BaseException as error:  # noqa: BLE001 - it is told by whoever waits
            os.write(told, f"failed: {error!r}".encode()[:4000])
        os._exit(0)
    os.close(told)
    with os.fdopen(answer, "rb") as file:
        said = file.read().decode()
    _, status, usage = os.wait4(child, 0)
    if os.WIFSIGNALED(status):
        said = f"ended by {signal.Signals(os.WTERMSIG(status)).name}"
    return said, usage.ru_maxrss >> 10


@pytest.mark.slow
def test_thousands_of_hostile_models_take_neither_time_nor_memory(whole: bytes, tmp_path: Path) -> None:
    """3,000 headers by themselves, 1,000 given to llama.cpp, of which every fiftieth as a user has it."""
    begun = time.process_time()
    told = _headers(whole, tmp_path, range(1000, 4000))
    make, path, ends = model_files.maker(whole), tmp_path / "model.gguf", dict[str, int]()
    most = 0
    for number in range(4000, 5000):
        path.write_bytes(make(Random(f"{looking.SEED}-{number}")))
        said, mib = _loaded(path)
        what = f"PROGTRAIN_SEED={looking.SEED}, model {number}: {said}, {mib} MiB"
        assert not said.startswith("failed") and "\n" not in said, what
        assert said not in ("ended by SIGALRM", "ended by SIGXCPU", "ended by SIGKILL"), what
        assert mib < _MIB, what
        most = max(most, mib)
        kind = said.partition(":")[0]
        ends[kind] = ends.get(kind, 0) + 1
        if number % looking.FRESH == 0:
            problems = process.inspect(path, timeout_seconds=looking.WAITED).problems
            assert bool(problems) == (said != "loaded") and all("\n" not in one for one in problems), what
    sys.stdout.write(
        f"3000 headers {told}, 1000 models {ends}, at most {most} MiB, seed {looking.SEED}, "
        f"{time.process_time() - begun:.0f} s of processor time beside the children's\n"
    )
