"""Rows that are validation or test rows in disguise, or not like the training's, are refused and named."""

from __future__ import annotations

import json
import random
import shutil
from pathlib import Path
from typing import Any

import pytest

from progtrain.engine.additions import checks, folder, leaks, near, splits
from progtrain.engine.additions.tools.progtrain_additions_rows import digests
from progtrain.engine.workspace import Workspace
from tests.additions.conftest import DATASET
from tests.cli.commands import progtrain

WINES = "wines"


@pytest.fixture
def wines(ws: Workspace) -> Workspace:
    """A table of numbers, whole numbers and words."""
    drawn = random.Random(1)
    for split, count in (("train", 120), ("valid", 30), ("test", 30)):
        lines = ["id,alcohol,proline,region,cultivar"]
        for at in range(count):
            label = at % 3
            cells = (
                f"{10 + label + drawn.random():.4f}",
                str(drawn.randint(300, 1500)),
                drawn.choice(["north", "south"]),
            )
            lines.append(",".join([f"{split}-{at}", *cells, str(label)]))
        path = ws.split(WINES, split) / "wine.csv"
        path.parent.mkdir(parents=True)
        path.write_text("\n".join(lines) + "\n")
    ws.rules.write_text(json.dumps({"dataset_config": {"dataset_id": WINES}}))
    ws.stats(WINES).write_text(
        json.dumps({"task_type": "classification", "features": {"alcohol": 0, "proline": 0, "region": 0}})
    )
    return ws


def given(ws: Workspace, dataset_id: str, rows: list[dict[str, Any]], cells: list[list[str]], place: Path) -> Path:
    """A folder as `make` leaves it, with these rows in it, whatever they are."""
    train = splits.train(ws, dataset_id)
    place.mkdir(parents=True)
    lines = [train.delimiter.join(train.columns), *(",".join(row) for row in cells)]
    (place / "rows.csv").write_text("\n".join(lines) + "\n")
    manifest = {"addition": "a001", "dataset_id": dataset_id, "made_from": "v001", "counts": {}, "rows": rows}
    (place / "manifest.json").write_text(json.dumps(manifest))
    folder.finish(place, train.file, {})
    return place


def entry(name: str, parent: str, label: str = "0", kind: str = "augment", split: str = "train") -> dict[str, Any]:
    return {"id": name, "kind": kind, "parent": parent, "parent_split": split, "operation": "jitter", "label": label}


def test_seven_ways_to_be_wrong_are_seven_refusals(wines: Workspace, tmp_path: Path) -> None:
    valid = splits.held_out(wines, WINES, splits.train(wines, WINES))["valid"]
    copy = [valid.columns[name][0] for name in ("alcohol", "proline", "region")]
    nearly = [
        f"{float(valid.columns['alcohol'][3]) + 0.0001:.4f}",
        *(valid.columns[name][3] for name in ("proline", "region")),
    ]
    rows = [
        (entry("a001-0", "valid-3"), ["10.5", "700", "north", "0"]),
        (entry("a001-1", "train-0"), [*copy, "0"]),
        (entry("a001-2", "train-0"), [*nearly, "0"]),
        (entry("a001-3", "train-0"), ["10.5", "700.5", "north", "0"]),
        (entry("a001-4", "train-0"), ["10.5", "700", "north", "7"]),
        (entry("a001-5", "train-0"), ["nan", "700", "north", "0"]),
        (entry("a001-6", "train-0"), ["10.61", "711", "north", "0"]),
        (entry("a001-6", "train-0"), ["10.62", "712", "north", "0"]),
    ]
    place = given(
        wines, WINES, [one for one, _ in rows], [[one["id"], *cells] for one, cells in rows], tmp_path / "made"
    )
    done = progtrain(wines, "additions", "check", str(place), "--json")
    assert done.returncode == 2, done.stderr
    refused = json.loads(done.stdout)["refused"]
    assert [(one["row"], one["check"], one["against"]) for one in refused] == [
        ("a001-0", "provenance", "valid-3"),
        ("a001-1", "exact", "valid-0"),
        ("a001-2", "near", "valid-3"),
        ("a001-3", "schema", ""),
        ("a001-4", "schema", ""),
        ("a001-5", "schema", ""),
        ("a001-6", "ids", "a001-6"),
    ]
    assert [one["reason"].partition(": distance")[0] for one in refused] == [
        "its parent valid-3 is a validation sample",
        "it is equal to the validation sample valid-0",
        "it is nearly the validation sample valid-3",
        "proline is '700.5', where train has whole numbers alone",
        "its label '7' stands in no training row",
        "alcohol is 'nan': not a finite number",
        "the id a001-6 stands there 2 times",
    ]
    assert not wines.additions(WINES).exists()


@pytest.mark.parametrize(
    ("told", "cells", "reason"),
    [
        ({"parent": "nobody"}, {}, "its parent nobody is no training sample"),
        ({"parent_split": "test"}, {}, "its parent is of the split 'test', not of train"),
        ({"kind": "replay"}, {}, "it is called a copy of its parent and differs from it"),
        ({"sha256": "0" * 64}, {}, "its content is not what the manifest's sha256 is of"),
        ({"id": "train-5"}, {"id": "train-5"}, "the id train-5 is that of a training sample"),
        ({"id": "a001-9"}, {}, "the manifest's row a001-9 is not in the file"),
        ({}, {"cultivar": "1"}, "its label '1' is not its parent's, '0'"),
        ({}, {"region": "west"}, "region is 'west', which stands in no training row"),
        ({}, {"alcohol": "99"}, "alcohol is '99', beyond the training's 10"),
        ({}, {"alcohol": "much"}, "alcohol is 'much', which is no number"),
    ],
)
def test_what_is_not_as_it_is_said_to_be(
    wines: Workspace, tmp_path: Path, told: dict[str, str], cells: dict[str, str], reason: str
) -> None:
    row = {"id": "a001-0", "alcohol": "10.5", "proline": "700", "region": "north", "cultivar": "0"} | cells
    place = given(wines, WINES, [entry("a001-0", "train-0") | told], [list(row.values())], tmp_path / "made")
    refused = checks.again(wines, WINES, "", place).refused
    assert len(refused) == 1
    assert refused[0]["reason"].startswith(reason)


# texts: rows that a loop made from test requests, whole sentences around them

WORDS = [
    f"{a}{b}"
    for a in ("ka", "to", "mi", "re", "su", "no", "ha")
    for b in ("ra", "li", "mu", "den", "so", "pek", "vo", "tan")
]
TEXTS = "requests"


def request(drawn: random.Random) -> str:
    return "please " + " ".join(drawn.choice(WORDS) for _ in range(drawn.randint(9, 20)))


@pytest.fixture
def requests(ws: Workspace) -> Workspace:
    drawn = random.Random(3)
    for split, count in (("train", 449), ("valid", 50), ("test", 50)):
        lines = [
            json.dumps({"id": f"{split}-{at}", "text": request(drawn), "mood": round(drawn.random(), 3)})
            for at in range(count)
        ]
        path = ws.split(TEXTS, split) / "requests.jsonl"
        path.parent.mkdir(parents=True)
        path.write_text("\n".join(lines) + "\n")
    ws.stats(TEXTS).write_text(json.dumps({"task_type": "regression", "target": "mood"}))
    return ws


def around(text: str, at: int) -> str:
    return f"In a quiet voice, number {at}: {text.upper()} and then say it again, slowly, for the third time."


@pytest.mark.parametrize("source", ["test", "train"])
def test_texts_made_from_test_requests_are_found_however_they_are_wrapped(
    requests: Workspace, tmp_path: Path, source: str
) -> None:
    """By words, which neither hashes nor the likeness of whole texts find; honest rows pass."""
    train = splits.train(requests, TEXTS)
    held = splits.held_out(requests, TEXTS, train)
    parents = {**held, "train": train}[source]
    place = tmp_path / "made"
    place.mkdir()
    rows, lines = [], []
    for at in range(104):
        parent = at % 50
        told = {
            "id": f"a001-{at:05d}",
            "text": around(parents.columns["text"][parent], at),
            "mood": train.labels[parent],
        }
        lines.append(json.dumps(told))
        rows.append(entry(told["id"], train.ids[parent], "", "augment"))
    (place / "rows.jsonl").write_text("\n".join(lines) + "\n")
    manifest = {"addition": "a001", "dataset_id": TEXTS, "made_from": "v001", "counts": {}, "rows": rows}
    (place / "manifest.json").write_text(json.dumps(manifest))
    folder.finish(place, train.file, {})
    report = checks.again(requests, TEXTS, "", place)
    if source == "train":
        assert report.refused == []
        return
    assert [one["against"] for one in report.dropped] == [f"test-{at % 50}" for at in range(104)]
    assert report.problems == []


def test_the_split_itself_is_looked_at(requests: Workspace, wines: Workspace) -> None:
    assert [state for state, _, _ in leaks.told(requests, TEXTS)] == ["ok"]
    assert list(leaks.told(wines, WINES)) == [
        ("ok", "none of the 30 validation and 30 test rows stands in the training rows", "")
    ]
    for dataset, name, kind in ((TEXTS, "requests.jsonl", "50 validation"), (WINES, "wine.csv", "30 validation")):
        train, valid = (requests.split(dataset, split) / name for split in ("train", "valid"))
        moved = list(valid.read_text().splitlines()[1:13])
        train.write_text(train.read_text() + "".join(line.replace("valid-", "more-") + "\n" for line in moved))
        warned = list(leaks.told(requests, dataset))
        assert [state for state, _, _ in warned] == ["warning"]
        assert warned[0][1].startswith(f"12 of {kind} rows stand in the training rows: valid-")


def test_nearly_equal_validation_rows_are_a_warning_too(requests: Workspace) -> None:
    train, valid = (requests.split(TEXTS, split) / "requests.jsonl" for split in ("train", "valid"))
    rows = [json.loads(line) for line in valid.read_text().splitlines()[:20]]
    more = [json.dumps({**row, "id": f"more-{at}", "text": around(row["text"], at)}) for at, row in enumerate(rows)]
    train.write_text(train.read_text() + "\n".join(more) + "\n")
    assert [line for _, line, _ in leaks.told(requests, TEXTS)] == [
        "20 of 50 validation rows are nearly training rows: valid-0 is more-0, valid-1 is more-1, valid-2 is more-2 ..."
    ]


def test_check_tells_of_leaks_and_stays_ready(plain: Workspace) -> None:
    train, valid = (plain.split(DATASET, split) / "data.csv" for split in ("train", "valid"))
    train.write_text(train.read_text() + valid.read_text().splitlines()[1].replace("valid-", "more-") + "\n")
    done = progtrain(plain, "check", "--no-probe", "--json")
    told = json.loads(done.stdout)
    assert told["ready"] is True
    assert [row["text"] for row in told["rows"] if row["state"] == "warning"] == [
        "1 of 120 validation rows stand in the training rows: valid-0000 is more-0000"
    ]


def test_a_text_of_few_words_is_compared_as_a_whole_only() -> None:
    assert near.contained(["yes please do that now", "yes please"], ["yes please", "do that now"]) == {}
    whole = "one two three four five six"
    assert list(near.contained([f"so: {whole}, again", "one two three"], [whole])) == [0]


def test_content_is_the_same_for_the_same_numbers_and_words(wines: Workspace) -> None:
    train = splits.train(wines, WINES)
    path = wines.split(WINES, "train") / "wine.csv"
    lines = path.read_text().splitlines()
    path.write_text(
        "\n".join([lines[0], *(line.replace("north", " NORTH").replace(".", ".", 1) for line in lines[1:])]) + "\n"
    )
    again = splits.train(wines, WINES)
    assert digests(again, wines.root) == digests(train, wines.root)
    shutil.rmtree(wines.split(WINES, "train"))
