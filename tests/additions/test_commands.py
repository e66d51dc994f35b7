"""What `progtrain additions` prints, and that its JSON is what docs/json.md says."""

from __future__ import annotations

import json

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
