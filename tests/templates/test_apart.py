"""Samples, answers and scores in processes of their own, as the loop has the evaluation started."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from progtrain.engine import hooks
from progtrain.engine.live import progtrain_confine
from progtrain.engine.workspace import Workspace

from .conftest import PLAIN_SCRIPT, Run

TEMPLATES = hooks.CHECK.parents[1] / "templates"
#: answers with the targets that it finds in this process, and with class 0 where there are none
SEARCHING = """
import gc


class Net(torch.nn.Module):
    def forward(self, x):
        found = [o for o in gc.get_objects() if type(o).__name__ == "Samples" and any(o.targets)]
        known = {tuple(raw): target for one in found for raw, target in zip(one.raws, one.targets)}
        said = [known.get(tuple(row), 0) for row in x.tolist()]
        return torch.nn.functional.one_hot(torch.tensor(said), 3).float() * 4
"""


def apart(ws: Workspace, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(TEMPLATES / "isolated.py"), str(TEMPLATES / "03_eval.py"), "--version", "v001"],
        cwd=ws.root,
        env={**os.environ, **hooks.of_evaluation(ws, ours=True, script=ws.script("v001")), **variables},
        capture_output=True,
        text=True,
        check=False,
    )


def outputs(ws: Workspace) -> list[Any]:
    """What was measured, without times and how targets were kept."""
    folder = ws.version("v001")
    score, protocol = (json.loads(path.read_text()) for path in (folder.eval_score, folder.protocol))
    for name in ("created_at", "targets", "latency_ms"):
        score.pop(name, None)
        protocol.pop(name, None)
    samples = [path.read_text() for path in sorted(folder.infer_samples.rglob("*.json"))]
    return [score, protocol, folder.per_sample.read_text(), samples]


def kept(ws: Workspace) -> str:
    return str(json.loads(ws.version("v001").protocol.read_text())["targets"])


def test_scores_are_the_same_to_the_bit(toy: Workspace, evaluated: Run, put: Callable[..., None]) -> None:
    put(
        ("def load_model", "def per_sample_loss(output, target):\n    return float(output[target])\n\n\ndef load_model")
    )
    assert evaluated("--version", "v001").code == 0
    by_hand = outputs(toy)
    # what lies beside the scripts does not come in the way of Python's own modules
    (toy.root / "csv.py").write_text("raise SystemExit('this is no csv')\n")
    done = apart(toy, PYTHONPATH="")
    assert done.returncode == 0, done.stderr
    assert outputs(toy) == by_hand
    assert kept(toy).startswith("apart")


@pytest.mark.slow
def test_targets_are_not_in_the_process_that_answers(toy: Workspace, put: Callable[..., None]) -> None:
    text = PLAIN_SCRIPT[: PLAIN_SCRIPT.index("class Net")] + SEARCHING
    put(script=text + PLAIN_SCRIPT[PLAIN_SCRIPT.index("\n\ndef load_model") :])
    done = apart(toy)
    assert done.returncode == 0, done.stderr
    score = json.loads(toy.version("v001").eval_score.read_text())
    assert {m["name"]: round(m["value"], 3) for m in score["metrics"]}["accuracy"] == round(1 / 3, 3)


def test_a_script_that_reads_the_validation_data_to_answer_is_told_of(toy: Workspace, put: Callable[..., None]) -> None:
    try:
        progtrain_confine.version()
    except OSError as error:
        pytest.skip(str(error))
    opening = 'open("dataset/prepdata/toy_v1/valid/data.csv").read()\n'
    put(("def load_split", f'if __name__ != "__main__":\n    {opening}\n\ndef load_split'))
    done = apart(toy)
    assert done.returncode == 0, done.stderr
    assert "warning: the targets were within reach: it answers only where it can read" in done.stdout
    assert kept(toy).startswith("within reach")


@pytest.mark.slow
@pytest.mark.parametrize("verb", ["load_split(split)", "load_model(checkpoint_path)"], ids=["samples", "answers"])
def test_a_killed_process_of_an_evaluation_is_no_fault_of_the_script(
    toy: Workspace, put: Callable[..., None], verb: str
) -> None:
    """It ends as one that was killed, so that the loop starts it again; nothing of it goes on or is written."""
    begins = f"def {verb}:\n"
    put((begins, f"{begins}    __import__('os').kill(__import__('os').getpid(), 9)\n"))
    done = apart(toy)
    assert (done.returncode, done.stderr) == (137, "03_eval.py: a process of the evaluation was killed (SIGKILL)\n")
    assert not toy.version("v001").eval_score.exists()


COUNTED = "import os, pathlib\npathlib.Path(os.environ['COUNTED']).open('a').write(f'{os.getpid()}\\n')\n"
THREAD = "import threading, time\nthreading.Thread(target=time.sleep, args=(600,), daemon=True).start()\n"


@pytest.mark.parametrize(
    ("folder", "text", "beside", "imports"),
    [
        ("site-packages", COUNTED, "", 1),
        # a fork would lose it: each process is a new interpreter, and what scores has found that out
        pytest.param("site-packages", COUNTED + THREAD, "", 3, marks=pytest.mark.slow),
        # the script means its own, and what is installed is not what it gets
        pytest.param("site-packages", COUNTED, "import os\n", 0, marks=pytest.mark.slow),
        # not into the process that scores
        pytest.param("lib", COUNTED, "", 2, marks=pytest.mark.slow),
    ],
    ids=["installed", "with a thread", "one beside the script", "not installed"],
)
def test_a_package_is_imported_once_for_all_processes_where_a_fork_is_safe(
    toy: Workspace, put: Callable[..., None], tmp_path: Path, folder: str, text: str, beside: str, imports: int
) -> None:
    package, counted = tmp_path / folder, tmp_path / "counted"
    package.mkdir()
    (package / "counted_package.py").write_text(text)
    if beside:
        (toy.root / "counted_package.py").write_text(beside)
    put(("import torch\n", "import torch\nimport counted_package\n"))
    counted.touch()
    done = apart(toy, PYTHONPATH=str(package), COUNTED=str(counted))
    assert done.returncode == 0, done.stderr
    assert len(counted.read_text().splitlines()) == imports
    assert kept(toy).startswith("apart")
