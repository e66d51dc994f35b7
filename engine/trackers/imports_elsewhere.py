"""What imported runs tell about a version's script: which of its settings they had otherwise, and what that came to."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from progtrain.advisor.interface import Tried
from progtrain.engine import values
from progtrain.engine.script import names
from progtrain.engine.script.settings import find_settings, values_of
from progtrain.engine.trackers.imports_kept import Kept, kept, value_of
from progtrain.engine.workspace import Workspace

_MOST_RUNS, _MOST_SETTINGS = 8, 6
#: all that a setting's value may be before it stands in a document: no sentence that anybody could take for a wish
_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,39}")


def tried_elsewhere(ws: Workspace, source: str, metric: str) -> tuple[Tried, ...]:
    """Of the newest imports those that share a setting with the script, each as something that was tried.

    `source`: text of the version's script, with its config files. Names and words in it are the workspace's own, what
    comes from a run is its folder's name, numbers, and single words.
    """
    runs = kept(ws)
    here = {names.canonical(key): value for key, value in values_of(find_settings(source)).items()} if runs else {}
    found = []
    for run in sorted(runs, key=lambda run: run.imported_at, reverse=True):
        settings = list(_shared(run, here))
        if settings:
            value = value_of(run, metric)
            came = (
                f"{metric} {values.metric(value)} there" if value is not None else f"{metric} is not among its metrics"
            )
            found.append(Tried(version=run.name, action=", ".join(settings[:_MOST_SETTINGS]), verdict=came))
    return tuple(found[:_MOST_RUNS])


def _shared(run: Kept, here: Mapping[str, object]) -> Iterator[str]:
    """Settings of the script that the run had too, those with another value first."""
    same = []
    there: dict[str, object] = {}
    for name, value in run.params.items():
        # optimizer.lr is lr, where the whole name is none of the script's
        keys = (names.canonical(name), names.canonical(re.split(r"[./]", name)[-1]))
        if key := next((key for key in keys if key in here), None):
            there.setdefault(key, value)
    for key, value in there.items():
        told = _plain(value)
        if told is None:
            continue
        if values.same(value, here[key]):
            same.append(f"{key} {told} as here")
        else:
            yield f"{key} {told} (here {values.show(here[key])})"
    yield from same


def _plain(value: object) -> str | None:
    if isinstance(value, bool | int | float):
        return values.show(value)
    return value if isinstance(value, str) and _WORD.fullmatch(value) else None
