"""What looks at a workspace, run on files that were made hostile: documented exit codes, harmless text, no traceback,
an end, and bounded memory. In this process, which is ten times cheaper, and now and then in a new one.
"""

from __future__ import annotations

import contextlib
import ctypes
import faulthandler
import io
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from random import Random

import pytest

from progtrain.engine.cli.main import main
from progtrain.engine.workspace import Workspace
from tests.cli.commands import PROGTRAIN
from tests.hostile import mutations

WORKSPACES = Path(__file__).parents[1] / "workspaces"
SEED = int(os.environ.get("PROGTRAIN_SEED") or 1)
#: of processor time, whoever else uses the machine; and by the clock, for what waits
SECONDS, WAITED = 60, 900
#: bytes of address space that a command may take: beyond what this process has, and in all for a new one
MEMORY = 2 << 30
#: of so many changed files one is looked at in new processes
FRESH = 50
DOCUMENTED = {0, 1, 2, 3, 4, 5}
COMMANDS = (
    ("status", "--json"),
    ("leaderboard",),
    ("leaderboard", "--json"),
    ("diff",),
    ("samples",),
    ("playbook",),
    ("journal",),
    ("journal", "--json"),
    ("log",),
    ("jobs",),
    ("jobs", "--json"),
    ("review",),
    ("run", "--dry-run"),
    ("additions", "list"),
    ("export", "csv"),
    ("repeat", "v001", "--dry-run"),
    ("compare", "v001", "v002"),
    ("experiment", "index"),
    ("evidence", "list"),
)
#: control characters, and those that turn or hide what stands around them
_COMMANDS_OF_TERMINALS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def unpacked(name: str, into: Path) -> Workspace:
    with tarfile.open(WORKSPACES / f"{name}.tar.gz") as archive:
        archive.extractall(into, filter="data")
    return Workspace(into / name)


def files_of(ws: Workspace) -> list[Path]:
    """All but the checkpoints, which no reader of ours opens, and the kept samples but for one."""
    kept = ws.version("v001").infer_samples / "0001"
    return [
        path
        for path in sorted(ws.root.rglob("*"))
        if path.is_file()
        and path.suffix != ".ckpt"
        and path != ws.lock
        and ("infer_samples" not in path.parts or path.is_relative_to(kept))
    ]


@contextlib.contextmanager
def ending(what: str) -> Iterator[None]:
    """Fails where it goes on for as long as nobody waits. What holds the interpreter itself ends the process."""

    def over(number: int, frame: object) -> None:
        # no `Exception`, which a command would tell as an error of its own
        pytest.fail(f"{what} goes on for more than {SECONDS} s of work, or waits for more than {WAITED} s")

    before = {number: signal.signal(number, over) for number in (signal.SIGPROF, signal.SIGALRM)}
    signal.setitimer(signal.ITIMER_PROF, SECONDS, 1)
    signal.setitimer(signal.ITIMER_REAL, WAITED, 1)
    faulthandler.dump_traceback_later(2 * WAITED, exit=True)
    try:
        yield
    finally:
        faulthandler.cancel_dump_traceback_later()
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def little_memory() -> Iterator[None]:
    """No more than `MEMORY` of address space beside what is taken already, where the system tells that."""
    if sys.platform != "linux":
        yield
        return
    taken = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (taken + MEMORY, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def without_roots_rights() -> None:
    """For a child before it begins: what lets root read everything is given up, and all memory but some."""
    if os.geteuid() == 0:
        for capability in (1, 2):  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
            ctypes.CDLL(None).prctl(24, capability, 0, 0, 0)  # PR_CAPBSET_DROP
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))


def _here(words: Sequence[str], what: str) -> tuple[int, str, str]:
    out, error = io.StringIO(), io.StringIO()
    with ending(what), little_memory(), contextlib.redirect_stdout(out), contextlib.redirect_stderr(error):
        code = main(list(words))
    return code, out.getvalue(), error.getvalue()


def _in_a_new_process(words: Sequence[str], what: str) -> tuple[int, str, str]:
    done = subprocess.run(
        [*PROGTRAIN, *words],
        capture_output=True,
        stdin=subprocess.DEVNULL,
        check=False,
        timeout=WAITED,
        preexec_fn=without_roots_rights,
    )
    out, error = (text.decode("utf-8", "surrogateescape") for text in (done.stdout, done.stderr))
    assert "Traceback" not in error, f"{what}: {error}"
    return done.returncode, out, error


def look(ws: Workspace, command: Sequence[str], what: str, *, fresh: bool = False) -> str:
    """What it says. It is to say it harmlessly, with a documented exit code; `status` never refuses."""
    what = f"{what}: {command}"
    code, out, error = (_in_a_new_process if fresh else _here)(["-C", str(ws.root), *command], what)
    said = out + error
    assert code in DOCUMENTED, f"{what} ends with {code}: {error}"
    assert code == 0 or command[0] != "status", f"{what} ends with {code}: {error}"
    assert not (found := _COMMANDS_OF_TERMINALS.search(said)), f"{what} writes {found[0]!r}"
    assert code != 5 or "fix:" in said, f"{what} says {said}"
    return said


@contextlib.contextmanager
def _changed(
    ws: Workspace, files: Sequence[Path], number: int, change: Callable[[Path, Random], str]
) -> Iterator[tuple[str, Random]]:
    """One file is another one for a while. Yields what was done, and what further numbers are drawn with."""
    random = Random(f"{SEED}-{number}")
    path = random.choice(files)
    data, mode = path.read_bytes(), path.stat().st_mode
    yield f"PROGTRAIN_SEED={SEED}, number {number}, {path.relative_to(ws.root)}, {change(path, random)}", random
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
    path.write_bytes(data)
    path.chmod(mode)


def try_out(
    whole: Workspace,
    place: Path,
    numbers: range,
    change: Callable[[Path, Random], str],
    looks: int,
    commands: Sequence[tuple[str, ...]] = COMMANDS,
) -> str:
    """For each number one file of a copy is changed and looked at by `looks` commands; it is put back afterwards.

    Returns what ran, with the processor time that it took.
    """
    begun, new = time.process_time(), 0
    ws = Workspace(place / "ws")
    shutil.copytree(whole.root, ws.root, symlinks=True)
    files = files_of(ws)
    for done, number in enumerate(numbers, 1):
        with _changed(ws, files, number, change) as (what, random):
            # root reads what nobody may read: such a file is looked at without root's rights
            fresh = done % FRESH == 0 or what.endswith(mutations.CLOSED)
            new += fresh * looks
            for command in (("status",), *random.sample(commands, looks - 1)):
                look(ws, command, what, fresh=fresh)
        if done % 500 == 0:
            sys.stdout.write(f"{done} files, {time.process_time() - begun:.0f} s of processor time\n")
            sys.stdout.flush()
    used, peak = time.process_time() - begun, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
    return (
        f"{whole.root.name}: {len(numbers)} files, {len(numbers) * looks} commands, {new} of them in new processes; "
        f"seed {SEED}, {used:.0f} s of processor time, at most {peak} MiB\n"
    )


def other_bytes(path: Path, random: Random) -> str:
    path.write_bytes(mutations.hostile(path.read_bytes(), random, path.name))
    return "other bytes"


def no_file(path: Path, random: Random) -> str:
    return _replaced(path, random.choice(list(mutations.OTHERS)))


def not_to_be_read(path: Path, random: Random) -> str:
    return _replaced(path, random.choice(list(mutations.ANY)))


def _replaced(path: Path, kind: str) -> str:
    path.unlink()
    mutations.ANY[kind](path)
    return kind
