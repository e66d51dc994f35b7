"""Imported runs as they lie in `Models/evidence/`: shown beside the leaderboard, never ranked, judged or built on."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from progtrain.engine import metrics, values
from progtrain.engine.files import try_read_json
from progtrain.engine.text import clean_line, shortened
from progtrain.engine.workspace import Workspace

#: of a run's folder: nothing that a document could take for more than a name
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}")
#: a folder of its own beside the runs
RESERVED = frozenset({"mcp"})
_MOST_BYTES = 4_000_000
#: said wherever they are shown
NOT_COMPARED = "not measured by this workspace: neither ranked nor compared"


class Kept(NamedTuple):
    name: str
    #: the tracker that it was read from
    source: str
    #: what it is called there
    run: str
    imported_at: str
    sha256: str
    #: settings, as the tracker has them
    params: Mapping[str, Any]
    #: metric -> its last value; None where that was no finite number
    final: Mapping[str, float | None]
    #: of its curves
    points: int
    last_step: float | None
    state: str
    #: what a reader of it should know: cut off, damaged, thinned
    notes: tuple[str, ...]
    #: where it was imported from
    path: str = ""


def kept(ws: Workspace) -> tuple[Kept, ...]:
    """All that can be read, by name. Light, and never raises for what lies there."""
    try:
        names = sorted(entry.name for entry in os.scandir(ws.evidence) if NAME.fullmatch(entry.name))
    except OSError:
        return ()
    found = (read(ws, name) for name in names if name not in RESERVED)
    return tuple(one for one in found if one is not None)


def read(ws: Workspace, name: str) -> Kept | None:
    """None where there is no such run, or what lies there is none."""
    path = ws.imported_run(name)
    data = try_read_json(path) if _is_small(path) else None
    if data is None or data.get("comparable") is not False:
        return None
    final, params, notes = (data.get(key) for key in ("final", "params", "notes"))
    return Kept(
        name=name,
        **{key: clean_line(data.get(key) or "") for key in ("source", "run", "imported_at", "sha256", "state", "path")},
        params={clean_line(key): _plain(value) for key, value in params.items()} if isinstance(params, dict) else {},
        final=_numbers(final),
        points=metrics.count(data.get("points")) or 0,
        last_step=metrics.finite(data.get("last_step")),
        notes=tuple(clean_line(note) for note in notes) if isinstance(notes, list) else (),
    )


def value_of(run: Kept, metric: str | None) -> float | None:
    """Of the metric as the tracker called it, which may have put a prefix before it: `eval/accuracy`."""
    if not metric:
        return None
    if (found := metrics.find(metric, run.final)) is not None:
        return run.final[found]
    ends = {name: re.split(r"[/.]", name)[-1] for name in run.final}
    alike = [name for name, end in ends.items() if metrics.same(end, metric) and not name.startswith("train")]
    # several places measured it: which one is meant, nobody knows
    return run.final[alike[0]] if len(alike) == 1 else None


def settings_text(run: Kept, most: int = 6) -> str:
    """The first of its settings, in a line."""
    shown = [f"{key} {values.show(value)}" for key, value in list(run.params.items())[:most]]
    more = len(run.params) - len(shown)
    return shortened(", ".join(shown) + (f", and {more} more" if more > 0 else ""), 200)


def _is_small(path: Path) -> bool:
    try:
        found = path.stat()
    except OSError:
        return False
    return stat.S_ISREG(found.st_mode) and found.st_size <= _MOST_BYTES


def _numbers(final: object) -> dict[str, float | None]:
    if not isinstance(final, dict):
        return {}
    return {clean_line(name): metrics.finite(value) for name, value in final.items()}


def _plain(value: object) -> object:
    return value if value is None or isinstance(value, bool | int | float) else clean_line(value)
