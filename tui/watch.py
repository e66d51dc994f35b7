"""The thread that looks at the workspace about once a second and tells the app what is new."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

from engine.errors import ProgtrainError
from engine.workspace import Workspace
from tui import words
from tui.messages import Update
from tui.port import View
from tui.reading.ahead import Ahead
from tui.reading.curves import CurveFeed, CurveRows
from tui.reading.drafts import DraftReader
from tui.reading.log import LogTail
from tui.reading.machine import MachineReader

if TYPE_CHECKING:
    from engine.snapshot import Snapshot

_EVERY_SECONDS = 1.0
#: while somebody works on the workspace there is no need to hurry either
_AT_MOST_EVERY = 0.25
#: a child that hangs on a dead network folder is not waited for any longer
_AHEAD_SECONDS = 5.0


class Watcher:
    """Owns every reader; the app's thread only sees frozen values."""

    def __init__(
        self,
        workspace: Workspace,
        view: Callable[[], View],
        post: Callable[[Update], object],
        *,
        every: float = _EVERY_SECONDS,
        ahead: Ahead | None = None,
    ) -> None:
        self._workspace = workspace
        # made by the thread: its imports must not hold up the first frame
        self._make_view = view
        self._view: View | None = None
        self._post = post
        self._every = every
        self._ahead = ahead
        #: set by the app once its first frame is out
        self.drawn = threading.Event()
        self._wanted: frozenset[str] = frozenset()
        self._feeds: dict[str, CurveFeed] = {}
        self._log = LogTail()
        self._drafts = DraftReader(workspace)
        self._machine = MachineReader()
        self._shown: Snapshot | None = None
        self._problem = ""
        self._wake = threading.Event()
        self._ended = threading.Event()
        # not a pool's thread: a look that hangs on a dead network folder must not hold up the app's end
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._ended.set()
        self._wake.set()
        self.drawn.set()

    def nudge(self) -> None:
        """Look now: something was just done."""
        self._wake.set()

    def want(self, versions: Iterable[str]) -> None:
        """Curves of these versions, besides the current one's."""
        wanted = frozenset(versions)
        if wanted - self._wanted:
            self._wake.set()
        self._wanted = wanted

    def _run(self) -> None:
        self._first_look()
        while not self._ended.is_set():
            update = self.look()
            if self._ended.is_set():
                return
            if update:
                self._post(update)
            self._ended.wait(_AT_MOST_EVERY)
            self._wake.wait(max(0.0, self._every - _AT_MOST_EVERY))
            self._wake.clear()

    def first(self) -> Update | None:
        """What was read ahead, where all of it is there already: the first frame can hold it."""
        return self._take_ahead() if self._ahead is not None and self._ahead.done() else None

    def _take_ahead(self) -> Update | None:
        ahead, self._ahead = self._ahead, None
        if ahead is None:
            return None
        try:
            seen = ahead.snapshot()
            feed = ahead.feed(seen) if seen else None
            if seen is None or seen.version is None or feed is None:
                return Update(snapshot=seen)
            self._feeds[seen.version] = feed
            return Update(snapshot=seen, curves=tuple(feed.read()))
        except OSError:
            return None  # the look that follows says what is wrong
        finally:
            ahead.close()

    def _first_look(self) -> None:
        """What was read ahead, before the engine's own view is imported: that would hold up the first frame."""
        ahead = self._ahead
        if ahead is not None and (seen := ahead.snapshot()) is not None:
            self._post(Update(snapshot=seen))
        self.drawn.wait(_AHEAD_SECONDS)
        if ahead is not None:
            ahead.done(_AHEAD_SECONDS)
            if update := self._take_ahead():
                self._post(update)

    def look(self) -> Update:
        """One look at the disk."""
        try:
            self._view = self._view or self._make_view()
            return self._update(self._view.snapshot())
        except (ProgtrainError, OSError) as error:
            return self._trouble(str(error))
        except Exception as error:  # noqa: BLE001 - a reader's defect must be seen, not freeze the screen
            return self._trouble(f"cannot read the workspace: {type(error).__name__}: {error}")

    def _trouble(self, problem: str) -> Update:
        changed = problem != self._problem
        self._problem = problem
        return Update(problem=problem) if changed else Update()

    def _update(self, snapshot: Snapshot) -> Update:
        recovered = self._problem != ""
        self._problem = ""
        working = snapshot.status in words.WORKING
        steady = snapshot if working else _without_time(snapshot)
        changed = self._shown is None or steady != self._shown
        self._shown = steady
        return Update(
            snapshot=snapshot if changed else None,
            problem="" if recovered else None,
            curves=tuple(self._read_curves(snapshot)),
            log=self._log.read(snapshot.log),
            documents=self._drafts.read(_drafted(snapshot)),
            machine=self._machine.read() if working and self._shown is not None else None,
        )

    def _read_curves(self, snapshot: Snapshot) -> list[CurveRows]:
        current = frozenset({snapshot.version} if snapshot.version else ())
        known = {row.version for row in snapshot.versions}
        rows: list[CurveRows] = []
        for version in sorted((self._wanted & known) | current):
            feed = self._feeds.get(version) or self._feeds.setdefault(version, CurveFeed(self._workspace, version))
            rows += feed.read()
        return rows


def _drafted(snapshot: Snapshot) -> str | None:
    return snapshot.review.version if snapshot.review else snapshot.version


def _without_time(snapshot: Snapshot) -> Snapshot:
    """Where nothing works, the passing of time alone is no news."""
    return replace(snapshot, since_seconds=None)
