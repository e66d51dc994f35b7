"""Sees each file that the script opens, and takes back what it writes while it is only probed.

Python tells before it opens, makes, renames or deletes (`sys.addaudithook`). What exists is kept aside before it is
changed; what did not exist is deleted again. The list of what is to be undone stands on the disk: children that the
script forks or starts as interpreters add to it, and a probe that was killed is taken back by the next one. For other
programs there is `progtrain_programs`.
"""

import json
import os
import shutil
import sys
import threading

import progtrain_programs as programs
from progtrain_hooks import note_fault

MOST_BYTES_COPIED = 64 * 2**20
_MOST_PATHS = 5000
_CODE = (".py", ".pyc", ".pyi", ".so", ".pyd", ".dll")


class Watch:
    """`root`: the folder of the script. `kept`: a folder, made where needed, for what is put aside.

    `inherited`: in an interpreter that the script has started. What that writes elsewhere than below `root`, or in
    packages there, is its own business.
    """

    def __init__(self, root, kept, inherited=False):
        self._root, self._kept, self._inherited = root, kept, inherited
        self._busy = threading.local()
        #: in the order in which it happened: (what, path, ...)
        self._undo = []
        # of a path: the content is the script's, since it was made now or kept aside; or it was moved there
        self._made, self._saved, self._longer, self._moved = set(), set(), set(), set()
        self.read, self.written, self.listed, self.started = {}, {}, {}, {}
        self.unread, self.not_restored = 0, []
        self._open_before = set(_open_files())
        # what belongs to the machine, the interpreter and its packages, or is ours
        machine = ["/proc", "/dev", "/sys", "/etc", "/usr/share", "/usr/lib", "/run"]
        packages = [sys.prefix, sys.base_prefix, sys.exec_prefix, os.path.dirname(os.path.abspath(__file__)), *_fonts()]
        self._never = tuple(_inside(path) for path in [*machine, kept])
        self._packages = tuple(_inside(path) for path in packages if path not in ("/", "/usr"))
        self._caches = tuple(_inside(path) for path in _caches())

    def start(self):
        if os.path.isdir(self._kept) and not self._inherited:
            self.take_back(_journal(self._kept))
            shutil.rmtree(self._kept, ignore_errors=True)
        handlers = {
            "open": self._open,
            "os.mkdir": self._mkdir,
            "os.rename": self._rename,
            "os.remove": self._remove,
            "os.rmdir": self._rmdir,
            "shutil.rmtree": self._rmtree,
            "os.truncate": lambda path, length: self.will_write(path),
            "os.link": lambda source, target, *folders: self._make(target),
            "os.symlink": lambda source, target, *folders: self._make(target),
            "os.listdir": self._list,
            "os.scandir": self._list,
            "sqlite3.connect": self._connect,
            "subprocess.Popen": lambda program, words, folder, environment: self._start(program, words, environment),
            "os.system": self._start,
            "os.posix_spawn": self._start,
            "os.exec": self._start,
        }

        def hook(event, args):
            handle = handlers.get(event)
            if handle is None or getattr(self._busy, "now", False):
                return
            self._busy.now = True
            try:
                handle(*args)
            except Refused:
                raise
            except Exception as error:
                note_fault(f"watch {event}", error)
            finally:
                self._busy.now = False

        sys.addaudithook(hook)

    # what happens

    def _open(self, path, mode, flags):
        if isinstance(path, int):
            return
        flags = flags or 0
        if flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND):
            self.will_write(path, truncates=bool(flags & os.O_TRUNC), appends=bool(flags & os.O_APPEND))
        else:
            self.note_read(_absolute(path))

    def note_read(self, path):
        if not self._is_foreign(path) and not path.endswith(_CODE) and os.path.exists(path):
            self.unread += not _note(self.read, path)

    def will_write(self, path, truncates=False, appends=False):
        """`path` is about to be written: what is there is kept."""
        path = _absolute(path)
        if self._is_kept_out(path):
            return
        _note(self.written, path)
        real = os.path.realpath(path)
        if not os.path.lexists(real):
            self._make(real)
        elif os.path.isfile(real) and not self._is_known(real):
            self._save(real, truncates, appends)

    def _mkdir(self, path, mode, folder=-1):
        self._make(path, "folder")

    def _make(self, path, what="file"):
        path = _absolute(path)
        if not os.path.lexists(path) and not self._is_known(path) and not self._is_kept_out(path):
            self._made.add(path)
            self._remember(what, path)

    def _rename(self, source, target, source_folder=-1, target_folder=-1):
        source, target = _absolute(source), _absolute(target)
        if self._is_kept_out(source) or self._is_kept_out(target) or not os.path.lexists(source):
            return
        _note(self.written, target)
        if os.path.isfile(target) and not self._is_known(target):
            self._save(target, truncates=True)
        for known in (self._made, self._saved, self._longer, self._moved):
            known.discard(target)
        if self._is_known(source):
            self._made.add(target)
            self._remember("folder" if os.path.isdir(source) else "file", target)
        else:
            self._moved.add(target)
            self._remember("moved", source, target)
        for known in (self._made, self._saved, self._longer, self._moved):
            known.discard(source)

    def _remove(self, path, folder=-1):
        path = _absolute(path)
        if folder != -1 or self._is_kept_out(path) or self._is_known(path) or not os.path.lexists(path):
            return
        if os.path.islink(path):
            self._saved.add(path)
            self._remember("link", path, os.readlink(path))
            return
        try:
            self._put_aside(path, os.link)
        except OSError:
            self._copy(path)

    def _rmdir(self, path, folder=-1):
        path = _absolute(path)
        if folder == -1 and os.path.isdir(path) and not self._is_known(path) and not self._is_kept_out(path):
            self._remember("gone", path)

    def _rmtree(self, path, folder=None):
        path = _absolute(path)
        own = self._is_known(path) and not any(moved.startswith(_inside(path)) for moved in self._moved)
        if folder is not None or not os.path.isdir(path) or own or self._is_kept_out(path):
            return
        try:
            self._put_aside(path, os.rename)
        except OSError:
            raise Refused(f"the probe can't put {path} aside: it may not be deleted") from None
        os.mkdir(path)

    def _connect(self, database):
        if not os.fsdecode(database).startswith((":", "file:")):
            self.will_write(database)

    def _list(self, path=None):
        if path is None or isinstance(path, int):
            return
        path = _absolute(path)
        # the folders of modules are listed by imports
        if path not in sys.path and path != self._root and not self._is_foreign(path):
            _note(self.listed, path)

    def _start(self, program, words=(), environment=None):
        """Another program that the script itself starts: what it writes is seen by comparing."""
        if programs.is_of_script(sys._getframe(1)) and not programs.is_hooked(program, words, environment):
            through_shell = isinstance(words, (list, tuple)) and len(words) > 2 and words[1] == "-c"
            named = os.fsdecode(words[2] if through_shell else program).split()
            _note(self.started, os.path.basename(named[0]) if named else "")
            programs.keep(self._root, self._kept)

    # what is kept

    def _save(self, path, truncates=False, appends=False):
        if appends and not truncates:
            if path in self._longer:
                return
            self._longer.add(path)
            self._remember("longer", path, os.path.getsize(path), os.stat(path).st_mtime_ns)
        elif truncates:
            try:
                self._put_aside(path, os.rename)
            except OSError:
                self._copy(path)
        else:
            self._copy(path)

    def _put_aside(self, path, how):
        aside = self._place()
        self._remember("kept", path, aside)
        try:
            how(path, aside)
        except OSError:
            self._undo.pop()
            raise
        self._saved.add(path)

    def _copy(self, path):
        if os.path.getsize(path) > MOST_BYTES_COPIED:
            self.not_restored.append(self.shown(path))
            return
        self._put_aside(path, shutil.copy2)

    def _place(self):
        os.makedirs(self._kept, exist_ok=True)
        return os.path.join(self._kept, f"{os.getpid()}-{len(self._undo)}")

    def _remember(self, *entry):
        self._undo.append(entry)
        os.makedirs(self._kept, exist_ok=True)
        with open(os.path.join(self._kept, "undo.jsonl"), "a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")

    def close(self):
        """What this thread writes from here on is ours, and stays."""
        self._busy.now = True

    def undo(self):
        """Takes everything back. Gives what was deleted, what was restored and, where other programs were started, what
        could not be and why.
        """
        self.close()
        journal = _journal(self._kept)
        undone = self.take_back(journal)
        others = programs.take_back(self._root, self._kept, journal)
        shutil.rmtree(self._kept, ignore_errors=True)
        if others is None:
            return undone
        return {
            "removed": sorted({*undone["removed"], *others["removed"]}),
            "restored": sorted({*undone["restored"], *others["restored"]}),
            "not_restored": [*self.not_restored, *others["left"]],
            "not_restored_why": others["why"],
        }

    def take_back(self, entries):
        removed, restored = [], []
        for entry in reversed(entries):
            try:
                _take_back(entry, removed, restored)
            except OSError as error:
                if not isinstance(error, FileNotFoundError):
                    note_fault(f"undo {entry[0]} {entry[1]}", error)
        return {
            "removed": sorted({self.shown(path) for path in removed}),
            "restored": sorted({self.shown(path) for path in restored}),
        }

    # what is told

    def report(self):
        for path in _open_files():
            if path not in self._open_before and path not in self.written:
                self.note_read(path)
        return {
            "read": [self.shown(path) for path in self.read if path not in self._made],
            "read_more": self.unread,
            "listed": [self.shown(path) for path in self.listed if path not in self._made],
            "written": [self.shown(path) for path in self.written if os.path.lexists(path)],
            "not_restored": self.not_restored,
            "started": sorted(self.started),
        }

    def shown(self, path):
        """Relative to the folder of the script where it lies below."""
        below = path.startswith(_inside(self._root))
        return os.path.relpath(path, self._root) if below else path

    def _is_known(self, path):
        """Made or kept already, itself or a folder around it."""
        while path not in self._made and path not in self._saved:
            path, name = os.path.split(path) if path not in self._moved else ("", "")
            if not name:
                return False
        return True

    def _is_kept_out(self, path):
        if self._inherited and (self._is_foreign(path) or not path.startswith(_inside(self._root))):
            return True
        return (path + os.sep).startswith(self._never) or (path + os.sep).startswith(self._caches)

    def _is_foreign(self, path):
        inside = path + os.sep
        return (
            inside.startswith(self._never + self._packages)
            or "/site-packages/" in inside
            or "/dist-packages/" in inside
        )


class Refused(PermissionError):
    """What can't be taken back is not done."""


def _take_back(entry, removed, restored):
    what, path, *more = entry
    if what == "file":
        os.remove(path)
        removed.append(path)
    elif what == "folder":
        shutil.rmtree(path)
        removed.append(path)
    elif what == "moved":
        if not os.path.lexists(path):
            os.rename(more[0], path)
    elif what == "gone":
        os.makedirs(path, exist_ok=True)
    elif what == "link":
        if not os.path.lexists(path):
            os.symlink(more[0], path)
    elif what == "longer":
        os.truncate(path, more[0])
        os.utime(path, ns=(more[1], more[1]))
        restored.append(path)
    elif os.path.lexists(more[0]):
        if os.path.isdir(path):
            shutil.rmtree(path)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        shutil.move(more[0], path)
        restored.append(path)


def _journal(kept):
    try:
        with open(os.path.join(kept, "undo.jsonl"), encoding="utf-8") as file:
            lines = file.read().split("\n")[:-1]
        return [json.loads(line) for line in lines]
    except (OSError, ValueError):
        return []


def _note(paths, path):
    """Whether there was room for it."""
    if path in paths:
        return True
    if len(paths) >= _MOST_PATHS:
        return False
    paths[path] = True
    return True


def _inside(path):
    return os.path.join(os.path.abspath(path), "")


def _absolute(path):
    return os.path.abspath(os.fsdecode(path))


def _caches():
    """Of packages: what they put there is not the script's."""
    home = os.path.expanduser("~")
    named = ("XDG_CACHE_HOME", "MPLCONFIGDIR", "HF_HOME", "TORCH_HOME", "TORCHINDUCTOR_CACHE_DIR", "TRITON_CACHE_DIR")
    found = [os.environ[name] for name in named if os.environ.get(name)]
    return [*found, *(os.path.join(home, name) for name in (".cache", ".triton", ".config/matplotlib"))]


def _fonts():
    """What plotting reads on the way: no data of the script."""
    home = os.path.expanduser("~")
    named = [os.environ.get("MPLCONFIGDIR"), os.path.join(os.environ.get("XDG_CACHE_HOME") or home, "matplotlib")]
    return [*filter(None, named), *(os.path.join(home, ".cache", name) for name in ("matplotlib", "fontconfig"))]


def _open_files():
    """Files that are open now, whatever library opened them."""
    try:
        links = [os.path.join("/proc/self/fd", name) for name in os.listdir("/proc/self/fd")]
    except OSError:
        return []
    found = [os.readlink(link) for link in links if os.path.lexists(link)]
    return [path for path in found if os.path.isfile(path)]
