"""An experiment that is looked at again and again: shown as a first look shows it, and read no more than is needed."""

from __future__ import annotations

import json
import random
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from progtrain.engine.errors import InputError
from progtrain.engine.experiment import board, state
from progtrain.engine.experiment.folder import ExperimentFolder
from progtrain.engine.files import GRAIN_NS, append_line, read_json, write_json
from progtrain.engine.workspace import Workspace
from tests.experiment.conftest import carried_out, scaffolded

Planned = Callable[..., ExperimentFolder]
_AT = datetime(2026, 11, 27, 16, 0, tzinfo=UTC)
_hears: list[Callable[[str], None]] = []


def _hear(event: str, given: tuple[Any, ...]) -> None:
    if event in ("open", "os.listdir"):
        for hear in _hears:
            hear(str(given[0]))


@pytest.fixture
def read() -> Iterator[list[str]]:
    """Which files and folders were opened."""
    if _hear not in _known:
        sys.addaudithook(_hear)
        _known.append(_hear)
    found: list[str] = []
    _hears.append(found.append)
    yield found
    _hears.remove(found.append)


#: a hook of the interpreter's stays for good
_known: list[Any] = []


def _settle() -> None:
    """Until the files are older than any clock's grain."""
    time.sleep(GRAIN_NS / 1e9 + 0.1)


def _runs_in(read: list[str], folder: ExperimentFolder) -> set[str]:
    paths = [Path(name) for name in read if Path(name).is_relative_to(folder.path)]
    parts = [path.relative_to(folder.path).parts for path in paths]
    return {part[0] for part in parts if part and (folder.path / part[0]).is_dir()} - {"inbox", "analysis"}


def test_runs_whose_files_are_as_they_were_are_not_read_again(
    lab: Workspace, planned: Planned, read: list[str]
) -> None:
    folder = planned(variables={"rank": [8, 16]}, controls={"rate": 0.1})
    assert carried_out(lab) == 0
    look = board.following(lab, "cap", lambda: _AT)
    first = look()
    _settle()
    settled = look()
    assert settled == first
    read.clear()
    again = look()
    assert again == first
    assert all(one is other for one, other in zip(again.rows, settled.rows, strict=True))
    assert _runs_in(read, folder) == set()
    mark = folder.run("base").mark("caps_best")
    write_json(mark, read_json(mark) | {"inputs": {}})
    read.clear()
    changed = look()
    assert [row.run for row, other in zip(changed.rows, again.rows, strict=True) if row is not other] == ["base"]
    assert _runs_in(read, folder) == {"base"}
    assert changed == board.read(lab, "cap", lambda: _AT)


def test_a_change_at_the_same_tick_of_the_clock_is_seen(lab: Workspace, planned: Planned) -> None:
    """As of a network folder that counts seconds: whatever is young is read again."""
    folder = planned()
    scaffolded(lab)
    look = board.following(lab, "cap", lambda: _AT)
    stated = folder.plan.read_text()
    for question in ("Does rate matter?", "Does rank matter?") * 20:
        folder.plan.write_text(stated.replace("Does rank matter?", question))
        assert look().question == question


def test_whatever_happens_it_shows_what_a_first_look_shows(lab: Workspace, planned: Planned) -> None:
    folder = planned(variables={"rank": [8, 16]}, controls={"rate": 0.1})
    assert carried_out(lab) == 0
    look = board.following(lab, "cap", lambda: _AT)
    rng = random.Random(7)
    ways = _ways(folder)
    for number in range(40):
        if number % 20 == 10:
            _settle()
        way = rng.choice(ways)
        way(rng.choice(["base", "rank8", "rank16"]), number)
        assert _told(look) == _told(lambda: board.read(lab, "cap", lambda: _AT)), (number, way.__name__)


def _told(look: Callable[[], board.Board]) -> object:
    try:
        return look()
    except InputError as error:
        return str(error)


def _ways(folder: ExperimentFolder) -> list[Callable[[str, int], None]]:
    stated = folder.plan.read_text()

    def cancels(run: str, number: int) -> None:
        folder.inbox.mkdir(exist_ok=True)
        folder.cancelled(run).write_text("{}")

    def takes_back(run: str, number: int) -> None:
        folder.cancelled(run).unlink(missing_ok=True)

    def begins(run: str, number: int) -> None:
        identity = state.Part(None, None, "", read_json(folder.run(run).scaffolded)).identity  # type: ignore[arg-type]
        write_json(folder.run(run).changes("train", number + 2), {"of": identity})

    def fails(run: str, number: int) -> None:
        last = max(folder.run(run).attempts_at("train"), default=1)
        identity = state.Part(None, None, "", read_json(folder.run(run).scaffolded)).identity  # type: ignore[arg-type]
        write_json(folder.run(run).failure("train", last), identity | {"cause": "lost", "reason": f"no {number}"})

    def forgets(run: str, number: int) -> None:
        for path in [*folder.run(run).attempts.glob("train-*.*"), *folder.run(run).marks.glob("check.json")]:
            path.unlink()

    def loses(run: str, number: int) -> None:
        if folder.run(run).marks.exists():
            shutil.move(folder.run(run).marks, folder.run(run).path / f"marks{number}")
        else:
            shutil.move(next(folder.run(run).path.glob("marks?*")), folder.run(run).marks)

    def measures(run: str, number: int) -> None:
        line = json.loads(folder.results.read_text().splitlines()[0]) | {"run": run}
        append_line(folder.results, line | {"metrics": [{"name": "accuracy", "value": number / 40}]})

    def plans(run: str, number: int) -> None:
        folder.plan.write_text(stated if number % 2 else stated.replace("- 16", "- 32"))

    def breaks(run: str, number: int) -> None:
        folder.plan.write_text("experiment: 1\n" if number % 3 else stated)

    def ends(run: str, number: int) -> None:
        append_line(folder.journal, {"event": "runner_started"})
        if number % 2:
            append_line(folder.journal, {"event": "runner_failed", "reason": f"reason {number}"})

    return [cancels, takes_back, begins, fails, forgets, loses, measures, plans, breaks, ends]
