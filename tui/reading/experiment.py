"""One look at an experiment, or at the list of all, for a thread. What cannot be read is told, and no error."""

from __future__ import annotations

import gc
from collections.abc import Callable, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, cast

from progtrain.engine.clock import Clock
from progtrain.engine.errors import ProgtrainError
from progtrain.engine.experiment import folder as folders
from progtrain.engine.files import LineReader
from progtrain.engine.workspace import Workspace

if TYPE_CHECKING:
    from progtrain.engine.experiment.board import Board

#: name, status, counts of runs and question of each experiment
Listed = tuple[tuple[str, str, str, str], ...]


#: what it is a look at (None: all experiments), what is there, or else the list; why that cannot be read, and what has
#: happened since the look before
Seen = tuple[str | None, "Board | None", Listed | None, str, Sequence[dict[str, Any]]]


def following(workspace: Workspace, name: str | None, clock: Clock) -> Callable[[], Board | Listed]:
    """Asks for an experiment, or for the list of all, again and again: it then reads no more than what has changed."""

    @cache
    def made() -> Callable[[], Board | Listed]:
        from progtrain.engine.experiment import board  # brings the plan's schema with it

        return board.listing(workspace, clock) if name is None else board.following(workspace, name, clock)

    return lambda: made()()


def look(name: str | None, journal: LineReader | None, read: Callable[[], Board | Listed], *, whole: bool) -> Seen:
    """`read`: of `following`. `whole` False reads its journal alone."""
    try:
        events = journal.look() if journal is not None else []
        if not whole:
            return name, None, None, "", events
        found = read()
        # a board has a name, and a list of them none
        if name is None:
            return None, None, cast("Listed", found), "", ()
        _keep()
        return name, cast("Board", found), None, "", events
    except (ProgtrainError, OSError) as error:
        return name, None, None, str(error), ()
    except Exception as error:  # noqa: BLE001 - a reader's defect must be seen, not freeze the screen
        return name, None, None, f"cannot read the experiment: {type(error).__name__}: {error}", ()


@cache
def _keep() -> None:
    """What the first look has imported stays: where the app has settled, no key waits until it is looked through for
    garbage."""
    if gc.get_freeze_count():
        gc.freeze()


def journal_of(workspace: Workspace, name: str) -> LineReader:
    return LineReader(folders.folder(workspace, name).journal)


def news(events: Sequence[dict[str, Any]], wanted: Sequence[str]) -> str:
    """What of it is worth a bell, by what the plan wants to hear of; empty where nothing is."""
    told: dict[str, list[str]] = {}
    for event in events:
        kind = str(event.get("event"))
        if kind in ("stage_done", "runner_failed") and event.get("stage", "run") == "run":
            kind = "ended"
        if kind in wanted:
            about = f"{event['run']}: " if event.get("run") else ""
            told.setdefault(kind, []).append(f"{about}{event.get('text') or event.get('reason') or ''}")
    for kind in ("ended", "waiting", "failed"):
        if kind in told:
            more = f" and {len(told[kind]) - 1} more" if len(told[kind]) > 1 else ""
            return f"{kind}: {told[kind][-1]}{more}"
    return ""
