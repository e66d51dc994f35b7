"""Causes of failed trainings, read from what real processes leave."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from progtrain.engine.script.repair.failure import CAUSES, Failure, explain

RAISED = {
    "out of memory": "raise RuntimeError('CUDA out of memory. Tried to allocate 2.00 GiB')",
    "loss not finite": "raise ValueError('the loss is nan in step 12')",
    "missing path": "open('dataset/prepdata/none/train.csv')",
    "bad shape": "raise RuntimeError('mat1 and mat2 shapes cannot be multiplied (32x64 and 784x10)')",
    "missing module": "import a_package_that_nobody_has",
    "no device": "raise RuntimeError('No supported gpu backend found!')",
    "data workers": "raise RuntimeError('DataLoader worker (pid 17) is killed by signal: Bus error.')",
    "disk full": "raise OSError(28, 'No space left on device')",
    "exception": "raise KeyError('epochs')",
    "signal": "raise KeyboardInterrupt",
}


def run(tmp_path: Path, text: str) -> Failure:
    (tmp_path / "02_train_v001.py").write_text(text)
    command = [sys.executable, "02_train_v001.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    return explain(done.stdout + done.stderr, done.returncode, None)


@pytest.mark.parametrize(("cause", "statement"), RAISED.items())
def test_an_exception_is_told_with_its_cause_and_place(tmp_path: Path, cause: str, statement: str) -> None:
    failure = run(tmp_path, f"def main():\n    {statement}\n\nmain()\n")
    assert failure.cause == cause
    assert failure.cause in CAUSES
    assert (failure.file, failure.line) == ("02_train_v001.py", 2)
    assert failure.root_cause_hypothesis


def test_the_place_is_the_innermost_line_of_the_users_own_code(tmp_path: Path) -> None:
    (tmp_path / "helper.py").write_text("import json\n\ndef read(text):\n    return json.loads(text)\n")
    failure = run(tmp_path, "from helper import read\n\nread('{')\n")
    assert (failure.file, failure.line) == ("helper.py", 4)
    assert failure.error_summary.startswith("JSONDecodeError: Expecting property name")


def test_code_that_a_message_shows_is_no_traceback_of_its_own() -> None:
    failure = explain(
        "Traceback (most recent call last):\n"
        '  File "/home/me/02_train_v001.py", line 60, in <module>\n    main()\n'
        '  File "/opt/lib/python3.11/site-packages/torch/_dynamo/output_graph.py", line 9, in trace\n    raise\n'
        "torch._dynamo.exc.InternalTorchDynamoError: AttributeError: no such thing\n\n"
        "from user code:\n"
        '   File "/home/me/02_train_v001.py", line 35, in training_step\n    self.log("loss", loss)\n'
        '  File "/opt/lib/python3.11/inspect.py", line 1369, in getfullargspec\n    sig = get(func)\n\n'
        'Set TORCHDYNAMO_VERBOSE=1 for the internal stack trace. For more, set TORCH_LOGS="+dynamo"\n',
        1,
        None,
    )
    assert failure.error_summary == "InternalTorchDynamoError: AttributeError: no such thing"
    assert (failure.file, failure.line) == ("02_train_v001.py", 35)


def test_the_cause_of_a_worker_process_counts_not_the_one_that_reports_it() -> None:
    log = (
        "Traceback (most recent call last):\n"
        '  File "/ws/02_train_v001.py", line 40, in <module>\n    main()\n'
        "RuntimeError: Caught FileNotFoundError in DataLoader worker process 0.\n"
        "Original Traceback (most recent call last):\n"
        '  File "/env/lib/python3.11/site-packages/torch/utils/data/worker.py", line 349, in loop\n    data = f()\n'
        '  File "/ws/02_train_v001.py", line 12, in __getitem__\n    return open(path)\n'
        "FileNotFoundError: [Errno 2] No such file or directory: 'a/b.png'\n"
    )
    failure = explain(log, 1, None)
    assert (failure.cause, failure.line) == ("missing path", 12)
    assert failure.root_cause_hypothesis.endswith("a/b.png")


def test_a_syntax_error_is_told_with_its_line(tmp_path: Path) -> None:
    failure = run(tmp_path, "x = 1\nif x\n    y = 2\n")
    assert (failure.cause, failure.line) == ("syntax error", 2)
    assert "expected ':'" in failure.error_summary


def test_a_process_that_ends_itself_with_a_signal(tmp_path: Path) -> None:
    failure = run(tmp_path, "import os, signal\nprint('epoch 3', flush=True)\nos.kill(os.getpid(), signal.SIGKILL)\n")
    assert failure.cause == "signal"
    assert failure.error_summary == "ended by signal SIGKILL; its last words: epoch 3"
    assert "lack of memory" in failure.root_cause_hypothesis


def test_an_exit_code_without_a_word(tmp_path: Path) -> None:
    failure = run(tmp_path, "raise SystemExit(3)\n")
    assert (failure.cause, failure.error_summary) == (
        "unknown",
        "ended with exit code 3 and no traceback; its last words: none",
    )


def test_the_time_limit_is_told_by_the_guard() -> None:
    failure = explain("Epoch 1: 10%\rEpoch 1: 20%\n", -15, "time limit")
    assert failure.cause == "time limit"
    assert "Epoch 1: 20%" in failure.error_summary
    assert "step_timeout_minutes" in failure.root_cause_hypothesis


def test_the_name_of_the_package_to_install_is_told() -> None:
    log = 'Traceback (most recent call last):\n  File "a.py", line 1, in <module>\n'
    log += "ModuleNotFoundError: No module named 'sklearn'\n"
    assert "pip install scikit-learn" in explain(log, 1, None).root_cause_hypothesis


def test_nothing_of_a_binary_log_reaches_the_summary() -> None:
    failure = explain("\x1b[31mred\x1b[0m \x00\x07 \x9b5m end\ufffd\n", 1, None)
    assert all(c.isprintable() for c in failure.error_summary)
    assert len(explain("x" * 100_000, 1, None).error_summary) < 500


def test_an_empty_log() -> None:
    assert explain("", None, None).cause == "unknown"
