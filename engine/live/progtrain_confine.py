"""Takes rights away from this process and all that it starts, for good: writing outside some folders, reading some.

By Landlock, which Linux has for processes without privileges: https://docs.kernel.org/userspace-api/landlock.html
(numbers and structures of `linux/landlock.h`). What stays possible: changing modes and times of files that belong to
the user, the network, and whatever was open before.

It runs in the user's interpreter too: standard library only, Python 3.9 and later.
"""

from __future__ import annotations

import ctypes
import errno
import os
import stat
import struct
import sys

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_VERSION, _PATH_BENEATH = 1, 1
_PR_SET_NO_NEW_PRIVS = 38
#: before it, `truncate` by a path was free (Linux 6.2)
_OLDEST = 3
#: with it, signals to processes that have more rights are refused (Linux 6.12)
_SCOPES, _SCOPE_SIGNAL = 6, 2

_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR, _TRUNCATE = 1, 2, 4, 8, 1 << 14
#: removing and making folders, files, devices, sockets, pipes and links; moving to another folder
_OF_FOLDERS = sum(1 << bit for bit in range(4, 14))
_WRITE = _WRITE_FILE | _TRUNCATE | _OF_FOLDERS
_READ = _READ_FILE
_OF_FILES = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE
_ABSENT = {38: "this kernel has no Landlock", 95: "Landlock is switched off on this machine"}


def version() -> int:
    """Of Landlock's interface. Raises `OSError`, which says why there is none."""
    if not sys.platform.startswith("linux"):
        raise _no("only Linux has Landlock")
    found, error = _call(_CREATE_RULESET, None, ctypes.c_size_t(0), ctypes.c_uint32(_VERSION))
    if found < 0:
        raise _no(_ABSENT.get(error) or os.strerror(error))
    if found < _OLDEST:
        raise _no("this kernel's Landlock is too old: it needs Linux 6.2")
    return found


def restrict(writable: list[str] | None = None, hidden: list[str] | tuple[str, ...] = ()) -> None:
    """From here on nothing but what lies in `writable` can be changed (None: no limit), and no file in `hidden` read.

    Folders and files, as absolute paths; what does not exist cannot be made writable, and needs no hiding. Names in
    hidden folders can be listed still. Only for a process with one thread: others keep their rights. Raises
    `OSError`, and then has changed nothing.
    """
    known = version()
    hidden = [os.path.realpath(path) for path in hidden if os.path.lexists(path)]
    handled = (0 if writable is None else _WRITE) | (_READ if hidden else 0)
    if not handled:
        return
    # without it files could not be moved between folders at all
    handled |= 1 << 13
    scoped = _SCOPE_SIGNAL if known >= _SCOPES else 0
    # rights to files, to the network, and scopes: an older kernel knows less of it
    ruleset = struct.pack("=QQQ", handled, 0, scoped)[: 8 if known < 4 else 16 if known < _SCOPES else 24]
    rules, error = _call(_CREATE_RULESET, ruleset, ctypes.c_size_t(len(ruleset)), ctypes.c_uint32(0))
    if rules < 0:
        raise _no(os.strerror(error))
    try:
        for path in ["/"] if writable is None else writable:
            _allow(rules, path, (1 << 13 if writable is None else _WRITE) & handled)
        if hidden:
            for path in _beside(hidden):
                # a link is nothing by itself: what it leads to is allowed where it lies, or hidden
                _allow(rules, path, _READ, os.O_NOFOLLOW)
        ctypes.CDLL(None).prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
        failed, error = _call(_RESTRICT_SELF, ctypes.c_int(rules), ctypes.c_uint32(0))
        if failed:
            raise _no(os.strerror(error))
    finally:
        os.close(rules)


def _beside(hidden):
    """All that is not hidden, in as few paths as there are: Landlock knows only what is allowed."""
    allowed, folders = [], {"/"}
    for path in hidden:
        while path != "/":
            path = os.path.dirname(path)
            folders.add(path)
    for folder in folders:
        try:
            names = os.listdir(folder)
        except OSError:
            continue
        paths = [os.path.join(folder, name) for name in names]
        allowed += [path for path in paths if path not in hidden and path not in folders]
    return allowed


def _allow(rules, path, rights, how=0):
    try:
        folder = os.open(path, os.O_PATH | os.O_CLOEXEC | how)
    except OSError:
        return
    try:
        if not stat.S_ISDIR(os.fstat(folder).st_mode):
            rights &= _OF_FILES
        if rights:
            beneath = struct.pack("=Qi", rights, folder)
            _call(_ADD_RULE, ctypes.c_int(rules), ctypes.c_int(_PATH_BENEATH), beneath, ctypes.c_uint32(0))
    finally:
        os.close(folder)


def _call(number, *arguments):
    """What the kernel answers, and the error number where that is below 0."""
    library = ctypes.CDLL(None, use_errno=True)
    library.syscall.restype = ctypes.c_long
    answer = library.syscall(ctypes.c_long(number), *arguments)
    return answer, ctypes.get_errno() if answer < 0 else 0


def _no(why):
    return OSError(errno.ENOSYS, why)
