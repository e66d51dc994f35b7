"""Whether a fork of the process that waits (`progtrain_warm.py`) is what a new interpreter would be for a job.

Standard library only, Python 3.9 and later.
"""

import ast
import ctypes
import os
import sys
import types

#: they start threads or keep locks of their own that a fork would break
_NO_FORK = ("tensorflow", "jax", "jaxlib", "cupy", "torch_xla", "ray", "pyspark", "tensorrt")
#: read when they are imported whether they are to be quiet, which a probe has to say before
_NOT_PROBED = ("wandb", "neptune", "clearml")
_IMPORTS = (ast.Import, ast.ImportFrom, ast.Try)
#: what the imports have asked for, found or not
asked = set()
#: whether the imports themselves have changed `sys.path`
moved = []


def _find_spec(name, path=None, target=None):
    asked.add(name.partition(".")[0])


#: hears what is imported, as the first in `sys.meta_path`, and leaves it to others
listener = types.SimpleNamespace(find_spec=_find_spec)


def setups(statements):
    """What they are without their places, of those that import nothing."""
    nodes = [node for statement in statements for node in ast.parse(statement).body]
    return [ast.dump(node) for node in nodes if not isinstance(node, _IMPORTS)]


# ---- where a fork would not be safe


def why_no_fork(ours=None):
    """Empty where a fork is as good as a new interpreter.

    `ours`: a folder whose modules never change; None: in the process that waits, whose output is nobody's.
    """
    loaded = [name for name in _NO_FORK if name in sys.modules]
    if loaded:
        return f"{loaded[0]} is imported, which does not bear a fork"
    if _has_driver():
        return "the driver of a GPU is at work after its imports"
    outside = _from_elsewhere(ours)
    if outside:
        return f"{outside} is imported from outside the installed packages, and may change"
    if ours is None:
        # newer Pythons warn of a fork beside threads
        unheard(_try_fork)
    else:
        _try_fork()
    threads = len(os.listdir("/proc/self/task"))
    if threads > 1:
        return f"{threads - 1} threads are at work after its imports"
    if _children():
        return "processes are at work after its imports"
    return ""


def _try_fork():
    """Libraries end their threads before it where they know how to: what is left would be lost in the child."""
    tried = os.fork()
    if tried == 0:
        os._exit(0)
    os.waitpid(tried, 0)


def unheard(act):
    """What `act` gives. What it prints goes to no log."""
    printed = os.fstat(1).st_size
    try:
        return act()
    finally:
        flush()
        os.ftruncate(1, printed)
        os.lseek(1, printed, os.SEEK_SET)


def _has_driver():
    cuda = sys.modules.get("torch.cuda")
    if cuda is not None and cuda.is_initialized():
        return True
    with open("/proc/self/maps", encoding="utf-8", errors="replace") as file:
        mapped = file.read()
    return any(name in mapped for name in ("/libcuda.so", "/dev/nvidia", "/dev/kfd"))


def _children():
    try:
        with open(f"/proc/self/task/{os.getpid()}/children", encoding="ascii") as file:
            return file.read().strip()
    except OSError:  # this kernel does not tell
        return ""


def _from_elsewhere(ours):
    """A module that is neither installed, nor the interpreter's own, nor one of ours."""
    for name, path in _loaded_files():
        real = os.path.realpath(path)
        packaged = is_installed(real) or (ours is not None and real.startswith(os.path.join(ours, "")))
        if not packaged and name not in ("sitecustomize", "usercustomize"):
            return name
    return ""


def is_installed(real):
    """Whether a file, its path without links, belongs to a package or to the interpreter."""
    library = os.path.join(os.path.dirname(os.path.realpath(os.__file__)), "")
    return "/site-packages/" in real or "/dist-packages/" in real or real.startswith(library)


def _loaded_files():
    """(module, file) of all but the main program, which has several names; some name a file that is none."""
    for name, module in list(sys.modules.items()):
        path = getattr(module, "__file__", None)
        if isinstance(path, str) and os.path.isfile(path) and module is not sys.modules["__main__"]:
            yield name, path


# ---- what may have changed since


def stamp():
    """Every file that was imported, the folders of the packages and the interpreter: path -> when changed, size."""
    paths = [path for _, path in _loaded_files()]
    # what lies beside the script is looked at for itself: each version adds to it
    paths += [path for path in sys.path[1:] if path and os.path.realpath(path) != sys.path[0]]
    paths += [os.path.realpath(sys.executable), os.path.join(sys.prefix, "pyvenv.cfg")]
    return {path: state_of(path) for path in paths}


def state_of(path):
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def why_unlike(job):
    """Why this process is not what a new interpreter would be for that job; empty where it is."""
    if "PROGTRAIN_PROBE_FILE" in job["environment"]:
        loud = [name for name in _NOT_PROBED if name in sys.modules]
        if loud:
            return f"{loud[0]} is imported already"
    done = setups(job["imports"])
    if done and not unheard(lambda: left_out(parsed(job["script"]), done)):
        return f"{job['script']} begins otherwise than the script that sets something up before its imports"
    own = os.path.dirname(os.path.realpath(job["script"]))
    added = [os.path.realpath(folder) for folder in job.get("folders", [])]
    if added and moved:
        return "its imports change sys.path, and so does the script"
    return next(filter(None, (_why_first(folder, folder == own) for folder in [own, *added])), "")


def _why_first(folder, own):
    """Why a module of that folder could come in place of what is imported; empty where none does."""
    names = asked.union(name.partition(".")[0] for name in sys.modules) - {"__main__"}
    try:
        inside = os.listdir(folder)
    except OSError:  # the script adds what is not there
        return ""
    for name in inside:
        stem, _, ending = name.partition(".")
        module = ending.endswith(("py", "pyc", "so")) or os.path.exists(os.path.join(folder, name, "__init__.py"))
        missing = not own and stem not in sys.modules and os.path.isdir(os.path.join(folder, name))
        if (module or missing) and stem in names:
            return f"{name} beside the script would be imported in place of what is there"
        if not own and name.endswith((".dist-info", ".egg-info", ".egg")):
            return f"{name} in a folder that the script adds to sys.path tells of installed packages"
    return ""


def parsed(script):
    with open(script, "rb") as file:
        return ast.parse(file.read(), script)


def left_out(tree, done):
    """The script without the statements that were run already; None where it does not begin with them."""
    places = [i for i, node in enumerate(tree.body) if ast.dump(node) in done][: len(done)]
    if [ast.dump(tree.body[i]) for i in places] != done:
        return None
    for i in places:
        tree.body[i] = ast.copy_location(ast.Pass(), tree.body[i])
    return tree


def flush():
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()
    ctypes.CDLL(None).fflush(None)
