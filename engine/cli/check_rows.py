"""What `progtrain check` says of rows: those that stand in more than one split, and actions that add some."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from progtrain.engine.additions import leaks
from progtrain.engine.control.context import Context
from progtrain.engine.errors import InputError
from progtrain.engine.files import read_text
from progtrain.engine.script.action.parts import additions


def all_told(context: Context) -> Iterator[tuple[Literal["ok", "note", "warning"], str, str]]:
    """State, text and fix."""
    yield from leaks.told(context.ws, context.dataset_id, context.python)
    yield from told(context)


def told(context: Context) -> Iterator[tuple[Literal["note"], str, str]]:
    """Why no rows can be added to what the newest script trains with; nothing where they can."""
    ws, versions = context.ws, context.ws.versions()
    script = ws.script(versions[-1]) if versions else ws.baseline_script
    if not script.is_file() or not ws.split(context.dataset_id, "train").is_dir():
        return
    try:
        why_not = additions.why_not(read_text(script))
    except InputError:
        return  # a script that cannot be read is told by others
    if why_not:
        yield "note", f"no action will add training rows: {script.name}: {why_not}", ""
