"""Step 0: reads what is there, and makes the first version from the baseline."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from progtrain.engine import prepared_data
from progtrain.engine.control import decisions, marks
from progtrain.engine.control.context import Context
from progtrain.engine.errors import InputError, in_file
from progtrain.engine.files import read_text, sha256_text, try_read_json, write_text
from progtrain.engine.loop.near_misses import near_misses
from progtrain.engine.loop.steps import analyze
from progtrain.engine.rules.rules import Rules
from progtrain.engine.schema import Review
from progtrain.engine.script import probe, version_files
from progtrain.engine.script.baseline.audit import audit, patch_report
from progtrain.engine.script.baseline.desk import Desk
from progtrain.engine.script.header import set_version, with_header
from progtrain.engine.script.settings import find_setting
from progtrain.engine.text import unified_diff
from progtrain.engine.workspace import Workspace, version_id


def dataset_id(context_id: str | None, rules_id: str | None, fixed: str | None) -> str:
    """Command line, else rules; the same until the loop ends. Raises `InputError`."""
    wanted = context_id or rules_id or fixed
    if wanted is None:
        raise InputError(
            "no dataset_id: which prepared data is meant?",
            file="user_defined_rules.json",
            place="key dataset_config.dataset_id",
            fix="name the folder below dataset/prepdata/ there, or give --dataset-id",
        )
    if fixed is not None and wanted != fixed:
        raise InputError(
            f"the running loop is about dataset {fixed!r}; it cannot change to {wanted!r} midway",
            place="dataset_id",
            fix=f"go back to {fixed!r}, or start a new workspace for the other data",
        )
    return wanted


def look(context: Context) -> list[str]:
    """Reads stats, scripts and the baseline's record; plain words on each. Raises `InputError` for what is broken."""
    ws = context.ws
    for problem in problems(context):
        raise problem
    analyze.tell_of_missing_model(context)
    notes = [prepared_data.describe(ws, context.dataset_id)]
    spec = try_read_json(ws.version("baseline").spec)
    if spec is not None:
        notes.append("the baseline's spec.json was read")
    notes += near_misses(ws)
    notes += context.rules.notes()
    tell_of_edits(context)
    return notes


def problems(context: Context) -> Iterator[InputError]:
    """All that keeps the loop from beginning, apart from the baseline script itself."""
    ws = context.ws
    yield from _data_problems(context)
    if shutil.which(context.python) is None:
        yield InputError(
            "the interpreter of the scripts is not there, or cannot be run",
            file=context.python,
            fix="name another: progtrain run --python PATH",
        )
    try:
        prepared_data.read_stats(ws.stats(context.dataset_id))
    except InputError as error:
        yield error
    try:
        if versions := ws.versions():
            _same_dataset(context, versions[-1])
    except InputError as error:
        yield error


def run(context: Context, version: str) -> str:
    """Audits and fixes the baseline once, and copies it to the first version.

    Raises `InputError` when there is no baseline or something in it cannot be fixed, `DecisionNeeded` while the
    user has not seen the diff.
    """
    ws = context.ws
    found = examine(ws, context.dataset_id, context.rules)
    if errors := found.errors:
        first = errors[0]
        more = f" (and {len(errors) - 1} more: progtrain check lists them)" if len(errors) > 1 else ""
        raise InputError(first.problem + more, file=first.file, place=first.line, fix=first.fix)
    files = found.changed
    diff = "".join(unified_diff(found.sources[path], text, ws.relative(path)) for path, text in files.items())
    if diff and decisions.answer_to(ws, _question(diff)) is None:
        _see_that_it_runs(context, files)
    if diff and not _allowed(context, version, found, diff):
        raise InputError(
            "without these changes the versions would overwrite each other's files",
            file=ws.baseline_script,
            fix="make them by hand (progtrain check lists them), or accept the diff",
        )
    write_text(ws.version("baseline").baseline_patch_report, patch_report(found, diff))
    for path, text in files.items():
        write_text(path, text)
    prepared_data.see_anew(ws, context.dataset_id)
    source = set_version(read_text(ws.baseline_script), version)
    header = with_header(source, version, "baseline", "the baseline as it is", "where the loop begins")
    context.journal.write("version_authored", version=version, base=None, action="baseline", reason="", operation=None)
    write_text(ws.script(version), header)
    count = len(found.summary)
    done = f"{count} thing{'s' if count != 1 else ''} fixed" if count else "nothing had to be fixed"
    return f"{ws.script(version).name} from the baseline, {done}"


def examine(ws: Workspace, dataset_id: str, rules: Rules) -> Desk:
    """What the baseline needs. Raises `InputError` when there is none."""
    if not ws.baseline_script.is_file():
        raise InputError(
            "there is neither a baseline nor a version to begin with",
            file=ws.baseline_script,
            fix=f"put your training script there as {ws.baseline_script.name} (progtrain docs training_script), "
            "or try an example: progtrain init --example digits DIR",
        )
    settings = _settings_for(rules, version_files.text_of(ws, "baseline"))
    return audit(ws, dataset_id=dataset_id, settings=settings, locked=rules.instruction.locked)


def _settings_for(rules: Rules, source: str) -> dict[str, Any]:
    """What a script is to be set to: `training_config`, and the seed where it is stated and the script has one."""
    stated = rules.training_config
    if "seed" in rules.locked and find_setting(source, "seed") is not None:
        return {**stated, "seed": rules.locked["seed"]}
    return dict(stated)


def first_version() -> str:
    return version_id(1)


def _question(diff: str) -> str:
    return f"baseline-audit-{sha256_text(diff)[:6]}"


def _see_that_it_runs(context: Context, files: dict[Path, str]) -> None:
    """Runs the changed script up to its training: what breaks it is not proposed. Raises `InputError`."""
    ws = context.ws
    if not context.probes or set(files) != {ws.baseline_script} or shutil.which(context.python) is None:
        return
    if not probe.can_be_probed(ws.baseline_script):
        return
    arguments, seconds = context.rules.training_args, context.rules.timeout_seconds or probe.SECONDS
    how: dict[str, Any] = {"seconds": seconds, "tick": context.check_stop, "environment": context.environment}
    how["executor"] = None if context.cold else context.executor
    changed = files[ws.baseline_script]
    found = probe.run_text(context.python, changed, ws.baseline_script, arguments, **how)
    if probe.trains(found) or found["reached"] == "time":
        if probe.trains(found):
            context.journal.write("note", text=f"tried up to its training: {probe.described(found)}")
        return
    before = probe.run(context.python, ws.baseline_script, arguments, root=ws.root, **how)
    name, now_fails = ws.baseline_script.name, probe.trains(before)
    _, text, fix = next(probe.remarks(found if now_fails else before, name, {}))
    text = text.replace(probe.copy_of(ws.baseline_script).name, name)
    raise InputError(
        f"the changes that the loop needs would break the script: {text}" if now_fails else text,
        file=ws.baseline_script,
        fix="make them by hand (progtrain check lists them)" if now_fails else fix or "mend it there",
    )


def _allowed(context: Context, version: str, found: Desk, diff: str) -> bool:
    problems = "\n".join(f"- {finding.problem}" for finding in found.findings)
    review = Review(
        question=_question(diff),
        kind="audit",
        version=version,
        title="the baseline needs small changes before the loop can begin",
        text=f"{problems}\n\nNothing here is meant to change what the training achieves.",
        diff=diff,
        target=context.ws.baseline_script.name,
        answers=["accept", "skip", "stop"],
    )
    return context.ask(review, "accept").answer == "accept"


def _data_problems(context: Context) -> Iterator[InputError]:
    ws = context.ws
    folder = ws.data(context.dataset_id)
    prepare = f"prepare it: python {ws.pipeline_script.name}" if ws.pipeline_script.is_file() else ""
    if not folder.is_dir():
        there = ", ".join(prepared_data.available(ws))
        fix = f"prepared data is there for: {there}" if there else prepare
        fix = fix or "put the prepared data there, with train/ and valid/"
        yield InputError(f"there is no dataset {context.dataset_id!r}", file=folder, fix=fix)
    for name in ("train", "valid"):
        split = ws.split(context.dataset_id, name)
        if split.is_dir() and not any(path.is_file() for path in split.rglob("*")):
            yield InputError("the folder holds no file", file=split, fix=prepare or f"put the {name} data there")


def tell_of_edits(context: Context) -> None:
    """A finished version is not trained again, so a later edit of its script would go unnoticed."""
    for version in context.ws.versions():
        for text in marks.edited_since(context.ws, version):
            context.journal.warn(text)


def _same_dataset(context: Context, version: str) -> None:
    script = context.ws.script(version)
    with in_file(script.name):
        setting = find_setting(read_text(script), "dataset_id")
    if setting is not None and isinstance(setting.value, str) and setting.value != context.dataset_id:
        raise InputError(
            f"{version} works on dataset {setting.value!r}, the loop is to run on {context.dataset_id!r}",
            file=script,
            place=setting.line,
            fix="versions are only comparable on the same data: use the same dataset_id, or a new workspace",
        )
