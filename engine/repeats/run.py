"""Trains and evaluates a version's script again with other seeds, each in a workspace of its own.

Reads the version; writes below `.progtrain/repeats/` alone. Killed at any instant it goes on where it was: what is done
is marked there as it is for a version.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from progtrain.engine import comparable, metrics, values
from progtrain.engine.control import marks
from progtrain.engine.control.context import Context
from progtrain.engine.control.journal import Journal
from progtrain.engine.errors import InputError, StepFailed
from progtrain.engine.experiment import placing
from progtrain.engine.files import object_in, sha256, storage_errors, try_read_json, write_json
from progtrain.engine.loop import apart
from progtrain.engine.loop.steps import evaluate, train
from progtrain.engine.repeats import found
from progtrain.engine.repeats.seeds import seed_of, with_seed
from progtrain.engine.rules.rules import Rules
from progtrain.engine.schema import EvalScore, Protocol, load
from progtrain.engine.script import version_files
from progtrain.engine.script.names import canonical
from progtrain.engine.workspace import RepeatFolder, Workspace

#: seconds up to which a training is short: what is trained besides without being asked for
SHORT = 120.0


def repeat(context: Context, version: str, times: int, *, same_seed: bool = False) -> str:
    """Sees to it that `times` repeats of a version are there. Returns a line for the journal.

    `same_seed`: with the version's own seed, which measures what the machine alone changes. Raises `InputError` where
    the version is not trained and evaluated, `StepFailed` where a repeat fails, `Stopped`.
    """
    refuse(context, version)
    ws, failed = context.ws, list[str]()
    there = len(found.made(ws, version, same_seed=same_seed))
    if there >= times:
        return f"{version} has {_counted(there)} already"
    for number in range(there + 1, times + 1):
        context.check_stop()
        folder, seed = _next(ws, version, same_seed)
        context.journal.write(
            "repeat_started", version=version, run=folder.path.name, seed=seed, number=number, of=times
        )
        if reason := _one(context, version, folder, seed, same_seed):
            failed.append(f"{folder.path.name}: {reason}")
        found.write(ws, version)
        if reason and found.hopeless(ws, version):
            break
    if failed:
        raise StepFailed(
            f"{len(failed)} of {_counted(times - there)} of {version} failed: {failed[0]}",
            file=ws.repeats(version),
            fix="see its output.log below; progtrain repeat takes the next seeds",
        )
    return f"{version} has {_counted(times)}: {_told(context, version)}"


def _counted(number: int) -> str:
    return f"{number} repeat{'s' if number != 1 else ''}"


def _told(context: Context, version: str) -> str:
    """The primary metric over the runs."""
    name, record = context.rules.primary_metric, try_read_json(context.ws.repeats_table(version))
    spread = metrics.value_of(name, record["spread"]) if isinstance(record, dict) else None
    if not spread:
        return f"no spread of {name}"
    return f"{name} {values.metric(spread['mean'])}, sd {values.metric(spread['sd'])} over {spread['n']} runs"


def refuse(context: Context, version: str) -> None:
    """Raises `InputError` where a version cannot be repeated as it is now."""
    ws = context.ws
    if version not in ws.versions():
        raise InputError(f"there is no version {version}", file=ws.script(version), fix="progtrain status lists them")
    looking = replace(context, dry_run=True)
    for step, reasons in (("trained", train.reasons), ("evaluated", evaluate.reasons)):
        if why := reasons(looking, version):
            reason = f"{version} is not {step}: {'; '.join(why)}"
            raise InputError(reason, file=ws.version(version).path, fix="progtrain run comes first")
    trained = marks.read(ws, version, "train")
    lying = {"script": ws.script(version)}
    lying |= {f"file {ws.relative(path)}": path for path in version_files.paths(ws, version).values()}
    for name, path in lying.items():
        was = trained.inputs.get(name) if trained else None
        if was and was != sha256(path):
            reason = f"{path.name} has changed since {version} was trained with it: a repeat would be of another script"
            fix = f"put it back as it was, or train it again: progtrain step train --version {version}"
            raise InputError(reason, file=path, fix=fix)


def _next(ws: Workspace, version: str, same_seed: bool) -> tuple[RepeatFolder, int | None]:
    """One that was begun and is not done, else a new one with the next seed."""
    script, highest = found.script_sha256(ws, version), 0
    taken = {one.seed for one in found.of(ws, version)}
    for folder in found.folders(ws, version):
        highest = max(highest, int(folder.path.name[1:]))
        begun = try_read_json(folder.begun)
        taken.add(metrics.count(begun.get("seed")) if begun is not None else None)
        if folder.result.is_file():
            continue
        if begun is not None and (begun.get("script_sha256"), bool(begun.get("same_seed"))) == (
            script,
            same_seed,
        ):
            return folder, metrics.count(begun.get("seed"))
    number = highest + 1
    own = seed = seed_of(ws, version)
    if seed is not None and not same_seed:
        seed += number
        while seed in taken:
            seed += 1
    return ws.repeat(version, f"r{number}"), own if same_seed else seed


def _one(context: Context, version: str, folder: RepeatFolder, seed: int | None, same_seed: bool) -> str:
    """Why it failed; empty where it is done."""
    ws = Workspace(context.ws.root.absolute())
    if not folder.begun.is_file():
        texts = with_seed(ws, version, version_files.lying(ws, version), seed)
        scaffold(context, version, folder, texts, {"seed": seed, "same_seed": same_seed})
    result = carry_out(
        context, version, folder, seed, same_seed=same_seed, unlike=lambda own: _unlike(ws, own, version, same_seed)
    )
    told = {"version": version, "run": folder.path.name, "seed": seed}
    if reason := result["reason"]:
        context.journal.write("repeat_failed", **told, summary=reason)
        return str(reason)
    name = context.rules.primary_metric
    value = metrics.value_of(name, {m["name"]: m["value"] for m in result["metrics"]})
    text = f"{name} {'–' if value is None else values.metric(value)}"
    command = f"progtrain repeat {version} --times {folder.path.name[1:]}"
    context.journal.write("repeat_done", **told, text=text, seconds=result["seconds"], command=command)
    return ""


def carry_out(
    context: Context,
    version: str,
    folder: RepeatFolder,
    seed: int | None,
    *,
    same_seed: bool = False,
    unlike: Callable[[Workspace], str] = lambda own: "",
) -> dict[str, Any]:
    """Trains and evaluates what was put there, and keeps what it measured: `result.json`, which it returns, the samples
    and the protocol. `unlike`: why what came of it cannot stand beside the version, by its workspace. Goes on where a
    start before was killed. Raises `Stopped`.
    """
    own = Workspace(folder.workspace.absolute())
    inside = replace(
        context,
        ws=own,
        rules=_with_seed(context.rules, seed),
        journal=Journal(own.journal, context.clock),
        autopilot=True,
    )
    reason = _trained(inside, version) or _evaluated(inside, version)
    unlike_it = "" if reason else unlike(own)
    reason = reason or unlike_it
    result = _result(own, version, folder, seed, same_seed, reason) | {"unlike": bool(unlike_it)}
    with storage_errors(folder.path):
        for source, target in (
            (own.version(version).per_sample, folder.per_sample),
            (own.version(version).protocol, folder.protocol),
        ):
            if source.is_file():
                shutil.copyfile(source, target)
        write_json(folder.result, {**result, "finished_at": context.clock().isoformat(timespec="seconds")})
        _forget_weights(own, version)
    return result


def scaffold(
    context: Context, version: str, folder: RepeatFolder, texts: Mapping[Path, str], told: Mapping[str, Any]
) -> None:
    """A workspace of its own with these files of the version; `run.json` is written last."""
    ws, own = Workspace(context.ws.root.absolute()), Workspace(folder.workspace.absolute())
    inbox = own.inbox
    with storage_errors(folder.path):
        ws.inbox.mkdir(parents=True, exist_ok=True)
        inbox.parent.mkdir(parents=True, exist_ok=True)
    # a stop that is asked for in the workspace is heard there too
    links = apart.links(ws, own, texts) | {inbox: placing.leading(inbox, ws.inbox)}
    placing.put(apart.files(ws, own, texts), links, folder.path)
    begun: dict[str, Any] = {"version": version, "run": folder.path.name, **told}
    script = {"script_sha256": found.script_sha256(ws, version)}
    write_json(folder.begun, {**begun, **script, "begun_at": context.clock().isoformat(timespec="seconds")})


def _with_seed(rules: Rules, seed: int | None) -> Rules:
    """A lock on the seed holds for versions: here it says which one this run must have had."""
    if seed is None:
        return rules
    stated = dict(rules.stated)
    if "seed" in stated:
        stated["seed"] = seed
    settings = stated.get("training_config", {})
    stated["training_config"] = {key: seed if canonical(key) == "seed" else value for key, value in settings.items()}
    return replace(rules, stated=stated)


def _trained(inside: Context, version: str) -> str:
    if not train.reasons(inside, version):
        return ""
    for name in (f"{version}-train-1", f"{version}-train-2"):
        train.prepare(inside, version, name)
        failure = train.attempt(inside, version, name)
        if failure is None:
            train.mark(inside, version, name)
            return ""
        if failure.cause not in train.WORTH_REPEATING:
            break
    return failure.error_summary if failure else ""


def _evaluated(inside: Context, version: str) -> str:
    try:
        if evaluate.reasons(inside, version):
            evaluate.run(inside, version)
    except (InputError, StepFailed) as error:
        return error.reason
    return ""


def _unlike(ws: Workspace, own: Workspace, version: str, same_seed: bool) -> str:
    """Why what came of it cannot stand beside the version; empty where it can."""
    if change := comparable.split_change(comparable.split_of(ws, version), comparable.split_of(own, version)):
        return f"another seed validates on other samples ({change})"
    theirs, mine = (sha256(folder.best_checkpoint) for folder in (ws.version(version), own.version(version)))
    if theirs == mine and not same_seed:
        return "another seed changed nothing: the same weights came of it; let the script seed itself from its setting"
    return ""


def _result(
    own: Workspace, version: str, folder: RepeatFolder, seed: int | None, same_seed: bool, reason: str
) -> dict[str, Any]:
    made, begun = own.version(version), object_in(folder.begun)
    told: dict[str, Any] = {
        "run": folder.path.name,
        "seed": seed,
        "same_seed": same_seed,
        "state": "failed" if reason else "finished",
    }
    told |= {"reason": reason, "script_sha256": begun.get("script_sha256"), "metrics": [], "seconds": None}
    told["seconds"] = metrics.finite(object_in(own.mark(version, "train")).get("seconds"))
    if reason or not made.eval_score.is_file():
        return told
    score = load(made.eval_score, EvalScore)
    protocol = load(made.protocol, Protocol) if made.protocol.is_file() else None
    named = ("evaluator_sha256", "data_sha256", "checkpoint_sha256")
    told |= {name: getattr(protocol, name) if protocol else "" for name in named}
    return told | {
        "metrics": [metric.model_dump(include={"name", "value", "higher_is_better"}) for metric in score.metrics]
    }


def _forget_weights(own: Workspace, version: str) -> None:
    """What it measured is kept; a checkpoint of every repeat would fill disks."""
    made = own.version(version)
    for path in (*made.path.glob("*.ckpt"), *own.resume(version).glob("**/*.ckpt")):
        path.unlink(missing_ok=True)
    shutil.rmtree(own.weights(version), ignore_errors=True)
