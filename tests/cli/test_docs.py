"""`progtrain docs`, and that messages and pages name what there is."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import click

from progtrain.engine.cli import docs
from progtrain.engine.cli.main import progtrain as group
from progtrain.engine.workspace import Workspace
from tests.cli.commands import on_terminal, progtrain

ROOT = Path(__file__).parents[2]
SOURCES = [path for part in ("engine", "advisor", "tui") for path in sorted((ROOT / part).rglob("*.py"))]


def test_topics_and_pages(tmp_path: Path) -> None:
    ws = Workspace(tmp_path)
    listed = progtrain(ws, "docs").stdout
    assert all(topic in listed for topic in docs.pages())
    page = progtrain(ws, "docs", "file_formats")
    assert page.stdout.strip() == (docs.pages()["file_formats"]).read_text(encoding="utf-8").strip()
    assert progtrain(ws, "docs", "file-formats").stdout == page.stdout
    shown = on_terminal(ws, "docs", "file_formats")
    assert "File formats" in shown and "# File formats" not in shown and "\x1b[" in shown


def test_a_topic_that_is_not_there(tmp_path: Path) -> None:
    done = progtrain(Workspace(tmp_path), "docs", "comands")
    assert done.returncode == 2 and "did you mean commands?" in done.stderr


def test_messages_lead_to_pages_that_are_installed() -> None:
    """Not to files of the repository, which a wheel does not have."""
    named = {topic for path in SOURCES for topic in re.findall(r"progtrain docs ([a-z_]+)", path.read_text("utf-8"))}
    assert {"training_script", "rules"} <= named <= set(docs.pages())
    said = re.compile(r'^[^#"]*"[^"]*docs/\w+\.md', re.MULTILINE)
    assert [path.name for path in SOURCES if path.parts[-2] != "cli" and said.search(path.read_text("utf-8"))] == []


def _commands(command: click.Command, path: str = "progtrain") -> Iterator[tuple[str, click.Command]]:
    yield path, command
    if isinstance(command, click.Group):
        with click.Context(command, resilient_parsing=True) as ctx:
            for name in command.list_commands(ctx):
                found = command.get_command(ctx, name)
                assert found is not None
                yield from _commands(found, f"{path} {name}")


def test_every_command_and_option_is_documented() -> None:
    page = docs.pages()["commands"].read_text(encoding="utf-8")
    missing = []
    for path, command in _commands(group):
        if not re.search(rf"[`| ]{re.escape(path.split()[-1])}[`| ,\\]", page):
            missing.append(path)
        options = [param for param in command.params if isinstance(param, click.Option) and not param.hidden]
        missing += [f"{path} {option.opts[-1]}" for option in options if max(option.opts, key=len) not in page]
    assert missing == []
