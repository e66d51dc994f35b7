"""What looks at a workspace, run in this process on files that were made hostile: documented exit codes, harmless text,
no traceback, and an end.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import shutil
import signal
import tarfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from random import Random

from progtrain.engine.cli.main import main
from progtrain.engine.workspace import Workspace
from tests.hostile import mutations

WORKSPACES = Path(__file__).parents[1] / "workspaces"
SEED = int(os.environ.get("PROGTRAIN_SEED") or 1)
#: by the clock, on a machine that others use too
SECONDS = 60
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
    """Fails where it goes on for as long as nobody waits."""

    def over(number: int, frame: object) -> None:
        raise AssertionError(f"{what} goes on for more than {SECONDS} s")

    before = signal.signal(signal.SIGALRM, over)
    signal.alarm(SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def look(ws: Workspace, command: Sequence[str], what: str) -> str:
    """What it says. It is to say it harmlessly, with a documented exit code; `status` never refuses."""
    out, error = io.StringIO(), io.StringIO()
    with ending(f"{what}: {command}"), contextlib.redirect_stdout(out), contextlib.redirect_stderr(error):
        code = main(["-C", str(ws.root), *command])
    said = out.getvalue() + error.getvalue()
    assert code in DOCUMENTED, f"{what}: {command} ends with {code}: {error.getvalue()}"
    assert code == 0 or command[0] != "status", f"{what}: {command} ends with {code}: {error.getvalue()}"
    assert not (found := _COMMANDS_OF_TERMINALS.search(said)), f"{what}: {command} writes {found[0]!r}"
    assert code != 5 or "fix:" in said, f"{what}: {command} says {said}"
    return said


def try_out(
    whole: Workspace,
    place: Path,
    numbers: range,
    change: Callable[[Path, Random], str],
    looks: int,
    commands: Sequence[tuple[str, ...]] = COMMANDS,
) -> float:
    """For each number one file of a copy is changed and looked at by `looks` commands; it is put back afterwards.

    Returns the seconds that it took.
    """
    begun = time.monotonic()
    ws = Workspace(place / "ws")
    shutil.copytree(whole.root, ws.root, symlinks=True)
    files = files_of(ws)
    for number in numbers:
        random = Random(f"{SEED}-{number}")
        path = random.choice(files)
        data = path.read_bytes()
        what = f"PROGTRAIN_SEED={SEED}, number {number}, {path.relative_to(ws.root)}, {change(path, random)}"
        for command in (("status",), *random.sample(commands, looks - 1)):
            look(ws, command, what)
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
        path.write_bytes(data)
    return time.monotonic() - begun


def other_bytes(path: Path, random: Random) -> str:
    path.write_bytes(mutations.hostile(path.read_bytes(), random, path.name))
    return "other bytes"


def no_file(path: Path, random: Random) -> str:
    kind = random.choice(list(mutations.OTHERS))
    path.unlink()
    mutations.OTHERS[kind](path)
    return kind
