"""A file operation that does not come back: a network folder whose server is gone. Its thread cannot be helped, but
others can say which path it waits for. Imports next to nothing: `status` and the app's first frame have it.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from progtrain.engine.text import clean_line

#: seconds between two looks at a thread, and how many of them it has not moved: not so many seconds, for this process
#: may have been stopped meanwhile
EVERY, LOOKS = 1.0, 15
#: of a disk or folder that does not serve
_EXIT_CODE = 5
#: frames from the innermost one on in which the path is looked for: between them and the operation is Python's library
_FRAMES = 4


def watched(thread: int, looks: int = LOOKS) -> Callable[[], str]:
    """To be called again and again: what a thread waits for that has not moved for so many calls; empty otherwise.

    Moving is another place in the code, or processor time, which a long computation takes.
    """
    seen: object = None
    unmoved = 0

    def look() -> str:
        nonlocal seen, unmoved
        frame = sys._current_frames().get(thread)
        now = _stack(frame), _processor_seconds(thread) if frame else 0.0
        seen, unmoved = now, unmoved + 1 if now == seen else 0
        path = _path_in(frame) if unmoved >= looks else ""
        return f"{path}: the disk or network folder that it lies on has not answered for a while" if path else ""

    return look


def _processor_seconds(thread: int) -> float:
    """That a thread that is alive has taken, to the thousandth; 0 where the system does not tell (macOS)."""
    clock = getattr(time, "pthread_getcpuclockid", None)
    return round(time.clock_gettime(clock(thread)), 3) if clock else 0.0


def _stack(frame: FrameType | None) -> tuple[tuple[int, int], ...]:
    found = []
    while frame is not None:
        found.append((id(frame), frame.f_lasti))
        frame = frame.f_back
    return tuple(found)


def _path_in(frame: FrameType | None) -> str:
    """The path that the innermost frames are about; empty where they are about none, or wait for another thread."""
    for _ in range(_FRAMES):
        if frame is None or frame.f_globals.get("__name__") == "threading":
            break
        there = frame.f_locals.values()
        paths = [str(one) for one in there if isinstance(one, Path)]
        paths += [one for one in there if isinstance(one, str) and (one[:1] == os.sep or one == os.curdir)]
        if paths:
            return clean_line(max(paths, key=len))
        frame = frame.f_back
    return ""


@contextmanager
def ending() -> Iterator[None]:
    """What is done in it ends this process, with one line, where the main thread waits for a path for too long."""
    done, look = threading.Event(), watched(threading.get_ident())

    def watch() -> None:
        while not done.wait(EVERY):
            if said := look():
                os.write(2, f"progtrain: {said}\n  fix: see whether it is mounted and its server is there\n".encode())
                os._exit(_EXIT_CODE)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
