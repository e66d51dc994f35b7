"""The advisor's own process: one request on stdin, JSON lines on what was stdout, everything else into the log.

It ends when stdin closes, so that it never outlives whoever asked.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import math
import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from progtrain.advisor.interface import Briefing, Proposal, Settings
from progtrain.advisor.llama import grammar, header
from progtrain.advisor.prose import instruct, prompts

if TYPE_CHECKING:
    from progtrain.advisor.llama.model import Grammar, Model
    from progtrain.advisor.llama.session import Session

#: Text is sent in portions: a terminal shows no more than that, and a small model writes a thousand tokens a second.
_PORTION_SECONDS = 0.04
_ALIVE_SECONDS = 1.0
_BENCH_TOKENS, _BENCH_ROUNDS = 128, 3


class Stream:
    """Events as JSON lines."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._text = ""
        self._text_since = self._last = time.monotonic()

    def emit(self, event: dict[str, Any]) -> None:
        now = time.monotonic()
        if event["event"] == "alive":
            if now - self._last >= _ALIVE_SECONDS:
                self._write(event)
            return
        if event["event"] == "text":
            self._text_since = self._text_since if self._text else now
            self._text += event["text"]
            if now - self._text_since >= _PORTION_SECONDS:
                self._flush()
            return
        self._flush()
        self._write(event)

    def _flush(self) -> None:
        if self._text:
            text, self._text = self._text, ""
            self._write({"event": "text", "text": text})

    def _write(self, event: dict[str, Any]) -> None:
        self._last = time.monotonic()
        self._out.write(json.dumps(event, ensure_ascii=False) + "\n")
        self._out.flush()


def main() -> None:
    # nothing that native code prints can reach the protocol's pipe
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    line = sys.stdin.readline()
    if not line:
        return
    threading.Thread(target=_end_with_parent, daemon=True).start()
    stream = Stream(out)
    request = json.loads(line)
    if problem := _missing_library():
        stream.emit({"event": "failed", "reason": problem})
        return
    from progtrain.advisor.llama.model import ModelError

    task = {"draft": _draft, "propose": _propose, "inspect": _inspect, "bench": _bench}[request["task"]]
    try:
        task(request, stream.emit)
    except (ModelError, OSError, MemoryError) as error:
        stream.emit({"event": "failed", "reason": str(error)})


def _missing_library() -> str | None:
    try:
        importlib.import_module("progtrain.advisor.llama.session")
    except (ImportError, OSError, RuntimeError) as error:
        return (
            f"llama-cpp-python cannot be loaded ({error}); to draft with a model, install it where progtrain is: "
            f"{sys.executable} -m pip install llama-cpp-python (it is compiled, for which a C++ compiler must be there)"
        )
    return None


def _end_with_parent() -> None:
    sys.stdin.read()
    os._exit(1)


def _draft(request: dict[str, Any], emit: Callable[[dict[str, Any]], None]) -> None:
    began = time.monotonic()
    from progtrain.advisor.prose.model_draft import Drafter

    briefing = Briefing.model_validate(request["briefing"])
    settings = Settings.model_validate(request["settings"])
    path = Path(request["model"])
    imported = time.monotonic()
    # before its hash, which takes time with a large file: loading may refuse it at once
    model = _load(path, settings.gpu_layers, emit)
    digest = _sha256(path, lambda: emit({"event": "alive"}))
    loaded = time.monotonic()
    drafter = Drafter(model, briefing, settings, emit, plain=request.get("plain", False))
    draft = drafter.write(_author(model, path), digest)
    read, written = drafter.tokens
    seconds = {"import": imported - began, "load": loaded - imported, **draft.seconds}
    draft = draft.model_copy(update={"seconds": {name: round(value, 4) for name, value in seconds.items()}})
    emit({"event": "tokens", "read": read, "written": written})
    emit({"event": "draft", "draft": draft.model_dump(mode="json")})


def _propose(request: dict[str, Any], emit: Callable[[dict[str, Any]], None]) -> None:
    from progtrain.advisor.llama.model import ModelError
    from progtrain.advisor.prose import function_edit

    settings = Settings.model_validate(request["settings"])
    path = Path(request["model"])
    model = _load(path, settings.gpu_layers, emit)
    digest = _sha256(path, lambda: emit({"event": "alive"}))
    if _native(model):
        raise ModelError("it is trained to draft, not to write code: it is not asked for any")
    briefing = Briefing.model_validate(request["briefing"])
    text, asked, notes = function_edit.propose(
        model, briefing, request["source"], request["functions"], settings, lambda: emit({"event": "alive"})
    )
    proposal = Proposal(
        author=_author(model, path), model_sha256=digest, text=text, prompt=asked.text, seed=settings.seed, notes=notes
    )
    emit({"event": "proposal", "proposal": proposal.model_dump(mode="json")})


def _native(model: Model) -> bool:
    return model.meta(prompts.FORMAT_KEY) == str(prompts.FORMAT)


def _load(path: Path, gpu_layers: int | None, emit: Callable[[dict[str, Any]], None]) -> Model:
    from progtrain.advisor.llama.model import Model, ModelError

    if problem := header.problem(path):
        raise ModelError(problem)
    return Model(path, gpu_layers=gpu_layers, alive=lambda: emit({"event": "alive"}))


def _sha256(path: Path, alive: Callable[[], None]) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 22):
            digest.update(block)
            alive()
    return digest.hexdigest()


def _author(model: Model, path: Path) -> str:
    name = prompts.clean(model.meta("general.name") or path.stem, 60)
    count = model.parameters
    size = f"{count / 1e9:.1f}B" if count >= 1e9 else f"{count / 1e6:.0f}M" if count >= 1e6 else f"{count / 1e3:.0f}K"
    return f"{name} {size} ({model.file_type})"


def _inspect(request: dict[str, Any], emit: Callable[[dict[str, Any]], None]) -> None:
    path = Path(request["model"])
    info: dict[str, Any] = {"size": path.stat().st_size}
    # what is known so far reaches the parent even if loading ends this process
    emit({"event": "info", "info": info})
    model = _load(path, None, emit)
    info |= {
        "sha256": _sha256(path, lambda: emit({"event": "alive"})),
        "name": prompts.clean(model.meta("general.name") or path.stem, 60),
        "architecture": model.architecture,
        "parameters": model.parameters,
        "file_type": model.file_type,
        "context": model.trained_context,
        "vocabulary": model.size,
        "chat_template": model.chat_template is not None,
        "native": _native(model),
    }
    emit({"event": "info", "info": info})
    _try_out(model)
    emit({"event": "complete"})


def _try_out(model: Model) -> None:
    """A file may load and still not work: read a little and score what follows."""
    import numpy as np

    from progtrain.advisor.llama.model import ModelError
    from progtrain.advisor.llama.session import Session

    session = Session(model, Settings(), 256)
    session.feed(model.tokens("The loss fell.") or [0])
    if not np.isfinite(session.logits()).all():
        raise ModelError("its output is not finite: the weights are damaged")


def _bench(request: dict[str, Any], emit: Callable[[dict[str, Any]], None]) -> None:
    from progtrain.advisor.llama.session import Session

    settings = Settings.model_validate(request["settings"])
    started = time.monotonic()
    model = _load(Path(request["model"]), settings.gpu_layers, emit)
    speed = {"load_seconds": time.monotonic() - started}
    context = min(1024, model.trained_context)
    tokens = model.tokens(instruct.render_full(instruct.EXAMPLE) * 8)[: context - 160]
    ways: dict[str, Callable[[Session], None]] = {
        "": lambda session: _write(session, None),
        "own_loop_": lambda session: session.own_loop(1, _BENCH_TOKENS),
    }
    if rules := _some_grammar(model):
        ways["grammar_"] = lambda session: _write(session, rules)
    best: dict[str, float] = {}
    for _ in range(_BENCH_ROUNDS):
        for name, write in ways.items():
            session = Session(model, settings, context, lambda: emit({"event": "alive"}))
            started = time.monotonic()
            session.feed(tokens)
            session.logits()
            speed["read_per_second"] = max(
                speed.get("read_per_second", 0.0), len(tokens) / (time.monotonic() - started)
            )
            started, worked = time.monotonic(), time.process_time()
            write(session)
            speed[f"{name}write_per_second"] = max(
                speed.get(f"{name}write_per_second", 0.0), _BENCH_TOKENS / (time.monotonic() - started)
            )
            best[name] = min(best.get(name, math.inf), time.process_time() - worked)
            session.close()
        # in processor time: on a machine that has other things to do as well, seconds say little
        speed["share_of_own_loop"] = best["own_loop_"] / best[""]
        emit({"event": "speed", "speed": speed})


def _write(session: Session, rules: Grammar | None) -> None:
    """As in a draft, whatever the model would rather do than go on."""
    from progtrain.advisor.llama.session import seeded

    drawn = seeded(1)
    while session.written < _BENCH_TOKENS:
        before = session.written
        if rules:
            rules.restart()
        for _ in session.write(drawn, _BENCH_TOKENS - before, rules, 0.7):
            pass
        if session.written == before:
            # it would end: it is given a word, as the next heading would be
            session.feed(session.model.tokens("The"))
            session.written += 1


def _some_grammar(model: Model) -> Any:
    if model.size > grammar.LARGEST_VOCABULARY:
        return None
    return model.grammar(grammar.section(8))
