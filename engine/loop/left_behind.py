"""What a script leaves in the workspace that is not its own to write, taken away and told of.

A training writes checkpoints, logs and `spec.json` of its own version; an evaluation its score. Documents, marks and
drafts of later steps, later versions, and modules that would be imported in place of Python's own are nobody's to write
then. They are moved to `.progtrain/attempts/<version>/left-<n>/`, with their places, never thrown away.
"""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Iterator
from datetime import datetime
from itertools import chain
from pathlib import Path

from progtrain.engine.control.context import Context
from progtrain.engine.files import LineReader, storage_errors
from progtrain.engine.text import clean_line
from progtrain.engine.workspace import Workspace, version_number

#: imported when an interpreter starts, or by what evaluates: a file of that name beside the scripts takes their place
_IMPORTED = frozenset(
    ("sitecustomize", "usercustomize", "numpy", "torch", "torchmetrics", "lightning", "transformers", "PIL")
)
_NAMED, _SCRIPT = re.compile(r"(v\d{3,})(?=\W|$)"), re.compile(r"02_train_(v\d{3,})(?=\W|_|$)")
_MOST_NAMED = 4


def take_away(context: Context, version: str, since: datetime, *, scored: bool = False) -> list[str]:
    """After a script of `version` that began at `since`; `scored`: it was its evaluation. Returns what was moved.

    What the journal warns of by then is what was written since: it is known by the time that the system keeps of a
    file's last change, which no program can set back.
    """
    ws, begun = context.ws, since.timestamp()
    found = [path for path in chain(_later(ws, version), _in_the_way(ws)) if _changed(path) >= begun]
    if not scored:
        # its folder was empty when the training began
        found += [path for path in (ws.version(version).analysis, ws.version(version).action) if path.exists()]
    names = sorted({ws.relative(path) for path in found})
    if names:
        place = _place(ws, version)
        with storage_errors(place):
            for name in names:
                (place / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.move(ws.root / name, place / name)
        told = ", ".join(map(clean_line, names[:_MOST_NAMED])) + ("" if len(names) <= _MOST_NAMED else ", ...")
        what = "it was evaluated" if scored else "it trained"
        text = f"{version}: while {what}, there came to be what is not a script's to write: {told}"
        context.journal.warn(f"{text}; it counts as never written, and is kept in {ws.relative(place)}")
    return names


def _later(ws: Workspace, version: str) -> Iterator[Path]:
    """Records of the version's later steps, and all that has the name of a later version."""
    folder, number = ws.version(version), version_number(version) or 0
    yield from (ws.mark(version, step) for step in ("evaluate", "analyze", "extract"))
    yield from (folder.analysis, folder.action, ws.insight(version), ws.drafts(version).path)
    yield from ws.inbox.glob(f"{version}-*")
    own = ("marks", "drafts", "insight", "inbox", "jobs", "attempts", "live", "repeats")
    # those that the loop has made already may be looked at and edited meanwhile
    known = {event.get("version") for event in LineReader(ws.journal).read()}
    for place in (ws.root, ws.artifacts, *(ws.own / name for name in own)):
        for path in sorted(place.iterdir()) if place.is_dir() else ():
            named = (_SCRIPT if place == ws.root else _NAMED).match(path.name)
            if named and (version_number(named[1]) or 0) > number and named[1] not in known:
                yield path


def _in_the_way(ws: Workspace) -> Iterator[Path]:
    """Modules beside the scripts that would be imported in place of Python's own, or of a package."""
    taken = sys.stdlib_module_names | _IMPORTED
    for path in ws.root.iterdir():
        name, _, ending = path.name.partition(".")
        if name in taken and (ending.endswith(("py", "pyc", "so")) or (path / "__init__.py").is_file()):
            yield path


def _changed(path: Path) -> float:
    """When it or something in it was last changed, in seconds; 0: it is not there."""
    inside = path.rglob("*") if path.is_dir() and not path.is_symlink() else ()
    times = [0.0]
    for one in chain([path], inside):
        try:
            times.append(one.lstat().st_ctime)
        except OSError:
            continue
    return max(times)


def _place(ws: Workspace, version: str) -> Path:
    folder, number = ws.attempt(version, 1).parent, 1
    while (folder / f"left-{number}").exists():
        number += 1
    return folder / f"left-{number}"
