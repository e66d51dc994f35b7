"""What a killed process had begun to write, and folders that it had set aside: removed by whoever gets the lock. And
what an evaluation that was killed should have put back is put back.

Only what is ours by its name, is older than a moment, and nobody has open: the app and other commands write without the
lock.
"""

from __future__ import annotations

import os
import re
import shutil
import time
from collections import deque
from contextlib import suppress
from itertools import islice
from pathlib import Path

from progtrain.engine.templates.progtrain_eval.untouched import put_back_left
from progtrain.engine.workspace import Workspace

#: `.NAME.RANDOM.tmp` of whole writes (`engine/files.py`), of answers, and of what the hooks keep
_BEGUN = re.compile(r"\..+\.(?:[a-z0-9_]{8}|[0-9a-f]{32}|\d+)\.tmp")
#: in the engine's own folder all is ours
_OWN = re.compile(r".+\.tmp|\..+\.[0-9a-f]{8}\.old")
#: between the last byte and the new name
_SECONDS = 2.0
#: how deep below a user's folder, and how many entries in all, are looked through
_DEPTH, _MOST = 3, 20_000
#: as many files as a model shows: nothing is written there in this way
_SKIPPED = {"infer_samples"}


def sweep(ws: Workspace) -> None:
    """Never raises: what cannot be removed stays."""
    put_back_left(ws.root)
    found = _near(ws.root)
    found += _under(ws.artifacts.parent, _BEGUN)
    found += _under(ws.own, _OWN)
    remove(found)


def sweep_folder(folder: Path) -> None:
    """The same in a folder that has a lock of its own."""
    remove(_under(folder, _BEGUN))


def remove(found: list[Path]) -> None:
    old = [path for path in found if _age(path) > _SECONDS]
    held = _opened() if old else set()
    for path in old:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        elif str(path.resolve()) not in held:
            with suppress(OSError):
                path.unlink()


def _under(folder: Path, names: re.Pattern[str]) -> list[Path]:
    found = []
    for place, folders, files in os.walk(folder):
        found += [Path(place) / name for name in (*files, *folders) if names.fullmatch(name)]
        folders[:] = [name for name in folders if name not in _SKIPPED and not names.fullmatch(name)]
    return found


def _near(root: Path) -> list[Path]:
    """Among the user's own files: scripts, copies of modules and config files lie near the top."""
    found: list[Path] = []
    folders, left = deque([(root, 0)]), _MOST
    while folders and left > 0:
        folder, depth = folders.popleft()
        with suppress(OSError):
            for entry in islice(os.scandir(folder), left):
                left -= 1
                if _BEGUN.fullmatch(entry.name):
                    found.append(Path(entry.path))
                elif depth < _DEPTH and entry.name[0] != "." and entry.is_dir(follow_symlinks=False):
                    folders.append((Path(entry.path), depth + 1))
    return found


def _age(path: Path) -> float:
    """Seconds; of one that was written in the future, by another clock, enough."""
    try:
        age = time.time() - path.lstat().st_mtime
    except OSError:
        return 0.0
    return age if age >= 0 else _SECONDS + 1.0


def _opened() -> set[str]:
    """What processes of this machine have open, as far as one may see it."""
    found = set()
    for place in Path("/proc").glob("[0-9]*/fd"):
        with suppress(OSError):
            for entry in os.scandir(place):
                with suppress(OSError):
                    found.add(str(Path(entry.path).readlink()))
    return found
