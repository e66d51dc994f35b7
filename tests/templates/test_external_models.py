"""03_eval.py --external NAME: models from elsewhere, whatever shape they have, in a process of their own."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from progtrain.engine.schema import EvalScore, load
from progtrain.engine.workspace import Workspace

Put = Callable[..., None]
Run = Callable[..., Any]

TEXTS = """
DATASET_ID = "toy_v1"
CLASS_NAMES = ["negative", "positive"]

def load_split(split):
    words = ["good film", "bad film", "a good plot", "the bad plot"]
    return [(f"s{i}", words[i % 4], CLASS_NAMES[1 - i % 2]) for i in range(8)]
"""

#: Whether a text is good: the one thing that all models below know.
GOOD = "def good(text): return 'good' in text.split()\n"
CLI = """
import argparse, json
p = argparse.ArgumentParser()
"""

SHAPES = {
    "predict": ("def predict(raw): return 'positive' if good(raw) else 'negative'", "predict(), one sample a call"),
    "infer": ("def infer(text): return 'positive' if good(text) else 'negative'", "infer(), one sample a call"),
    "inference": ("def inference(x): return int(good(x))", "inference(), one sample a call"),
    "class": (
        "class Model:\n    def __init__(self, path='.'): self.words = good\n"
        "    def predict(self, raw): return 'positive' if self.words(raw) else 'negative'",
        "Model().predict(), one sample a call",
    ),
    "a list": (
        "def predict(texts):\n    assert isinstance(texts, list)\n    return [int(good(t)) for t in texts]",
        "predict(), a list of samples a call",
    ),
    "a list, unnamed": (
        "def predict(x):\n    return ['positive' if good(t) else 'negative' for t in x]",
        "predict(), a list of samples a call",
    ),
    "other case": ("def predict(raw): return 'Positive ' if good(raw) else 'NEGATIVE'", "predict(), one sample a call"),
    "index in an array": (
        "import numpy\ndef predict(raw): return numpy.array([good(raw)], dtype='int64')",
        "predict(), one sample a call",
    ),
    "scores": ("def predict(raw): return [0.0, 2.0 * good(raw) - 1]", "predict(), one sample a call"),
    "dict": ("def predict(raw): return {'label': int(good(raw)), 'score': 0.8}", "predict(), one sample a call"),
    "chances by name": (
        "def predict(raw): return {'Positive': 0.2 + 0.6 * good(raw), 'Negative': 0.8 - 0.6 * good(raw)}",
        "predict(), one sample a call",
    ),
    "pipeline": (
        "def predict(raw): return [{'label': 'positive' if good(raw) else 'negative', 'score': 0.9}]",
        "predict(), one sample a call",
    ),
    "pipeline of all classes": (
        "def predict(raw): return [[{'label': 'LABEL_0', 'score': 0.9 - 0.8 * good(raw)}, "
        "{'label': 'LABEL_1', 'score': 0.1 + 0.8 * good(raw)}]]",
        "predict(), one sample a call",
    ),
    "command line that prints": (
        "import argparse\nif __name__ == '__main__':\n    p = argparse.ArgumentParser()\n"
        "    p.add_argument('--text', required=True)\n    print('loading')\n"
        "    print('positive' if good(p.parse_args().text) else 'negative')",
        "a script with --text, one sample a run",
    ),
    "command line without a parser": (
        "import sys\nprint('loading')\nprint(int(good(sys.argv[1])))",
        "a script with sys.argv[1], one sample a run",
    ),
    "command line with files": (
        CLI + "p.add_argument('--input', required=True)\np.add_argument('--output')\na = p.parse_args()\n"
        "json.dump({'label': int(good(open(a.input).read()))}, open(a.output, 'w'))",
        "a script with --input and --output, one sample a run",
    ),
    "demo in the file": (
        "print('demo', good('good film'))\nprint(open('demo.txt').read())\ninput_of_the_demo = good\n"
        "def predict(raw):\n    print('asked')\n    return int(good(raw))\nraise SystemExit('the demo has ended')",
        "predict(), one sample a call",
    ),
}  # fmt: skip


@pytest.fixture
def model(toy: Workspace, put: Put, rules: Put) -> Callable[..., Path]:
    """Writes Models/external/theirs/inference_sample.py; samples are texts, `good` or `bad`."""
    put(script=TEXTS)
    rules(metrics=["accuracy"])

    def write(code: str) -> Path:
        folder = toy.external / "theirs"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "demo.txt").write_text("good film")
        (folder / "inference_sample.py").write_text(GOOD + code)
        return folder

    return write


def values(folder: Path) -> dict[str, float | None]:
    return {m.name: m.value for m in load(folder / "eval_score.json", EvalScore).metrics}


@pytest.mark.parametrize("shape", SHAPES)
def test_a_model_of_any_usual_shape_is_scored(model: Put, evaluated: Run, toy: Workspace, shape: str) -> None:
    code, taken_for = SHAPES[shape]
    model(code)
    folder = toy.external / "theirs"
    done = evaluated("--external", "theirs")
    assert done.code == 0, done.err
    found = values(folder)
    assert found["accuracy"] == 1
    assert (found["loss"] is not None) == (shape in ("scores", "chances by name", "pipeline of all classes"))
    assert f"taken for: {taken_for}\n" in done.out
    assert json.loads((folder / "_eval" / "protocol.json").read_text())["external_as"] == taken_for
    assert not (folder / "__pycache__").exists(), "nothing is left in the model's folder"


def test_it_is_run_by_the_interpreter_of_its_own(model: Put, evaluated: Run, toy: Workspace) -> None:
    """Which has none of the packages of this one, numpy for one, and is no part of the model."""
    model("import sys, os\ndef predict(raw): return int(good(raw) and os.environ.get('OWN') == 'yes')")
    folder = toy.external / "theirs"
    python = folder / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(f'#!/bin/sh\nOWN=yes exec "{sys.executable}" -S -E "$@"\n')
    python.chmod(0o755)
    assert evaluated("--external", "theirs").code == 0
    protocol = json.loads((folder / "_eval" / "protocol.json").read_text())
    assert protocol["external_as"] == "predict(), one sample a call, run by .venv/bin/python"
    (folder / ".venv" / "installed.py").write_text("")
    evaluated("--external", "theirs")
    again = json.loads((folder / "_eval" / "protocol.json").read_text())
    assert again["checkpoint_sha256"] == protocol["checkpoint_sha256"]
    assert values(folder)["accuracy"] == 1


@pytest.mark.parametrize("own", ["", "-S"])
def test_arrays_come_as_arrays_or_as_lists_where_there_is_no_numpy(
    toy: Workspace, evaluated: Run, put: Put, own: str
) -> None:
    put(("[float(i % 3), 1.0]", "__import__('numpy').array([[i % 3, 1]], dtype='float32')"))
    folder = toy.external / "theirs"
    folder.mkdir(parents=True)
    kind = "list" if own else "ndarray"
    (folder / "inference_sample.py").write_text(
        f"def predict(raw):\n    assert type(raw).__name__ == '{kind}', type(raw)\n    return int(raw[0][0])\n"
    )
    if own:
        python = folder / "venv" / "bin" / "python"
        python.parent.mkdir(parents=True)
        python.write_text(f'#!/bin/sh\nexec "{sys.executable}" {own} "$@"\n')
        python.chmod(0o755)
    done = evaluated("--external", "theirs")
    assert done.code == 0, done.err
    assert values(folder)["accuracy"] == 1


def test_images_go_to_a_command_line_as_png_and_to_a_function_as_an_array_of_several(
    toy: Workspace, evaluated: Run, put: Put
) -> None:
    put(("[float(i % 3), 1.0]", "__import__('numpy').full((8, 8), i % 3, dtype='uint8')"))
    folder = toy.external / "theirs"
    folder.mkdir(parents=True)
    source = folder / "inference_sample.py"
    source.write_text(
        CLI + "from PIL import Image\np.add_argument('--image', required=True)\np.add_argument('--out')\n"
        "a = p.parse_args()\nassert a.image.endswith('.png')\n"
        "open(a.out, 'w').write(str(Image.open(a.image).getpixel((0, 0))))\n"
    )
    assert evaluated("--external", "theirs").code == 0
    assert values(folder)["accuracy"] == 1
    source.write_text(
        "def predict(images):\n    assert images.shape[1:] == (8, 8)\n    return images[:, 0, 0].tolist()\n"
    )
    done = evaluated("--external", "theirs")
    assert done.code == 0, done.err
    assert "predict(), an array of samples a call" in done.out


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("import package_of_mine\ndef predict(raw): ...",
         "No module named 'package_of_mine' (inference_sample.py, line 2); give it an environment of its own, in "
         "Models/external/theirs: python -m venv .venv && .venv/bin/pip install -r requirements.txt"),
        ("class Model:\n    def __init__(self, path): ...\n    def predict(self, raw): ...",
         "missing 1 required positional argument: 'path'"),
        ("def answer(raw): ...", "offers no `def predict(raw)` that returns a label"),
        ("def predict(raw): return 'neutral'", "the prediction 'neutral' is none of CLASS_NAMES"),
        ("def predict(raw):\n    return raw / 2", "TypeError: unsupported operand"),
        ("def predict(raw):\n    import os; os._exit(3)", "inference_sample.py ended: it printed nothing"),
        ("def predict(raw):\n    import time; time.sleep(60)", "gave no answer within 2 s"),
        (CLI + "p.add_argument('--text')\np.parse_args()\nraise ValueError('no weights')",
         "run with --text: ValueError: no weights"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_model_is_one_line(
    model: Put, evaluated: Run, toy: Workspace, code: str, message: str
) -> None:
    model(code)
    (toy.external / "theirs" / "requirements.txt").write_text("package_of_mine\n")
    text = toy.eval_script.read_text()
    assert "\nLIMIT = 600" in text
    if "sleep" in code:
        toy.eval_script.write_text(text.replace("\nLIMIT = 600", "\nLIMIT = 2"))
    done = evaluated("--external", "theirs")
    assert (done.code, done.err.count("\n")) == (1, 1), done.err
    assert message in done.err


def test_an_evaluation_of_its_own_alone_is_told_what_to_write(model: Put, evaluated: Run, toy: Workspace) -> None:
    model("")
    (toy.external / "theirs" / "inference_sample.py").rename(toy.external / "theirs" / "evaluation.py")
    done = evaluated("--external", "theirs")
    assert "has no inference_sample.py (there is: evaluation.py): write one with `def predict(raw)`" in done.err
    assert done.err.count("\n") == 1
