"""A version as a folder for a hub: what is in it is true, whole, and marked where a person has to fill it in."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from progtrain.engine.additions import folder as additions
from progtrain.engine.errors import InputError
from progtrain.engine.files import sha256
from progtrain.engine.repeats import found as repeats
from progtrain.engine.trackers.publish import SUMS, Published, publish
from progtrain.engine.workspace import Workspace
from tests.cli.commands import as_json, progtrain
from tests.cli.test_json import check


def front(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(path.read_text().split("---\n")[1])
    return found


def results(made: Published) -> dict[str, dict[str, Any]]:
    (model,) = front(made.folder / "README.md")["model-index"]
    return {metric["name"]: metric for metric in model["results"][0]["metrics"]}


def assert_sums(folder: Path) -> None:
    lines = [line.split("  ", 1) for line in (folder / SUMS).read_text().splitlines()]
    assert {name for _, name in lines} == {
        path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file() and path != folder / SUMS
    }
    assert all(hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest for digest, name in lines)


def test_a_version_with_its_data(finished: Workspace) -> None:
    made = publish(finished, "v002", data=True)
    folder = made.folder
    assert folder == finished.root / "Models/published/v002" and folder.stat().st_mode & 0o777 == 0o755
    assert sha256(folder / "best.ckpt") == sha256(finished.version("v002").best_checkpoint)
    assert (folder / "02_train_v002.py").read_text() == finished.script("v002").read_text()
    assert {"spec.json", "eval_score.json", "protocol.json"} < {path.name for path in folder.iterdir()}
    for name in ("train/wine.csv", "valid/wine.csv", "test/wine.csv", "stats.json"):
        assert (folder / "data" / name).read_bytes() == (finished.data("wine_v1") / name).read_bytes()
    assert_sums(folder)
    assert_sums(folder / "data")
    card = (folder / "README.md").read_text()
    assert "- v002 = v001 + add input_standardisation: better" in card
    assert "| train | 79 | `9327" in card and "| valid | 72 | `6f87" in card
    assert front(folder / "README.md")["license"] == front(folder / "data/README.md")["license"] == "TODO"
    assert front(folder / "data/README.md")["configs"][0]["data_files"][1] == {
        "split": "validation",
        "path": "valid/*.csv",
    }
    assert "Intended use: TODO" in made.to_fill_in["README.md"] and "license: TODO" in made.to_fill_in["data/README.md"]


def test_metrics_have_their_intervals_where_these_say_something(finished: Workspace) -> None:
    told = results(publish(finished, "v002"))
    low, high = told["loss"]["args"]["interval_95"]
    assert low < told["loss"]["value"] < high and 0.2 < (high - low) / told["loss"]["value"] < 1
    # every sample is right: resampling cannot tell how many others would be wrong
    assert "interval_95" not in told["accuracy"]["args"] and "interval_95" not in told["auroc"]["args"]
    assert told["loss"]["args"]["seeds"] == "seed noise not measured"


def test_numbers_that_the_script_reported_are_called_so(finished: Workspace) -> None:
    path = finished.version("v002").protocol
    path.write_text(json.dumps({**json.loads(path.read_text()), "reported": True}))
    card = (publish(finished, "v002").folder / "README.md").read_text()
    assert "As the training script itself reported them" in card and "by `03_eval.py`." not in card


def test_repeats_give_mean_and_deviation(finished: Workspace) -> None:
    protocol = json.loads(finished.version("v002").protocol.read_text())
    for name, loss in (("r1", 0.10), ("r2", 0.11)):
        result = finished.repeat("v002", name).result
        result.parent.mkdir(parents=True)
        told = {"run": name, "seed": int(name[1:]), "state": "finished", "metrics": [{"name": "loss", "value": loss}]}
        told |= {"script_sha256": repeats.script_sha256(finished, "v002")}
        result.write_text(json.dumps(told | {key: protocol[key] for key in ("evaluator_sha256", "data_sha256")}))
    made = publish(finished, "v002")
    args = results(made)["loss"]["args"]
    own = results(made)["loss"]["value"]
    assert args["seeds"] == 3 and args["mean"] == pytest.approx((own + 0.21) / 3)
    assert "(3 runs)" in (made.folder / "README.md").read_text()


def add(ws: Workspace, name: str) -> None:
    """An addition as the engine leaves it."""
    folder = ws.addition("wine_v1", name)
    folder.mkdir(parents=True)
    (folder / "rows.csv").write_text("id,label\nw1x,0\n")
    row = {"id": "w1x", "kind": "augment", "operation": "noise", "parent": "w1", "parent_split": "train", "label": "0"}
    told = {"addition": name, "dataset_id": "wine_v1", "made_from": "v001", "operations": ["noise"], "seed": 1}
    told |= {"counts": {"base": 1, "augment": 1, "replay": 0}, "rows": [row], "focus_by": "slice", "hard_by": "loss"}
    focus = [{"slice": "cultivar 1", "metric": "accuracy", "value": 0.5}]
    (folder / "manifest.json").write_text(json.dumps({**told, "focus": focus}))
    additions.finish(folder, "wine.csv", {"refused": []})


def test_additions_that_it_was_trained_with_are_named_and_copied(finished: Workspace) -> None:
    add(finished, "a001")
    add(finished, "a002")
    spec = json.loads(finished.version("v002").spec.read_text())
    finished.version("v002").spec.write_text(json.dumps({**spec, "additions": ["a001"]}))
    made = publish(finished, "v002", data=True)
    for card in ("README.md", "data/README.md"):
        assert "| a001 | 1 | 1 augment | cultivar 1 | v001 |" in (made.folder / card).read_text()
    assert (made.folder / "data/additions/a001/rows.csv").is_file()
    assert not (made.folder / "data/additions/a002").exists() and "left out: a002" in made.notes[-1]
    (finished.addition("wine_v1", "a001") / "rows.csv").write_text("changed")
    with pytest.raises(InputError, match="was changed after the addition was made"):
        publish(finished, "v002", finished.root / "again")


def test_nothing_is_written_over_and_nothing_half_done_stays(finished: Workspace, tmp_path: Path) -> None:
    for taken in (tmp_path / "file", tmp_path / "folder"):
        taken.mkdir() if taken.name == "folder" else taken.write_text("mine")
        with pytest.raises(InputError, match="it is there already"):
            publish(finished, "v002", taken)
    assert (tmp_path / "file").read_text() == "mine" and not list((tmp_path / "folder").iterdir())
    finished.version("v002").per_sample.unlink()
    (finished.version("v002").eval_score).write_text("{")
    with pytest.raises(InputError, match="not valid JSON"):
        publish(finished, "v002", tmp_path / "new")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "finished", "folder"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda ws: ws.version("v002").best_checkpoint.write_bytes(b"other"), "is not the one that was evaluated"),
        (lambda ws: ws.version("v002").best_checkpoint.unlink(), "v002 has no checkpoint"),
        (lambda ws: ws.version("v002").eval_score.unlink(), "v002 has not been evaluated"),
        (
            lambda ws: ws.script("v002").write_text("LEARNING_RATE = 1\n"),
            "the script has changed since v002 was trained",
        ),
        (lambda ws: ws.source("wine_v1").write_text('{"files": [{"path": "x.csv"}]}'), "stay in a place of their own"),
    ],
    ids=["another checkpoint", "no checkpoint", "no score", "another script", "data elsewhere"],
)
def test_what_would_not_be_true_is_refused(finished: Workspace, change: Any, said: str) -> None:
    change(finished)
    with pytest.raises(InputError, match=said) as refused:
        publish(finished, "v002", data=True)
    assert refused.value.fix and not (finished.root / "Models/published").exists()


def test_links_and_pipes_among_the_data_are_left_out_and_told(finished: Workspace, tmp_path: Path) -> None:
    """What lies behind a link may be somebody else's."""
    (tmp_path / "private").mkdir()
    (tmp_path / "private/key").write_text("secret")
    train = finished.split("wine_v1", "train")
    (train / "loop").symlink_to(finished.data("wine_v1"))
    (train / "more.csv").symlink_to(tmp_path / "private/key")
    (train / "folder").symlink_to(tmp_path / "private")
    os.mkfifo(train / "pipe")
    made = publish(finished, "v001", data=True)
    names = {
        path.relative_to(made.folder / "data/train").as_posix() for path in (made.folder / "data/train").rglob("*")
    }
    assert names == {"wine.csv"}
    assert "train/folder, " in made.notes[1] and "train/more.csv" in made.notes[1] and "left out" in made.notes[1]
    assert_sums(made.folder)


def test_data_that_are_a_link_as_a_whole_are_refused(finished: Workspace, tmp_path: Path) -> None:
    data = finished.data("wine_v1").rename(tmp_path / "elsewhere")
    finished.data("wine_v1").symlink_to(data)
    with pytest.raises(InputError, match="the prepared data are a link"):
        publish(finished, "v001", data=True)
    assert publish(finished, "v001").folder.is_dir()


def test_what_a_killed_one_left_is_swept_by_the_next(finished: Workspace, tmp_path: Path) -> None:
    ended = subprocess.Popen(["true"])
    ended.wait()
    left, at_work, own = (
        tmp_path / name
        for name in (f".out.{ended.pid}.x1.publishing", f".out.{os.getpid()}.x2.publishing", ".out.notes")
    )
    for folder in (left, at_work, own):
        (folder / "data").mkdir(parents=True)
    publish(finished, "v001", tmp_path / "out")
    assert (left.exists(), at_work.exists(), own.exists()) == (False, True, True)


def test_the_command_takes_the_best_version_and_lists_what_to_fill_in(finished: Workspace, tmp_path: Path) -> None:
    done = progtrain(finished, "publish", "--to", str(tmp_path / "out"))
    assert done.returncode == 0, done.stderr
    assert "to fill in, in README.md:" in done.stdout and "nothing was sent" in done.stdout
    assert (tmp_path / "out/02_train_v002.py").is_file()
    value = as_json(finished, "publish", "v001", "--json")
    assert check(value) >= {"files[].sha256", "to_fill_in[].text", "notes[]"}
    assert progtrain(finished, "publish", "v001").returncode == 2
    assert progtrain(finished, "publish", "v009").returncode == 2
