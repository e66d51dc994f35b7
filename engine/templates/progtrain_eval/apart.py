"""The script's samples and its answers, from two processes: the one that answers is given inputs and no targets.

Neither is the process that scores and writes, which never imports the script. Where the engine started the evaluation
each is a fork of this process, or a new interpreter where a fork would not be safe. By hand there is one process.
"""

from __future__ import annotations

import atexit
import ctypes
import functools
import hashlib
import importlib.util
import os
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from .asked import about, ask, listen
from .common import ROOT, EvalError, calling
from .plain import dumped, loaded, unpacked

#: set by the engine: the evaluation is parted; what takes rights away from a process
APART, CONFINE = "PROGTRAIN_APART", "PROGTRAIN_CONFINE"
_CHUNK = 256
#: its path, the split, the seed
Script = tuple[Path, str, int]
#: its number, what it says, what it is told
Other = tuple[int, BinaryIO, BinaryIO]
Ask = Callable[..., Any]
_PR_SET_DUMPABLE, _PR_SET_CHILD_SUBREAPER = 4, 36


def begun(script: Script, hidden: Sequence[str], earlier: Sequence[Other]) -> Other:
    """A process that is asked for what `asked.ask` gives. `hidden`: what it cannot read. It has no way to the `earlier`
    ones.
    """
    told = (str(script[0]), *script[1:], list(hidden), not earlier)
    (inlet, theirs), (ours, outlet) = os.pipe(), os.pipe()
    forks = may_fork()
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


def may_fork() -> bool:
    """Where it can be seen that no thread is lost by it."""
    try:
        return len(list(Path("/proc/self/task").iterdir())) == 1
    except OSError:
        return False


def _new_interpreter(ours: int, theirs: int, told: Any) -> int:
    code = "import sys; sys.path[0] = sys.argv[1]; from progtrain_eval.apart import begin; begin()"
    words = [sys.executable, "-c", code, str(Path(__file__).parents[1]), str(ours), str(theirs), dumped(told).hex()]
    return subprocess.Popen(words, pass_fds=(ours, theirs)).pid


def begin() -> None:
    """In a new interpreter."""
    ours, theirs, told = sys.argv[2:5]
    sys.path[0] = ""
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
    spec = importlib.util.spec_from_file_location("progtrain_confine", where)
    assert spec is not None and spec.loader is not None
    confine = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(confine)
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

    def one_more(hidden: Sequence[str]) -> Ask:
        made.append(begun(script, hidden, tuple(made)))
        return functools.partial(asked_in, made[-1], script[0].name)

    truth, waiting = one_more(()), [one_more(hidden)]
    if may_fork():  # a fork knows what this process does: it is made while that is nothing
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
