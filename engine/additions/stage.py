"""Where code of the user's makes, reads and writes rows: a folder like the workspace with the splits it may see."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from progtrain.engine import hooks
from progtrain.engine.additions import folder as folders
from progtrain.engine.additions.tools.progtrain_additions_rows import Rows
from progtrain.engine.errors import InputError, StepFailed
from progtrain.engine.files import storage_errors
from progtrain.engine.jobs.detached import with_parent
from progtrain.engine.workspace import Workspace

#: that it may take
SECONDS = 600


@contextmanager
def stage(ws: Workspace, dataset_id: str, splits: Iterable[str], *, scripts: bool) -> Iterator[Path]:
    """With an empty folder `out`, these splits, and what is common to all; `scripts`: and the user's own files."""
    with storage_errors(ws.making):
        ws.making.mkdir(parents=True, exist_ok=True)
        folders.clear(ws.making, "stage-*", "new-*", "dry-*")
        root = Path(tempfile.mkdtemp(prefix="stage-", dir=ws.making))
    try:
        data = root / ws.relative(ws.data(dataset_id))
        data.mkdir(parents=True)
        (root / "out").mkdir(mode=0o777)
        shown = [ws.split(dataset_id, name) for name in (*splits, "common")]
        for path in (*shown, ws.stats(dataset_id)):
            if path.exists():
                (data / path.name).symlink_to(path.absolute())
        for path in ws.root.iterdir() if scripts else ():
            if path.name not in ("dataset", "Models") and not path.name.startswith("."):
                (root / path.name).symlink_to(path.absolute())
        yield root
    finally:
        shutil.rmtree(root, ignore_errors=True)


def show_pictures(ws: Workspace, rows: Rows, root: Path) -> None:
    """Those that a table of rows names, under the same names."""
    for name, kind in rows.kinds.items():
        for cell in rows.columns[name] if kind == "picture" and rows.format != "folders" else ():
            link = root / str(cell)
            if link.is_relative_to(root) and ".." not in Path(str(cell)).parts and not link.exists():
                link.parent.mkdir(parents=True, exist_ok=True)
                link.symlink_to((ws.root / str(cell)).absolute())


def run(command: Sequence[str], root: Path, what: str) -> subprocess.CompletedProcess[str]:
    """In a child process that ends with this one. `what`: whose fault it is where it takes too long.

    Raises `StepFailed`, `InputError` without an interpreter.
    """
    environment = {**os.environ, **hooks.of_script(), "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        return subprocess.run(
            command,
            cwd=root,
            env=environment,
            stdin=subprocess.DEVNULL,
            preexec_fn=with_parent,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        reason = f"it took more than {SECONDS} s and was ended"
        raise StepFailed(reason, file=what, fix="ask for fewer rows, or make it faster") from error
    except OSError as error:
        reason = f"it cannot be started: {error.strerror}"
        raise InputError(reason, file=command[0], fix="name an interpreter") from error
