"""The script's samples and its answers, from two processes: the one that answers is given inputs and no targets.

Neither is the process that scores and writes, which never imports the script. Where the engine started the evaluation
each is a fork of this process, which imports the packages that the script begins with once for all of them; or a new
interpreter where a fork would not be safe. By hand there is one process.
"""

from __future__ import annotations

import ast
import atexit
import ctypes
import functools
import hashlib
import importlib.util
import json
import os
import pickle
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from .asked import about, ask, listen
from .common import ROOT, EvalError, calling
from .plain import dumped, loaded, unpacked

#: set by the engine: the evaluation is parted; what takes rights away from a process
APART, CONFINE = "PROGTRAIN_APART", "PROGTRAIN_CONFINE"
#: by it too: what the script begins with, and folders that it looks for modules in; what knows whether a fork is safe
FIRST, FORKS = "PROGTRAIN_FIRST", "PROGTRAIN_FORKS"
_CHUNK = 256
#: its path, the split, the seed
Script = tuple[Path, str, int]
#: its number, what it says, what it is told
Other = tuple[int, BinaryIO, BinaryIO]
Ask = Callable[..., Any]
_PR_SET_DUMPABLE, _PR_SET_CHILD_SUBREAPER = 4, 36


def begun(script: Script, hidden: Sequence[str], earlier: Sequence[Other], *, forks: bool) -> Other:
    """A process that is asked for what `asked.ask` gives. `hidden`: what it cannot read. It has no way to the `earlier`
    ones. `forks`: it is one of this process.
    """
    told = (str(script[0]), *script[1:], list(hidden), not earlier)
    (inlet, theirs), (ours, outlet) = os.pipe(), os.pipe()
    pid = os.fork() if forks else _new_interpreter(ours, theirs, told)
    if forks and pid == 0:
        for pipe in [end for other in earlier for end in other[1:]]:
            pipe.close()
        os.close(inlet)
        os.close(outlet)
        _serve(ours, theirs, told)
    os.close(ours)
    os.close(theirs)
    return pid, os.fdopen(inlet, "rb"), os.fdopen(outlet, "wb")


def asked_in(other: Other, name: str, verb: str, *given: Any) -> Any:
    """Raises `EvalError` with what the script did wrong, or where it has ended."""
    _, inlet, outlet = other
    with suppress(BrokenPipeError):
        _send(outlet, (verb, given))
    data = _receive(inlet)
    if not data:
        _end_if_killed(other[0])
        raise EvalError(f"{name} ended the process that it was asked in ({verb})")
    try:
        fine, answer = loaded(data)
    except (pickle.UnpicklingError, ValueError, TypeError, EOFError, AttributeError, ImportError) as error:
        raise EvalError(f"what {name} answers is no data: {error}") from error
    if not fine:
        raise EvalError(str(answer))
    return answer


def _end_if_killed(pid: int) -> None:
    """Where it was killed from outside, which is no fault of the script's, all ends with the exit code of a shell."""
    for _ in range(50):
        with suppress(ChildProcessError):
            ended, status = os.waitpid(pid, os.WNOHANG)
            number = os.WTERMSIG(status) if ended and os.WIFSIGNALED(status) else 0
            if number in (signal.SIGKILL, signal.SIGTERM):
                name = signal.Signals(number).name
                print(f"03_eval.py: a process of the evaluation was killed ({name})", file=sys.stderr, flush=True)
                _end_children()
                os._exit(128 + number)
            if not ended:
                time.sleep(0.1)
                continue
        return


def _send(outlet: BinaryIO, value: Any) -> None:
    data = dumped(value)
    outlet.write(len(data).to_bytes(8, "big") + data)
    outlet.flush()


def _receive(inlet: BinaryIO) -> bytes:
    """Empty at the end."""
    size = inlet.read(8)
    return inlet.read(int.from_bytes(size, "big")) if len(size) == 8 else b""


def _close(other: Other) -> None:
    for pipe in other[1:]:
        with suppress(OSError):
            pipe.close()
    with suppress(ChildProcessError):
        os.waitpid(other[0], 0)


# ---- what both import


def may_fork(script: Path) -> bool:
    """Imports what the script begins with; whether a process that has it is what a new interpreter would be."""
    if not _is_safe():
        return False
    known = set(sys.modules)
    import_first()
    return not _in_the_way(script, set(sys.modules) - known) and _is_safe()


def import_first() -> None:
    """Of the packages that are installed, up to the first statement that needs another."""
    names: dict[str, Any] = {}
    try:
        for statement in _first()[0]:
            if not all(map(_is_installed, _roots(statement))):
                return
            exec(compile(statement, "<imports>", "exec"), names)
    except (Exception, SystemExit):  # noqa: BLE001 - the script meets it again, and tells
        return


def _first() -> tuple[list[str], list[str]]:
    statements, folders = json.loads(os.environ.get(FIRST, "[[], []]"))
    return statements, folders


def _roots(statement: str) -> set[str]:
    nodes = list(ast.walk(ast.parse(statement)))
    named = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    named += [node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)]
    return {name.partition(".")[0] for name in named}


def _is_installed(name: str) -> bool:
    """No module of the user's comes into the process that scores."""
    spec = importlib.util.find_spec(name)
    if spec is None:
        return False
    places = [spec.origin] if spec.has_location else list(spec.submodule_search_locations or ())
    return all(_checks().is_installed(os.path.realpath(str(place))) for place in places)


def _in_the_way(script: Path, imported: set[str]) -> bool:
    """Whether the script has a module of its own by the name of one that is there now."""
    roots = {name.partition(".")[0] for name in imported}
    named = [folder for folder in os.environ.get("PROGTRAIN_MODULES", "").split(os.pathsep) if folder]
    for folder in (script.parent / part for part in ("", *named, *_first()[1])):
        for path in folder.iterdir() if folder.is_dir() else ():
            module = path.suffix in (".py", ".pyc", ".so") or (path / "__init__.py").exists()
            if module and path.name.partition(".")[0] in roots:
                return True
    return False


@functools.lru_cache(maxsize=1)
def _checks() -> Any:
    return _module(os.environ[FORKS])


def _is_safe() -> bool:
    """Where it can be seen that nothing is lost by a fork."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # newer Pythons warn of a fork beside threads, which this one is to find
            return not _checks().why_no_fork(str(Path(__file__).parents[1]))
    except (KeyError, OSError):
        return False


def _module(path: str) -> Any:
    """One of progtrain's own, by its path."""
    spec = importlib.util.spec_from_file_location(Path(path).stem, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# ---- the processes that are asked


def _new_interpreter(ours: int, theirs: int, told: Any) -> int:
    code = "import sys; sys.path[0] = sys.argv[1]; from progtrain_eval.apart import begin; begin()"
    words = [sys.executable, "-c", code, str(Path(__file__).parents[1]), str(ours), str(theirs), dumped(told).hex()]
    return subprocess.Popen(words, pass_fds=(ours, theirs)).pid


def begin() -> None:
    """In a new interpreter."""
    ours, theirs, told = sys.argv[2:5]
    sys.path[0] = ""
    import_first()  # while the other is asked
    _serve(int(ours), int(theirs), loaded(bytes.fromhex(told)))


def _serve(ours: int, theirs: int, told: Any) -> None:
    """The life of such a process: one request after the other, then its end."""
    path, split, seed, hidden, secret = told
    if secret:
        _unseen()
    of = about(Path(path), split, seed)
    with os.fdopen(ours, "rb") as inlet, os.fdopen(theirs, "wb") as outlet:
        with suppress(Exception):
            of.confined = _hide(hidden)
        if hidden and not of.confined:
            listen(of, hidden)
        while data := _receive(inlet):
            verb, given = pickle.loads(data)
            try:
                with calling(f"{verb} of {of.path.name}"):
                    fine, answer = True, ask(of, verb, *given)
            except EvalError as error:
                fine, answer = False, str(error)
            with suppress(BrokenPipeError):
                _send(outlet, (fine, answer))
    with suppress(Exception):
        atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with suppress(Exception):
            stream.flush()
    os._exit(0)


def _unseen() -> None:
    """No other process of the same user may look into this one's memory (Linux)."""
    with suppress(Exception):
        ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)


def _hide(places: Sequence[str]) -> bool:
    """Takes the right to read there away from this process, where the system can."""
    where = os.environ.get(CONFINE)
    if not where or not places:
        return False
    confine = _module(where)
    try:
        confine.restrict(None, places)
    except OSError:
        return False
    return True


@contextmanager
def parted(script: Script, hidden: Sequence[str]) -> Iterator[tuple[Ask, Callable[[], Ask | None]]]:
    """Who is asked for samples, and what gives one who is asked for answers: first one who can't read what is hidden,
    then one who can.
    """
    if not os.environ.get(APART):
        yield functools.partial(ask, about(*script)), lambda: None
        return
    _unseen()
    with suppress(Exception):  # what these processes leave behind comes to this one
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    made: list[Other] = []
    forks = may_fork(script[0])

    def one_more(hidden: Sequence[str]) -> Ask:
        made.append(begun(script, hidden, tuple(made), forks=forks))
        return functools.partial(asked_in, made[-1], script[0].name)

    truth, waiting = one_more(()), [one_more(hidden)]
    if forks:  # a fork knows what this process does: it is made while that is nothing
        waiting.append(one_more(()))
    try:
        yield truth, lambda: waiting.pop(0) if waiting else one_more(())
    finally:
        for other in made:
            _close(other)
        _end_children()


def _end_children() -> None:
    """What the script has left running ends before a score is written."""
    for _ in range(50):
        try:
            left = Path(f"/proc/self/task/{os.getpid()}/children").read_text(encoding="ascii").split()
        except OSError:
            return
        if not left:
            return
        for pid in left:
            with suppress(OSError):
                os.kill(int(pid), signal.SIGKILL)
                os.waitpid(int(pid), 0)


def answers_of(
    truth: Ask,
    answering: Callable[[], Ask | None],
    ids: Sequence[str],
    checkpoint: Path,
    how: tuple[int, tuple[int, int]],
) -> tuple[list[tuple[Any, Any]], tuple[float | None, str, dict[str, Any]], str]:
    """(scores, prediction) of each sample; latency, device and settings; and how the targets were kept.

    The inputs go over in the order of the digests of their ids, which the one who answers is not told.
    """
    order = sorted(range(len(ids)), key=lambda n: hashlib.sha256(ids[n].encode("utf-8", "surrogatepass")).digest())
    kept, failed = "", ""
    said: Any = None
    other = answering()
    if other is not None:
        # asked before it has imported the script, which might say anything
        confined = other("confined")
        try:
            said, kept = _asked(truth, other, order, checkpoint, how)
            kept = f"{kept}, and the data hidden" if kept and confined else kept
        except EvalError as error:
            # it may need what was taken from it
            freer = answering() if confined else None
            if freer is None:
                raise
            failed, other = str(error), freer
            said, kept = _asked(truth, other, order, checkpoint, how)
    if other is None or not kept:
        truth("take_own", order)
        other = truth
        said, kept = truth("answer", checkpoint, *how), "within reach: one process has both"
    elif failed:
        kept = f"within reach: it answers only where it can read the validation data ({failed})"
    rows = [row for at in range(0, len(order), _CHUNK) for row in other("answered", at, at + _CHUNK)]
    if len(rows) != len(order):
        raise EvalError(f"{len(order)} samples have {len(rows)} answers")
    if opened := other("has_opened"):
        names = ", ".join(os.path.relpath(path, ROOT) for path in opened[:3])
        kept = f"within reach: it opened {names} where it was only to answer"
    by_place = dict(zip(order, rows))
    return [unpacked(by_place[n]) for n in range(len(ids))], said, kept


def _asked(truth: Ask, other: Ask, order: Sequence[int], checkpoint: Path, how: Any) -> tuple[Any, str]:
    """What it says of its answers; "" where the inputs cannot be handed over."""
    for at in range(0, len(order), _CHUNK):
        handed = truth("handed", order[at : at + _CHUNK])
        if handed is None:
            return None, ""
        other("take", handed)
    return other("answer", checkpoint, *how), "apart"
