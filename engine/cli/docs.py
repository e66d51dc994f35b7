"""`progtrain docs`: the documentation that is installed with progtrain."""

from __future__ import annotations

import difflib
import shutil
import sys
from pathlib import Path

import click

from progtrain.engine.cli.output import decorated, say
from progtrain.engine.errors import InputError
from progtrain.engine.files import lines_of, read_text

#: lines longer than this are hard to read, however wide the terminal is
_WIDTH = 100


def folder() -> Path:
    """In a wheel inside the package, in a checkout at the top."""
    package = Path(__file__).parents[2]
    packaged = package / "docs"
    return packaged if packaged.is_dir() else Path(__file__).resolve().parents[2] / "docs"


def pages() -> dict[str, Path]:
    """Topic -> page; the topic is the page's name, with its folder before it where two pages have that name."""
    found: dict[str, Path] = {}
    for path in sorted(folder().rglob("*.md")):
        place = path.relative_to(folder()).with_suffix("").as_posix()
        found[place if path.stem in found else path.stem] = path
    return found


def title(path: Path) -> str:
    return next((line[2:].strip() for line in lines_of(path) if line.startswith("# ")), path.stem)


def _topics(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    return [topic for topic in pages() if topic.startswith(incomplete)]


@click.command("docs")
@click.argument("topic", required=False, shell_complete=_topics)
def command(topic: str | None) -> None:
    """Read the documentation.

    TOPIC: one of those that are listed without it.
    """
    found = pages()
    if not found:
        raise InputError("the documentation is not installed", file=folder(), fix="install progtrain anew")
    if topic is None:
        width = max(map(len, found))
        for name, path in found.items():
            say(f"{name:{width}}  {title(path)}")
        say("\nprogtrain docs TOPIC shows one of them", bold=True)
        return
    name = topic.removesuffix(".md")
    wanted = name if name in found else name.replace("-", "_")
    if wanted not in found:
        near = difflib.get_close_matches(wanted, found, n=1)
        fix = f"{f'did you mean {near[0]}? ' if near else ''}all topics are shown by: progtrain docs"
        raise InputError(f"there is no topic {topic!r}", fix=fix)
    _show(read_text(found[wanted]))


def _show(text: str) -> None:
    """On a terminal as rich shows Markdown; the text itself for a pipe, and where no escape sequence may be written."""
    if not sys.stdout.isatty() or not decorated():
        say(text.rstrip())
        return
    from rich.console import Console
    from rich.markdown import Markdown

    # the pages are progtrain's own: their text needs no cleaning, and rich's colours would not survive it
    Console(width=min(_WIDTH, shutil.get_terminal_size().columns)).print(Markdown(text, hyperlinks=False))
