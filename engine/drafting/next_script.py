"""From an action to the next script, or the reason why not. Writes nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from progtrain.engine import values
from progtrain.engine.analysis.advise.branch import branch_record
from progtrain.engine.analysis.advise.candidates import lineage
from progtrain.engine.analysis.types import Limits, VersionRecord
from progtrain.engine.drafting import addition, history
from progtrain.engine.errors import InputError, in_file
from progtrain.engine.rules.rules import Rules
from progtrain.engine.script import version_files
from progtrain.engine.script.action import policy
from progtrain.engine.script.action.operations import DataOperation, EditOperation, Lineage, Operation, parse_operation
from progtrain.engine.script.header import set_version, with_header
from progtrain.engine.script.names import FIXED
from progtrain.engine.script.settings import find_setting
from progtrain.engine.script.sources import Sources, files_of, with_script
from progtrain.engine.workspace import Workspace, version_id, version_number


@dataclass(frozen=True)
class Planned:
    """A next version that could be written."""

    version: str
    base: str
    operation: Operation
    #: what it is made of, under names without a version
    source: str
    #: all that is to be written, the script last
    files: Mapping[Path, str]
    #: unified diff against the base's script and files, the change summaries of the scripts left out
    diff: str
    action_text: str
    checks: tuple[str, ...]

    def origin(self, reason: str) -> dict[str, Any]:
        """What the journal's `version_authored` says of it."""
        return {
            "version": self.version,
            "base": self.base,
            "action": self.action_text,
            "reason": reason,
            "operation": self.operation.model_dump(mode="json", by_alias=True, exclude_none=True),
        }


def limits(rules: Rules) -> Limits:
    """Rules and instruction, as what an operation may touch. Settings that identify a run are no action."""
    text = rules.instruction
    return Limits(
        primary_metric=rules.primary_metric,
        higher_is_better=rules.higher_is_better(rules.primary_metric),
        locked=frozenset(rules.locked) | text.locked | frozenset(FIXED),
        allowed_only=text.only,
        max_versions=rules.max_versions,
        seed=rules.seed,
        branch_from=rules.branch_from,
        arguments=tuple(rules.training_args),
    )


def default_base(rules: Rules, records: Sequence[VersionRecord], version: str) -> str:
    """Which version the next one is made from, where the action does not say (`branch_from`)."""
    top = branch_record(records, rules.branch_from, rules.higher_is_better(rules.primary_metric))
    return top.version if top else version


def plan(
    ws: Workspace,
    rules: Rules,
    version: str,
    operation: Operation | Mapping[str, Any],
    *,
    base: str | None = None,
    reason: str = "",
) -> Planned:
    """What the version after `version` would be. Raises `InputError` for whatever forbids it."""
    if isinstance(operation, Mapping):
        operation = parse_operation(operation)
    if isinstance(operation, EditOperation) and not rules.allow_code_edits:
        raise InputError(
            f"{operation.describe()} is not allowed: code edits are off",
            file=ws.rules,
            place="key advisor_config.allow_code_edits",
            fix="set it to true, or choose another action",
        )
    records = history.records(ws, rules, until=version)
    base = base or default_base(rules, records, version)
    old = _base_source(ws, base)
    line = lineage(records, base)
    if isinstance(operation, DataOperation):
        operation = addition.named(ws, version, base, operation)
    touched = operation.touches(old, line)
    refusal = limits(rules).refusal(touched)
    if refusal:
        raise InputError(
            f"{operation.describe()} is not allowed: {refusal}",
            file=ws.rules if rules.has_rules else ws.instruction,
            fix="choose another action, or change the rule yourself",
        )
    with in_file(ws.script(base).name):
        changed = operation.apply(old, lineage=line)
    number = (version_number(version) or 0) + 1
    action_text = operation.describe()
    target = version_id(number)
    script = with_header(set_version(str(changed), target), target, base, action_text, reason)
    source = with_script(changed, script)
    checks = _check(ws, rules, old, source, operation, line, target)
    files = version_files.written(ws, target, source, base)
    _check_files(ws, target, source, files)
    # the summaries at the top say what stands beside the diff anyway, and would hide the change on a small screen
    diff = version_files.diff(ws, base, target, files, bare=True)
    return Planned(target, base, operation, source, files, diff, action_text, checks)


def touches(
    ws: Workspace,
    rules: Rules,
    version: str,
    operation: Mapping[str, Any],
    records: Sequence[VersionRecord],
    *,
    base: str | None = None,
) -> frozenset[str]:
    """What an action after `version` would touch (see `Operation.touches`). Raises `InputError`."""
    base = base or default_base(rules, records, version)
    return parse_operation(operation).touches(_base_source(ws, base), lineage(records, base))


def _base_source(ws: Workspace, base: str) -> Sources:
    path = ws.script(base)
    if version_number(base) is None or not path.is_file():
        raise InputError(
            f"there is no version {base} to build on",
            file=path,
            place="key base",
            fix=f"name one of {', '.join(ws.versions())}, or leave base out",
        )
    return version_files.read(ws, base)


def _check_files(ws: Workspace, target: str, source: str, files: Mapping[Path, str]) -> None:
    """What will be read is what was planned."""
    found = version_files.read(ws, target, files)
    planned = {"": str(source), **files_of(source)}
    there = {"": str(found), **found.files}
    if wrong := [name or "script" for name, text in planned.items() if there.get(name) != text]:
        raise InputError(f"{target} would read another {wrong[0]} than planned", fix="choose another action")


def _check(
    ws: Workspace,
    rules: Rules,
    old: str,
    source: str,
    operation: Operation,
    line: Sequence[Lineage],
    target: str,
) -> tuple[str, ...]:
    """It compiles, the difference is the declared one, the rules hold."""
    name = ws.script(target).name
    try:
        compile(str(source), name, "exec")
    except SyntaxError as error:
        raise InputError(f"the changed script does not compile: {error.msg}", file=name, place=error.lineno) from error
    operation.verify(old, source, lineage=line)
    if isinstance(operation, EditOperation):
        policy.check(str(old), operation)
    for key, wanted in rules.locked.items():
        with in_file(name):
            setting = find_setting(source, key)
        if setting is None and find_setting(old, key) is None:
            continue  # a script without a seed, say: initialize has told of what matches nothing
        if setting is None or not values.same(setting.value, wanted):
            found = "gone" if setting is None else f"{setting.value!r}"
            raise InputError(
                f"the locked setting {key} would be {found} instead of {wanted!r}",
                file=rules.path,
                place=f"key training_config.{key}",
                fix="choose another action",
            )
    locked = ", ".join(sorted(rules.locked)) or "none locked"
    told = ["it compiles", "the difference is exactly the declared action", f"the rules hold ({locked})"]
    if isinstance(operation, EditOperation):
        told.append("the new body touches no seed, data, artifact, import, file or process")
    return tuple(told)
