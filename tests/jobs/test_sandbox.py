"""Scripts in a sandbox, under real guards: what they can write, and what is said where there is none."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from progtrain.engine.jobs import sandbox
from progtrain.engine.jobs.local import Local
from progtrain.engine.schema import JobRequest, JobState
from progtrain.engine.workspace import JobFolder

if why_not := sandbox.why_not():
    pytest.skip(why_not, allow_module_level=True)

SCRIPT = """
import os, pathlib, signal, tempfile
made = pathlib.Path("made")
(made / "best.ckpt").write_text("weights")
with tempfile.NamedTemporaryFile(dir=None) as file:
    print("temporary", file.name)
for name, work in {
    "rules": lambda: pathlib.Path("rules.json").write_text("{}"),
    "home": lambda: pathlib.Path(tempfile.gettempdir(), "..", "..", "way-out").write_text("x"),
    "journal": lambda: open("journal.jsonl", "a"),
    "remove": lambda: os.unlink("rules.json"),
    "replace": lambda: os.replace("made/best.ckpt", "rules.json"),
    "signal": lambda: os.kill(os.getppid(), signal.SIGCONT),
}.items():
    try:
        work()
        print(name, "done")
    except OSError as error:
        print(name, "refused")
"""


def _run(tmp_path: Path, code: str, writable: list[str] | None, **request: object) -> tuple[JobState, list[str]]:
    root = tmp_path / "ws"
    (root / "made").mkdir(parents=True, exist_ok=True)
    (root / "rules.json").write_text('{"seed": 1}')
    (root / "journal.jsonl").write_text("")
    (root / "script.py").write_text(code)
    folder = JobFolder(root / "jobs" / "one")
    Local().submit(
        folder,
        JobRequest.model_validate(
            {"name": "one", "command": [sys.executable, "script.py"], "cwd": str(root), "writable": writable, **request}
        ),
    )
    return Local().wait(folder, lambda: None), folder.log.read_text().splitlines()


def test_a_script_writes_to_its_own_folder_and_to_temporary_files_alone(tmp_path: Path) -> None:
    state, said = _run(tmp_path, SCRIPT, [str(tmp_path / "ws/made")])
    assert state.exit_code == 0
    assert said[0].startswith(f"temporary {tmp_path}/ws/jobs/one/tmp/")
    # a kernel from before Linux 6.12 lets signals through
    assert said[1:6] == ["rules refused", "home refused", "journal refused", "remove refused", "replace refused"]
    assert (tmp_path / "ws/rules.json").read_text() == '{"seed": 1}'
    assert (tmp_path / "ws/made/best.ckpt").read_text() == "weights"
    assert not (tmp_path / "ws/jobs/one/tmp").exists()


def test_without_one_all_of_it_works(tmp_path: Path) -> None:
    _, said = _run(tmp_path, SCRIPT, None)
    assert "rules done" in said
    assert "replace done" in said


def test_its_children_are_in_it_too(tmp_path: Path) -> None:
    code = "import subprocess; print(subprocess.run(['sh', '-c', 'echo x >> rules.json']).returncode)"
    _, said = _run(tmp_path, code, [str(tmp_path / "ws/made")])
    assert said[-1] != "0"


def test_bubblewrap_does_the_same_where_it_is_installed(tmp_path: Path) -> None:
    if shutil.which("bwrap") is None:
        pytest.skip("bubblewrap is not installed")
    (tmp_path / "mine").mkdir()
    (tmp_path / "kept").write_text("as it was")
    words = ["sh", "-c", "echo x > mine/a; echo x > kept; cat kept"]
    done = subprocess.run(
        sandbox.in_bubblewrap(words, [str(tmp_path / "mine")]),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    if "No permissions" in done.stderr or "Operation not permitted" in done.stderr:
        pytest.skip(f"bubblewrap may not work here: {done.stderr.strip()}")
    assert (done.stdout, (tmp_path / "kept").read_text()) == ("as it was", "as it was")
    assert (tmp_path / "mine/a").read_text() == "x\n"


def test_a_script_does_not_start_where_a_sandbox_was_asked_for_and_there_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The guard's process finds no Landlock: a seccomp filter would answer so too."""
    stand_in = tmp_path / "stand-in"
    stand_in.mkdir()
    (stand_in / "sitecustomize.py").write_text(
        "import errno\n"
        "from progtrain.engine.live import progtrain_confine\n"
        "def version():\n    raise OSError(errno.ENOSYS, 'this kernel has no Landlock')\n"
        "progtrain_confine.version = version\n"
    )
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(stand_in), str(Path(sandbox.__file__).parents[3])]))
    monkeypatch.setenv("PATH", "/nowhere")
    state, said = _run(tmp_path, SCRIPT, [str(tmp_path / "ws/made")])
    assert state.ended_by == "could not start"
    why = "no sandbox here: this kernel has no Landlock, and bubblewrap is not installed"
    assert said == [f"could not start {sys.executable}: {why}"]
