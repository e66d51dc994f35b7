"""What imports take from the folder in which they run: whether a fork of the process that waits (`progtrain_warm.py`)
may run a script that lies in another one, and what changes for it there.

Standard library only, Python 3.9 and later.
"""

import builtins
import os
import sys

#: they ask for the present folder and keep nothing of it, or what `go_to` puts right
_KNOWN = ("inspect", "tempfile", "multiprocessing.process", "rich", "torch._dynamo.config", "torch._inductor.config")
_KEPT = (("multiprocessing.process", "ORIGINAL_DIR"), ("rich", "_IMPORT_CWD"))
_CONFIGS = ("torch._dynamo.config", "torch._inductor.config")
#: between whoever asks and `os`
_BETWEEN = ("os", "posixpath", "genericpath", "pathlib", "pathlib._local", __name__)
_WATCHED = ("getcwd", "getcwdb", "stat", "lstat", "listdir", "scandir", "open", "access", "chdir")
#: folders in which the imports were run: the present one, and that of the script
_first = {"folder": "", "beside": ""}
#: files that they asked for, by their paths from there -> what they were
_asked = {}
#: why a script in another folder cannot go on from them
_why = []


class _Heard:
    """A function that tells what it is asked. No descriptor, and equal to the function, as `shutil` compares them."""

    def __init__(self, real, tell):
        self.real, self.tell = real, tell

    def __call__(self, *values, **named):
        self.tell(self.real.__name__, *values[:1])
        return self.real(*values, **named)

    def __eq__(self, other):
        return other is self or other == self.real

    def __hash__(self):
        return hash(self.real)

    def __getattr__(self, name):
        return getattr(self.real, name)


def begin(beside):
    """From now on it is heard what imports ask of the present folder. `beside`: that of the script they are run for."""
    _first.update(folder=os.getcwd(), beside=beside)
    for name in _WATCHED:
        setattr(os, name, _Heard(getattr(os, name), _tell))
    builtins.open = _Heard(builtins.open, _tell)


def end():
    for name in _WATCHED:
        setattr(os, name, getattr(os, name).real)
    builtins.open = builtins.open.real
    folders = (_first["folder"], _first["beside"])
    # what lies in these is the same wherever a script lies
    spared = (sys.prefix, *(path for path in sys.path if path != _first["beside"]))
    modules = [(name, m) for name, m in list(sys.modules.items()) if isinstance(m, type(os))]
    for (module, held), name, value in [((n, vars(m)), *pair) for n, m in modules for pair in list(vars(m).items())]:
        if type(value) is _Heard:
            held[name] = value.real
        elif held is vars(sys.modules["__main__"]) or (module, name) in _KEPT:
            continue
        elif _is_below(value, *folders) and not _is_below(value, *spared):
            _why.append(f"{module} keeps the folder in which it is imported")
    paths = os.environ.get("PYTHONPATH", "")
    own = [os.path.realpath(path) for path in sys.path].count(_first["beside"])
    if own != 1 or not all(map(os.path.isabs, [*sys.path, *(paths.split(os.pathsep) if paths else [])])):
        _why.append("sys.path depends on the folder")


def _tell(name, path="."):
    if name in ("getcwd", "getcwdb"):
        by = _asking()
        if by not in _KNOWN:
            _why.append(f"{by} asks for the folder in which it is imported")
    elif isinstance(path, (str, bytes, os.PathLike)) and not os.path.isabs(path):
        if name in ("listdir", "scandir", "chdir"):
            _why.append(f"{_asking()} looks into the folder in which it is imported")
        else:
            _asked[os.fsdecode(path)] = _state(os.path.join(_first["folder"], os.fsdecode(path)))


def why_not(folder, python):
    """Why a fork that goes on in that folder is not what a new interpreter would be there; empty where it is."""
    if folder == _first["folder"]:
        return ""
    if os.path.dirname(python) and not os.path.isabs(python):
        return "the interpreter's path depends on the folder"
    if _tells_of_packages(folder) or _tells_of_packages(_first["folder"]):
        return "a folder beside the script tells of installed packages"
    unlike = (path for path, was in _asked.items() if _state(os.path.join(folder, path)) != was)
    other = next(unlike, "")
    return _why[0] if _why else f"{other} is another one there" if other else ""


def go_to(folder, beside):
    """What the interpreter and packages know of the folder. `beside`: that of the script."""
    first = _first["folder"]
    if beside != _first["beside"]:
        # an evaluation may be started from a folder of progtrain's
        sys.path[sys.path.index(_first["beside"])] = beside
        sys.path_importer_cache.pop(_first["beside"], None)
    if folder == first:
        return
    for name, kept in _KEPT:
        value = getattr(sys.modules.get(name), kept, None)
        if _is_below(value, first):
            setattr(sys.modules[name], kept, folder + value[len(first) :])
    for name in _CONFIGS:
        for entry in getattr(sys.modules.get(name), "_config", {}).values():
            if _is_below(getattr(entry, "default", None), first):
                entry.default = folder + entry.default[len(first) :]


def _asking():
    frame = sys._getframe(1)
    while frame is not None and frame.f_globals.get("__name__") in _BETWEEN:
        frame = frame.f_back
    return frame.f_globals.get("__name__", "") if frame is not None else ""


def _is_below(value, *folders):
    if type(value) is not str:
        pathlib = sys.modules.get("pathlib")
        if pathlib is None or not issubclass(type(value), pathlib.PurePath):
            return False
    return any(str(value) == folder or str(value).startswith(folder + os.sep) for folder in folders)


def _tells_of_packages(folder):
    """Which packages ask for when they are imported, to know each other's versions."""
    return any(name.endswith((".dist-info", ".egg-info", ".egg", ".egg-link")) for name in os.listdir(folder))


def _state(path):
    """Which file it is, through links; None for none."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_mtime_ns, found.st_size
