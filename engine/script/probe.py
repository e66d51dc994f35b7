"""The probe: a script is run up to the point where its training would begin, and says what it has set up by then.

What it tells is certain, where reading the source only guesses. Nothing is trained, and what the script writes on its
way is taken back (`engine/live/progtrain_probe.py` does that, within the script's own process).
"""

from __future__ import annotations

import ast
import os
import re
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

from progtrain.engine import comparable, hooks, metrics, values
from progtrain.engine.files import try_read_json, write_text
from progtrain.engine.jobs.base import Executor
from progtrain.engine.jobs.detached import with_parent
from progtrain.engine.schema import JobRequest
from progtrain.engine.script.baseline.modules import load_modules
from progtrain.engine.script.leading import leading_imports
from progtrain.engine.script.names import canonical
from progtrain.engine.text import clean_line, last_line, tail
from progtrain.engine.workspace import JobFolder

#: Seconds that a script gets to reach its training.
SECONDS = 300.0
_GRACE = 8.0
#: of samples that are held out, so many may be found among those trained on because data repeat themselves
_BY_CHANCE = 0.02
_SHARED_BY = {
    "numbers": "have the numbers of training samples",
    "paths": "are files of training samples",
    "content": "hold the same as training samples",
}
#: a script that draws which files it takes for what
_DRAWS = re.compile(
    r"\b(random|rng|generator)\.(shuffle|sample|choice|permutation)\b|\b(randperm|permutation|shuffled)\b"
)
#: files that a remark names
_MOST_NAMED = 8
_STOPPABLE = frozenset({"torch", "lightning", "pytorch_lightning", "transformers", "trl", "accelerate"})
#: what stops a script before its training is not the script's fault alone
Severity = Literal["ok", "note", "warning", "error"]
#: severity, text, fix
Remark = tuple[Severity, str, str]


def run(
    python: str,
    script: Path,
    arguments: Sequence[str] = (),
    *,
    root: Path,
    seconds: float = SECONDS,
    tick: Callable[[], None] = lambda: None,
    measure: Mapping[str, Any] | None = None,
    executor: Executor | None = None,
    environment: Mapping[str, str] = MappingProxyType({}),
) -> dict[str, Any]:
    """Runs a script up to its training, or to the end of a few steps of it (`measure`).

    `tick` is called meanwhile; what it raises ends the script.

    With an executor it is a job of that, which may have the script's packages imported already; else a child of this
    process.

    `reached` of what is returned: "fit" (Lightning), "train" (transformers), "step" (a loop of the script's own),
    "measured", "ended" (it does not train), "exception", "time" (it did not come that far), or None (it was killed from
    outside).
    Raises `OSError` when the interpreter cannot be run.
    """
    with tempfile.TemporaryDirectory(prefix="progtrain-probe-") as folder:
        told, job = Path(folder) / "probe.json", JobFolder(Path(folder) / "job")
        hooked = hooks.of_probe(told) if measure is None else hooks.of_measure(told, measure)
        imports, folders, _ = leading_imports(script) if executor else ([], [], "")
        request = JobRequest(
            name="probe",
            command=[python, script.name, *arguments],
            cwd=str(root),
            environment={**hooked, **environment},
            timeout_seconds=seconds,
            imports=imports,
            module_folders=folders,
        )
        in_time = _run_job(executor, job, request, tick) if executor else _run_child(job, request, tick)
        found = try_read_json(told) or {"reached": None}
        if not in_time:
            found["reached"] = "time"
        return {**found, "output": tail(job.log), "seconds_allowed": seconds}


def run_text(
    python: str,
    text: str,
    beside: Path,
    arguments: Sequence[str] = (),
    **how: Any,
) -> dict[str, Any]:
    """As `run`, for a script as it would be: a copy of it lies beside the one in the workspace for so long, since a
    script finds its modules and its data by where it lies. What is told names the copy `copy_of(beside)`.
    """
    copy = copy_of(beside)
    write_text(copy, text)
    try:
        return run(python, copy, arguments, root=beside.parent, **how)
    finally:
        copy.unlink(missing_ok=True)


def copy_of(script: Path) -> Path:
    return script.with_name(f".{script.name}")


def _run_job(executor: Executor, job: JobFolder, request: JobRequest, tick: Callable[[], None]) -> bool:
    """Whether it ended by itself within its time; it has ended in any case."""
    executor.submit(job, request)
    try:
        state = executor.wait(job, tick, poll_seconds=0.02)
    except BaseException:
        executor.cancel(job)
        executor.wait(job, lambda: None)
        raise
    if state.ended_by == "could not start":
        raise OSError(tail(job.log))
    return state.ended_by != "time limit"


def _run_child(job: JobFolder, request: JobRequest, tick: Callable[[], None]) -> bool:
    """As `_run_job`, without a guard: it costs less time."""
    job.path.mkdir()
    with job.log.open("wb") as output:
        process = subprocess.Popen(
            request.command,
            cwd=request.cwd,
            env=os.environ | request.environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=with_parent,
        )
        return _wait(process, request.timeout_seconds or SECONDS, tick)


def _wait(process: subprocess.Popen[bytes], seconds: float, tick: Callable[[], None]) -> bool:
    began = time.monotonic()
    try:
        while process.poll() is None and time.monotonic() - began < seconds:
            tick()
            time.sleep(0.02)
        return process.poll() is not None
    finally:
        if process.poll() is None:
            # asked first: it takes back what it has written
            os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(_GRACE)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


# ---- what it says


def can_be_probed(script: Path, texts: Mapping[Path, str] | None = None) -> bool:
    """Whether a script or a module of the user's own imports what the probe can stop: all else would train to its end.

    `texts` stand for files as they will be. Raises `InputError` for a file that is no Python.
    """
    trees = [module.tree for module in load_modules(script, texts)]
    nodes = [node for tree in trees for node in ast.walk(tree)]
    names = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    names += [node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)]
    return not _STOPPABLE.isdisjoint(name.partition(".")[0] for name in names)


def trains(probe: Mapping[str, Any]) -> bool:
    """Whether the script came to its training."""
    return probe.get("reached") in ("fit", "train", "step")


def used(record: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that a training runs with, of a probe or of a training's record: those of its Trainer, optimizer and
    loader, under the names that the field uses, then the module's own hyperparameters.
    """
    trainer = values.within(record, "trainer")
    names = ("max_epochs", "max_steps", "precision", "accumulate_grad_batches", "gradient_clip_val")
    found = {name: trainer.get(name) for name in names}
    if found["max_steps"] == -1:
        found["max_steps"] = None
    found["batch_size"] = _first(record.get("loaders"), "train").get("batch_size")
    optimizer = _first(record, "optimizers")
    if optimizer:
        found["optimizer"] = str(optimizer.get("class", "")).rpartition(".")[2]
        defaults = values.within(optimizer, "defaults")
        listed = optimizer.get("groups")
        listed = listed if isinstance(listed, list) else []
        # a schedule may have set the rates of the groups already; what decays often is one of them
        groups = [group for group in listed if isinstance(group, Mapping)]
        largest = max(groups, key=lambda group: metrics.count(group.get("parameters")) or 0, default=defaults)
        decay = largest.get("weight_decay", defaults.get("weight_decay"))
        found |= {"learning_rate": defaults.get("lr"), "weight_decay": decay}
    own = {**values.within(record, "data", "hparams"), **values.within(record, "hparams")}
    known = {name: value for name, value in found.items() if value is not None}
    # what runs counts before what the module was given
    return known | {name: value for name, value in own.items() if not name.startswith("_") and name not in known}


def _first(holder: Any, name: str) -> Mapping[str, Any]:
    listed = holder.get(name) if isinstance(holder, Mapping) else None
    return listed[0] if isinstance(listed, list) and listed and isinstance(listed[0], Mapping) else {}


def broken_locks(record: Mapping[str, Any], locked: Mapping[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    """(name, value used, value of the rules) of settings that are not what the rules say.

    Numbers alone: how a script names its optimizer is not how the rules do.
    """
    several = len(record.get("optimizers") or []) > 1
    for name, value in used(record).items():
        wanted = locked.get(canonical(name))
        number = isinstance(value, int | float) and isinstance(wanted, int | float)
        if number and not values.same(value, wanted) and not (several and name in ("learning_rate", "weight_decay")):
            yield name, value, wanted


def unlike_rules(found: str, key: str, wanted: Any) -> tuple[str, str]:
    """What to say of a locked setting that is not what the rules say, and its fix."""
    return (
        f"{found}, the rules say {wanted!r}",
        f"let the script use the value of training_config.{key}, or change the rule",
    )


def remarks(probe: Mapping[str, Any], script: str, locked: Mapping[str, Any]) -> Iterator[Remark]:
    """What a user should know of it, the worst included."""
    if not trains(probe):
        yield _stopped(probe, script)
        return
    yield from _not_taken_back(values.within(probe, "files"), script)
    yield from _shared(probe.get("shared"), script)
    if probe["reached"] == "step":
        yield (
            "ok",
            f"{script} runs: a training loop of its own ({probe.get('seconds', 0):.1f} s up to its first step)",
            "",
        )
        return
    yield "ok", f"{script} runs up to its training: {described(probe)}", ""
    if not values.within(probe, "loaders").get("val"):
        fix = "give fit() a validation loader (Trainer an eval_dataset): nothing can be compared without"
        yield "error", f"{script} trains without validation data", fix
    elif not values.within(probe, "model").get("validation_step", True):
        yield "note", "the module has no validation_step: its forward alone is evaluated", ""
    for callback in probe.get("checkpoints") or []:
        monitor, mode = callback.get("monitor"), callback.get("mode")
        if isinstance(monitor, str) and (right := metrics.turned_mode(monitor, mode)):
            yield "warning", f"the checkpoint keeps the worst {monitor}: mode={mode!r}", f'give it mode="{right}"'
    for name in dict.fromkeys(probe.get("decided_at_run_time") or []):
        yield "note", f"{name} is decided at run time (lr_find, scale_batch_size): no action changes it", ""
    for name, value, wanted in broken_locks(probe, locked):
        yield "error", *unlike_rules(f"{script} would train with {name} {value!r}", canonical(name), wanted)


def _not_taken_back(files: Mapping[str, Any], script: str) -> Iterator[Remark]:
    """What the script, or a program that it starts, has written by its training and what has stayed so."""
    started, left = (list(map(str, files.get(key) or [])) for key in ("started", "not_restored"))
    why = str(files.get("not_restored_why") or "")
    by = f"{script} starts other programs before its training ({', '.join(started)})"
    if left:
        more = f" and {len(left) - _MOST_NAMED} more" if len(left) > _MOST_NAMED else ""
        text = by if started else f"{script} writes before its training"
        text += f": what is not taken back is {', '.join(left[:_MOST_NAMED])}{more}"
        yield "note", clean_line(f"{text}{f' ({why})' if why else ''}"), ""
    elif why:
        yield "note", clean_line(f"{by}: what they write is not taken back ({why})"), ""


def _shared(told: Any, script: str) -> Iterator[Remark]:
    """What to say of samples that are held out and trained on."""
    shared, held_out = (metrics.count(_known(told).get(key)) or 0 for key in ("shared", "held_out"))
    if not shared:
        return
    how = _SHARED_BY.get(str(_known(told).get("by")), "")
    text = (
        f"{script} trains on samples that it validates on: {shared} of {held_out:,} validation samples looked at {how}"
    )
    fix = "part the data so that no sample is on both sides: a score on samples that were trained on says nothing"
    yield ("warning", text, fix) if shared > held_out * _BY_CHANCE else ("note", text, "")


def _known(told: Any) -> Mapping[str, Any]:
    return told if isinstance(told, Mapping) else {}


def draws_split(probe: Mapping[str, Any], text: str) -> bool:
    """Whether the script itself parts its data, and is scored on that."""
    split = probe.get("split")
    by = split.get("by") if isinstance(split, Mapping) else None
    own = by in comparable.DRAWN or (by == "listed" and _DRAWS.search(text) is not None)
    return own and comparable.has_split_of_its_own(text)


def unsteady_split(probe: Mapping[str, Any], again: Mapping[str, Any], script: str) -> Remark | None:
    """What to say where two probes of a script have parted its data differently."""
    if not trains(again) or not (change := comparable.split_change(probe.get("split"), again.get("split"))):
        return None
    what, _, fix = change.removeprefix("split changed: ").partition("; ")
    lost = "versions could not be compared, and the evaluation would see samples that were trained on"
    text = f"{script} parts its data anew each time: {what} in a second try, so {lost}"
    return "warning", text, fix


def described(probe: Mapping[str, Any]) -> str:
    """One line: framework, model, data, settings."""
    model, settings = probe.get("model") or {}, used(probe)
    train, val = _first(probe.get("loaders"), "train"), values.within(probe, "loaders").get("val") or []
    parts = [f"{probe.get('framework')} {probe.get('version')}"]
    parts.append(
        f"{str(model.get('class', '')).rpartition('.')[2]} with {model.get('trainable_parameters', 0):,} parameters"
    )
    counts = [loader.get("samples") for loader in val if isinstance(loader, Mapping)]
    known = [count for count in counts if isinstance(count, int)]
    if train:
        data = f"{train.get('samples') or 'a stream of'} training samples in batches of {train.get('batch_size')}"
        parts.append(f"{data}, {sum(known) if known else 'some'} for validation" if val else data)
    if "max_epochs" in settings:
        epochs = settings["max_epochs"]
        parts.append(f"{epochs} epoch{'s' if epochs != 1 else ''}")
    if "optimizer" in settings:
        parts.append(f"{settings['optimizer']} at {settings.get('learning_rate')}")
    return clean_line("; ".join(parts))


def _stopped(probe: Mapping[str, Any], script: str) -> Remark:
    """Why it did not come to its training."""
    if probe.get("reached") == "time":
        seconds = probe.get("seconds_allowed", SECONDS)
        return "warning", f"{script} did not begin to train within {seconds:.0f} s: it was not looked at further", ""
    error = probe.get("exception") or {}
    line = f", line {error['line']}" if error.get("line") else ""
    where = f"{error.get('file') or script}{line}"
    if "argument_error" in probe:
        fix = 'give it defaults, or name its arguments in the rules: "training_args": ["--data", "..."]'
        return "error", f"{script} does not run as it is started: {clean_line(probe['argument_error'])}", fix
    if "asked" in probe:
        return (
            "error",
            f"{where}: the script asks for input, and nobody is there to answer",
            "take the value from a setting",
        )
    if error.get("module"):
        fix = "install the package that has it into the interpreter of the scripts, or name another with --python"
        return "error", f"{where}: there is no module {error['module']}", fix
    if error:
        text = clean_line(f"{error.get('type')}: {error.get('message')}")
        if "stty" in ((probe.get("files") or {}).get("started") or []):
            fix = "it asks a terminal for its size (stty), and there is none: shutil.get_terminal_size() works without"
            return "error", f"{where}: {text}", fix
        return "error", f"{where}: {text}", "mend it there: the script stops before it trains"
    last = clean_line(str(probe.get("exit_message") or last_line(str(probe.get("output", "")))))
    said = f" (exit code {probe['exit_code']})" if probe.get("exit_code") else ""
    shown = f"; the last that it printed: {last}" if last else ""
    if probe.get("reached") == "ended":
        return "error", f"{script} ends without training{said}{shown}", "let it train when it is run by itself"
    return "warning", f"{script} was ended from outside before its training{shown}", ""
