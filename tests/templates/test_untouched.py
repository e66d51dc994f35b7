"""What a script does to the workspace on its way to its training is put back, whatever becomes of the evaluation."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

from progtrain.engine.control import lock
from progtrain.engine.workspace import Workspace

#: changes, removes, makes and renames, and is killed
KILLED = """
import os, shutil, sys
from pathlib import Path
from progtrain.engine.templates.progtrain_eval.untouched import Untouched
root = Path(sys.argv[1])
with Untouched(root):
    shutil.rmtree(root / "checkpoints")
    (root / "link").unlink()
    with (root / "metrics.csv").open("a") as file:
        file.write("more")
    (root / "new").mkdir()
    (root / "new" / "file").write_text("new")
    (root / "notes").rename(root / "others")
    os.kill(os.getpid(), 9)
"""


def _tree(root: Path) -> dict[str, str]:
    """All but the engine's own."""
    found = {}
    for path in sorted(root.rglob("*")):
        if ".progtrain" not in path.parts:
            text = str(path.readlink()) if path.is_symlink() else path.read_text() if path.is_file() else ""
            found[str(path.relative_to(root))] = text
    return found


def _killed(ws: Workspace) -> None:
    done = subprocess.run([sys.executable, "-c", KILLED, str(ws.root)], check=False)
    assert done.returncode == -signal.SIGKILL
    assert (ws.root / "new" / "file").exists() and not (ws.root / "checkpoints" / "best.ckpt").exists()


def test_what_a_killed_evaluation_had_changed_is_put_back_by_the_next_runner(ws: Workspace) -> None:
    (ws.root / "checkpoints").mkdir()
    (ws.root / "checkpoints" / "best.ckpt").write_text("weights")
    for name in ("metrics.csv", "notes"):
        (ws.root / name).write_text(name)
    (ws.root / "link").symlink_to("metrics.csv")
    before = _tree(ws.root)
    _killed(ws)
    at_work = os.open(ws.root, os.O_RDONLY)
    fcntl.flock(at_work, fcntl.LOCK_EX)
    with lock.hold(ws):
        assert (ws.root / "new" / "file").exists(), "nothing while another evaluation is at work"
    os.close(at_work)
    with lock.hold(ws):
        assert _tree(ws.root) == before


def test_nothing_outside_of_the_workspace_is_put_back(ws: Workspace, tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("mine")
    (ws.root / "way").symlink_to(tmp_path)
    kept = ws.root / ".evaluating-x"
    kept.mkdir()
    names = ["way/mine", "../mine", str(tmp_path / "mine")]
    lines = [[name, None, None] for name in names] + [["here", "../../mine", None], [1, 2, 3], "?"]
    (kept / "list.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines) + "[")
    with lock.hold(ws):
        pass
    assert (tmp_path / "mine").read_text() == "mine"
    assert not kept.exists() and not (ws.root / "here").exists()
