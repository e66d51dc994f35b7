"""`progtrain init --template`: data as people have them become prepared data and a script that trains on them."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from progtrain.engine.bring import baseline
from progtrain.engine.schema import EvalScore, load
from progtrain.engine.workspace import Workspace
from tests.cli.commands import progtrain


def begin(tmp_path: Path, template: str, data: Path, *options: str) -> tuple[Workspace, str]:
    """The new workspace, and what was said."""
    ws = Workspace(tmp_path / "new")
    done = progtrain(Workspace(tmp_path), "init", "--template", template, "--data", str(data), *options, str(ws.root))
    assert done.returncode == 0, done.stderr
    return ws, done.stdout


def refused(tmp_path: Path, template: str, data: Path, *options: str) -> str:
    """What the error says; nothing was written."""
    done = progtrain(
        Workspace(tmp_path), "init", "--template", template, "--data", str(data), *options, str(tmp_path / "new")
    )
    assert done.returncode == 2 and "Traceback" not in done.stderr, done.stdout + done.stderr
    assert not (tmp_path / "new").exists()
    return done.stderr


def table(path: Path, header: str, rows: list[str], encoding: str = "utf-8") -> Path:
    path.write_bytes("\n".join([header, *rows, ""]).encode(encoding))
    return path


def plants(count: int = 40) -> list[str]:
    return [f"{n % 7 + n / 10},{('damp', 'dry')[n % 3 == 0]},{('fern', 'moss')[n % 2]}" for n in range(count)]


def prepared(ws: Workspace, split: str) -> list[dict[str, str]]:
    dataset = json.loads(ws.rules.read_text())["dataset_config"]["dataset_id"]
    with (ws.split(dataset, split) / "data.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def stats(ws: Workspace) -> dict[str, Any]:
    dataset = json.loads(ws.rules.read_text())["dataset_config"]["dataset_id"]
    found: dict[str, Any] = json.loads(ws.stats(dataset).read_text())
    return found


def picture(path: Path, colour: int, size: int = 20, mode: str = "RGB") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.new("RGB", (size, size + 3), (colour, 255 - colour, 90)).convert(mode)
    image.save(path)


# ---- tables


def test_a_table_is_parted_alike_by_class_and_the_split_is_written_down(tmp_path: Path) -> None:
    source = table(tmp_path / "my plants.csv", "height,soil,plant", plants(100))
    ws, said = begin(tmp_path, "table", source)
    assert "the target is 'plant', the last column; another: --target COLUMN" in said
    assert "dataset my_plants: 70 train, 30 valid, task classification" in said
    found = stats(ws)
    assert found["split"] == {"by": "progtrain", "seed": 42, "valid_share": 0.3, "stratified": True}
    assert found["splits"]["valid"]["per_class"] == {"fern": 15, "moss": 15}
    assert found["columns"] == {"height": "number", "soil": "category"}
    rows = [int(row["id"].removeprefix("row ")) for split in ("train", "valid") for row in prepared(ws, split)]
    assert sorted(rows) == list(range(2, 102))
    assert source.read_bytes().startswith(b"height,soil,plant\n")


def test_what_is_odd_in_a_table_is_named_with_its_rows(tmp_path: Path) -> None:
    rows = [f"{n};{n},5;{('Köln', 'Bonn', 'Ulm')[n % 3]};{100 + n * 7 % 83},25" for n in range(1, 60)]
    rows[3] = "4;viel;Bonn;130,5"
    rows[9] = "10;2,5;Ulm"
    rows[20] = "21;?;Ulm;"
    rows[30] = rows[29].replace("30;", "31;")
    source = table(tmp_path / "rents.csv", "id;size;town;rent", rows, "cp1252")
    ws, said = begin(tmp_path, "table", source)
    assert "its cells are separated by semicolons" in said
    assert "is not UTF-8: the file is read as Windows-1252" in said
    assert "1 row has more or fewer cells than the header's 4, and is left out: row 11" in said
    assert "1 row without 'rent' left out: row 22" in said
    assert "column 'id' numbers the rows: left out" in said
    assert "column 'size' has 1 cell that is no number, taken for missing: row 5" in said
    assert "row 32): copies stay in one part" in said
    assert "regression; --task classification takes them for classes" in said
    towns = {row["town"] for split in ("train", "valid") for row in prepared(ws, split)}
    assert towns == {"Köln", "Bonn", "Ulm"}
    assert "class_names" not in stats(ws)


def test_a_mark_at_the_beginning_a_missing_header_and_the_target_by_name(tmp_path: Path) -> None:
    marked = table(tmp_path / "a.csv", "plant\theight", [f"{'ab'[n % 2]}\t{n / 3:.3f}" for n in range(30)], "utf-8-sig")
    ws, said = begin(tmp_path, "table", marked, "--target", "PLANT")
    assert stats(ws)["target"] == "plant" and "separated by tabs" in said
    bare = table(tmp_path / "b.csv", "1.5,0", [f"{n / 3:.3f},{n % 2}" for n in range(30)])
    done = progtrain(Workspace(tmp_path), "init", "--template", "table", "--data", str(bare), str(tmp_path / "bare"))
    assert "row 1 holds numbers alone: taken for data" in done.stdout
    assert "'column_2' has 2 values (0, 1): classes" in done.stdout


@pytest.mark.parametrize(
    ("content", "options", "expected"),
    [
        (b"", (), "it is empty"),
        (b"a,b\n", (), "it has a header and no usable row"),
        (b"PK\x03\x04rest", (), "it is an Excel or zip file, no CSV"),
        (b"a,b\n\0\0\0", (), "it is no text: it holds null bytes"),
        (b"a,b\n" + b"1,x\n2,x\n" * 2, (), "it has 4 usable samples"),
        (b"a,b\n" + b"1,x\n2,x\n" * 20, (), "there is one class only: 'x'"),
        (b"a,b\n" + b"1,x\n1,y\n" * 20, (), "there is no column to learn from besides the target"),
        (b"a,b\n" + b"1,x\n2,y\n" * 20, ("--target", "c"), "it has no column 'c'"),
        (b"a,b\n" + b"1,x\n2,y\n" * 20, ("--task", "regression"), "row 2: 'b' holds words"),
        (b'a,b\n1,x\n2,"y\n' + b"1,x\n" * 20, (), "row 3: it can't be read from there on: a quotation mark"),
        (b"a,b\n" + b"".join(b"%d,n%d\n" % (n % 5, n) for n in range(40)), (), "40 different values in 40 samples"),
    ],
)
def test_a_table_that_cannot_be_used_is_one_message(
    tmp_path: Path, content: bytes, options: tuple[str, ...], expected: str
) -> None:
    (tmp_path / "data.csv").write_bytes(content)
    said = refused(tmp_path, "table", tmp_path / "data.csv", *options)
    assert expected in said and "fix:" in said


def test_what_lies_in_the_folder_is_never_overwritten(tmp_path: Path) -> None:
    source = table(tmp_path / "plants.csv", "height,soil,plant", plants())
    ws = Workspace(tmp_path / "new")
    ws.root.mkdir()
    ws.baseline_script.write_text("mine = 1\n")
    done = progtrain(Workspace(tmp_path), "init", "--template", "plain", "--data", str(source), str(ws.root))
    assert done.returncode == 2 and "02_train_baseline.py already" in done.stderr
    assert [path.name for path in ws.root.iterdir()] == ["02_train_baseline.py"]


def test_a_name_of_the_data_leads_to_no_other_folder(tmp_path: Path) -> None:
    source = table(tmp_path / "plants.csv", "height,soil,plant", plants())
    assert "can't be the name of a folder" in refused(tmp_path, "table", source, "--dataset-id", "../else")


def test_options_of_a_template_alone_say_so(tmp_path: Path) -> None:
    done = progtrain(Workspace(tmp_path), "init", "--target", "x", str(tmp_path / "new"))
    assert done.returncode == 2 and "--target belongs to a template" in done.stderr
    assert not (tmp_path / "new").exists()


# ---- folders


def test_pictures_stay_where_they_are(tmp_path: Path) -> None:
    folder = tmp_path / "pets"
    for n in range(12):
        picture(folder / "cats" / f"{n}.png", 10 * n, 20 + n, ("RGB", "L", "RGBA", "P")[n % 4])
        picture(folder / "dogs" / "deep" / f"{n}.JPG", 10 * n, 90)
    (folder / "cats" / "broken.png").write_bytes(b"no picture")
    (folder / "cats" / "notes.txt").write_text("mine")
    (folder / "empty").mkdir()
    ws, said = begin(tmp_path, "image", folder)
    assert "1 file that can't be read as a picture left out: file cats/broken.png" in said
    assert "cats/: other files are left out: file notes.txt" in said
    assert "the folder pets/empty is empty: no class" in said
    assert "are all read as RGB" in said
    assert stats(ws)["class_names"] == ["cats", "dogs"]
    assert all(Path(row["path"]).is_relative_to(folder) for row in prepared(ws, "valid"))
    assert len(json.loads(ws.source("pets").read_text())["files"]) == 24
    assert len(list(folder.rglob("*.*"))) == 26


def test_a_split_of_the_users_own_stays(tmp_path: Path) -> None:
    for split, first in (("train", 0), ("val", 12), ("test", 24)):
        for n in range(first, first + 6):
            for place, name in enumerate(("cats", "dogs")):
                picture(tmp_path / "pets" / split / name / f"{n}.png", 5 * n + place)
    picture(tmp_path / "pets" / "val" / "cats" / "twice.png", 0)
    ws, said = begin(tmp_path, "image", tmp_path / "pets")
    assert "your own split is kept: train, val, test" in said
    assert "stand in the training data too (val/cats/twice.png)" in said
    assert [len(prepared(ws, split)) for split in ("train", "valid", "test")] == [12, 13, 12]


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ((), "there is no folder of a class in it"),
        (("a/x.txt",), "its folders hold no file of these kinds"),
        (("a/x.png",), "it holds no picture that can be read"),
    ],
)
def test_a_folder_that_cannot_be_used_is_one_message(tmp_path: Path, files: tuple[str, ...], expected: str) -> None:
    (tmp_path / "pets").mkdir()
    for name in files:
        (tmp_path / "pets" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "pets" / name).write_text("x")
    assert expected in refused(tmp_path, "image", tmp_path / "pets")


def test_texts_from_a_table_and_from_folders(tmp_path: Path) -> None:
    rows = [f'{"pos" if n % 2 else "neg"},"a long text, number {n}, with words",{n}' for n in range(30)]
    ws, said = begin(tmp_path, "text", table(tmp_path / "r.csv", "Label,words,stars", [*rows, "pos,,3"]))
    assert "the target is 'Label', a column by its name" in said
    assert "texts are those of column 'words', labels those of 'Label'" in said
    assert "1 row without text or label left out: row 32" in said
    assert prepared(ws, "train")[0]["text"].startswith("a long text, number")
    for n in range(12):
        for name in ("ham", "spam"):
            path = tmp_path / "mails" / name / f"{n}.txt"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(f"{name} message number {n} für dich".encode("cp1252" if n == 3 else "utf-8"))
    done = progtrain(
        Workspace(tmp_path), "init", "--template", "text", "--data", str(tmp_path / "mails"), str(tmp_path / "two")
    )
    assert "read as Windows-1252: files ham/3.txt, spam/3.txt" in done.stdout


# ---- whole loops


@pytest.mark.parametrize(
    ("template", "regression"),
    [
        pytest.param("table", True, marks=pytest.mark.slow),
        pytest.param("table", False, marks=pytest.mark.slow),
        pytest.param("image", False, marks=pytest.mark.slow),
        pytest.param("text", False, marks=pytest.mark.slow),
        pytest.param("plain", False, marks=pytest.mark.slow),
        pytest.param("plain", True, marks=pytest.mark.slow),
    ],
)
def test_a_template_goes_through_a_loop_of_two_versions(tmp_path: Path, template: str, regression: bool) -> None:
    data = ()
    if regression:
        rows = [f"{n % 17},{'ab'[n % 2]},{n % 17 * 3.5 + n % 2:.2f}" for n in range(120)]
        data = ("--data", str(table(tmp_path / "sums.csv", "x,kind,y", rows)))
    ws = Workspace(tmp_path / "new")
    begun = progtrain(Workspace(tmp_path), "init", "--template", template, *data, str(ws.root))
    assert begun.returncode == 0, begun.stderr
    ws.baseline_script.write_text(ws.baseline_script.read_text().replace("EPOCHS = 30", "EPOCHS = 3"))
    rules = json.loads(ws.rules.read_text())
    assert rules["eval_config"]["repeats"] == "auto"
    # what that does, and takes in time, is tested where a training takes no time
    rules["eval_config"]["repeats"] = 0
    ws.rules.write_text(json.dumps(rules))
    checked = progtrain(ws, "check", OMP_NUM_THREADS="1")
    assert checked.returncode == 0 and "!" not in checked.stdout, checked.stdout
    done = subprocess.run(
        [sys.executable, "-m", "progtrain", "-C", str(ws.root), "run", "--yes", "--max-versions", "2"],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    for version in ("v001", "v002"):
        score = load(ws.version(version).eval_score, EvalScore)
        metric = score.metric("rmse" if regression else "accuracy")
        assert metric is not None and metric.value is not None and score.latency_ms is not None
    assert ws.script("v001").read_text() != ws.script("v002").read_text()


@pytest.mark.parametrize("template", baseline.TEMPLATES)
def test_the_scripts_are_clean(tmp_path: Path, template: str) -> None:
    ws = Workspace(tmp_path / "new")
    progtrain(Workspace(tmp_path), "init", "--template", template, str(ws.root))
    ruff = [sys.executable, "-m", "ruff"]
    options = ["--isolated", "--line-length", "120", "--target-version", "py39"]
    rules = ["--select", "E,F,W,I,B,SIM,C4,PIE", "--ignore", "B905,I001"]
    for command in (["check", *options, *rules], ["format", *options, "--check"]):
        done = subprocess.run([*ruff, *command, str(ws.baseline_script)], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout
