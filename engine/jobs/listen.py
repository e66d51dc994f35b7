"""What a guard is told while its script runs, by signals and files, and the beat by which others know that it lives.

Light, as for the guard: the standard library, psutil, and what reads files.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import FrameType
from typing import Any

from progtrain.engine.files import object_in, read_loosely
from progtrain.engine.jobs.alive import myself

#: seconds between two signs of life
BEAT_SECONDS = 10.0
#: seconds between two looks for a newer attempt
_FENCE_SECONDS = 2.0
#: exit code of a guard whose script saved and stopped because its time was nearly over
GO_ON_LATER = 85
#: seconds in which a signal that went to the whole job reaches the guard too
_TOGETHER_SECONDS = 0.3

#: what a guard writes into the stop file, so that it is told from the request of somebody else
_NEAR_ITS_END = "its time is nearly over\n"

Asked = Callable[[], str]
#: exit code of a script that ended while nobody here ended it -> why it ended, None: by itself
Explained = Callable[[int], str | None]


@contextlib.contextmanager
def listening(folders: list[Path], request: Mapping[str, Any]) -> Iterator[tuple[Asked, Explained]]:
    """`folders`: of the job, and of earlier starts of the same one, in which it may be cancelled too.

    The first value says why the job is to end, "" while it is not to, and keeps the beat: ask it often.
    """
    told: set[int] = set()
    stop = _stop_file(request)
    # the guard of an earlier start was killed before it could do so
    take_back(request)

    def hear(number: int, _: FrameType | None) -> None:
        told.add(number)
        if number == signal.SIGUSR1 and stop is not None:
            with contextlib.suppress(OSError), stop.open("x", encoding="utf-8") as file:
                file.write(_NEAR_ITS_END)

    def asked() -> str:
        replaced = beats()
        if told & {signal.SIGTERM, signal.SIGINT}:
            return "time limit" if signal.SIGUSR1 in told else "cancelled"
        return "cancelled" if any((folder / "cancel").exists() for folder in folders) else replaced

    def explained(exit_code: int) -> str | None:
        # whoever ends a whole job signals guard and script, in any order
        if exit_code < 0 and not told:
            time.sleep(_TOGETHER_SECONDS)
        if told & {signal.SIGTERM, signal.SIGINT}:
            return asked()
        saved = signal.SIGUSR1 in told and exit_code == 0 and not _finished(request)
        return "go on later" if saved else None

    beats = _beating(folders)
    before = {number: signal.signal(number, hear) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)}
    try:
        yield asked, explained
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        # it was for this script: the next one is to train
        take_back(request)


def _stop_file(request: Mapping[str, Any]) -> Path | None:
    name = request.get("environment", {}).get("PROGTRAIN_STOP_FILE")
    return Path(name) if name else None


def take_back(request: Mapping[str, Any]) -> None:
    """What a guard asked for. Whoever else wants the training to end wants that of the next start too."""
    stop = _stop_file(request)
    with contextlib.suppress(OSError):
        if stop is not None and read_loosely(stop) == _NEAR_ITS_END:
            stop.unlink()


def _beating(folders: list[Path]) -> Asked:
    """Touches the beat when it is time for it, and says when a newer attempt has been named."""
    own = folders[0] / "beat"
    due, beat_due, said = 0.0, 0.0, ""

    def beats() -> str:
        nonlocal due, beat_due, said
        now = time.monotonic()
        if now >= due:
            due = now + _FENCE_SECONDS
            said = "replaced" if replaced(folders) else ""
        if now >= beat_due:
            beat_due = now + BEAT_SECONDS
            # a full disk, or a folder that somebody removed, ends no training
            with contextlib.suppress(OSError):
                os.utime(own)
        return said

    with contextlib.suppress(OSError):
        own.write_text(json.dumps({**myself(), "host": os.uname().nodename, **cluster()}), encoding="utf-8")
    return beats


def cluster() -> dict[str, Any]:
    """What a cluster says of the job that this process is."""
    if "SLURM_JOB_ID" not in os.environ:
        return {}
    count = int(os.environ.get("SLURM_RESTART_COUNT") or 0)
    return {"job": os.environ["SLURM_JOB_ID"], "node": os.environ.get("SLURMD_NODENAME"), "restarts": count}


def replaced(folders: list[Path]) -> bool:
    """Whether a newer attempt was named to this one, `folders[0]`, or to an earlier start of it."""
    return any(named(folder) not in ("", folders[0].name) for folder in folders)


def named(folder: Path) -> str:
    """The attempt that takes this one's place; empty where there is none."""
    try:
        return read_loosely(folder / "fence").strip()
    except OSError:
        return ""


def _finished(request: Mapping[str, Any]) -> bool:
    """Whether the script trained to its end although it had been asked to stop: what listens in it keeps a record."""
    try:
        name = request.get("environment", {})["PROGTRAIN_RECORD_FILE"]
        by = object_in(name)["ended"]["by"]
    except (KeyError, TypeError):
        return False
    return bool(by != "stop request")
