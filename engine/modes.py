"""What others may do with the files that are written."""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress
from pathlib import Path


def umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def share(folder: Path) -> None:
    """What this process and those that it starts write from now on, a whole group can read and write where it can write
    to this folder and new files are that group's; whatever the umask takes from it.
    """
    try:
        found = folder.stat()
    except OSError:
        return
    if found.st_mode & stat.S_IWGRP and (found.st_mode & stat.S_ISGID or found.st_gid == os.getegid()):
        os.umask(umask() & ~stat.S_IRWXG)


def copy_file(source: Path | str, target: Path | str) -> None:
    """With times and mode, where the file system has such. Raises `OSError`, also for what is no ordinary file: some
    have no end.
    """
    import shutil  # what only reads need not wait for it

    if not stat.S_ISREG(os.stat(source).st_mode):  # noqa: PTH116 - copytree has names
        raise OSError(errno.EINVAL, "it is no ordinary file", str(source))
    shutil.copyfile(source, target)
    with suppress(OSError):
        shutil.copystat(source, target)
