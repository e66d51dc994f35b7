"""Runs the advisor in a process of its own, for one draft: `python -P -m progtrain.advisor.process` is the child.

Whatever a model or its file does, the caller gets a draft: when the child cannot deliver, the rules write it and the
notes say why. Importing this module imports nothing heavy.
"""

from __future__ import annotations

import json
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

from pydantic import BaseModel, ConfigDict, ValidationError

from progtrain.advisor.interface import Briefing, Draft, Proposal, Settings
from progtrain.advisor.locate import bundled_model
from progtrain.advisor.prose import rules_draft

OnEvent = Callable[[dict[str, Any]], None]

#: the note of a draft that no model had a part in
RULES_ALONE = "drafted by the rules alone"
_POLL_SECONDS = 0.05
_PACKAGES = Path(__file__).parents[2]


class Cancelled(Exception):
    """The draft was no longer wanted; the child is gone."""


class Failed(Exception):
    """The child delivered nothing, and the text says why; `crashed` when a signal ended it."""

    def __init__(self, reason: str, *, crashed: bool = False) -> None:
        super().__init__(reason)
        self.crashed = crashed


class ModelInfo(BaseModel):
    """What a file is, as far as it could be found out. Usable when there are no `problems`."""

    model_config = ConfigDict(frozen=True, protected_namespaces=())

    path: Path
    name: str = ""
    architecture: str = ""
    parameters: int | None = None
    file_type: str = ""
    #: tokens of context that it was trained with
    context: int | None = None
    vocabulary: int | None = None
    chat_template: bool = False
    #: trained on this program's own briefings
    native: bool = False
    size: int | None = None
    sha256: str = ""
    problems: tuple[str, ...] = ()
    #: worth knowing, no obstacle
    remarks: tuple[str, ...] = ()


def draft(
    briefing: Briefing,
    settings: Settings,
    *,
    events: Path,
    log: Path,
    on_event: OnEvent | None = None,
    should_cancel: Callable[[], bool] = lambda: False,
) -> Draft:
    """A draft by the model of the settings, or by the rules with notes that say why.

    Every event is handed to `on_event` and appended to `events` as a JSON line: `section` (name), `text` (the piece
    as it is written), `sentences` (name and lines: what the section came to), `note` (text), `done` (author, chosen).
    What llama.cpp says goes to `log`. Raises `Cancelled`.
    """
    started = time.monotonic()
    events.parent.mkdir(parents=True, exist_ok=True)
    with events.open("w", encoding="utf-8") as file:

        def tell(event: dict[str, Any]) -> None:
            file.write(json.dumps(event, ensure_ascii=False) + "\n")
            file.flush()
            if on_event:
                on_event(event)

        result = _by_model_or_rules(briefing, settings, log, tell, should_cancel)
        result = result.model_copy(
            update={"seconds": {**result.seconds, "total": round(time.monotonic() - started, 4)}}
        )
        tell({"event": "done", "author": result.author, "chosen": result.chosen})
    return result


def _by_model_or_rules(
    briefing: Briefing, settings: Settings, log: Path, tell: OnEvent, should_cancel: Callable[[], bool]
) -> Draft:
    model = settings.model or bundled_model()
    notes: list[str] = []
    # a crash may come from the grammar: a second time without it
    for plain in (False, True):
        request = {
            "task": "draft",
            "model": str(model.absolute()),
            "plain": plain,
            "briefing": briefing.model_dump(mode="json"),
            "settings": settings.model_dump(mode="json"),
        }
        try:
            found = _drafted(_events(request, log, settings.timeout_seconds, should_cancel), tell)
            return found.model_copy(update={"notes": (*notes, *found.notes)})
        except Failed as error:
            notes.append(f"{model.name}: {error}")
            if not error.crashed:
                break
            tell({"event": "note", "text": notes[-1]})
    notes.append(RULES_ALONE)
    return _by_rules(briefing, notes, settings.seed, tell)


def _drafted(events: Iterator[dict[str, Any]], tell: OnEvent) -> Draft:
    for event in events:
        if event["event"] == "draft":
            try:
                return Draft.model_validate(event["draft"])
            except ValidationError as error:
                raise Failed(f"its draft has a wrong form ({error.error_count()} errors)") from error
        if event["event"] != "alive":
            tell(event)
    raise Failed("it ended without a draft")


def _by_rules(briefing: Briefing, notes: list[str], seed: int, tell: OnEvent) -> Draft:
    result = rules_draft.draft(briefing, notes=notes, seed=seed)
    tell({"event": "note", "text": "; ".join(notes)})
    for name, lines in rules_draft.sections(briefing, result.chosen, seed=seed).items():
        tell({"event": "section", "name": name})
        tell({"event": "sentences", "name": name, "lines": lines})
    return result


def propose(
    briefing: Briefing,
    source: str,
    functions: dict[str, str],
    settings: Settings,
    *,
    log: Path,
    should_cancel: Callable[[], bool] = lambda: False,
) -> Proposal:
    """What the model of the settings writes when it is asked for code.

    `functions`: names and texts of those of `source` that may get another body, the likeliest first. Raises `Failed`
    and `Cancelled`.
    """
    model = settings.model or bundled_model()
    request = {
        "task": "propose",
        "model": str(model.absolute()),
        "briefing": briefing.model_dump(mode="json"),
        "source": source,
        "functions": functions,
        "settings": settings.model_dump(mode="json"),
    }
    try:
        for event in _events(request, log, settings.timeout_seconds, should_cancel):
            if event["event"] == "proposal":
                return Proposal.model_validate(event["proposal"])
        raise Failed("it ended without an answer")
    except Failed as error:
        raise Failed(f"{model.name}: {error}") from error


def inspect(path: Path, *, log: Path | None = None, timeout_seconds: float = 120.0) -> ModelInfo:
    """Looks at a file in a process of its own, since a broken one may end it. Never raises for the file."""
    known: dict[str, Any] = {}
    problems: list[str] = []
    request = {"task": "inspect", "model": str(path.absolute())}
    try:
        for event in _events(request, log or Path(os.devnull), timeout_seconds):
            known |= event.get("info", {})
            if event["event"] == "complete":
                break
        else:
            raise Failed("it ended before it was examined")
    except Failed as error:
        problems.append(str(error))
    return ModelInfo(path=path, problems=tuple(problems), remarks=tuple(_remarks(known)), **known)


def _remarks(known: dict[str, Any]) -> Iterator[str]:
    if known.get("architecture") and not known.get("chat_template"):
        yield "no chat template in the file: it would be asked in plain text"
    if 0 < (known.get("context") or 0) < 2048 and not known.get("native"):
        yield f"trained with a context of {known['context']} tokens: less important facts would be left out"


def bench(
    path: Path, *, settings: Settings | None = None, log: Path | None = None
) -> tuple[dict[str, float], str | None]:
    """How fast a model reads and writes here: seconds to load, tokens a second; and why it failed, if it did."""
    settings = settings or Settings()
    found: dict[str, float] = {}
    request = {"task": "bench", "model": str(path.absolute()), "settings": settings.model_dump(mode="json")}
    try:
        for event in _events(request, log or Path(os.devnull), settings.timeout_seconds):
            found |= event.get("speed", {})
    except Failed as error:
        return found, str(error)
    return found, None


def _events(
    request: dict[str, Any], log: Path, timeout_seconds: float, should_cancel: Callable[[], bool] = lambda: False
) -> Iterator[dict[str, Any]]:
    """What a child tells. It is gone when the iteration ends, however that happens. Raises `Failed` or `Cancelled`."""
    _check_file(Path(request["model"]))
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as file:
        process = _start(request, file)
        try:
            for line in _lines(process, timeout_seconds, should_cancel):
                event: dict[str, Any] = json.loads(line)
                if event["event"] == "failed":
                    raise Failed(event["reason"])
                yield event
            _check_end(process.wait(), log)
        finally:
            # at once: a draft that nobody waits for has nothing to save
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                if pipe:
                    pipe.close()


def _check_file(path: Path) -> None:
    if not path.exists():
        raise Failed(f"the model file does not exist ({path})")
    if not path.is_file():
        raise Failed("it is not a file")
    if not os.access(path, os.R_OK):
        raise Failed("no permission to read it")
    if path.stat().st_size == 0:
        raise Failed("the file is empty")


def _start(request: dict[str, Any], log: IO[bytes]) -> subprocess.Popen[bytes]:
    # -P: a user's own folder named like one of our packages is never taken for ours
    command = [sys.executable, "-P", "-m", "progtrain.advisor.process"]
    search = os.pathsep.join(filter(None, (str(_PACKAGES), os.environ.get("PYTHONPATH"))))
    environment = {**os.environ, "PYTHONPATH": search, "GGML_NO_BACKTRACE": "1"}
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, env=environment)
    assert process.stdin
    try:
        process.stdin.write(json.dumps(request).encode() + b"\n")
        # left open: its end tells the child that its parent is gone
        process.stdin.flush()
    except BrokenPipeError:
        pass
    return process


def _lines(
    process: subprocess.Popen[bytes], timeout_seconds: float, should_cancel: Callable[[], bool]
) -> Iterator[bytes]:
    assert process.stdout
    os.set_blocking(process.stdout.fileno(), False)
    deadline = time.monotonic() + timeout_seconds
    pending = b""
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        while True:
            if should_cancel():
                raise Cancelled
            if selector.select(_POLL_SECONDS):
                block = process.stdout.read()
                if block == b"":
                    return
                *lines, pending = (pending + (block or b"")).split(b"\n")
                for line in lines:
                    deadline = time.monotonic() + timeout_seconds
                    yield line
            elif time.monotonic() > deadline:
                raise Failed(f"no new token within {timeout_seconds:g} s")


def _check_end(code: int, log: Path) -> None:
    if code < 0:
        try:
            name = signal.Signals(-code).name
        except ValueError:
            name = "an unknown signal"
        raise Failed(f"llama.cpp crashed ({name}, signal {-code}); see {log}", crashed=True)
    if code > 0:
        raise Failed(f"the advisor's process ended with code {code}; see {log}")


if __name__ == "__main__":
    from progtrain.advisor.worker import main

    main()
