"""Rows in a format of one's own: 05_rows.py reads and writes them."""

from __future__ import annotations

import csv
import json
import shutil
import struct
import sys
from pathlib import Path
from typing import Any

import pytest

from progtrain.engine.additions import checks, folder, leaks, make, own, plan, splits
from progtrain.engine.clock import now
from progtrain.engine.control.launch import Options
from progtrain.engine.errors import InputError
from progtrain.engine.loop import runner
from progtrain.engine.script.action.parts import additions
from progtrain.engine.workspace import Workspace
from tests.additions.conftest import DATASET, sha256_of_all
from tests.additions.test_action import ACTION, answer, open_question, written

#: rows of a fixed length: an id, two numbers, a label
ROWS = """
import struct

ROW = struct.Struct("<16s2fB")


def read_rows(folder):
    data = (folder / "rows.bin").read_bytes()
    assert data[:4] == b"TOY1", "not a file of rows"
    for name, x, y, label in ROW.iter_unpack(data[4:]):
        yield {"id": name.rstrip(b"\\0").decode(), "x": x, "y": y, "label": label}


def write_rows(rows, folder):
    lines = (ROW.pack(row["id"].encode(), row["x"], row["y"], row["label"]) for row in rows)
    (folder / "rows.bin").write_bytes(b"TOY1" + b"".join(lines))
"""
READER = '''
def load_split(split):
    """Sample ids, raw inputs and targets of a split."""
    data = (DATA / split / "rows.bin").read_bytes()
    rows = struct.iter_unpack("<16s2fB", data[4:])
    return [(name.rstrip(b"\\0").decode(), [x, y], label) for name, x, y, label in rows]

'''


def packed(path: Path) -> None:
    """The rows of data.csv as rows.bin in its place."""
    with path.open() as file:
        rows = [
            struct.pack("<16s2fB", row["id"].encode(), float(row["x"]), float(row["y"]), int(row["label"]))
            for row in csv.DictReader(file)
        ]
    path.with_name("rows.bin").write_bytes(b"TOY1" + b"".join(rows))
    path.unlink()


def in_own_format(ws: Workspace) -> Workspace:
    for path in sorted(ws.data(DATASET).glob("*/data.csv")):
        packed(path)
    ws.rows_script.write_text(ROWS)
    return ws


def made(ws: Workspace, **action: Any) -> folder.Addition:
    wanted = plan.read({"replay": {"hard_by": "out_of_fold"}, **action})
    return make.make(ws, "v001", wanted, dataset_id=DATASET, python=sys.executable, clock=now)


def test_an_addition_has_its_rows_in_that_format(toy: Workspace) -> None:
    ws = in_own_format(toy)
    before = sha256_of_all(ws.data(DATASET))
    addition = made(ws)
    assert sha256_of_all(ws.data(DATASET)) == before
    assert addition.checks["compared_with"] == {"valid": 80, "test": 40}
    counts, data = addition.manifest["counts"], (addition.folder.as_split / "rows.bin").read_bytes()
    assert data[:4] == b"TOY1" and (len(data) - 4) // 25 == counts["augment"] + counts["replay"]
    train = splits.train(ws, DATASET)
    rows = splits.of_addition(addition.folder, train, ws.root)
    in_file = [name.rstrip(b"\0").decode() for name, *_ in struct.iter_unpack("<16s2fB", data[4:])]
    assert in_file == rows.ids == [row["id"] for row in addition.manifest["rows"]]
    assert {type(x) for x in rows.columns["x"]} == {float} and set(rows.labels) == {1}
    assert checks.again(ws, DATASET, "a001").refused == []
    ws.rows_script.rename(ws.root / "moved.py")
    assert len(folder.read(ws, DATASET, "a001")) == len(addition)


def test_a_row_that_is_a_validation_row_is_dropped_from_its_file_too(toy: Workspace) -> None:
    ws = in_own_format(toy)
    train, valid = (ws.split(DATASET, name) / "rows.bin" for name in ("train", "valid"))
    rows = [row for row in struct.iter_unpack("<16s2fB", train.read_bytes()[4:]) if row[3] == 1][:8]
    taken = b"".join(struct.pack("<16s2fB", b"valid-t%d" % at, *row[1:]) for at, row in enumerate(rows))
    valid.write_bytes(valid.read_bytes() + taken)
    addition = made(ws, augment={"share": 0}, replay={"share": 0.4, "hard_by": "out_of_fold"})
    dropped = addition.checks["refused"]
    assert "exact" in {one["check"] for one in dropped}
    size = (addition.folder.as_split / "rows.bin").stat().st_size
    assert (size - 4) // 25 == len(addition) == 64 - len(dropped)


@pytest.mark.slow
def test_what_was_changed_by_hand_is_refused(toy: Workspace) -> None:
    ws = in_own_format(toy)
    path = made(ws).folder.own / "rows.bin"
    path.chmod(0o644)
    path.write_bytes(path.read_bytes()[:-1] + b"\0")
    with pytest.raises(InputError, match="it was changed after the addition was made") as refused:
        folder.read(ws, DATASET, "a001")
    assert str(refused.value.file) == str(path)


@pytest.mark.slow
def test_links_that_were_copied_as_files_are_held_against_the_same_rows(toy: Workspace) -> None:
    ws = in_own_format(toy)
    addition = made(ws)
    place = addition.folder.path
    addition.folder.as_split.unlink()
    shutil.copytree(addition.folder.own, place / "train")
    folder.read(ws, DATASET, "a001")
    (place / "train" / "rows.bin").chmod(0o644)
    (place / "train" / "rows.bin").write_bytes(b"TOY1")
    with pytest.raises(InputError, match="it was changed after the addition was made"):
        folder.read(ws, DATASET, "a001")


@pytest.mark.parametrize(
    ("old", "new", "place", "reason"),
    [
        ("read_rows", "read_all", None, "it has no function read_rows(folder)"),
        ('b"TOY1", "not', 'b"TOY2", "not', "line 9", "AssertionError: not a file of rows"),
        ('"x": x,', '"x": ROW,', None, "read_rows() gives Struct as 'x' of row 1: wanted is a number, a text or an"),
        ('row["y"], row["l', 'row["x"], row["l', None, "write_rows() and read_rows() don't agree: y of train-0000 is"),
        *(
            pytest.param(*told, marks=pytest.mark.slow)
            for told in (
                ("write_rows", "write_all", None, "it has no function write_rows(rows, folder)"),
                (
                    "        yield {",
                    "        yield name, {",
                    None,
                    "read_rows() gives tuple as row 1: wanted is a dict",
                ),
                ('"rows.bin").write', '"out.bin").write', None, "write_rows() wrote out.bin: no file is called as one"),
                ("for row in rows)", "for row in rows[1:])", None, "don't agree: 20 rows were written and 19 read"),
                ('row["label"])', "9)", None, "label of train-0000 is 0 and is read again as 9"),
                ("import struct", "import struct\n1 +", "line 3", "SyntaxError: invalid syntax"),
            )
        ),
    ],
)
def test_what_is_wrong_with_it_is_one_line_with_its_place(
    toy: Workspace, old: str, new: str, place: str | None, reason: str
) -> None:
    ws = in_own_format(toy)
    ws.rows_script.write_text(ROWS.replace(old, new))
    with pytest.raises(InputError) as refused:
        own.tried(ws, DATASET, splits.train(ws, DATASET), sys.executable)
    error = refused.value
    assert reason in error.reason and "\n" not in error.reason
    assert (error.file, error.place) == (str(ws.rows_script), place) and error.fix


def test_check_tries_both_functions(toy: Workspace) -> None:
    ws = in_own_format(toy)
    assert ("ok", "rows are read and written by 05_rows.py", "") in list(leaks.told(ws, DATASET))
    ws.rows_script.write_text(ROWS.replace('row["y"], row["l', 'row["x"], row["l'))
    [(state, text, _)] = leaks.told(ws, DATASET)
    assert state == "warning" and "05_rows.py: write_rows() and read_rows() don't agree" in text


def test_it_sees_one_split_at_a_time_and_is_asked_once(toy: Workspace) -> None:
    ws = in_own_format(toy)
    log = ws.root / "asked.txt"
    there = "sorted(path.name for path in folder.parent.iterdir())"
    seen = f"    open({str(log)!r}, 'a').write(f'{{folder.name}} {{{there}}}\\n')\n"
    ws.rows_script.write_text(ROWS.replace("def read_rows(folder):\n", "def read_rows(folder):\n" + seen))
    for _ in range(2):
        splits.held_out(ws, DATASET, splits.train(ws, DATASET))
    names = ("train", "valid", "test")
    assert log.read_text().splitlines() == [f"{name} {sorted([name, 'stats.json'])}" for name in names]


PICTURES = """
import numpy as np


def read_rows(folder):
    sizes, flat, labels = (np.fromfile(folder / f"{name}.raw", t) for name, t in zip("sfl", ("<i4", "u1", "u1")))
    pixels = flat.reshape(-1, *sizes)
    return [{"picture": one, "label": int(label)} for one, label in zip(pixels, labels)]


def write_rows(rows, folder):
    pixels = np.stack([row["picture"] for row in rows])
    assert pixels.dtype == np.uint8
    np.asarray(pixels.shape[1:], "<i4").tofile(folder / "s.raw")
    pixels.tofile(folder / "f.raw")
    np.asarray([row["label"] for row in rows], "u1").tofile(folder / "l.raw")
"""


@pytest.mark.slow
def test_arrays_are_pictures_and_of_several_shapes_lists(toy: Workspace) -> None:
    import numpy as np

    ws, drawn = toy, np.random.default_rng(3)
    for split, count in (("train", 160), ("valid", 80), ("test", 40)):
        place = ws.split(DATASET, split)
        (place / "data.csv").unlink()
        np.asarray((9, 7), "<i4").tofile(place / "s.raw")
        drawn.integers(0, 256, (count, 9, 7), dtype=np.uint8).tofile(place / "f.raw")
        (np.arange(count) % 2).astype("u1").tofile(place / "l.raw")
    ws.rows_script.write_text(PICTURES)
    addition = made(ws, augment={"share": 0.1, "with": ["shift", "noise"]})
    pixels = np.fromfile(addition.folder.as_split / "f.raw", "u1").reshape(-1, 9, 7)
    rows = splits.of_addition(addition.folder, splits.train(ws, DATASET), ws.root)
    assert (pixels == rows.columns["picture"]).all() and len(pixels) == len(addition) == 19


SEQUENCES = """
import json

import numpy as np


def read_rows(folder):
    for name, one, label in map(json.loads, (folder / "rows.own").read_text().splitlines()):
        yield {"id": name, "series": np.asarray(one, "<f4"), "label": label}


def write_rows(rows, folder):
    assert {row["series"].dtype for row in rows} == {np.dtype("<f4")}
    lines = [json.dumps([row["id"], row["series"].tolist(), row["label"]]) for row in rows]
    (folder / "rows.own").write_text("\\n".join(lines) + "\\n")
"""


@pytest.mark.slow
def test_arrays_of_several_lengths_are_repeated(toy: Workspace) -> None:
    for split, count in (("train", 160), ("valid", 80), ("test", 40)):
        lengths = [3 if split == "valid" else 3 + at % 4 for at in range(count)]
        rows = [[f"{split}-{at}", [ord(split[1]) + at / 7] * lengths[at], at % 2] for at in range(count)]
        place = toy.split(DATASET, split)
        (place / "data.csv").unlink()
        (place / "rows.own").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    toy.rows_script.write_text(SEQUENCES)
    addition = made(toy, augment={"share": 0}, replay={"share": 0.1, "hard_by": "out_of_fold"})
    assert splits.train(toy, DATASET).kinds == {"series": "json"} and len(addition) == 16
    rows = [json.loads(line) for line in (addition.folder.as_split / "rows.own").read_text().splitlines()]
    parents = [int(row["parent"].partition("-")[2]) for row in addition.manifest["rows"]]
    assert [len(series) for _, series, _ in rows] == [3 + at % 4 for at in parents]


def test_from_the_draft_to_a_training_and_the_one_with_random_rows(plain: Workspace) -> None:
    ws = in_own_format(plain)
    script = ws.baseline_script.read_text()
    begin, end = script.index("def load_split"), script.index("def predict")
    ws.baseline_script.write_text(
        script[:begin].replace("import csv", "import struct") + READER.lstrip() + "\n" + script[end:]
    )
    evaluator = ws.eval_script.read_text()
    ws.eval_script.write_text(evaluator.replace('"valid" / "data.csv"', '"valid" / "rows.bin"'))
    assert runner.run(ws, Options(autopilot=True, until="analyze")) == 0
    assert runner.run(ws, Options()) == 3
    answer(ws, "edit", action=written(ws, ACTION + "\ncontrol: true"))
    assert runner.run(ws, Options()) == 3
    review = open_question(ws)
    assert review.problems == [] and review.addition is not None and len(review.addition["rows"]) == 10
    answer(ws, "accept")
    assert runner.run(ws, Options()) == 3
    assert additions.used(ws.script("v002").read_text()) == ("a001",)
    assert json.loads(ws.version("v002").spec.read_text())["additions"] == ["a001"]
    told = json.loads(ws.insight("v002").read_text())["added_rows"]
    assert told["count"] == 16 and told["control"] is not None
    random_rows = ws.repeat("v002", "control").path / "rows" / "train" / "rows.bin"
    assert (random_rows.stat().st_size - 4) // 25 == 16
