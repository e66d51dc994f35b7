"""What the commands share: the workspace, tables and JSON on the terminal, following a loop."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

from progtrain.engine.errors import InputError
from progtrain.engine.text import clean_line, clean_text
from progtrain.engine.workspace import Workspace, version_number

_Command = TypeVar("_Command", bound=Callable[..., Any])


def interpreter(python: str | None) -> str | None:
    """A path as seen from here: the scripts run in the workspace. A bare name is looked up when it is run.

    Raises `InputError` when it cannot be run: the loop would keep it.
    """
    if python is None:
        return None
    path = str(Path(python).expanduser().absolute()) if os.sep in python or python.startswith("~") else python
    if shutil.which(path) is None:
        raise InputError(
            "there is no such program that could be run", file=path, place="--python", fix="name a Python interpreter"
        )
    return path


def workspace(ctx: click.Context) -> Workspace:
    return Workspace(ctx.obj["root"])


def json_option(function: _Command) -> _Command:
    return click.option("--json", "as_json", is_flag=True, help="For programs: one JSON value.")(function)


def version_option(function: _Command) -> _Command:
    return click.option("--version", "version", metavar="vNNN", help="By default the latest version.")(function)


def run_options(function: _Command) -> _Command:
    """Of every command that runs steps."""
    for option in (
        click.option("--python", metavar="PATH", help="Interpreter of your scripts; by default progtrain's own."),
        click.option("--model", metavar="GGUF", help="The advisor's model; by default the one that comes along."),
        click.option("--dataset-id", metavar="ID", help="Folder below dataset/prepdata/."),
    ):
        function = option(function)
    return function


def chosen_version(ws: Workspace, version: str | None) -> str:
    """Raises `InputError` when there is no such version, or none at all."""
    versions = ws.versions()
    if version is None:
        if not versions:
            raise InputError("there is no version yet", file=ws.root, fix="progtrain run")
        return versions[-1]
    if version_number(version) is None or version not in versions:
        known = ", ".join(versions) or "none yet"
        raise InputError(f"there is no version {version!r}", file=ws.root, fix=f"versions are: {known}")
    return version


def print_json(value: Any) -> None:
    click.echo(json.dumps(value, indent=2, ensure_ascii=False, default=str))


def say(text: str = "", *, bold: bool = False, error: bool = False) -> None:
    """Plain text of whatever origin: no control characters reach the terminal."""
    click.secho(clean_text(text), bold=bold, err=error)


def table(header: Sequence[str], rows: Sequence[Sequence[object]], right: Sequence[int] = ()) -> str:
    """Columns as wide as they need; those in `right` are aligned to the right."""
    cells = [[clean_line(str(cell)) for cell in row] for row in [header, *rows]]
    widths = [max(len(row[i]) for row in cells) for i in range(len(header))]
    lines = []
    for row in cells:
        parts = [
            cell.rjust(w) if i in right else cell.ljust(w) for i, (cell, w) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(parts).rstrip())
    return "\n".join(lines)


def number(value: float | None, signed: bool = False) -> str:
    if value is None:
        return "–"
    return f"{value:+.4f}" if signed else f"{value:.4f}"
