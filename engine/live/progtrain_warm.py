"""A process that has run the first imports of a script, and forks itself for each job that begins with them.

What the script sets up between them is run in its place here, once, and left out in the forks. What it adds to
`sys.path` is left to the forks: nothing that is imported here may lie in those folders too.

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

import progtrain_warm_checks as checks
import progtrain_warm_folder as place

# no new interpreter has them
del sys.modules[checks.__name__], sys.modules[place.__name__]
_PR_SET_PDEATHSIG = 1
_SECONDS_TO_CHANGE_PARENT = 10.0
#: environment at the beginning; variables that the script sets between its imports, with their values after these
_began, _variables = dict(os.environ), {}


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
    once = checks.why_no_fork()
    if not once:
        # else each collection, and the end, would copy the memory of all that was imported
        gc.collect()
        gc.freeze()
    stamp = checks.stamp()
    while True:
        stale, unlike = _why_not(job, stamp)
        if stale:
            _send(channel, stale=stale)
        elif unlike:
            _send(channel, failed=unlike)
        elif once and job["forked"]:
            _send(channel, once=once)
        elif once:
            _send(channel, pid=os.getpid(), once=once)
            return job, files
        elif _fork(channel):
            return job, files
        for file in files:
            os.close(file)
        job, files = _receive(channel)


def _why_not(job, stamp):
    """Why another process has to be made for that job, and why none can serve it; empty where this one can."""
    try:
        os.chdir(job["cwd"])
    except OSError as error:
        return "", f"{job['cwd']}: {error.strerror}"
    changed = [path for path, state in stamp.items() if checks.state_of(path) != state]
    if changed:
        return f"changed meanwhile: {changed[0]}", ""
    return place.why_not(os.getcwd(), job["python"]), checks.why_unlike(job)


def _import_first(job):
    """As the script will, in the place where it will, as the main program that it will be."""
    script = os.path.join(os.getcwd(), job["script"])
    sys.path[0] = os.path.dirname(os.path.realpath(script))
    sys.argv = [job["script"]]
    sys.modules["__main__"] = _new_main(script)
    names, touched, path = {"__name__": "__main__"}, set(), list(sys.path)
    sys.meta_path.insert(0, checks.listener)
    place.begin(sys.path[0])
    for statement in job["imports"]:
        before = dict(os.environ)
        exec(compile(statement, script, "exec"), names)
        if checks.setups([statement]):
            touched.update(name for name in {**before, **os.environ} if before.get(name) != os.environ.get(name))
    sys.meta_path.remove(checks.listener)
    place.end()
    if sys.path != path:
        checks.moved.append(True)
    _variables.update({name: os.environ.get(name) for name in touched})
    # what was printed lies in our output, and each job begins its own with it
    checks.flush()


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
    checks.flush()
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


# ---- the script


def become(job, files, guard):
    """Makes this process what a new interpreter is before its script; returns its code and its module's names.

    The code leaves out what was run between the imports.
    """
    log, go = files
    if not os.read(go, 1):
        os._exit(0)  # the guard does not know of this process
    if os.getsid(0) != os.getpid():
        os.setsid()
    _die_with(guard)
    # hooks find the variables that a new interpreter has before its script sets some
    _set({name: _began.get(name) for name in _variables})
    os.environ.update(job["environment"])
    sys.argv = [job["script"], *job["arguments"]]
    if hasattr(sys, "orig_argv"):
        sys.orig_argv = [job["python"], *sys.argv]
    script = os.path.join(os.getcwd(), job["script"])
    main = sys.modules["__main__"]
    first, main.__file__ = main.__file__, script
    main.__loader__.path = script
    place.go_to(os.getcwd(), os.path.dirname(os.path.realpath(script)))
    _take_files(log, go, first, script)
    _as_new()
    if job["hooks"]:
        sys.path.insert(1, job["hooks"])
        _install_hooks()
    _set(_variables)
    setups = checks.setups(job["imports"])
    if setups:
        return checks.left_out(checks.parsed(script), setups), script, main.__dict__
    with open(script, "rb") as file:
        return file.read(), script, main.__dict__


def _set(variables):
    for name, value in variables.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


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
        _words = [_job["python"], _job["script"], *_job["arguments"]]
        os.execvpe(_job["python"], _words, {**_began, **_job["environment"]})
    try:
        exec(compile(_source, _script, "exec", dont_inherit=True), _names)
    except SystemExit:
        raise
    except BaseException:
        _hide_this_file()
        raise
