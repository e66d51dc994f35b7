"""The script's samples and its answers, from two processes: the one that answers is given inputs and no targets.

Neither is the process that scores and writes, which never imports the script. Where the engine started the evaluation
each is a fork of this process, or a new interpreter where a fork would not be safe. By hand there is one process.
"""

from __future__ import annotations

import atexit
import ctypes
import hashlib
import importlib.util
import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from .asked import Asked
from .common import ROOT, EvalError, calling
from .plain import dumped, loaded, unpacked

#: set by the engine: the evaluation is parted; what takes rights away from a process
APART, CONFINE = "PROGTRAIN_APART", "PROGTRAIN_CONFINE"
_CHUNK = 256
#: its path, the split, the seed
Script = tuple[Path, str, int]
Ask = Callable[..., Any]
_PR_SET_DUMPABLE, _PR_SET_CHILD_SUBREAPER = 4, 36


class Other:
    """A process that answers as `Asked` would: `other("samples")`."""

    def __init__(self, script: Script, hidden: Sequence[str], earlier: Sequence[Other]) -> None:
        """`hidden`: what it cannot read. It has no way to the `earlier` ones."""
        self.inlet: BinaryIO
        self.outlet: BinaryIO
        path, begun = script[0], (str(script[0]), *script[1:], list(hidden), not earlier)
        (inlet, theirs), (ours, outlet) = os.pipe(), os.pipe()
        forks = may_fork()
        self.pid = os.fork() if forks else _new_interpreter(ours, theirs, begun)
        if forks and self.pid == 0:
            for pipe in [end for other in earlier for end in (other.inlet, other.outlet)]:
                pipe.close()
            os.close(inlet)
            os.close(outlet)
            _serve(ours, theirs, begun)
        os.close(ours)
        os.close(theirs)
        self.inlet, self.outlet, self.name = os.fdopen(inlet, "rb"), os.fdopen(outlet, "wb"), path.name

    def __call__(self, verb: str, *given: Any) -> Any:
        """Raises `EvalError` with what the script did wrong, or where it has ended."""
        data = dumped((verb, given))
        with suppress(BrokenPipeError):
            self.outlet.write(len(data).to_bytes(8, "big") + data)
            self.outlet.flush()
        size = self.inlet.read(8)
        data = self.inlet.read(int.from_bytes(size, "big")) if len(size) == 8 else b""
        if not data:
            raise EvalError(f"{self.name} ended the process that it was asked in ({verb})")
        try:
            fine, answer = loaded(data)
        except (pickle.UnpicklingError, ValueError, TypeError, EOFError, AttributeError, ImportError) as error:
            raise EvalError(f"what {self.name} answers is no data: {error}") from error
        if not fine:
            raise EvalError(str(answer))
        return answer

    def close(self) -> None:
        for pipe in (self.inlet, self.outlet):
            with suppress(OSError):
                pipe.close()
        with suppress(ChildProcessError):
            os.waitpid(self.pid, 0)


def may_fork() -> bool:
    """Where it can be seen that no thread is lost by it."""
    try:
        return len(list(Path("/proc/self/task").iterdir())) == 1
    except OSError:
        return False


def _new_interpreter(ours: int, theirs: int, begun: Any) -> int:
    code = "import sys; sys.path[0] = sys.argv[1]; from progtrain_eval.apart import begin; begin()"
    words = [sys.executable, "-c", code, str(Path(__file__).parents[1]), str(ours), str(theirs), dumped(begun).hex()]
    return subprocess.Popen(words, pass_fds=(ours, theirs)).pid


def begin() -> None:
    """In a new interpreter."""
    ours, theirs, begun = sys.argv[2:5]
    sys.path[0] = ""
    _serve(int(ours), int(theirs), loaded(bytes.fromhex(begun)))


def _serve(ours: int, theirs: int, begun: Any) -> None:
    """The life of such a process: one request after the other, then its end."""
    path, split, seed, hidden, secret = begun
    if secret:
        _unseen()
    asked, confined = Asked(Path(path), split, seed), False
    with os.fdopen(ours, "rb") as inlet, os.fdopen(theirs, "wb") as outlet:
        with suppress(BaseException):
            confined = _hide(hidden)
            if hidden and not confined:
                asked.listen(hidden)
        while len(size := inlet.read(8)) == 8:
            verb, given = pickle.loads(inlet.read(int.from_bytes(size, "big")))
            try:
                with calling(f"{verb} of {asked.path.name}"):
                    fine, answer = True, confined if verb == "confined" else getattr(asked, verb)(*given)
            except EvalError as error:
                fine, answer = False, str(error)
            data = dumped((fine, answer))
            with suppress(BrokenPipeError):
                outlet.write(len(data).to_bytes(8, "big") + data)
                outlet.flush()
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
        one = Asked(*script)
        yield lambda verb, *given: getattr(one, verb)(*given), lambda: None
        return
    _unseen()
    with suppress(Exception):  # what these processes leave behind comes to this one
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    made = [Other(script, (), ())]
    # forks have what this process knows: they are made while it knows nothing
    several = [hidden, ()] if may_fork() else [hidden]
    for places in several:
        made.append(Other(script, places, tuple(made)))
    waiting = made[1:]
    try:
        yield made[0], lambda: waiting.pop(0) if waiting else _one_more(script, made)
    finally:
        for other in made:
            other.close()
        _end_children()


def _one_more(script: Script, made: list[Other]) -> Other:
    made.append(Other(script, (), tuple(made)))
    return made[-1]


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
    about: Any = None
    other = answering()
    if other is not None:
        try:
            about, kept = _asked(truth, other, order, checkpoint, how)
        except EvalError as error:
            # it may need what was taken from it
            freer = answering() if other("confined") else None
            if freer is None:
                raise
            failed, other = str(error), freer
            about, kept = _asked(truth, other, order, checkpoint, how)
    if other is None or not kept:
        truth("take_own", order)
        other = truth
        about, kept = truth("answer", checkpoint, *how), "within reach: one process has both"
    elif failed:
        kept = f"within reach: it answers only where it can read the validation data ({failed})"
    rows = [row for at in range(0, len(order), _CHUNK) for row in other("answered", at, at + _CHUNK)]
    if len(rows) != len(order):
        raise EvalError(f"{len(order)} samples have {len(rows)} answers")
    if opened := other("has_opened"):
        names = ", ".join(os.path.relpath(path, ROOT) for path in opened[:3])
        kept = f"within reach: it opened {names} where it was only to answer"
    by_place = dict(zip(order, rows))
    return [unpacked(by_place[n]) for n in range(len(ids))], about, kept


def _asked(truth: Ask, other: Ask, order: Sequence[int], checkpoint: Path, how: Any) -> tuple[Any, str]:
    """What it says of its answers; "" where the inputs cannot be handed over."""
    for at in range(0, len(order), _CHUNK):
        handed = truth("handed", order[at : at + _CHUNK])
        if handed is None:
            return None, ""
        other("take", handed)
    about = other("answer", checkpoint, *how)
    return about, "apart, and the data hidden" if other("confined") else "apart"
