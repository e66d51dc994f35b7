"""An addition is made from training rows alone, the same from the same seed, and stays as it was made."""

from __future__ import annotations

import shutil
import sys
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest

from progtrain.engine import prepared_data
from progtrain.engine.additions import checks, folder, hard, make, plan, splits
from progtrain.engine.additions.folder import Addition
from progtrain.engine.errors import InputError, StepFailed
from progtrain.engine.workspace import Workspace
from tests.additions.conftest import DATASET, sha256_of_all

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)
OUT_OF_FOLD = {"replay": {"share": 0.05, "hard_by": "out_of_fold"}, "augment": {"share": 0.1}}


def made(ws: Workspace, action: Mapping[str, Any] = OUT_OF_FOLD, **others: Any) -> Addition:
    wanted = plan.read(action)
    return make.make(ws, "v001", wanted, dataset_id=DATASET, python=sys.executable, clock=lambda: NOON, **others)


def test_an_addition_says_where_each_row_comes_from_and_the_data_stay(toy: Workspace) -> None:
    before = sha256_of_all(toy.data(DATASET))
    addition = made(toy)
    assert sha256_of_all(toy.data(DATASET)) == before
    manifest, train = addition.manifest, splits.train(toy, DATASET)
    assert (addition.name, manifest["counts"]) == ("a001", {"base": 160, "augment": 16, "replay": 8})
    assert manifest["focus"][0] | {"value": 0} == {
        "slice": "1",
        "metric": "recall",
        "value": 0,
        "samples": 45,
        "source": "Models/Artifacts/v001/_eval/per_sample.csv",
    }
    assert manifest["train_sha256"] == prepared_data.split_sha256(toy, DATASET, "train")
    assert {row["parent"] for row in manifest["rows"]} <= set(train.ids)
    assert {(row["label"], row["parent_split"]) for row in manifest["rows"]} == {("1", "train")}
    rows = splits.of_addition(addition.folder, train, toy.root)
    assert rows.ids == [row["id"] for row in manifest["rows"]]
    for at, row in enumerate(manifest["rows"]):
        parent = [train.columns[name][train.place[row["parent"]]] for name in ("x", "y")]
        assert ([rows.columns[name][at] for name in ("x", "y")] == parent) == (row["kind"] == "replay")
    assert checks.again(toy, DATASET, "a001").refused == []
    # the script's own loader finds it under the name that the split's file has
    assert (addition.folder.as_split / "data.csv").read_bytes() == addition.folder.rows.read_bytes()
    files = [path for path in addition.folder.path.iterdir() if path.is_file()]
    assert {path.stat().st_mode & 0o777 for path in files} == {0o444}


def test_the_same_seed_gives_the_same_bytes_and_valid_and_test_are_not_needed_for_it(toy: Workspace) -> None:
    first = sha256_of_all(made(toy).folder.path)
    shutil.rmtree(toy.additions(DATASET))
    assert sha256_of_all(made(toy).folder.path) == first
    shutil.rmtree(toy.additions(DATASET))
    for name in ("valid", "test"):
        shutil.rmtree(toy.split(DATASET, name))
    assert sha256_of_all(made(toy).folder.path)["rows.csv"] == first["rows.csv"]
    shutil.rmtree(toy.additions(DATASET))
    assert sha256_of_all(made(toy, {**OUT_OF_FOLD, "seed": 7}).folder.path)["rows.csv"] != first["rows.csv"]


def test_a_row_that_is_a_validation_row_in_disguise_is_dropped_and_named(toy: Workspace) -> None:
    train, valid = (toy.split(DATASET, name) / "data.csv" for name in ("train", "valid"))
    hard_one = splits.train(toy, DATASET)
    choice = make.choose(toy, "v001", plan.read(OUT_OF_FOLD), dataset_id=DATASET, run=hard.plainly(toy, sys.executable))
    leaked = choice.replay[0]
    cells = [hard_one.columns[name][hard_one.place[leaked]] for name in ("x", "y", "label")]
    valid.write_text(valid.read_text() + ",".join(["valid-leaked", *cells]) + "\n")
    assert leaked in train.read_text()
    addition = made(toy)
    assert {(one["check"], one["against"]) for one in addition.checks["refused"]} >= {("exact", "valid-leaked")}
    assert "a001-00000" not in {row["id"] for row in addition.manifest["rows"]}
    assert addition.manifest["counts"]["replay"] == 7
    assert len(splits.of_addition(addition.folder, splits.train(toy, DATASET), toy.root)) == len(addition)


def test_an_addition_that_was_edited_is_one_clear_error(toy: Workspace) -> None:
    addition = made(toy)
    for path in (addition.folder.manifest, addition.folder.rows):
        before = path.read_bytes()
        path.chmod(0o644)
        path.write_bytes(before.replace(b"a001-00001", b"a001-99999"))
        with pytest.raises(InputError, match="was changed after the addition was made"):
            folder.read(toy, DATASET, "a001")
        path.write_bytes(before)
    folder.read(toy, DATASET, "a001")
    addition.folder.checks.unlink()
    with pytest.raises(InputError, match="half an addition"):
        folder.read(toy, DATASET, "a001")
    with pytest.raises(InputError, match="there is no addition 'a002'"):
        folder.read(toy, DATASET, "a002")


def test_a_second_addition_counts_with_the_first(toy: Workspace) -> None:
    made(toy, {"augment": {"share": 0.3}, "replay": {"share": 0.0, "hard_by": "out_of_fold"}})
    with pytest.raises(InputError, match="with the 48 rows of other additions are more than half"):
        made(toy, {"augment": {"share": 0.25}, "replay": {"hard_by": "out_of_fold"}}, already=["a001"])
    assert folder.names(toy, DATASET) == ["a001"]
    assert made(toy).name == "a002"


@pytest.mark.parametrize(
    ("action", "reason"),
    [
        ({"augment": {"share": 0.6}}, "augment.share: the share is 0.6"),
        ({"augment": {"share": 0.01}, "replay": {"share": 0.01}}, "4 rows of 160 are too few"),
        ({"augment": {"with": ["flip"]}}, "flip changes pictures"),
        ({"augment": {"with": ["mirror"]}}, "'mirror' is no way to change a row"),
        ({"augment": {"with": "own"}}, "has a function augment"),
        ({"focus": {"classes": ["7"]}}, "there is no class '7'"),
        ({"focus": {"target_range": [1, 2]}}, "there is no range where the target is a class"),
        ({"focus": {"metric_part": "joy"}}, "no metric part 'joy'"),
        ({"focus": {"class": "7"}}, "there is no key 'class'"),
        ({"replay": {"hard_by": "luck"}}, "hard_by is 'luck'"),
        ({"seed": "x"}, "seed is 'x'"),
    ],
)
def test_what_cannot_be_made_is_said_and_nothing_is_written(
    toy: Workspace, action: dict[str, Any], reason: str
) -> None:
    given = {**action, "replay": {"hard_by": "out_of_fold", **action.get("replay", {})}}
    with pytest.raises(InputError, match=reason):
        made(toy, given)
    assert folder.names(toy, DATASET) == []
    assert not toy.making.exists() or list(toy.making.iterdir()) == []


def test_a_format_that_is_not_known_is_refused_once(toy: Workspace) -> None:
    (toy.split(DATASET, "train") / "data.csv").rename(toy.split(DATASET, "train") / "data.parquet")
    with pytest.raises(InputError, match=r"the format is not known \(data.parquet\)"):
        made(toy)


def test_ones_own_way_to_change_rows(toy: Workspace) -> None:
    toy.augment_script.write_text(
        "def augment(raw, target, rng):\n    return {'x': raw['x'] * float(target), 'y': raw['y'] * 0.9}\n"
    )
    addition = made(toy, {"augment": {"share": 0.1, "with": "own"}, "replay": {"hard_by": "out_of_fold"}})
    train = splits.train(toy, DATASET)
    rows = splits.of_addition(addition.folder, train, toy.root)
    at, row = next((at, row) for at, row in enumerate(addition.manifest["rows"]) if row["kind"] == "augment")
    before = float(train.columns["y"][train.place[row["parent"]]])
    assert float(rows.columns["y"][at]) == pytest.approx(before * 0.9, abs=1e-5)
    assert Counter(row["operation"] for row in addition.manifest["rows"]) == {"own": 16, "copy": 3}


@pytest.mark.parametrize(
    ("body", "error", "reason"),
    [
        ("raise ValueError('no such angle')", StepFailed, "no such angle"),
        ("return {'x': raw['x']}", StepFailed, "gives a dict of x: wanted is a dict of x, y"),
        ("return [raw['x']]", StepFailed, "gives list: wanted is a dict of x, y"),
        ("return {'x': 'much', 'y': 0}", InputError, "x is 'much', which is no number"),
        ("return {'x': 99.0, 'y': 0}", InputError, "beyond the training's"),
        ("return {'x': float('nan'), 'y': 0}", InputError, "not a finite number"),
    ],
)
def test_a_way_of_ones_own_that_goes_wrong(toy: Workspace, body: str, error: type[Exception], reason: str) -> None:
    toy.augment_script.write_text(f"def augment(raw, target, rng):\n    {body}\n")
    with pytest.raises(error, match=reason):
        made(toy, {"augment": {"share": 0.1, "with": "own"}, "replay": {"hard_by": "out_of_fold"}})
    assert folder.names(toy, DATASET) == []


def test_pictures_in_an_array_keep_their_type_and_range(toy: Workspace) -> None:
    rng = np.random.default_rng(0)
    for split, count in (("train", 160), ("valid", 40), ("test", 40)):
        place = toy.split(DATASET, split)
        shutil.rmtree(place)
        place.mkdir()
        labels = np.arange(count) % 2
        images = np.tile(rng.integers(20, 200, (count, 3, 2)), (1, 4, 5)) + rng.integers(0, 9, (count, 12, 10))
        images = (images + labels[:, None, None] * 40).astype(np.uint8)
        ids = np.array([f"{split}-{n}" for n in range(count)])
        np.savez(place / "pictures.npz", ids=ids, images=images, labels=labels)
    ways = ["shift", "noise", "flip", "crop", "brightness"]
    addition = made(toy, {"augment": {"share": 0.2, "with": ways}, "replay": {"hard_by": "out_of_fold"}})
    train = splits.train(toy, DATASET)
    rows = splits.of_addition(addition.folder, train, toy.root)
    assert (rows.columns["images"].dtype, rows.columns["images"].shape[1:]) == (np.uint8, (12, 10))
    assert {row["operation"] for row in addition.manifest["rows"]} == {*ways, "copy"}
    for at, row in enumerate(addition.manifest["rows"]):
        same = np.array_equal(rows.columns["images"][at], train.columns["images"][train.place[row["parent"]]])
        assert same == (row["operation"] == "copy")
    assert np.load(addition.folder.as_split / "pictures.npz")["labels"].tolist() == [1] * len(addition)
    toy.augment_script.write_text("def augment(raw, target, rng):\n    return raw[:3]\n")
    with pytest.raises(StepFailed, match=r"gives images as shape \(3, 10\): wanted is shape \(12, 10\)"):
        made(toy, {"augment": {"share": 0.2, "with": "own"}, "replay": {"hard_by": "out_of_fold"}})


def test_a_function_that_writes_into_the_data_is_found_out(toy: Workspace) -> None:
    toy.augment_script.write_text(
        "def augment(raw, target, rng):\n"
        "    open('dataset/prepdata/toy_v1/train/data.csv', 'a').write('\\n')\n    return raw\n"
    )
    with pytest.raises(InputError, match="the data changed while the addition was made"):
        made(toy, {"augment": {"share": 0.1, "with": "own"}, "replay": {"hard_by": "out_of_fold"}})
    assert folder.names(toy, DATASET) == []
