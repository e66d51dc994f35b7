"""Training splits as pictures in folders, tables that name pictures, JSON lines, texts and numbers; doubtful labels."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from progtrain.engine.additions import checks, folder, hard, make, plan, splits, suspects
from progtrain.engine.additions.folder import Addition
from progtrain.engine.additions.tools.progtrain_additions_rows import FormatError, Rows, read
from progtrain.engine.clock import now
from progtrain.engine.errors import InputError
from progtrain.engine.workspace import Workspace
from tests.additions.conftest import evaluated

DATASET = "made"
ACTION = {"augment": {"share": 0.15}, "replay": {"share": 0.1, "hard_by": "out_of_fold"}}


def made(ws: Workspace, **action: Any) -> Addition:
    wanted = plan.read({**ACTION, **action})
    return make.make(ws, "v001", wanted, dataset_id=DATASET, python=sys.executable, clock=now)


def blob(drawn: np.random.Generator, label: int) -> Image.Image:
    """A light spot, at the left for class 0, at the right for class 1."""
    y, x = np.mgrid[0:20, 0:24]
    place = 6 + label * 12 + drawn.normal(0, 1.5)
    spot = 220 * np.exp(-((x - place) ** 2 + (y - 10 - drawn.normal(0, 2)) ** 2) / 18) + drawn.normal(0, 6, (20, 24))
    return Image.fromarray(np.clip(spot, 0, 255).astype(np.uint8))


def in_folders(ws: Workspace) -> None:
    drawn = np.random.default_rng(0)
    for split, count in (("train", 60), ("valid", 24), ("test", 10)):
        for at in range(count):
            place = ws.split(DATASET, split) / ("left", "right")[at % 2]
            place.mkdir(parents=True, exist_ok=True)
            blob(drawn, at % 2).save(place / f"{split}-{at}.png")


def in_a_table(ws: Workspace) -> None:
    """As `progtrain init --template image` leaves them: pictures stay where they are."""
    drawn = np.random.default_rng(0)
    (ws.root / "photos").mkdir()
    for split, count in (("train", 60), ("valid", 24), ("test", 10)):
        lines = ["id,file,label"]
        for at in range(count):
            blob(drawn, at % 2).save(ws.root / "photos" / f"{split}-{at}.png")
            lines.append(f"{split}-{at},photos/{split}-{at}.png,{('left', 'right')[at % 2]}")
        ws.split(DATASET, split).mkdir(parents=True)
        (ws.split(DATASET, split) / "data.csv").write_text("\n".join(lines) + "\n")


def started(ws: Workspace, names: tuple[str, str]) -> None:
    ws.stats(DATASET).parent.mkdir(parents=True, exist_ok=True)
    ws.stats(DATASET).write_text(json.dumps({"task_type": "classification", "class_names": list(names)}))
    ws.script("v001").write_text("DATASET_ID = 'made'\n")
    evaluated(ws, [[f"valid-{at}", str(at % 2)] for at in range(24)])
    ws.version("v001").protocol.write_text(json.dumps({"class_names": list(names)}))
    lines = ["sample_id,truth,prediction,correct,loss,confidence"]
    for at in range(24):
        truth, said = names[at % 2], names[0 if at % 6 == 1 else at % 2]
        lines.append(f"valid-{at},{truth},{said},{int(truth == said)},0.3,0.8")
    ws.version("v001").per_sample.write_text("\n".join(lines) + "\n")


@pytest.mark.parametrize("written", [in_folders, in_a_table])
def test_pictures_in_files(ws: Workspace, written: Callable[[Workspace], None]) -> None:
    written(ws)
    started(ws, ("left", "right"))
    addition = made(ws, augment={"share": 0.15, "with": ["shift", "noise", "brightness"]})
    assert addition.manifest["counts"] == {"base": 60, "augment": 9, "replay": 6}
    train = splits.train(ws, DATASET)
    rows = splits.of_addition(addition.folder, train, ws.root)
    assert set(rows.labels) == {"right"}
    for cell, row in zip(
        rows.columns["file"],
        [one for name in rows.ids for one in addition.manifest["rows"] if one["id"] == name],
        strict=True,
    ):
        with Image.open(ws.root / cell) as picture:
            assert picture.size == (24, 20)
        parent = ws.root / str(train.columns["file"][train.place[row["parent"]]])
        assert ((ws.root / cell).read_bytes() == parent.read_bytes()) == (row["kind"] == "replay")
    report = checks.again(ws, DATASET, "a001")
    assert report.refused == []
    shutil.rmtree(ws.additions(DATASET))
    first = sorted(path.name for path in (made(ws)).folder.path.rglob("*.png"))
    assert len(first) >= 5


def test_a_picture_that_is_a_validation_picture_is_found_in_another_file(ws: Workspace) -> None:
    in_folders(ws)
    started(ws, ("left", "right"))
    train = ws.split(DATASET, "train")
    for path in sorted(train.glob("right/*.png")):
        shutil.copy(path, ws.split(DATASET, "valid") / "right" / f"again-{path.name}")
    with pytest.raises(InputError, match=r"rows are not validation or test rows in disguise: .*right/again-train-"):
        made(ws)
    assert folder.names(ws, DATASET) == []


def lines_of(ws: Workspace, form: Callable[[str, int], dict[str, Any]], name: str = "rows.jsonl") -> None:
    for split, count in (("train", 60), ("valid", 24), ("test", 10)):
        ws.split(DATASET, split).mkdir(parents=True)
        lines = [json.dumps(form(split, at), ensure_ascii=False) for at in range(count)]
        (ws.split(DATASET, split) / name).write_text("\n".join(lines) + "\n", encoding="utf-8")


def test_numbers_in_json_lines_stay_whole_or_not(ws: Workspace) -> None:
    drawn = np.random.default_rng(1)

    def form(split: str, at: int) -> dict[str, Any]:
        label = ("left", "right")[at % 2]
        wide, tall = round(float(drawn.normal(at % 2, 0.4)), 4), int(drawn.integers(100, 900))
        return {"id": f"{split}-{at}", "wide": wide, "tall": tall, "tags": ["x", at], "label": label}

    lines_of(ws, form)
    started(ws, ("left", "right"))
    addition = made(ws)
    rows = [json.loads(line) for line in addition.folder.rows.read_text().splitlines()]
    assert {(type(row["wide"]), type(row["tall"]), row["label"]) for row in rows} == {(float, int, "right")}
    assert list(rows[0]) == ["id", "wide", "tall", "tags", "label"]


def text_of(split: str, at: int) -> dict[str, Any]:
    drawn = np.random.default_rng([ord(split[1]), at])
    words = " ".join(f"{('sun', 'rain')[at % 2]}{int(word)}" for word in drawn.integers(0, 40, 12))
    return {"id": f"{split}-{at}", "text": f"é {words}", "label": ("left", "right")[at % 2]}


def test_texts_are_repeated_and_changed_by_a_function_of_ones_own_alone(ws: Workspace) -> None:
    lines_of(ws, text_of)
    started(ws, ("left", "right"))
    with pytest.raises(InputError, match="rows of text are only repeated"):
        made(ws)
    only = made(ws, augment={"share": 0}, replay={"share": 0.2, "hard_by": "out_of_fold"})
    assert only.manifest["counts"] == {"base": 60, "augment": 0, "replay": 12}
    ws.augment_script.write_text(
        "def augment(raw, target, rng):\n    words = raw.split()\n    rng.shuffle(words)\n    return ' '.join(words)\n"
    )
    addition = made(ws, augment={"share": 0.2, "with": "own"}, replay={"share": 0.0, "hard_by": "out_of_fold"})
    train = splits.train(ws, DATASET)
    rows = splits.of_addition(addition.folder, train, ws.root)
    for text, row in zip(rows.columns["text"], addition.manifest["rows"], strict=True):
        parent = train.columns["text"][train.place[row["parent"]]]
        assert (sorted(text.split()), text == parent) == (sorted(parent.split()), False)


def test_a_function_in_the_versions_script_does_as_well_and_sees_no_validation_data(ws: Workspace) -> None:
    lines_of(ws, text_of)
    started(ws, ("left", "right"))
    ws.script("v001").write_text(
        "import pathlib\n\n"
        "def augment(raw, target, rng):\n"
        "    there = sorted(p.name for p in pathlib.Path('dataset/prepdata/made').iterdir())\n"
        "    return raw + ' ' + ' '.join(there)\n"
    )
    addition = made(ws, augment={"share": 0.2, "with": ["own"]}, replay={"share": 0.0, "hard_by": "out_of_fold"})
    rows = splits.of_addition(addition.folder, splits.train(ws, DATASET), ws.root)
    assert {text.partition(" stats.json")[2] for text in rows.columns["text"]} == {" train"}


def test_the_part_of_a_target_that_is_furthest_off(ws: Workspace) -> None:
    drawn = np.random.default_rng(2)

    def form(split: str, at: int) -> dict[str, Any]:
        size = float(drawn.normal())
        return {"id": f"{split}-{at}", "size": size, "year": int(drawn.integers(1990, 2020)), "price": 50 + 10 * size}

    lines_of(ws, form)
    ws.stats(DATASET).write_text(json.dumps({"task_type": "regression", "target": "price"}))
    ws.script("v001").write_text("DATASET_ID = 'made'\n")
    scores = ws.version("v001")
    scores.evaluation.mkdir(parents=True)
    held = splits.held_out(ws, DATASET, splits.train(ws, DATASET))["valid"]
    lines = ["sample_id,truth,prediction,correct,loss"]
    lines += [
        f"{name},{truth},{truth - (9 if truth > 56 else 1)},,1"
        for name, truth in zip(held.ids, held.labels, strict=True)
    ]
    scores.per_sample.write_text("\n".join(lines) + "\n")
    addition = made(ws)
    assert addition.manifest["focus_by"] == "largest error"
    assert addition.manifest["focus"][0]["metric"] == "mean absolute error"
    assert min(row["label"] for row in addition.manifest["rows"]) > 54
    named = made(ws, focus={"target_range": [40, 46]})
    assert {40 <= row["label"] <= 46 for row in named.manifest["rows"]} == {True}
    rows = splits.of_addition(addition.folder, splits.train(ws, DATASET), ws.root)
    assert {type(year) for year in rows.columns["year"]} == {int}


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        ({}, r"the format is not known \(nothing\)"),
        ({"a.csv": "x\n1\n", "b.csv": "x\n1\n"}, r"the format is not known \(a\.csv, b\.csv\)"),
        ({"a.csv": "id,x,label\n1,2\n"}, r"a\.csv, row 2: it has not as many cells as the first"),
        ({"a.csv": "id,x,label\n"}, "it holds no row"),
        ({"a.jsonl": '{"a": 1}\n[1]\n'}, r"a\.jsonl, line 2: no JSON object"),
        ({"a.jsonl": "{\n"}, r"a\.jsonl, line 1: not valid JSON"),
        ({"a.npz": "nothing"}, r"a\.npz cannot be read"),
        ({"cats/a.png": "", "cats/b.txt": ""}, "its folders hold no pictures and no texts, or both"),
    ],
)
def test_a_split_that_cannot_be_read_is_one_line(tmp_path: Path, files: dict[str, str], reason: str) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    with pytest.raises(FormatError, match=reason):
        read(tmp_path, {})


# doubtful labels


def digits() -> Rows:
    """1,347 of scikit-learn's digits."""
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    data = load_digits()
    places, _ = train_test_split(np.arange(len(data.target)), test_size=0.25, random_state=42, stratify=data.target)
    ids, images = [f"d{at:04d}" for at in places], data.images[places].astype(np.uint8)
    labels = data.target[places].tolist()
    return Rows("npz", "digits.npz", ids, labels, {"images": images}, "", "", {"images": "array"})


def test_most_wrong_labels_are_found_and_few_right_ones_doubted(tmp_path: Path) -> None:
    rows = digits()
    assert len(suspects.places(hard.out_of_fold(rows, tmp_path, regression=False))) <= 5
    drawn = np.random.default_rng(0)
    wrong = drawn.choice(len(rows), 67, replace=False).tolist()
    labels = np.array(rows.labels)
    labels[wrong] = (labels[wrong] + drawn.integers(1, 10, 67)) % 10
    found = suspects.places(hard.out_of_fold(replace(rows, labels=labels.tolist()), tmp_path, regression=False))
    right = len(set(found) & set(wrong))
    assert right >= 0.6 * 67
    assert right >= 0.8 * len(found)


def test_ids_that_are_numbers_stay_numbers(ws: Workspace) -> None:
    drawn = np.random.default_rng(5)
    for at, (split, count) in enumerate((("train", 60), ("valid", 24))):
        ws.split(DATASET, split).mkdir(parents=True)
        labels = np.arange(count) % 2
        columns = {
            "id": np.arange(count, dtype=np.int32) + 1000 * at,
            "x": drawn.normal(labels[:, None], 0.3, (count, 3)),
        }
        np.savez(ws.split(DATASET, split) / "rows.npz", **columns, y=labels)
    started(ws, ("left", "right"))
    addition = made(ws)
    rows = splits.of_addition(addition.folder, splits.train(ws, DATASET), ws.root)
    assert rows.columns["id"].dtype == np.int32
    assert rows.ids == [row["id"] for row in addition.manifest["rows"]]
    assert min(map(int, rows.ids)) > 10**9


def test_a_test_split_may_come_without_its_labels_and_lines_with_odd_characters(ws: Workspace) -> None:
    def form(split: str, at: int) -> dict[str, Any]:
        row = text_of(split, at)
        row["text"] += "\u2028 and \x85 so on"
        return row

    lines_of(ws, form)
    path = ws.split(DATASET, "test") / "rows.jsonl"
    rows = [json.loads(line) for line in path.read_text("utf-8").split("\n") if line]
    path.write_text("".join(json.dumps({"id": row["id"], "text": row["text"]}) + "\n" for row in rows))
    started(ws, ("left", "right"))
    addition = made(ws, augment={"share": 0}, replay={"share": 0.2, "hard_by": "out_of_fold"})
    assert (len(addition), addition.checks["compared_with"]) == (12, {"valid": 24, "test": 10})
