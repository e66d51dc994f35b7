"""What `progtrain additions` prints, and that its JSON is what docs/json.md says."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from progtrain.engine.cli.main import main
from progtrain.engine.workspace import Workspace
from tests.additions.conftest import DATASET, sha256_of_all
from tests.cli.commands import as_json, progtrain
from tests.cli.test_json import check, documented

MAKE = ("additions", "make", "v001", "--hard-by", "out_of_fold", "--augment", "0.1", "--json")


def test_an_addition_from_the_command_line(toy: Workspace) -> None:
    toy.rules.write_text(json.dumps({"dataset_config": {"dataset_id": DATASET}, "seed": 5}))
    before = sha256_of_all(toy.data(DATASET))
    dry = as_json(toy, *MAKE, "--dry-run")
    assert not toy.additions(DATASET).exists()
    made = as_json(toy, *MAKE)
    assert {key: value for key, value in made.items() if key != "created_at"} == {
        key: value for key, value in dry.items() if key != "created_at"
    }
    assert (made["addition"], made["counts"], made["seed"]) == ("a001", {"base": 160, "augment": 16, "replay": 3}, 5)
    again = progtrain(toy, *MAKE)
    assert again.stderr.startswith("a001 is there already, with the same rows: --again makes another one")
    assert (json.loads(again.stdout)["addition"], len(list(toy.additions(DATASET).iterdir()))) == ("a001", 1)
    shown = progtrain(toy, "additions", "show", "a001", "-n", "1").stdout
    assert "16 changed by jitter, 3 repeated; seed 5" in shown
    for arguments in (
        ("additions", "list"),
        ("additions", "show", "a001"),
        ("additions", "check", "a001"),
        ("additions", "suspects", "--out-of-fold"),
    ):
        value = as_json(toy, *arguments, "--json")
        schema = value["schema"]
        absent = {key for key in documented(schema) if "[]" not in key and ".*" not in key} - check(value)
        assert absent == set(), arguments
    rows = toy.addition(DATASET, "a001") / "rows.csv"
    rows.chmod(0o644)
    rows.write_text(rows.read_text().replace("a001-00000", "a001-10000"))
    done = progtrain(toy, "additions", "list")
    assert (done.returncode, "was changed after the addition was made" in done.stderr) == (2, True)
    assert sha256_of_all(toy.data(DATASET)) == before
    done = progtrain(toy, "additions", "check", str(toy.root))
    assert (done.returncode, "there is no addition in this folder" in done.stderr) == (2, True)
    # the fix for half an addition would be to remove it: here it is the user's own folder
    assert "remove" not in done.stderr


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--augment", "0.6"), "--augment: the share is 0.6"),
        (("--with", "flip"), "--with: flip changes pictures"),
        (("--range", "1", "2"), "--range: there is no range where the target is a class\n  fix: take --classes"),
        (("--augment", "0.01", "--replay", "0.01"), "--augment, --replay: 4 rows of 160 are too few"),
    ],
)
def test_what_is_wrong_is_told_by_the_option_that_says_it(
    toy: Workspace, capsys: pytest.CaptureFixture[str], options: tuple[str, ...], said: str
) -> None:
    given = ("--dataset-id", DATASET, "--hard-by", "out_of_fold", *options)
    assert main(["-C", str(toy.root), "additions", "make", "v001", *given]) == 2
    assert said in capsys.readouterr().err


def test_where_no_data_are_it_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (("list",), ("make", "v001")):
        assert main(["-C", str(tmp_path), "additions", *arguments]) == 2
        assert "no training data lie here" in capsys.readouterr().err
