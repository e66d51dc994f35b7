"""A folder that is moved, renamed or removed while a runner is at work in it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from progtrain.engine.errors import StorageError


def away(root: Path, again: str = "progtrain run") -> StorageError:
    """Why a runner ends whose workspace is somewhere else by now; `again`: the command that goes on."""
    return StorageError(
        "the workspace was moved or removed while it was at work",
        file=root,
        fix=f"{again} where it lies now: a training that runs goes on and is taken",
    )


def staying(folder: Path, moved: StorageError) -> Callable[[], None]:
    """A check for each turn of a runner, which raises that error once its folder is not the one that it was."""
    here = _identity(folder, None)

    def check() -> None:
        if here is not None and _identity(folder, here) != here:
            raise moved

    return check


def _identity(folder: Path, known: int | None) -> int | None:
    """By which the folder is told from another one of that name; as it was known where it does not answer now."""
    try:
        return folder.stat().st_ino
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError:
        return known
