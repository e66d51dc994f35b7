"""A process that has run the first imports of a script, and forks itself for each job that begins with them.

`python progtrain_warm.py FD`: a guard (`engine/jobs/warm.py`) sends jobs through the socket FD, and each runs as
`python SCRIPT ARGUMENTS` would: as the main program, in a session of its own, as a child of the guard. A script finds
what it would have imported itself by then, in the same order, and nothing else. Where a fork would not be safe this
process runs the job itself, once.

It runs in the user's interpreter: standard library only, Python 3.9 and later.
"""

import ctypes
import gc
import importlib
import json
import os
import signal
import socket
import sys
import time
import types
from importlib.machinery import SourceFileLoader

_PR_SET_PDEATHSIG = 1
#: they start threads or keep locks of their own that a fork would break
_NO_FORK = ("tensorflow", "jax", "jaxlib", "cupy", "torch_xla", "ray", "pyspark", "tensorrt")
#: read when they are imported whether they are to be quiet, which a probe has to say before
_NOT_PROBED = ("wandb", "neptune", "clearml")
_SECONDS_TO_CHANGE_PARENT = 10.0


# ---- what the guard says


def _receive(channel):
    """A job and the two files that come with it: its log, and the pipe that says "go". Ends with the guard."""
    data, files = b"", []
    while not data.endswith(b"\n"):
        part, got, _, _ = socket.recv_fds(channel, 1 << 16, 2)
        if not part:
            os._exit(0)
        data += part
        files += got
    return json.loads(data), files


def _send(channel, **answer):
    channel.sendall(json.dumps(answer).encode() + b"\n")


# ---- waiting for jobs


def serve(channel):
    """Returns the job and its files in each process that is to run one."""
    job, files = _receive(channel)
    try:
        _import_first(job)
    except BaseException as error:
        _send(channel, failed=f"{type(error).__name__}: {error}"[:300])
        os._exit(1)
    once = _why_no_fork()
    if not once:
        # else each collection, and the end, would copy the memory of all that was imported
        gc.collect()
        gc.freeze()
    stamp = _stamp()
    while True:
        changed = [path for path, state in stamp.items() if _state_of(path) != state]
        unlike = _why_unlike(job)
        if changed:
            _send(channel, stale=f"changed meanwhile: {changed[0]}")
        elif unlike:
            _send(channel, failed=unlike)
        elif once:
            _send(channel, pid=os.getpid(), once=once)
            return job, files
        elif _fork(channel):
            return job, files
        for file in files:
            os.close(file)
        job, files = _receive(channel)


def _import_first(job):
    """As the script will, in the place where it will, as the main program that it will be."""
    script = os.path.join(os.getcwd(), job["script"])
    sys.path[0] = os.path.dirname(os.path.realpath(script))
    sys.argv = [job["script"]]
    sys.modules["__main__"] = _new_main(script)
    for statement in job["imports"]:
        exec(compile(statement, script, "exec"), {"__name__": "__main__"})
    # what was printed lies in our output, and each job begins its own with it
    _flush()


def _new_main(script):
    """What the interpreter makes for a script before it runs."""
    main = types.ModuleType("__main__")
    main.__builtins__ = importlib.import_module("builtins")
    main.__loader__ = SourceFileLoader("__main__", script)
    main.__file__, main.__cached__ = script, None
    if sys.version_info < (3, 14):
        main.__annotations__ = {}
    return main


def _fork(channel):
    """True in the process that runs the job. It becomes the guard's own child: its parent between has ended."""
    _flush()
    reading, writing = os.pipe()
    try:
        between = os.fork()
        if between == 0:
            if _is_grandchild(writing):
                os.close(reading)
                return True
            os._exit(0)
    except OSError as error:
        os.close(writing)
        os.close(reading)
        _send(channel, failed=f"no further process: {error.strerror}")
        return False
    os.close(writing)
    told = os.read(reading, 32)
    os.close(reading)
    os.waitpid(between, 0)
    if told:
        _send(channel, pid=int(told))
    else:
        _send(channel, failed="no further process could be made")
    return False


def _is_grandchild(writing):
    try:
        pid = os.fork()
        if pid == 0:
            os.close(writing)
            return True
        os.write(writing, b"%d" % pid)
    except OSError:
        return False
    return False


def _flush():
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()
    ctypes.CDLL(None).fflush(None)


# ---- where a fork would not be safe


def _why_no_fork():
    """Empty where a fork is as good as a new interpreter."""
    loaded = [name for name in _NO_FORK if name in sys.modules]
    if loaded:
        return f"{loaded[0]} is imported, which does not bear a fork"
    if _has_driver():
        return "the driver of a GPU is at work after its imports"
    outside = _from_elsewhere()
    if outside:
        return f"{outside} is imported from outside the installed packages, and may change"
    # libraries end their threads before a fork where they know how to: what is left then would be lost in the child
    printed = os.fstat(1).st_size
    tried = os.fork()
    if tried == 0:
        os._exit(0)
    os.waitpid(tried, 0)
    # newer Pythons warn of a fork beside threads
    os.ftruncate(1, printed)
    os.lseek(1, printed, os.SEEK_SET)
    threads = len(os.listdir("/proc/self/task"))
    if threads > 1:
        return f"{threads - 1} threads are at work after its imports"
    if _children():
        return "processes are at work after its imports"
    return ""


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


def _from_elsewhere():
    """A module that is neither installed nor the interpreter's own."""
    library = os.path.join(os.path.dirname(os.path.realpath(os.__file__)), "")
    for name, path in _loaded_files():
        real = os.path.realpath(path)
        packaged = "/site-packages/" in real or "/dist-packages/" in real or real.startswith(library)
        if not packaged and name not in ("sitecustomize", "usercustomize"):
            return name
    return ""


def _loaded_files():
    """(module, file) of all but the main program, which has several names; some name a file that is none."""
    for name, module in list(sys.modules.items()):
        path = getattr(module, "__file__", None)
        if isinstance(path, str) and os.path.isfile(path) and module is not sys.modules["__main__"]:
            yield name, path


# ---- what may have changed since


def _stamp():
    """Every file that was imported, the folders of the packages and the interpreter: path -> when changed, size."""
    paths = [path for _, path in _loaded_files()]
    # what lies beside the script is looked at for itself: each version adds to it
    paths += [path for path in sys.path[1:] if path and os.path.realpath(path) != sys.path[0]]
    paths += [os.path.realpath(sys.executable), os.path.join(sys.prefix, "pyvenv.cfg")]
    return {path: _state_of(path) for path in paths}


def _state_of(path):
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def _why_unlike(job):
    """Why this process is not what a new interpreter would be for that job; empty where it is."""
    if "PROGTRAIN_PROBE_FILE" in job["environment"]:
        loud = [name for name in _NOT_PROBED if name in sys.modules]
        if loud:
            return f"{loud[0]} is imported already"
    imported = {name.partition(".")[0] for name in sys.modules}
    folder = os.path.dirname(os.path.realpath(job["script"]))
    for name in os.listdir(folder):
        stem, _, ending = name.partition(".")
        module = ending.endswith(("py", "pyc", "so")) or os.path.exists(os.path.join(folder, name, "__init__.py"))
        if module and stem in imported:
            return f"{name} beside the script would be imported in place of what is there"
    return ""


# ---- the script


def become(job, files, guard):
    """Makes this process what a new interpreter is before its script; returns its code and its module's names."""
    log, go = files
    if not os.read(go, 1):
        os._exit(0)  # the guard does not know of this process
    if os.getsid(0) != os.getpid():
        os.setsid()
    _die_with(guard)
    os.environ.update(job["environment"])
    sys.argv = [job["script"], *job["arguments"]]
    if hasattr(sys, "orig_argv"):
        sys.orig_argv = [job["python"], *sys.argv]
    script = os.path.join(os.getcwd(), job["script"])
    main = sys.modules["__main__"]
    first, main.__file__ = main.__file__, script
    main.__loader__.path = script
    _take_files(log, go, first, script)
    _as_new()
    if job["hooks"]:
        sys.path.insert(1, job["hooks"])
        _install_hooks()
    with open(script, "rb") as file:
        return file.read(), script, main.__dict__


def _die_with(guard):
    """Ends with the guard, even when that is killed."""
    deadline = time.monotonic() + _SECONDS_TO_CHANGE_PARENT
    while os.getppid() != guard:
        if time.monotonic() > deadline:
            os._exit(1)
        time.sleep(0.0005)
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != guard:
        os._exit(1)


def _install_hooks():
    """As `sitecustomize` does; whatever goes wrong with them, the script runs without."""
    try:
        import progtrain_hooks

        progtrain_hooks.install()
    except Exception:
        return


def _take_files(log, go, first, script):
    """The log instead of our output, beginning with what the imports printed; warnings name the script there."""
    printed = os.pread(1, os.fstat(1).st_size, 0).replace(os.fsencode(first), os.fsencode(script))
    os.dup2(log, 1)
    os.dup2(log, 2)
    for file in (log, go):
        os.close(file)
    while printed:
        printed = printed[os.write(1, printed) :]


def _as_new():
    """What differs from process to process: random numbers without a seed, and what is known of folders."""
    importlib.invalidate_caches()
    # the generator of the standard library does so by itself
    numpy, torch = sys.modules.get("numpy.random.mtrand"), sys.modules.get("torch")
    if numpy is not None:
        numpy.seed()
    if torch is not None:
        torch.default_generator.seed()


def _hide_this_file():
    """A traceback begins with the script."""
    hook = sys.excepthook

    def told(kind, error, trace):
        sys.excepthook = hook
        while trace is not None and trace.tb_frame.f_code.co_filename == __file__:
            trace = trace.tb_next
        error.__traceback__ = sys.last_traceback = trace
        hook(kind, error, trace)

    sys.excepthook = told


if __name__ == "__main__":
    _self = sys.modules["__main__"]  # kept: another takes its name
    _guard = os.getppid()
    _channel = socket.socket(fileno=int(sys.argv[1]))
    _channel.set_inheritable(False)
    _job, _files = serve(_channel)
    _channel.close()
    try:
        _source, _script, _names = become(_job, _files, _guard)
    except Exception:
        # no fault of ours ends the job: a new interpreter takes the place of this one
        os.execvp(_job["python"], [_job["python"], _job["script"], *_job["arguments"]])
    try:
        exec(compile(_source, _script, "exec", dont_inherit=True), _names)
    except SystemExit:
        raise
    except BaseException:
        _hide_this_file()
        raise
