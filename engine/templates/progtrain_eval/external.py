"""A model from elsewhere: asked in a process of its own, by its own interpreter."""

from __future__ import annotations

import ast
import io
import json
import os
import pickle
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .common import ROOT, EvalError, write
from .external_child import packed, unpacked
from .pictures import as_image
from .trained import Answer

_CHILD = Path(__file__).with_name("external_child.py")


TO_WRITE = "`def predict(raw)` that returns a label, a class's index, or scores"


ADDS = ("add_argument", "option", "argument")


INLETS = ("--input", "--text", "--image", "--audio", "--file", "--path", "--data", "-i")


OUTLETS = ("--output", "--out", "-o")


SAYS = ("prediction", "label", "class", "pred", "class_name", "class_id", "index")


SCORES = ("logits", "scores", "probabilities", "probs")


NOTHING = "it answers with nothing"


FAILED_RUNS = 3  # of a command line, at the start: more of them are not tried


class ExternalModel:
    """Models/external/NAME: a function, a class or a command line, asked in its own folder."""

    def __init__(self, folder: Path, names: list[str] | None, limit: int) -> None:
        """`limit`: the seconds that it has to start, and for each answer."""
        self.folder, self.script, self.names, self.limit = folder, folder / "inference_sample.py", names or [], limit
        self.device, self.settings = "not known", dict[str, Any]()
        self.command: list[str] = []
        self.worked, self.failed = False, 0
        self.inlet, self.outlet = "", ""
        here = folder.relative_to(ROOT)
        if not self.script.is_file():
            beside = ", ".join(sorted(p.name for p in folder.glob("*.py"))) or "no other"
            raise EvalError(f"{here} has no inference_sample.py (there is: {beside}): write one with {TO_WRITE}")
        own = [folder / env / part for env in (".venv", "venv") for part in ("bin/python", "Scripts/python.exe")]
        self.python = next((str(p) for p in own if p.is_file()), sys.executable)
        self.by = "" if self.python == sys.executable else f", run by {Path(self.python).relative_to(folder)}"
        self.said = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the model
        self.child = subprocess.Popen(
            [self.python, str(_CHILD), str(self.script)], cwd=folder, stderr=self.said, stdin=-1, stdout=-1,
            env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        )  # fmt: skip
        assert self.child.stdin is not None and self.child.stdout is not None
        self.asks, self.answers = self.child.stdin, self.child.stdout
        try:
            self.taken_as, problem = self.receive()
            if not self.taken_as:
                self.taken_as, self.command = self.command_line(problem), [self.python, self.script.name]
        except EvalError:
            self.close()
            raise

    def receive(self) -> tuple[Any, ...]:
        """The child's next message. Raises `EvalError` where it ends or takes too long."""
        late, began = threading.Timer(self.limit, self.child.kill), time.monotonic()
        late.start()
        size = self.answers.read(8)
        data = self.answers.read(int.from_bytes(size, "big"))
        late.cancel()
        if data:
            message: tuple[Any, ...] = pickle.loads(data)
            return message
        if time.monotonic() - began >= self.limit:
            raise EvalError(f"{self.script.relative_to(ROOT)} gave no answer within {self.limit} s")
        self.said.seek(0)
        raise EvalError(f"{self.script.relative_to(ROOT)} ended: {last_line(self.said.read())}")

    def answer(self, raws: Sequence[Any]) -> list[Answer]:
        """An answer a sample. One that the model fails at says why, and has none."""
        if self.command:
            return [self.run_alone(raw) for raw in raws]
        data = pickle.dumps(packed(list(raws)), 4)
        try:
            self.asks.write(len(data).to_bytes(8, "big") + data)
            self.asks.flush()
        except OSError:
            pass  # it has ended: receive() says how
        way, answers, *took = self.receive()
        if not way:
            return [Answer(None, error=one_line(f"{answers}{self.fix(answers)}")) for _ in raws]
        self.taken_as, self.took = f"{self.taken_as.split(', ')[0]}, {way}{self.by}", took[0]
        return [self.read(unpacked(answer)) for answer in answers]

    def fix(self, problem: str) -> str:
        if "ModuleNotFoundError" not in problem or self.by:
            return ""
        needs = " -r requirements.txt" if (self.folder / "requirements.txt").is_file() else " ..."
        return f"; give it an environment of its own, in {self.folder.relative_to(ROOT)}: " \
            f"python -m venv .venv && .venv/bin/pip install{needs}"  # fmt: skip

    def command_line(self, problem: str) -> str:
        """Takes the file for a command line, by the arguments that its source adds. Returns what it is taken for."""
        tree = ast.parse(self.script.read_bytes()) if not problem.startswith("SyntaxError") else ast.parse("")
        calls = [n for n in ast.walk(tree) if isinstance(n, ast.Call) and getattr(n.func, "attr", "") in ADDS]
        said = [
            ([a.value for a in c.args if isinstance(a, ast.Constant) and isinstance(a.value, str)], c) for c in calls
        ]
        options = {n: any(k.arg == "required" for k in c.keywords) for names, c in said for n in names}
        needed = [n for n, required in options.items() if required or not n.startswith("-")]
        self.inlet = next((n for n in INLETS if n in options), needed[0] if len(needed) == 1 else "")
        self.outlet = next((n for n in OUTLETS if n in options), "")
        if not self.inlet and not options and b"sys.argv[1]" in self.script.read_bytes():
            self.inlet = "sys.argv[1]"
        if not self.inlet:
            where = self.script.relative_to(ROOT)
            raise EvalError(f"{where}: {problem}{self.fix(problem)}" if problem else f"{where} offers no {TO_WRITE}")
        return f"a script with {self.inlet}{f' and {self.outlet}' if self.outlet else ''}, one sample a run{self.by}"

    def run_alone(self, raw: Any) -> Answer:
        """Raises `EvalError` where the first runs all fail: another few hundred would say the same."""
        try:
            answer = self.read(self.run(raw))
        except EvalError as error:
            self.failed += 1
            if not self.worked and self.failed >= FAILED_RUNS:
                raise
            return Answer(None, error=one_line(str(error)))
        self.worked = True
        return answer

    def run(self, raw: Any) -> Any:
        """One run of the command line: JSON, .npy or a label, from the file it writes or the last line it prints."""
        with tempfile.TemporaryDirectory() as place:
            given: list[str] = [self.inlet] if self.inlet.startswith("-") else []
            given.append(write_input(Path(place), raw, self.script.read_text(encoding="utf-8", errors="replace")))
            file = Path(place) / "output.json"
            given += [self.outlet, str(file)] if self.outlet else []
            began = time.perf_counter()
            try:
                done = subprocess.run(
                    [*self.command, *given], cwd=self.folder, capture_output=True, timeout=self.limit, stdin=-3
                )
            except subprocess.TimeoutExpired:
                raise EvalError(f"{self.script.relative_to(ROOT)} gave no answer within {self.limit} s") from None
            self.took = time.perf_counter() - began
            if done.returncode:
                line = last_line(done.stderr)
                raise EvalError(f"{self.script.relative_to(ROOT)}, run with {self.inlet}: {line}{self.fix(line)}")
            data = file.read_bytes() if file.is_file() else (done.stdout.strip().splitlines() or [b""])[-1]
        if not data.strip():
            return None
        if data.startswith(b"\x93NUMPY"):
            return np.load(io.BytesIO(data))
        text = data.decode("utf-8", "replace").strip()
        try:
            return json.loads(text)
        except ValueError:
            return text

    def read(self, output: Any) -> Answer:
        """Scores, a label in any case, an index, a number, a dict with these, or a pipeline's list of dicts; in a dict
        also what served it, and why there is no answer.
        """
        output = output.tolist() if isinstance(output, np.ndarray) and output.dtype.kind in "iubUO" else output
        while isinstance(output, list) and len(output) == 1 and not isinstance(output[0], float):
            output = output[0]
        served, error = "", ""
        if isinstance(output, Mapping):
            if output.get("__kind") == "error":
                return Answer(None, error=one_line(str(output["of"])))
            told = {key: value for key, value in output.items() if key not in ("served_by", "error")}
            served = one_line(str(output.get("served_by") or ""), 80)
            error = one_line(output["error"]) if isinstance(output.get("error"), str) else ""
            output = told or None
        try:
            answer = self.understood(output)
        except (TypeError, ValueError, RuntimeError) as problem:
            answer = Answer(None, error=one_line(f"the answer cannot be read: {problem}"))
        if answer.error and error:
            answer.error = error
        answer.served_by = served
        return answer

    def understood(self, output: Any) -> Answer:
        if isinstance(output, list) and output and isinstance(output[0], Mapping) and "label" in output[0]:
            output = {str(part["label"]): float(part.get("score", 0)) for part in output}
            if len(output) != len(self.names) or None in map(self.index, output):
                output = max(output, key=output.__getitem__)
        prediction = None
        if isinstance(output, Mapping) and "boxes" in output:
            return Answer({key: torch.as_tensor(value) for key, value in output.items()})
        if isinstance(output, Mapping):
            by_class: dict[Any, Any] = {self.index(str(key)): value for key, value in output.items()}
            prediction = next((output[k] for k in SAYS if k in output), None)
            scores = next((output[k] for k in SCORES if k in output), prediction)
            output = [by_class[n] for n in sorted(by_class)] if set(by_class) == set(range(len(self.names))) else scores
        if isinstance(output, (str, int)):
            prediction, output = output, None
        known = self.index(prediction) if isinstance(prediction, str) else None
        prediction = prediction if known is None else known
        if output is None and prediction is not None:
            return Answer(None, prediction)
        if output is None or not np.size(np.asarray(output)):
            return Answer(None, error=NOTHING)
        return Answer(torch.as_tensor(np.asarray(output)).float(), prediction)

    def index(self, name: str) -> int | None:
        """Of a class by its name, in any case, or as transformers counts them."""
        plain = [known.strip().casefold() for known in self.names]
        if name in self.names:
            return self.names.index(name)
        if plain.count(name.strip().casefold()) == 1:
            return plain.index(name.strip().casefold())
        counted = re.fullmatch(r"LABEL_(\d+)", name)
        return int(counted[1]) if counted else None

    def close(self) -> None:
        self.child.kill()
        for pipe in (self.asks, self.answers, self.said):
            with suppress(OSError):
                pipe.close()
        self.child.wait()


def one_line(text: str, most: int = 300) -> str:
    return " ".join(text.split())[:most]


def last_line(said: bytes) -> str:
    return (said.decode("utf-8", "replace").strip().splitlines() or ["it printed nothing"])[-1].strip()[:300]


def write_input(place: Path, raw: Any, source: str) -> str:
    """A sample as a file of the kind that fits it; a text itself for a script that reads no file. Returns the word."""
    raw = np.asarray(raw) if isinstance(raw, Tensor) else raw
    if isinstance(raw, str):
        if not re.search(r"open\(|read_text|read_bytes|Path\(|load\(", source):
            return raw
        (place / "input.txt").write_text(raw, encoding="utf-8")
        return str(place / "input.txt")
    picture = None if isinstance(raw, np.ndarray) and (raw.dtype != np.uint8 or "np.load" in source) else as_image(raw)
    if picture is not None:
        picture.save(place / "input.png")
        return str(place / "input.png")
    if isinstance(raw, np.ndarray) and "json.load" not in source:
        np.save(place / "input.npy", raw)
        return str(place / "input.npy")
    write(place / "input.json", raw)
    return str(place / "input.json")
