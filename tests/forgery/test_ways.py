"""What becomes of each way to lift or forge a score: it has no effect, or it is told. Two are named in the docs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from progtrain.engine.live import progtrain_confine
from progtrain.engine.workspace import Workspace
from tests.forgery.tried import Tried, tried
from tests.forgery.ways import WAYS, Way

DOCS = Path(__file__).parents[2] / "docs" / "security.md"
#: no effect on what ranks, whatever else is said
WITHOUT_EFFECT = ""
#: stands first without a word, as docs/security.md says; the other one that does is a validation_step that lies
NAMED = "knows the validation data by heart, and lies in its log"
#: way -> a word that is said of it
TOLD = {
    "edits the evaluator": "03_eval.py|another evaluator",
    "edits the evaluator, which puts itself back": "changed|another evaluator",
    "edits a module of the evaluator, which puts itself back": "changed|another evaluator",
    "puts csv.py into the workspace": r"csv\.py",
    "puts csv.py into the workspace when it is evaluated, and kills its evaluation": r"a script's to write: csv\.py",
    "puts sitecustomize.py on PYTHONPATH": r"sitecustomize\.py",
    "returns labels when it is imported": "within reach",
    "reads the validation data while it answers": "within reach",
    "knows the validation data by heart": "log of its own training",
    "leaves out the samples that it gets wrong": "samples",
    "shows the easy samples twice": "another truth",
    "shows easy samples in place of those of the same class": "other inputs",
    "gives its own answers for truth": "another truth",
    "relabels the validation data": "data",
    "relabels the validation data, and says so in no time stamp": "data",
    "writes its score itself": "only the evaluation may|only the evaluator may",
    "accepts its own action, with documents and mark": "extract.json",
    "answers for the user": "inbox",
    "writes the next version's script": "02_train_v002.py",
    "lowers the score of the version before, with its mark": "eval_score.json",
    "exchanges the checkpoint of the version before": "best.ckpt",
    "appends to the journal": "journal.jsonl",
    "loosens the rules": "user_defined_rules.json",
    "changes what the data set says of itself": "stats.json",
}


def is_forged(found: Tried) -> bool:
    """A version that nobody could have made so good by training stands first."""
    return bool(found.ranking) and found.accuracy.get(found.ranking[0], 0.0) > 0.97


def looked_at(ws: Workspace, name: str, *, ours: bool) -> Tried:
    found = tried(ws, WAYS[name], ours=ours)
    expected = TOLD.get(name, WITHOUT_EFFECT)
    said = [text for text in found.told if expected and re.search(expected, text)]
    assert said or not is_forged(found), found
    assert said or not expected, found
    return found


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(WAYS.keys() - {NAMED}))
def test_a_way_has_no_effect_or_is_told(ws: Workspace, name: str) -> None:
    """With the evaluation that progtrain writes."""
    if "within reach" in TOLD.get(name, ""):
        try:
            progtrain_confine.version()
        except OSError as error:
            pytest.skip(str(error))
    looked_at(ws, name, ours=True)


@pytest.mark.slow
def test_an_honest_script_is_told_of_nothing(ws: Workspace) -> None:
    found = tried(ws, Way(), ours=True)
    assert (found.code, found.ranking, found.told) == (0, ["v002", "v001"], [])


@pytest.mark.slow
def test_what_the_docs_name_as_not_kept_out_is_not_kept_out(ws: Workspace) -> None:
    found = tried(ws, WAYS[NAMED], ours=True)
    assert is_forged(found) and found.told == []
    assert f"| {NAMED} | **not kept out** |" in DOCS.read_text()


def test_the_docs_name_each_way() -> None:
    text = " ".join(DOCS.read_text().split())
    assert [name for name in WAYS if name not in text] == []
