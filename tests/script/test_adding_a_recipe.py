"""One file makes a recipe: the one that the page about adding one shows, put into a copy of the program."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
PLAIN = ROOT / "tests/script/styles/plain.txt"
CHILD = """
import json, sys
from pathlib import Path

from progtrain.advisor.interface import Briefing, Fact, Finding
from progtrain.advisor.prose import rules_draft
from progtrain.engine.analysis.advise.candidates import find_candidates
from progtrain.engine.analysis.advise.tuning import Situation
from progtrain.engine.analysis.measure.measurements import Measurements
from progtrain.engine.analysis.types import Limits, VersionRecord
from progtrain.engine.errors import InputError
from progtrain.engine.script.action.catalogue import with_words
from progtrain.engine.script.action.operations import parse_operation

source = Path(sys.argv[1]).read_text()
found = [Finding(id="underfitting", strength=1.0, text="It is not fitted", evidence=())]
measured = Measurements(version="v001", metric="loss", higher_is_better=False, best="v001")


def offered(**limits):
    situation = Situation(VersionRecord("v001", source), measured, found, Limits("loss", False, **limits), ())
    return {candidate.id: candidate for candidate in find_candidates(situation)}


gelu = offered()["use_gelu"]
operation = parse_operation(gelu.operation)
changed = operation.apply(source)
operation.verify(source, changed)
try:
    operation.verify(source, changed.replace("EPOCHS = 2", "EPOCHS = 3"))
    refused = ""
except InputError as error:
    refused = error.reason
version = Fact(key="version", display="v001", value="v001", meaning="this version")
briefing = with_words(Briefing(version="v001", facts=(version,), findings=tuple(found), options=(gelu,)))
print(json.dumps({
    "again": briefing == Briefing.model_validate_json(briefing.model_dump_json()),
    "candidate": gelu.model_dump(),
    "changed": changed,
    "locked": sorted(offered(locked=frozenset({"model"}))),
    "prose": rules_draft.draft(briefing).prose.model_dump(),
    "refused": refused,
}))
"""


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    copy = tmp_path_factory.mktemp("copy")
    for part in ("progtrain", "engine", "advisor"):
        shutil.copytree(ROOT / part, copy / part, symlinks=True, ignore=shutil.ignore_patterns("__pycache__", "*.gguf"))
    page = (ROOT / "docs/contributing_recipe.md").read_text(encoding="utf-8")
    code = re.search(r"```python\n(.*?)```", page, re.DOTALL)
    assert code is not None
    (copy / "engine/script/action/recipes/gelu.py").write_text(code[1], encoding="utf-8")
    command = [sys.executable, "-c", CHILD, str(PLAIN)]
    done = subprocess.run(command, cwd=copy, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def test_it_is_offered_with_reasons(said: dict[str, Any]) -> None:
    candidate = said["candidate"]
    assert candidate["title"] == "use GELU instead of ReLU"
    assert candidate["operation"] == {"operation": "recipe", "recipe": "gelu"}
    assert candidate["reasons"] == ["for: underfitting (strength 1.00)"]
    assert candidate["score"] == pytest.approx(0.4)


def test_it_is_applied_and_only_its_own_change_passes_the_check(said: dict[str, Any]) -> None:
    assert said["changed"] == PLAIN.read_text().replace("nn.ReLU()", "nn.GELU()")
    assert "EPOCHS changed where it may not" in said["refused"]


def test_a_lock_on_its_part_of_the_script_holds_it_back(said: dict[str, Any]) -> None:
    assert "use_gelu" not in said["locked"]
    assert "learning_rate_up" in said["locked"]


def test_the_advisor_has_words_for_it(said: dict[str, Any]) -> None:
    assert said["again"]
    assert said["prose"]["goal"] == "Let units that are switched off learn again."
    assert said["prose"]["expected_impact"] == "A finer fit of the training data."  # the other one names a fact
    assert said["prose"]["verification"] == "Compare the training loss with that of v001."
