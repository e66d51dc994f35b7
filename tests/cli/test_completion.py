"""What a shell completes: the protocol that bash speaks, in a child process."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import get_args

import pytest

from progtrain.engine.cli.main import COMMANDS
from progtrain.engine.loop import sequence
from progtrain.engine.schema import StepName
from progtrain.engine.status.snapshot import STEP_NAMES
from progtrain.engine.workspace import Workspace
from tests.cli.commands import PROGTRAIN, as_json


def complete(ws: Workspace, *words: str) -> list[str]:
    """What may stand in place of the last word, which is begun."""
    typed = " ".join(["progtrain", *words])
    environment = {"_PROGTRAIN_COMPLETE": "bash_complete", "COMP_WORDS": typed, "COMP_CWORD": str(len(words))}
    done = subprocess.run(
        PROGTRAIN, cwd=ws.root, env={**os.environ, **environment}, capture_output=True, text=True, check=True
    )
    assert done.stderr == ""
    return [line.partition(",")[2] for line in done.stdout.splitlines() if line]


@pytest.mark.parametrize(
    "words",
    [("samples", "--version", ""), ("diff", ""), ("diff", "v001", "v"), ("step", "train", "--version", "v0")],
    ids=" ".join,
)
def test_versions(finished: Workspace, words: tuple[str, ...]) -> None:
    assert complete(finished, *words) == ["v001", "v002"]


def test_commands_steps_and_topics(finished: Workspace) -> None:
    assert complete(finished, "") == list(COMMANDS)
    assert complete(finished, "step", "") == complete(finished, "run", "--until", "") == list(STEP_NAMES)
    assert "commands" in complete(finished, "docs", "com")


def test_candidates_of_the_open_question(finished: Workspace, waiting: Workspace) -> None:
    assert complete(finished, "review", "choose", "") == []
    ids = [card["id"] for card in as_json(waiting, "review", "--json")["candidates"]]
    assert complete(waiting, "review", "choose", "") == complete(waiting, "review", "accept", "--candidate", "") == ids
    assert complete(waiting, "review", "choose", ids[0][:3])[0] == ids[0]


def test_model_files_and_data(plain: Workspace) -> None:
    (plain.root / "models").mkdir()
    for name in ("a.gguf", "b.txt", "models/c.gguf"):
        (plain.root / name).write_text("")
    assert complete(plain, "run", "--model", "") == ["a.gguf", "dataset/", "models/"]
    assert complete(plain, "model", "info", "models/") == ["models/c.gguf"]
    assert complete(plain, "run", "--model", "nowhere/") == []
    assert complete(plain, "run", "--dataset-id", "") == ["toy_v1"]


def test_the_workspace_that_is_named_counts(finished: Workspace, tmp_path: Path) -> None:
    link = tmp_path / "ws"
    link.symlink_to(finished.root)
    assert complete(Workspace(tmp_path), "-C", str(link), "samples", "--version", "") == ["v001", "v002"]


def test_the_steps_have_the_same_names_everywhere() -> None:
    assert tuple(sequence.STEPS) == STEP_NAMES == get_args(StepName)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_scripts_for_shells(shell: str) -> None:
    environment = {**os.environ, "_PROGTRAIN_COMPLETE": f"{shell}_source"}
    done = subprocess.run(PROGTRAIN, env=environment, capture_output=True, text=True, check=True)
    assert "_PROGTRAIN_COMPLETE" in done.stdout
