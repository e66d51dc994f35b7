"""The thread that looks at the workspace about once a second and tells the app what is new."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Iterable
from functools import cached_property, partial
from typing import TYPE_CHECKING, TypeVar

from progtrain.engine import hanging
from progtrain.engine.errors import InputError, ProgtrainError
from progtrain.engine.status.snapshot import WORKING
from progtrain.engine.workspace import Workspace
from progtrain.tui.model import Update
from progtrain.tui.reading.curves import CurveFeed, CurveRows
from progtrain.tui.reading.prefetch import Prefetch

if TYPE_CHECKING:
    from progtrain.engine.status.snapshot import Snapshot
    from progtrain.tui.reading.documents import DraftReader
    from progtrain.tui.reading.log import LogTail
    from progtrain.tui.reading.machine import Machine

T = TypeVar("T")

_EVERY_SECONDS = 1.0
#: while somebody works on the workspace there is no need to hurry either
_AT_MOST_EVERY = 0.25
#: a child that hangs on a dead network folder is not waited for any longer
_AHEAD_SECONDS = 5.0
#: how often is looked for what is read ahead, and for the next slice of a long log
_POLL = 0.01
_BETWEEN_SLICES = 0.05
#: between two looks at whether the disk answers at all
HANGING_SECONDS = 2.0


class Watcher:
    """Owns every reader; the app's thread only sees frozen values."""

    def __init__(
        self,
        workspace: Workspace,
        look: Callable[[], Snapshot],
        post: Callable[[Update], object],
        *,
        every: float = _EVERY_SECONDS,
        ahead: Prefetch | None = None,
        prepare: Callable[[], None] = lambda: None,
        loaded: Callable[[], None] = lambda: None,
    ) -> None:
        """After the first look the thread calls `prepare`, for what would hold up a key later, and then `loaded`."""
        self._workspace = workspace
        self._snapshot = look
        self._post = post
        self._every = every
        self._ahead = ahead
        self._prepare = prepare
        self._loaded = loaded
        #: set by the app once its first frame is out
        self.drawn = threading.Event()
        self._wanted: frozenset[str] = frozenset()
        self._feeds: dict[str, CurveFeed] = {}
        #: the version whose curves are read ahead
        self._newest: str | None = None
        self._shares: dict[str, float] = {}
        self._shown: Snapshot | None = None
        self._problem = ""
        self._waits: Callable[[], str] | None = None
        self._troubles: list[str] = []
        self._wake = threading.Event()
        self._ended = threading.Event()
        # not a pool's thread: a look that hangs on a dead network folder must not hold up the app's end
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)

    @cached_property
    def _readers(self) -> tuple[LogTail, DraftReader, Callable[[], Machine]]:
        """Imported by the thread, for the first frame needs none of them."""
        from progtrain.tui.reading.documents import DraftReader
        from progtrain.tui.reading.log import LogTail
        from progtrain.tui.reading.machine import read_machine

        return LogTail(), DraftReader(self._workspace), read_machine

    def start(self) -> None:
        if not self._ended.is_set():
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

    def hanging(self) -> Update:
        """Called by the app now and then: what a look that does not come back waits for. The next one takes it back."""
        told = self._waits() if self._waits is not None else ""
        if not told or told == self._problem:
            return Update()
        self._problem = told
        return Update(problem=f"{told}; what is shown is from before")

    def _run(self) -> None:
        self._waits = hanging.watched(threading.get_ident(), round(hanging.LOOKS * hanging.EVERY / HANGING_SECONDS))
        self._first_look()
        self._tell(self.look())
        self._prepare()
        self._loaded()
        while not self._ended.wait(_AT_MOST_EVERY):
            if self._shares:
                self._read_on(time.monotonic() + self._every)
            else:
                self._wake.wait(max(0.0, self._every - _AT_MOST_EVERY))
            self._wake.clear()
            self._tell(self.look())
        if self._ahead is not None:
            self._ahead.close()

    def _tell(self, update: Update) -> None:
        if update and not self._ended.is_set():
            self._post(update)

    def _read_on(self, until: float) -> None:
        """The rest of long logs, slice by slice: each is drawn."""
        while self._shares and time.monotonic() < until and not self._ended.wait(_BETWEEN_SLICES):
            self._tell(self._read_curves(self._shares))

    def first(self) -> Update:
        """What was read ahead and has come since the last call: the first frame can hold it. Reads nothing itself."""
        if self._ahead is None:
            return Update()
        seen = self._ahead.history() if self._newest is None else None
        if seen is not None:
            self._newest = seen.version
        rows = self._take(self._ahead) if self._newest else []
        return self._with_shares(rows, [self._newest] if self._newest else [])._replace(snapshot=seen)

    def _first_look(self) -> None:
        """What is read ahead, before the engine's own view is imported: that would hold up the first frame."""
        ahead = self._ahead
        if ahead is None:
            self.drawn.wait(_AHEAD_SECONDS)
            return
        until = time.monotonic() + _AHEAD_SECONDS
        while time.monotonic() < until and not self._ended.wait(_POLL):
            if update := self.first():
                self._tell(update)
            elif self.drawn.is_set() and (ahead.ended or self._newest in self._feeds):
                break
        self._ended.wait(_AT_MOST_EVERY)

    def look(self) -> Update:
        """One look at the disk. What cannot be read is told; the rest is shown all the same."""
        self._troubles = []
        snapshot = self._try(self._see, None)
        update = self._update(snapshot) if snapshot is not None else Update()
        problem = "\n".join(dict.fromkeys(self._troubles))
        if problem == self._problem:
            return update
        self._problem = problem
        return update._replace(problem=problem)

    def _try(self, read: Callable[[], T], otherwise: T) -> T:
        try:
            return read()
        except (ProgtrainError, OSError) as error:
            self._troubles.append(str(error))
        except Exception as error:  # noqa: BLE001 - a reader's defect must be seen, not freeze the screen
            self._troubles.append(f"cannot read the workspace: {type(error).__name__}: {error}")
        return otherwise

    def _see(self) -> Snapshot:
        if not self._workspace.root.is_dir():
            raise InputError("this folder is no longer there", file=self._workspace.root)
        return self._snapshot()

    def _update(self, snapshot: Snapshot) -> Update:
        working = snapshot.status in WORKING
        steady = snapshot if working else _without_time(snapshot)
        changed = self._shown is None or steady != self._shown
        self._shown = steady
        log, drafts, machine = self._readers
        wanted = self._wanted & {row.version for row in snapshot.versions}
        return self._read_curves(wanted | ({snapshot.version} if snapshot.version else set()))._replace(
            snapshot=snapshot if changed else None,
            log=self._try(lambda: log.read(snapshot.log), None),
            documents=self._try(lambda: drafts.read(_documented(self._workspace, snapshot)), None),
            machine=self._try(machine, None) if working else None,
        )

    def _read_curves(self, versions: Collection[str]) -> Update:
        rows: list[CurveRows] = []
        for version in sorted(versions):
            rows += self._try(partial(self._read, version), [])
        return self._with_shares(rows, versions)

    def _read(self, version: str) -> list[CurveRows]:
        if self._ahead is not None and version == self._newest:
            rows = self._take(self._ahead)
            if not self._ahead.ended:
                return rows
            self._ahead = None
        return self._feeds.setdefault(version, CurveFeed(self._workspace, version)).read()

    def _take(self, ahead: Prefetch) -> list[CurveRows]:
        handed = ahead.curves()
        if handed is None or self._newest is None:
            return []
        self._feeds[self._newest], rows = handed
        return rows

    def _with_shares(self, rows: list[CurveRows], versions: Iterable[str]) -> Update:
        shares = {version: share for version in versions if (share := self._share(version)) < 1}
        told = shares if shares != self._shares else None
        self._shares = shares
        return Update(curves=tuple(rows), reading=told)

    def _share(self, version: str) -> float:
        feed = self._feeds.get(version)
        return feed.share if feed is not None else 0.0


def _documented(workspace: Workspace, snapshot: Snapshot) -> str | None:
    """The version under review; where none is, and nothing is written of this one yet, the last that has documents."""
    if snapshot.review or snapshot.status in {"drafting", "analyzing"}:
        return snapshot.review.version if snapshot.review else snapshot.version
    names = [row.version for row in snapshot.versions]
    past = names[: names.index(snapshot.version) + 1] if snapshot.version in names else names
    for name in reversed(past):
        if workspace.drafts(name).analysis.exists() or workspace.version(name).analysis.exists():
            return name
    return snapshot.version


def _without_time(snapshot: Snapshot) -> Snapshot:
    """Where nothing works, the passing of time alone is no news."""
    return snapshot._replace(since_seconds=None)
