"""Files that somebody has edited, or that another program writes: values of the wrong kind reach no screen."""

from __future__ import annotations

import dataclasses
import json
import math
import pickle
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import pytest

from progtrain.engine.schema import Review
from progtrain.engine.status.rows import glance, read_external
from progtrain.engine.status.snapshot import Snapshot, VersionView
from progtrain.engine.status.view import WorkspaceView
from progtrain.engine.workspace import Workspace
from progtrain.tui.reading.curves import CurveFeed, CurveKey
from progtrain.tui.reading.documents import read_facts
from progtrain.tui.reading.journal import Entry, JournalReader
from progtrain.tui.reading.sample_files import kept_ids
from tests.tui.fakes import review
from tests.tui.walks import fill_all, tell

WRONG = [None, True, -1, 10**400, float("nan"), float("inf"), "word", "\x1b[31m", [], [[]], {}, {"a": []}]


def mutations(data: Any) -> Iterator[Any]:
    """The same JSON with each of its values replaced by each that is wrong there, one at a time."""
    if isinstance(data, dict):
        for key, value in data.items():
            yield from ({**data, key: other} for other in (*WRONG, *mutations(value)))
    elif isinstance(data, list):
        for place, value in enumerate(data):
            yield from ([*data[:place], other, *data[place + 1 :]] for other in (*WRONG, *mutations(value)))


def together(parts: Sequence[Sequence[Any]]) -> Iterator[tuple[Any, ...]]:
    """Each of each part's values, as few times as they go side by side; not all parts' first ones at once."""
    for turn in range(max(map(len, parts))):
        yield tuple(part[(turn + 7 * place) % len(part)] for place, part in enumerate(parts))


#: what is edited in one place alone, in each place there is, takes ten times as long
HOW = pytest.mark.parametrize("alone", [False, pytest.param(True, marks=pytest.mark.slow)])


def assert_fits(value: Any, annotation: Any, where: str) -> None:
    """Whether a frozen view holds what its annotations promise: screens rely on that."""
    names = getattr(type(value), "_fields", None) or (
        dataclasses.is_dataclass(value) and [field.name for field in dataclasses.fields(value)]
    )
    if names:
        hints = get_type_hints(type(value), None, {"Review": Review})
        for name in names:
            assert_fits(getattr(value, name), hints[name], f"{where}.{name}")
        return
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is UnionType or origin is Union:
        if value is None and NoneType in inner:
            return
        (annotation,) = (a for a in inner if a is not NoneType)
        assert_fits(value, annotation, where)
    elif origin is tuple:
        for item in value:
            assert_fits(item, inner[0] if inner[1:] == (Ellipsis,) else object, where)
    elif origin in (dict, Mapping):
        for key, item in value.items():
            assert_fits(key, inner[0], where)
            assert_fits(item, inner[1], where)
    elif origin is Literal:
        assert value in inner, (where, value)
    elif annotation is float:
        assert isinstance(value, int | float) and math.isfinite(value), (where, value)
    else:
        assert isinstance(value, annotation), (where, value)


def journal_lines() -> list[dict[str, Any]]:
    base = {"at": "2026-11-20T17:45:00.000+00:00"}
    events: list[dict[str, Any]] = [
        {"event": "loop_started", "dataset_id": "d", "max_versions": 4, "max_versions_asked": 3},
        {"event": "runner_started", "autopilot": False},
        {"event": "version_authored", "version": "v003", "base": "v002", "action": "a", "reason": "r"},
        {"event": "step_started", "version": "v003", "step": "train"},
        {"event": "attempt_failed", "version": "v003", "attempt": 1, "summary": "out of memory"},
        {"event": "step_done", "version": "v003", "step": "train", "seconds": 41.0},
        {"event": "warning", "text": "x"},
        {"event": "loop_failed", "reason": "r", "file": "f", "place": "p", "fix": "m"},
        {"event": "loop_waiting"},
        {"event": "runner_ended"},
        {"event": "loop_finished", "versions": 3, "report": "Models/Report/2026-11-20_17-45"},
    ]
    return [base | event for event in events]


@HOW
def test_an_edited_journal_never_gives_a_view_what_it_does_not_promise(ws: Workspace, alone: bool) -> None:
    fill_all(ws)
    lines = journal_lines()
    for changed in mutations(lines) if alone else together([[*WRONG, *mutations(line)] for line in lines]):
        ws.journal.write_text("".join(json.dumps(line) + "\n" for line in changed))
        seen = WorkspaceView(ws.root).snapshot()
        assert_fits(seen, Snapshot, "snapshot")
        first = glance(ws)
        if first is not None:
            assert_fits(pickle.loads(pickle.dumps(first)), Snapshot, "glance")
        for entry in JournalReader(ws).read():
            assert_fits(entry, Entry, "entry")


def insight_of(ws: Workspace) -> dict[str, Any]:
    rows = [{"name": "accuracy", "delta_previous": 0.1, "delta_best": 0.1, "verdict_previous": "better"}]
    return {"primary_metric": "accuracy", "metrics": rows, "candidates": [], "facts": [{"key": "gap", "display": "1"}]}


@HOW
def test_edited_files_of_a_version_never_give_a_view_what_it_does_not_promise(ws: Workspace, alone: bool) -> None:
    fill_all(ws)
    tell(ws, {"event": "step_started", "version": "v003", "step": "train"}, {"event": "runner_started"})
    tell(ws, {"event": "step_started", "version": "v003", "step": "train"})
    live = {"step": 5, "steps": 9, "epoch": 1, "epochs": 2, "samples_per_second": 3.5, "seconds_left": 9.0}
    kinds: dict[Path, Any] = {
        ws.version("v003").eval_score: json.loads(ws.version("v003").eval_score.read_text()),
        ws.insight("v003"): insight_of(ws),
        ws.external / "resnet" / "eval_score.json": json.loads(ws.version("v003").eval_score.read_text()),
        ws.live("v003"): live | {"metrics": {"train_loss": 0.9}, "learning_rate": [0.1]},
        ws.drafts("v003").review: json.loads(review().model_dump_json()) | {"candidates": []},
        ws.version("v003").infer_samples / "0001" / "meta.json": {"sample_id": "valid-001"},
        ws.job("v003-train-1").state: {"status": "running", "host": "h", "pid": 1, "create_time": 1.0},
        ws.rules: {"training_config": {"epochs": 3}, "eval_config": {"primary_metric": "accuracy"}},
    }
    edits = {path: [*WRONG, *mutations(data)] for path, data in kinds.items()}
    if not alone:
        for changed in together(list(edits.values())):
            for path, data in zip(edits, changed, strict=True):
                path.write_text(json.dumps(data) + "\n")
            assert_all_fit(ws, "edited files")
        return
    for path, changes in edits.items():
        whole = path.read_bytes()
        for data in changes:
            path.write_text(json.dumps(data) + "\n")
            assert_all_fit(ws, path.name)
        path.write_bytes(whole)


def assert_all_fit(ws: Workspace, where: str) -> None:
    """All that is read of v003."""
    view = WorkspaceView(ws.root)
    view.ws.lock.unlink(missing_ok=True)
    assert_fits(view.snapshot(), Snapshot, where)
    first = glance(ws)
    assert first is not None
    assert_fits(first, Snapshot, f"glance of {where}")
    for row in read_external(ws):
        assert_fits(row, VersionView, where)
    for fact in read_facts(ws, "v003"):
        assert_fits(fact, dict[str, str], where)
    assert all(isinstance(name, str) for name in kept_ids(ws, "v003"))
    for rows in CurveFeed(ws, "v003").read():
        assert_fits(rows.key, CurveKey, where)
