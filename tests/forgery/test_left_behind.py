"""A training writes what is its own to write, and nothing of the steps that come later."""

from __future__ import annotations

import subprocess
import sys

from progtrain.engine.control.launch import Options
from progtrain.engine.files import LineReader
from progtrain.engine.loop import runner
from progtrain.engine.workspace import Workspace
from tests.conftest import prepare_plain
from tests.forgery.ways import WAYS, script


def walked(ws: Workspace, way: str, **options: object) -> list[str]:
    """What the journal warns of after a loop on a script with that way in it."""
    prepare_plain(ws)
    ws.baseline_script.write_text(script(WAYS[way]))
    runner.run(ws, Options.model_validate({"autopilot": True, **options}))
    return [event["text"] for event in LineReader(ws.journal).read() if event["event"] == "warning"]


def test_documents_and_a_mark_that_a_training_wrote_count_as_never_written(ws: Workspace) -> None:
    told = walked(ws, "accepts its own action, with documents and mark", until="analyze")
    names = ".progtrain/marks/v001/extract.json, Models/Artifacts/v001/action-extract.md"
    kept = ws.attempt("v001", 1).with_name("left-1")
    assert [text for text in told if text.startswith("v001: while it trained, there came to be") and names in text]
    assert (kept / ".progtrain/marks/v001/extract.json").is_file()
    assert runner.run(ws, Options()) == 3  # the user is asked
    assert ws.versions() == ["v001"]


def test_a_mark_alone_is_no_acceptance(waiting: Workspace) -> None:
    """Whoever wrote documents and mark: the journal must know of a decision."""
    ws = waiting
    code = (
        "import json, os\nfrom pathlib import Path\nVERSION = 'v001'\nARTIFACTS = Path('Models/Artifacts') / VERSION\n"
    )
    code += WAYS["accepts its own action, with documents and mark"].END
    subprocess.run([sys.executable, "-c", code], cwd=ws.root, check=True)
    assert ws.mark("v001", "extract").is_file()
    assert runner.run(ws, Options()) == 3
    assert ws.versions() == ["v001"]


def test_the_script_of_a_later_version_is_not_a_trainings_to_write(ws: Workspace) -> None:
    told = walked(ws, "writes the next version's script", until="train")
    assert ws.versions() == ["v001"]
    assert any("02_train_v002.py" in text for text in told)


def test_modules_that_would_come_before_pythons_own_are_taken_away(ws: Workspace) -> None:
    told = walked(ws, "puts csv.py into the workspace", max_versions=2)
    assert not (ws.root / "csv.py").exists()
    assert any("csv.py" in text for text in told)
