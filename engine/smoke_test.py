"""The smoke test of a baseline: a few steps of its training, which batches fit, and what that says of a whole epoch."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import psutil

from progtrain.engine.errors import InputError
from progtrain.engine.files import read_json, write_json, write_text
from progtrain.engine.script import probe as probing
from progtrain.engine.text import clean_line
from progtrain.engine.workspace import Workspace

STEPS = 10
#: of training for each size; what is slower has fewer steps
_SECONDS = 30.0
_LARGEST = 4096
#: of the memory that is free: the machine is not to swap
_SHARE_OF_MEMORY = 0.7
#: a larger batch is worth it where it is so much faster and leaves so many steps an epoch
_FASTER, _STEPS_OF_AN_EPOCH = 1.3, 50
_SHORT_OF_MEMORY = ("out of memory", "can't allocate memory", "MemoryError", "bad_alloc")


@dataclass(frozen=True)
class Try:
    """A few steps with one batch size. `problem` says why they were not done."""

    batch_size: int | None
    found: Mapping[str, Any] = field(default_factory=dict)
    problem: str = ""

    @property
    def measured(self) -> Mapping[str, Any]:
        told = self.found.get("measured")
        return told if isinstance(told, Mapping) else {}

    @property
    def samples_per_second(self) -> float | None:
        seconds, size = self.measured.get("seconds_of_a_step"), self.measured.get("batch_size")
        per_step = (self.measured.get("batches") or 0) / max(self.measured.get("steps") or 1, 1)
        return size * max(round(per_step), 1) / seconds if seconds and size else None


@dataclass(frozen=True)
class Outcome:
    script: str
    own: Try
    tries: Sequence[Try]
    largest: int | None
    optimal: int | None
    why: str

    @property
    def losses(self) -> list[Any]:
        return list(self.own.measured.get("losses") or [])

    @property
    def passed(self) -> bool:
        """The loss is finite, and a checkpoint could be read again."""
        finite = all(isinstance(loss, float | int) and math.isfinite(loss) for loss in self.losses)
        return finite and "error" not in (self.own.found.get("checkpoint") or {})

    @property
    def epoch_seconds(self) -> float | None:
        """Of training alone."""
        samples, rate = self.own.measured.get("samples"), self.own.samples_per_second
        return samples / rate if samples and rate else None


def run(
    ws: Workspace,
    script: Path,
    python: str,
    arguments: Sequence[str],
    say: Callable[[str], None],
    *,
    steps: int = STEPS,
) -> Outcome:
    """Raises `InputError` where the script does not train as it is."""
    how = _asked(steps)

    def attempt(size: int | None) -> Try:
        done = _attempt(ws.root, script, python, arguments, how, size)
        say(_line(done))
        return done

    own = attempt(None)
    if _needs_every_loader(own):
        how["every_loader"] = True
        own = attempt(None)
    short = _is_short(own.found)
    if own.problem and not short:
        raise InputError(own.problem, file=script, fix=_fix(own.found, script.name))
    tries = [own, *_other_sizes(own, attempt)]
    if short and all(one.problem for one in tries):
        raise InputError("it does not fit with any batch size", file=script, fix="a smaller model, or more memory")
    if short:
        own = next(one for one in reversed(tries) if not one.problem)
    return _chosen(script.name, own, tries)


def once(root: Path, script: Path, python: str, arguments: Sequence[str], *, steps: int) -> Try:
    """A few steps with the script's own batches. Raises `InputError` where it does not train as it is."""
    how = _asked(steps)
    own = _attempt(root, script, python, arguments, how, None)
    if _needs_every_loader(own):
        own = _attempt(root, script, python, arguments, {**how, "every_loader": True}, None)
    if own.problem:
        raise InputError(own.problem, file=script, fix=_fix(own.found, script.name))
    return own


def _asked(steps: int) -> dict[str, Any]:
    memory = int(psutil.virtual_memory().available * _SHARE_OF_MEMORY)
    return {"steps": steps, "every_loader": False, "memory": memory, "seconds": _SECONDS}


def _attempt(
    root: Path, script: Path, python: str, arguments: Sequence[str], how: Mapping[str, Any], size: int | None
) -> Try:
    asked = {**how, "batch_size": size}
    found = probing.run(python, script, arguments, root=root, measure=asked)
    if found.get("reached") == "ended" and found.get("steps", 0) > 1:
        asked["steps"] = found["steps"] - 1  # the whole training has no more
        found = probing.run(python, script, arguments, root=root, measure=asked)
    return Try(size, found, _problem(found, script.name))


def _needs_every_loader(own: Try) -> bool:
    """No loader that shuffles."""
    return not own.problem and own.measured.get("batch_size") is None


def _other_sizes(own: Try, attempt: Callable[[int], Try]) -> list[Try]:
    """Powers of two from the largest down, until one fits; below the script's own only where that did not fit."""
    size, samples = own.measured.get("batch_size") or own.found.get("batch_size"), own.measured.get("samples")
    if not size:
        return []
    smallest = 1 if own.problem else size + 1
    power = 2 ** (((size if own.problem else min(samples or _LARGEST, _LARGEST) + 1) - 1).bit_length() - 1)
    tried: list[Try] = []
    while power >= smallest and not (tried and not tried[-1].problem):
        tried.append(attempt(power))
        power //= 2
    return tried


def _chosen(script: str, own: Try, tries: Sequence[Try]) -> Outcome:
    fitting = [one for one in tries if not one.problem and one.measured.get("batch_size")]
    if not fitting:
        return Outcome(script, own, tries, None, None, "the script's loaders make their batches themselves: none tried")
    best = max(fitting, key=lambda one: one.measured["batch_size"])
    largest, size = best.measured["batch_size"], own.measured["batch_size"]
    if tries[0].problem:
        return Outcome(script, own, tries, largest, largest, "the script's own does not fit")
    samples = own.measured.get("samples")
    rates = [one.samples_per_second or 0.0 for one in (own, best)]
    if best is own:
        return Outcome(script, own, tries, largest, size, "the script's own is the largest that fits")
    if samples and samples / largest < _STEPS_OF_AN_EPOCH:
        few = f"{largest} would leave {math.ceil(samples / largest)} steps an epoch"
        return Outcome(script, own, tries, largest, size, f"the script's own: {few}")
    if rates[1] < _FASTER * rates[0]:
        return Outcome(script, own, tries, largest, size, f"the script's own: {largest} is hardly faster")
    return Outcome(script, own, tries, largest, largest, f"{rates[1] / rates[0]:.1f} times as fast as with {size}")


def _is_short(found: Mapping[str, Any]) -> bool:
    error = found.get("exception") or {}
    text = f"{error.get('type')} {error.get('message')} {found.get('output')}"
    return found.get("reached") in ("memory", None) or (
        found.get("reached") == "exception" and any(word in text for word in _SHORT_OF_MEMORY)
    )


def _problem(found: Mapping[str, Any], script: str) -> str:
    """Empty where the steps were done."""
    if found.get("reached") == "measured":
        return ""
    if found.get("reached") == "memory":
        return f"it holds {found.get('held', 0) / 2**30:.1f} GiB of memory, more than the machine can spare"
    if _is_short(found):
        return "it does not fit into the memory"
    if found.get("reached") == "ended" and found.get("steps"):
        return f"the training ended after {found['steps']} steps"
    return next(probing.remarks(found, script, {}))[1]


def _fix(found: Mapping[str, Any], script: str) -> str:
    return next(probing.remarks(found, script, {}))[2] or "progtrain check says more"


def _line(done: Try) -> str:
    size = done.batch_size or done.measured.get("batch_size")
    shown = f"batches of {size}" if size else "the script's own batches"
    if done.problem:
        return f"{shown}: {done.problem}"
    rate = done.samples_per_second
    speed = f", {rate:,.0f} samples/s" if rate else ""
    memory = f"{done.measured['memory'] / 2**20:,.0f} MiB"
    gpu = done.measured.get("gpu_memory")
    more = f", {gpu / 2**20:,.0f} MiB on the GPU" if gpu else ""
    return f"{shown}: {1000 * done.measured['seconds_of_a_step']:.1f} ms a step{speed}, {memory}{more}"


# ---- what is kept


def keep(ws: Workspace, outcome: Outcome, now: datetime) -> list[Path]:
    """Report and `spec.json` of the baseline; other keys of that stay. Raises `InputError` where it is no object."""
    folder = ws.version("baseline")
    spec = read_json(folder.spec) if folder.spec.is_file() else {}
    if not isinstance(spec, dict):
        raise InputError("spec.json is one JSON object", file=folder.spec, fix="correct it, or remove the file")
    told = facts(outcome)
    chosen = {} if outcome.optimal is None else {"optimal_batch_size": outcome.optimal}
    write_json(folder.spec, {**spec, **chosen, "smoke_test": {"created_at": now.isoformat(timespec="seconds"), **told}})
    write_text(folder.baseline_smoke_report, report(outcome, now))
    return [folder.baseline_smoke_report, folder.spec]


def facts(outcome: Outcome) -> dict[str, Any]:
    """As JSON. Times in seconds, memory in bytes."""
    measured = outcome.own.measured
    return {
        "script": outcome.script,
        "status": "PASS" if outcome.passed else "FAIL",
        "device": measured.get("device"),
        "batch_size": measured.get("batch_size"),
        "optimal_batch_size": outcome.optimal,
        "why": outcome.why,
        "largest_batch_size": outcome.largest,
        "steps": measured.get("steps"),
        "steps_per_second": 1 / measured["seconds_of_a_step"] if measured.get("seconds_of_a_step") else None,
        "samples_per_second": outcome.own.samples_per_second,
        "samples": measured.get("samples"),
        "epoch_seconds": outcome.epoch_seconds,
        "memory": measured.get("memory"),
        "gpu_memory": measured.get("gpu_memory"),
        "first_loss": outcome.losses[0] if outcome.losses else None,
        "last_loss": outcome.losses[-1] if outcome.losses else None,
        "checkpoint": outcome.own.found.get("checkpoint"),
        "tries": [{"batch_size": t.batch_size, "text": _line(t), "fits": not t.problem} for t in outcome.tries],
    }


def report(outcome: Outcome, now: datetime) -> str:
    """`baseline_smoke_test_report.md`."""
    told = facts(outcome)
    lines = ["# Smoke test of the baseline", ""]
    lines += [f"- status: {told['status']}", f"- script: {outcome.script}", f"- tested: {now:%Y-%m-%d %H:%M}"]
    if outcome.optimal is not None:
        lines += [f"- optimal_batch_size: {outcome.optimal} ({outcome.why})"]
        lines += [f"- largest batch size that fits: {outcome.largest} (powers of two up to {_LARGEST} were tried)"]
    lines += [f"- {text}" for text in described(outcome)]
    lines += ["", "## Batch sizes", "", *(f"- {_line(one)}" for one in outcome.tries), ""]
    note = "Nothing was trained to its end, and what the script wrote was taken back."
    return "\n".join([*lines, note, ""])


def described(outcome: Outcome) -> list[str]:
    """The rest of what was found, in lines for people."""
    told, checkpoint = facts(outcome), outcome.own.found.get("checkpoint") or {}
    lines = [f"device: {told['device']}", _line(outcome.own)]
    if told["epoch_seconds"] is not None:
        basis = f"{told['samples']:,} samples at the speed of {told['steps']} steps, without validation"
        lines.append(f"an epoch takes about {_duration(told['epoch_seconds'])} ({basis})")
    if outcome.losses:
        lines.append(f"loss: {_number(told['first_loss'])} at the first step, {_number(told['last_loss'])} at the last")
    if "error" in checkpoint:
        lines.append(clean_line(f"a checkpoint could not be saved and loaded: {checkpoint['error']}"))
    elif checkpoint:
        lines.append(f"a checkpoint was saved and loaded again: {checkpoint['bytes'] / 2**20:.1f} MiB")
    return lines


def _number(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float | int) else f"{value} (not finite)"


def _duration(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
