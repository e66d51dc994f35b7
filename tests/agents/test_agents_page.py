"""AGENTS.md: its commands, options, exit codes and files are there, and what it calls looking only looks."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from pathlib import Path

import click
import pytest

from progtrain.engine.cli.main import COMMANDS, main, progtrain
from progtrain.engine.workspace import Workspace
from tests.agents.conftest import files

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "AGENTS.md").read_text(encoding="utf-8")
LINES = re.findall(r"`progtrain ([^`]+)`", PAGE)
SECTIONS = dict(re.findall(r"^## (.+)\n((?:(?!^## ).*\n)*)", PAGE, re.MULTILINE))
LOOKS = re.findall(r"`progtrain ([^`]+)`", SECTIONS["Look"])


@pytest.mark.parametrize("line", LINES)
def test_it_is_a_command_with_those_options(line: str) -> None:
    words = shlex.split(line.replace("ID", "learning_rate_up").replace("TEXT", "slower"))
    assert words[0] in COMMANDS
    found: click.Command = progtrain
    context = click.Context(progtrain)
    while isinstance(found, click.Group) and words and not words[0].startswith("-"):
        named = found.get_command(context, words[0])
        assert named is not None, line
        found, words = named, words[1:]
    if "--help" not in words:
        found.make_context(found.name, words, resilient_parsing=False, parent=context)


@pytest.fixture(scope="module")
def looked(waiting: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A second script, so that two versions can be compared."""
    ws = Workspace(Path(shutil.copytree(waiting.root, tmp_path_factory.mktemp("page") / "looked")))
    shutil.copy(ws.script("v001"), ws.script("v002"))
    return ws


LONG = [pytest.param(line, marks=pytest.mark.slow) if line.startswith("check") else line for line in LOOKS]


@pytest.mark.parametrize("line", LONG)
def test_what_only_looks_prints_json_and_changes_nothing(
    looked: Workspace, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = files(looked)
    assert main(["-C", str(looked.root), *shlex.split(line)]) == 0
    assert json.loads(capsys.readouterr().out)["schema"].startswith("progtrain.")
    assert files(looked) == before


def test_its_exit_codes_are_those_of_the_commands() -> None:
    def codes(text: str) -> set[str]:
        return set(re.findall(r"^\| (\d+) \|", text, re.MULTILINE))

    page = (ROOT / "docs/commands.md").read_text(encoding="utf-8")
    assert codes(SECTIONS["Exit codes"]) == codes(page.split("## Exit codes")[1].split("\n## ")[0]) - {"130"}


def test_its_files_are_there(waiting: Workspace) -> None:
    """But for those that come with an accepted draft."""
    rows = re.findall(r"^\| (`.+?`) \|", SECTIONS["Files"], re.MULTILINE)
    for row in rows:
        first, *others = re.findall(r"`([^`]+)`", row)
        for name in (first, *others):
            path = waiting.root / name if "/" in name or name == first else (waiting.root / first).with_name(name)
            path = path if path.exists() else (waiting.root / first).parent / name
            if not name.endswith(("result-analysis.md", "action-extract.md", "user_instruction.md")):
                assert path.exists(), name
