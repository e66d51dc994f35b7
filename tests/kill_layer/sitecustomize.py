"""A process that dies before a file operation: switched on by tests alone, through the environment or by `install`.

Each operation of a workspace, as it stands in the code, kills one process, and is let through from then on: a loop that
is started again and again goes on from one operation to the next and dies before every one of them.
"""

# what it does itself must raise as few as may be of the events that it listens to
# ruff: noqa: PTH109, PTH115, PTH117, PTH118, PTH119, PTH123

import hashlib
import os
import re
import signal
import sys

_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_EVENTS = {"open", "os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.link", "os.symlink", "os.utime", "os.truncate"}
_RANDOM = re.compile(r"[0-9a-f]{32}|\.[a-z0-9_]{8}\.(tmp|old)|(?<![v\d])\d+")
_OURS = ("/engine/", "/advisor/")


def install(died, root, share=1.0, seed="", reads=False):
    """`died`: where each death is written down; `share` of the operations are taken, which ones `seed` says. `reads`:
    files that are opened for reading alone count too."""
    with open(died, encoding="utf-8") as file:
        seen = set(file.read().split())
    busy = False

    def hook(event, args):
        nonlocal busy
        if busy or event not in _EVENTS or (event == "open" and not reads and not (args[2] or 0) & _WRITING):
            return
        busy = True
        try:
            path = _place(args, event)
            if path is None or not path.startswith(root):
                return
            known = _signature(event, path, sys._getframe(1), seed)
            if known in seen or int(known[:6], 16) >= share * 16**6:
                return
            _note(died, f"{known} {event} {path.replace(' ', '_')}\n")
            os.kill(os.getpid(), signal.SIGKILL)
        finally:
            busy = False

    sys.addaudithook(hook)


def _place(args, event):
    path = args[0]
    if not isinstance(path, (str, bytes, os.PathLike)):
        return None
    path = os.fsdecode(path)
    folder = args[-1] if event in ("os.remove", "os.rmdir", "os.mkdir") and isinstance(args[-1], int) else -1
    if folder >= 0 and event != "open" and not os.path.isabs(path):
        try:
            path = os.path.join(os.readlink(f"/proc/self/fd/{folder}"), path)
        except OSError:
            return None
    return os.path.normpath(os.path.join(os.getcwd(), path)) if os.path.isabs(path) or _has_folder() else None


def _has_folder():
    try:
        os.getcwd()
    except OSError:
        return False
    return True


def _signature(event, path, frame, seed):
    words = [seed, event, _RANDOM.sub("*", path)]
    while frame is not None:
        name = frame.f_code.co_filename
        if any(part in name for part in _OURS):
            words.append(f"{os.path.basename(name)}:{frame.f_lineno}")
        frame = frame.f_back
    return hashlib.sha256("\0".join(words).encode("utf-8", "surrogateescape")).hexdigest()[:16]


def _note(died, line):
    file = os.open(died, os.O_WRONLY | os.O_APPEND)
    os.write(file, line.encode("utf-8", "replace"))
    os.close(file)


_who = os.environ.get("KILL_WHO")
if _who and _who in sys.orig_argv:
    _told = [os.environ[f"KILL_{name}"] for name in ("DIED", "ROOT", "SHARE", "SEED")]
    install(_told[0], _told[1], float(_told[2]), _told[3], "KILL_READS" in os.environ)
