"""Repairs that need no model, never against a lock, and the retry report."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from progtrain.engine.loop.attempts import Attempt, retry_report
from progtrain.engine.script.repair.failure import Failure, explain
from progtrain.engine.script.repair.repairs import advice, propose

SCRIPT = """\
from torch import nn

VERSION = "v001"
BATCH_SIZE = 32
LEARNING_RATE = 1e-2  # high
INPUTS = 784

net = nn.Sequential(nn.Linear(INPUTS, 8), nn.ReLU(), nn.Linear(8, 10))
"""


def failure(cause: str, summary: str = "", line: int | None = None) -> Failure:
    return Failure(cause, summary, "why", "02_train_v001.py", line)


def test_out_of_memory_halves_the_batches() -> None:
    repair = propose(failure("out of memory"), SCRIPT, locked={})
    assert repair is not None
    assert repair[0] == SCRIPT.replace("BATCH_SIZE = 32", "BATCH_SIZE = 16")
    assert repair[1] == "BATCH_SIZE 32 → 16: half as many samples are in memory at a time"


def test_a_loss_that_is_not_finite_lowers_the_learning_rate() -> None:
    repair = propose(failure("loss not finite"), SCRIPT, locked={})
    assert repair is not None
    assert "LEARNING_RATE = 1e-3  # high" in repair[0] or "LEARNING_RATE = 0.001  # high" in repair[0]


@pytest.mark.parametrize(("cause", "key"), [("out of memory", "batch_size"), ("loss not finite", "learning_rate")])
def test_a_locked_setting_is_not_repaired(cause: str, key: str) -> None:
    # a repair never breaks a rule
    assert propose(failure(cause), SCRIPT, locked={key: 32}) is None
    assert "locked" in advice(failure(cause), locked={key: 32})


@pytest.mark.parametrize("cause", ["time limit", "missing module", "exception", "unknown", "signal", "outputs"])
def test_what_only_a_person_can_fix_is_left_to_one(cause: str) -> None:
    assert propose(failure(cause), SCRIPT, locked={}) is None
    assert advice(failure(cause), locked={})


def test_batches_of_one_cannot_be_halved() -> None:
    assert propose(failure("out of memory"), SCRIPT.replace("32", "1"), locked={}) is None


def test_the_first_layer_is_fitted_to_the_data() -> None:
    shapes = failure("bad shape", "RuntimeError: mat1 and mat2 shapes cannot be multiplied (32x64 and 784x8)")
    repair = propose(shapes, SCRIPT, locked={})
    assert repair is not None
    assert "INPUTS = 64" in repair[0]
    # two layers that take 784: which one is wrong cannot be told
    assert propose(shapes, SCRIPT + "other = nn.Linear(784, 8)\n", locked={}) is None


def test_a_device_that_is_not_there_is_left_open() -> None:
    source = "trainer = L.Trainer(accelerator='gpu', max_epochs=2)\n"
    repair = propose(failure("no device"), source, locked={})
    assert repair is not None
    assert repair[0] == 'trainer = L.Trainer(accelerator="auto", max_epochs=2)\n'
    assert propose(failure("no device"), source, locked={"accelerator": "gpu"}) is None


def test_data_is_loaded_without_worker_processes() -> None:
    source = "loader = DataLoader(data, batch_size=4, num_workers=8, persistent_workers=True)\n"
    repair = propose(failure("data workers"), source, locked={})
    assert repair is not None
    assert repair[0] == "loader = DataLoader(data, batch_size=4, num_workers=0, persistent_workers=False)\n"


def rerun(tmp_path: Path, source: str, times: int = 1) -> tuple[int, str]:
    """Runs a script, and again after each repair."""
    script = tmp_path / "02_train_v001.py"
    for attempt in range(times + 1):
        script.write_text(source)
        command = [sys.executable, script.name]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        if done.returncode == 0 or attempt == times:
            return done.returncode, source
        repair = propose(explain(done.stderr, done.returncode, None), source, locked={}, root=tmp_path)
        assert repair is not None, done.stderr
        source = repair[0]
    raise AssertionError


def test_a_folder_to_write_into_is_made_and_follows_the_version(tmp_path: Path) -> None:
    source = (
        'VERSION = "v001"\n\n\ndef main():\n    if True:\n'
        '        with open(f"Models/Artifacts/{VERSION}/plots/loss.txt", "w") as file:\n'
        '            file.write("x")\n\n\nmain()\n'
    )
    code, fixed = rerun(tmp_path, source)
    assert code == 0
    assert '        Path(f"Models/Artifacts/{VERSION}/plots").mkdir(parents=True, exist_ok=True)\n' in fixed
    assert (tmp_path / "Models/Artifacts/v001/plots/loss.txt").is_file()


def test_a_misspelt_path_becomes_the_one_that_is_there(tmp_path: Path) -> None:
    (tmp_path / "dataset" / "train").mkdir(parents=True)
    (tmp_path / "dataset" / "train" / "digits.csv").write_text("1")
    code, fixed = rerun(
        tmp_path, 'from pathlib import Path\n\nprint((Path("dataset/train") / "digit.csv").read_text())\n'
    )
    assert code == 0
    assert '"digits.csv"' in fixed


def test_a_path_that_resembles_nothing_is_left_alone(tmp_path: Path) -> None:
    lost = failure("missing path", "FileNotFoundError: [Errno 2] No such file or directory: 'nowhere/a.csv'", 1)
    assert propose(lost, 'open("nowhere/a.csv")\n', locked={}, root=tmp_path) is None


@pytest.mark.parametrize(
    "source", ["x = 1\nif x == 1  # one\n    print(x)\n", "if True:\n\tx = 1\n        y = 2\nprint(x, y)\n"]
)
def test_a_slip_of_syntax_is_fixed(tmp_path: Path, source: str) -> None:
    assert rerun(tmp_path, source)[0] == 0


def test_other_syntax_errors_are_left_to_the_user() -> None:
    broken = failure("syntax error", "SyntaxError: '(' was never closed", 1)
    assert propose(broken, "print((1)\n", locked={}) is None


def test_the_report_has_a_section_for_each_attempt() -> None:
    failed = Attempt(
        number=1,
        at=datetime.now(UTC),
        cause="out of memory",
        error_summary="RuntimeError: # out\nof memory",
        root_cause_hypothesis="too large",
        code_change_summary="BATCH_SIZE 32 → 16",
    )
    report = retry_report([failed], passed=2)
    assert report.count("\n## Attempt ") == 2
    for name in ("attempt", "error_summary", "root_cause_hypothesis", "code_change_summary", "status"):
        assert report.count(f"- {name}: ") == 2
    assert "- error_summary: RuntimeError: # out of memory\n" in report
    assert "- status: PASS\n" in report
