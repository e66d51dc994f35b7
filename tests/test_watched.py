"""What changes while a script is at work is named, with what follows."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from progtrain.engine.control import watched
from progtrain.engine.control.journal import Journal
from progtrain.engine.workspace import Workspace


def append(path: Path, text: str = "\n# more\n") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        file.write(text)


@pytest.fixture
def two(plain: Workspace) -> Workspace:
    """Two versions, the first with a score and marks."""
    script = plain.baseline_script.read_text()
    for version in ("v001", "v002"):
        plain.script(version).write_text(script)
    append(plain.eval_modules / "judge.py")
    folder = plain.version("v001")
    for path in (folder.eval_score, folder.per_sample, folder.best_checkpoint, folder.infer_samples / "one.txt"):
        append(path)
    append(plain.mark("v001", "train"), "{}")
    append(plain.decision("v001-review-1-abc"), '{"answer": "accept"}')
    Journal(plain.journal).write("decision", question="v001-review-1-abc")
    time.sleep(0.1)  # what was made just now may look as if it was changed since
    return plain


def after(ws: Workspace, change: Callable[[Workspace], Any]) -> dict[str, dict[str, str]]:
    taken = watched.before(ws, "v002", "toy_v1")
    watched.keep(ws, "v002-train-1", taken)
    change(ws)
    found = watched.changed(ws, json.loads(json.dumps(taken)))
    kept = watched.kept(ws, "v002-train-1")
    assert kept is not None
    assert watched.changed(ws, kept) == found
    return {kind: names for kind, names in found.items() if names}


DATA = "dataset/prepdata/toy_v1"


@pytest.mark.parametrize(
    ("kind", "name", "what"),
    [
        ("inputs", "02_train_v002.py", "was changed"),
        ("inputs", "user_defined_rules.json", "was changed"),
        ("inputs", "user_instruction.md", "is new"),
        ("inputs", f"{DATA}/stats.json", "was changed"),
        ("inputs", f"{DATA}/train/data.csv", "was changed"),
        ("inputs", f"{DATA}/train/more.csv", "was changed"),
        ("judges", f"{DATA}/valid/data.csv", "was changed"),
        ("judges", "03_eval.py", "was changed"),
        ("judges", "progtrain_eval/judge.py", "was changed"),
        ("records", "Models/Artifacts/v001/eval_score.json", "was changed"),
        ("records", "Models/Artifacts/v001/_eval/per_sample.csv", "was changed"),
        ("records", "Models/Artifacts/v001/_eval/protocol.json", "is new"),
        ("records", "Models/Artifacts/v001/best.ckpt", "was changed"),
        ("records", ".progtrain/marks/v001/train.json", "was changed"),
        ("records", ".progtrain/marks/v002/extract.json", "is new"),
        ("records", ".progtrain/inbox/v002-review-1-abc.json", "is new"),
        ("records", ".progtrain/insight/v001.json", "is new"),
    ],
)
def test_each_file_is_named_by_what_it_is(two: Workspace, kind: str, name: str, what: str) -> None:
    assert after(two, lambda ws: append(ws.root / name)) == {kind: {name: what}}


def test_what_the_version_itself_writes_is_no_change(two: Workspace) -> None:
    def train(ws: Workspace) -> None:
        append(ws.version("v002").best_checkpoint)
        append(ws.stop_request)
        Journal(ws.journal).write("note", text="attached")

    assert after(two, train) == {}


def test_a_file_in_the_place_of_another_with_its_times_is_seen(two: Workspace) -> None:
    def change(ws: Workspace) -> None:
        path = ws.split("toy_v1", "train") / "data.csv"
        was, text = path.stat(), path.read_text()
        path.write_text(re.sub(r",1\n", ",0\n", text))
        os.utime(path, ns=(was.st_atime_ns, was.st_mtime_ns))

    assert after(two, change) == {"inputs": {f"{DATA}/train/data.csv": "was changed"}}


def test_data_that_are_gone_or_lie_elsewhere_are_told_by_their_place(two: Workspace) -> None:
    outside = two.root / "points.csv"
    append(outside)
    two.source("toy_v1").write_text(json.dumps({"files": [{"path": "points.csv"}]}))
    time.sleep(0.1)
    assert after(two, lambda _: append(outside)) == {"inputs": {"points.csv": "was changed"}}
    train = two.split("toy_v1", "train")
    append(train / "b" / "more.csv")
    time.sleep(0.1)
    found = after(two, lambda _: (train / "b" / "more.csv").unlink())
    assert found == {"inputs": {f"{DATA}/train": "was changed"}}


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (lambda path: path.write_bytes(path.read_bytes().replace(b"abc", b"xyz")), "was changed"),
        (lambda path: path.write_bytes(b""), "was changed"),
        (
            lambda path: append(path, '{"event": "decision", "answer": "accept"}\n'),
            "has lines that the loop did not write",
        ),
    ],
)
def test_the_journal_only_grows_and_only_by_what_belongs_there(two: Workspace, change: Any, what: str) -> None:
    assert after(two, lambda ws: change(ws.journal)) == {"records": {".progtrain/journal.jsonl": what}}


def test_changes_are_told_in_a_line_for_each_kind(two: Workspace) -> None:
    taken = watched.before(two, "v002", "toy_v1")
    found = {
        "inputs": {f"{number}.yaml": "was changed" for number in range(7)},
        "judges": {"03_eval.py": "was changed"},
        "records": {"a": "is new", "b": "is gone"},
    }
    assert watched.told(taken, found) == [
        "while v002 trained, 0.yaml, 1.yaml, 2.yaml, 3.yaml, 4.yaml and 2 more was changed: "
        "v002 was started with what was there before",
        "while v002 trained, 03_eval.py was changed: versions that were evaluated before and after don't compare; "
        "v002 is evaluated as it is now",
        "while v002 trained, b is gone; a is new: the loop alone writes there: what does not fit its records any more "
        "is not ranked",
    ]
    assert watched.told(taken, {}) == []


def test_what_is_kept_is_read_only_where_it_is_whole(two: Workspace) -> None:
    assert watched.kept(two, "v002-train-1") is None
    for text in ("{", "[]", '{"inputs": {}}', '{"inputs": 3}'):
        append(two.watched("v002-train-1"))
        two.watched("v002-train-1").write_text(text)
        assert watched.kept(two, "v002-train-1") is None
    watched.forget(two, "v002-train-1")
    assert not two.watched("v002-train-1").exists()
