"""What other programs do in the folder of a probed script: found by comparing, since nothing tells of it before.

Just before the first of them starts, the files below the folder are listed with size and time, and the small ones
among them are copied. When the script has come to its end, what is new is deleted, and what was changed or deleted is
put back from the copies. A listing does not say who wrote. So nothing is touched while somebody else is at work in the
folder, nor files of the kinds that people edit, beside others that were there before: these are told by name.
"""

import itertools
import json
import os
import re
import shutil
import stat
import time

#: more files than these are not listed; a hundred thousand take half a second
_MOST_FILES = 200_000
#: of these a copy is kept, those nearest to the script first
_MOST_COPIES = 2_000
_MOST_BYTES = 64 * 2**20
_MOST_BYTES_EACH = 8 * 2**20
#: whose business is not the script's
_NOT_LISTED = frozenset({".git", ".hg", ".svn", ".progtrain", "__pycache__", "node_modules"})
_EDITED = (".py", ".ipynb", ".md", ".json", ".yaml", ".yml", ".toml", ".cfg", ".ini", ".sh")
_SHELLS = frozenset({"bash", "zsh", "fish", "sh", "dash", "ksh", "tcsh", "csh", "tmux", "screen", "login", "sshd"})
_SECONDS_TO_END = 2.0
_FOLDER, _LINK, _FILE = "folder", "link", "file"


def is_of_script(frame):
    """Whether the script itself starts a program there, by whatever function of the library, and not a package."""
    library = os.path.join(os.path.dirname(os.__file__), "")
    while frame is not None:
        path, frame = frame.f_code.co_filename, frame.f_back
        packaged = "/site-packages/" in path or "/dist-packages/" in path
        if packaged or not path.startswith((library, os.path.dirname(__file__), "<frozen")):
            return not packaged
    return False


def is_hooked(program, words, environment):
    """Whether it is an interpreter that listens as this one does, and tells before it writes."""
    if not os.path.basename(os.fsdecode(program)).startswith("python") or isinstance(words, (str, bytes)):
        return False
    options = itertools.takewhile(lambda word: word.startswith("-"), map(os.fsdecode, words[1:]))
    if any(set(option) & set("EIS") and not option.startswith("--") for option in options):
        return False
    path = (os.environ if environment is None else environment).get("PYTHONPATH", "")
    return os.path.dirname(os.path.abspath(__file__)) in str(path).split(os.pathsep)


def keep(root, kept):
    """Lists the folder, once: what is there already was made by this process or one that it comes from."""
    if os.path.exists(_listing(kept)):
        return
    os.makedirs(kept, exist_ok=True)
    # from here on it is this process's: another that begins meanwhile relies on it
    try:
        os.close(os.open(_listing(kept), os.O_WRONLY | os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return
    known = _journal_length(kept)
    found = _walked(root, kept)
    told = {"known": known, "entries": found, "copies": _copied(root, kept, found) if found is not None else {}}
    with open(_listing(kept), "w", encoding="utf-8") as file:
        json.dump(told, file)


def _listing(kept):
    return os.path.join(kept, "listing.json")


def _journal_length(kept):
    try:
        with open(os.path.join(kept, "undo.jsonl"), "rb") as file:
            return file.read().count(b"\n")
    except OSError:
        return 0


def _walked(root, kept):
    """{path relative to `root`: [kind, size or aim of a link, mtime in ns]}; None of too many."""
    around = os.path.dirname(kept)
    ours = around if around.startswith(os.path.join(root, "")) else kept
    found, waiting = {}, [""]
    while waiting:
        folder = waiting.pop()
        try:
            entries = list(os.scandir(os.path.join(root, folder)))
        except OSError:
            continue
        if folder and any(entry.name == "pyvenv.cfg" for entry in entries):
            continue
        for entry in entries:
            path = os.path.join(folder, entry.name)
            kind = _kind(entry)
            if entry.name in _NOT_LISTED or kind is None or os.path.join(root, path) == ours:
                continue
            if len(found) >= _MOST_FILES:
                return None
            found[path] = kind
            if kind[0] == _FOLDER:
                waiting.append(path)
    return found


def _kind(entry):
    try:
        if entry.is_symlink():
            return [_LINK, os.readlink(entry.path), 0]
        seen = entry.stat(follow_symlinks=False)
    except OSError:
        return None
    if stat.S_ISDIR(seen.st_mode):
        return [_FOLDER, 0, 0]
    return [_FILE, seen.st_size, seen.st_mtime_ns] if stat.S_ISREG(seen.st_mode) else None


def _copied(root, kept, found):
    """{path: name of its copy below `kept`}."""
    small = [path for path, (kind, size, _) in found.items() if kind == _FILE and size <= _MOST_BYTES_EACH]
    small.sort(key=lambda path: (path.count(os.sep), found[path][1]))
    copies, total = {}, 0
    for path in small[:_MOST_COPIES]:
        total += found[path][1]
        if total > _MOST_BYTES:
            break
        name = f"listed-{len(copies)}"
        try:
            shutil.copy2(os.path.join(root, path), os.path.join(kept, name))
        except OSError:
            continue
        copies[path] = name
    return copies


# at the end


def end_those_at_work():
    """Programs that the script has left behind: they write no more from here on."""
    for how in (15, 9):
        ended = time.monotonic() + _SECONDS_TO_END
        _send(how)
        while _descendants() and time.monotonic() < ended:
            time.sleep(0.01)


def _send(how):
    for process in _descendants():
        try:
            os.kill(process, how)
        except OSError:
            continue


def _descendants():
    """Processes that come from this one and are not yet over; none where the system does not tell."""
    parents = _parents()
    found, more = set(), {os.getpid()}
    while more:
        more = {process for process, parent in parents.items() if parent in more} - found
        found |= more
    return found


def _parents():
    """{process: its parent} of those that are at work."""
    found = {}
    for name in _processes():
        try:
            with open(f"/proc/{name}/stat", encoding="utf-8", errors="replace") as file:
                state, parent = file.read().rpartition(")")[2].split()[:2]
        except (OSError, ValueError):
            continue
        if state not in "ZX":
            found[int(name)] = int(parent)
    return found


def _processes():
    try:
        return [name for name in os.listdir("/proc") if name.isdigit()]
    except OSError:
        return []


def take_back(root, kept, journal):
    """What came of the listing, after `journal` was taken back: `{"removed", "restored", "left", "why"}`, with paths
    relative to `root`. None where no other program was started.
    """
    try:
        with open(_listing(kept), encoding="utf-8") as file:
            told = json.load(file)
    except (OSError, ValueError):
        return None
    done = {"removed": [], "restored": [], "left": [], "why": ""}
    now = _walked(root, kept) if told["entries"] is not None else None
    if now is None:
        return {**done, "why": f"there are more than {_MOST_FILES:,} files"}
    before, copies, undone = _as_it_began(root, told, journal)
    changed = [path for path in {**before, **now} if _unlike(before.get(path), now.get(path))]
    changed = sorted(path for path in changed if not _is_below(path, undone))
    if changed and (other := somebody_else(root)):
        return {**done, "left": _outermost(changed, before), "why": f"{other} is at work in the folder too"}
    for path in changed:
        _undo(root, kept, path, (before, now, copies), done)
    return done


def _as_it_began(root, told, journal):
    """The listing and its copies under the names from before the script itself moved something, and the paths that it
    had changed by then: these are as they were at the beginning.
    """
    before, copies, undone = told["entries"], told["copies"], set()
    for what, path, *more in reversed(journal[: told["known"]]):
        path = _real(root, path)
        if what == "moved":
            moved = _real(root, more[0])
            before, copies = (
                {_renamed(one, moved, path): kept for one, kept in named.items()} for named in (before, copies)
            )
        else:
            undone.add(path)
    return before, copies, undone


def _real(root, path):
    folder, name = os.path.split(path)
    return os.path.relpath(os.path.join(os.path.realpath(folder), name), root)


def _renamed(path, source, target):
    return target + path[len(source) :] if (path + os.sep).startswith(source + os.sep) else path


def _unlike(one, other):
    return one != other and not (one is not None and other is not None and one[0] == other[0] == _FOLDER)


def _is_below(path, folders):
    """Whether it is one of them, or in one."""
    while path:
        if path in folders:
            return True
        path = os.path.dirname(path)
    return False


def _outermost(paths, before):
    """Of what lies in a new folder, the folder alone."""
    new = {path for path in paths if path not in before}
    return [path for path in paths if os.path.dirname(path) not in new]


def _undo(root, kept, path, listed, done):
    before, now, copies = listed
    whole = os.path.join(root, path)
    new, edited = path not in before, path.endswith(_EDITED)
    if new and not os.path.lexists(whole):
        return  # its folder went before it
    try:
        if edited and path in now and now[path][0] == _FILE:
            done["left"].append(path)
        elif new:
            shutil.rmtree(whole) if now[path][0] == _FOLDER else os.remove(whole)
            done["removed"].append(path)
        elif _put_back(whole, before[path], now.get(path), os.path.join(kept, copies.get(path, ""))):
            done["restored"].append(path)
        else:
            done["left"].append(path)
    except OSError:
        done["left"].append(path)


def _put_back(path, was, now, copy):
    if was[0] == _FILE and not os.path.isfile(copy):
        return False
    if now is not None:
        shutil.rmtree(path) if now[0] == _FOLDER else os.remove(path)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    if was[0] == _FOLDER:
        os.makedirs(path, exist_ok=True)
    elif was[0] == _LINK:
        os.symlink(was[1], path)
    else:
        shutil.move(copy, path)
    return True


def _at_work(process, root):
    """What the process is called, where it is somebody's work in the folder."""
    try:
        where = os.path.join(os.readlink(f"/proc/{process}/cwd"), "")
        if not where.startswith(os.path.join(root, "")) and not _writes_in(process, root):
            return ""
        with open(f"/proc/{process}/cmdline", encoding="utf-8", errors="replace") as file:
            words = [word for word in file.read().split("\0") if word]
    except OSError:  # it has ended, or keeps this to itself
        return ""
    # one that is kept for trainings is called so while it trains, too
    ours = any(re.match("progtrain(?!_warm)", os.path.basename(word)) for word in words[:4])
    program = os.path.basename(words[0]).lstrip("-") if words else ""
    return "" if ours or program in _SHELLS else program


def _writes_in(process, root):
    """Whether it has a file open there to write to, as a copy or a download has."""
    for name in os.listdir(f"/proc/{process}/fd"):
        try:
            if os.readlink(f"/proc/{process}/fd/{name}").startswith(os.path.join(root, "")):
                with open(f"/proc/{process}/fdinfo/{name}", encoding="ascii") as file:
                    flags = next(line for line in file if line.startswith("flags:")).split()[1]
                if int(flags, 8) & (os.O_WRONLY | os.O_RDWR):
                    return True
        except (OSError, StopIteration):  # closed meanwhile
            continue
    return False


def somebody_else(root):
    """A program of somebody else with its working folder or a file that it writes there, by name; empty where there is
    none.
    """
    if not _processes():
        return "somebody"  # this system does not tell
    parents, family = _parents(), {os.getpid()}
    above = os.getpid()
    while above in parents and above not in (0, 1):
        family.add(above)
        above = parents[above]
    # who is beside this process was started by the same: an interpreter that is kept for the next job
    family |= _descendants() | {one for one, parent in parents.items() if parent == os.getppid() != 1}
    own = os.getuid()
    for process in parents:
        if process in family or not _is_of(process, own):
            continue
        found = _at_work(process, root)
        if found:
            return found
    return ""


def _is_of(process, user):
    try:
        return os.stat(f"/proc/{process}").st_uid == user
    except OSError:
        return False
