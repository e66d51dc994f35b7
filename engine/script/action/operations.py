"""What an operation does to a script: apply it, undo it, and say beforehand what it touches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from progtrain.engine.errors import InputError
from progtrain.engine.script.action.bodies import set_body, touched
from progtrain.engine.script.action.catalogue import PARTS
from progtrain.engine.script.action.operation import (
    EditOperation,
    Operation,
    RecipeOperation,
    RevertOperation,
    SetOperation,
    describe_operation,
    parse_operation,
    show,
    to_yaml,
)
from progtrain.engine.script.action.trees import same_program
from progtrain.engine.script.names import canonical
from progtrain.engine.script.settings import choose_setting, find_settings

__all__ = [
    "EditOperation",
    "Lineage",
    "Operation",
    "RecipeOperation",
    "RevertOperation",
    "SetOperation",
    "apply_operation",
    "describe_operation",
    "parse_operation",
    "show",
    "to_yaml",
    "touches",
    "undo",
]


@dataclass(frozen=True)
class Lineage:
    """One version: its script, and the action that made it from `base`."""

    version: str
    source: str
    operation: Operation | None = None
    base: str | None = None


def touches(
    operation: Operation,
    source: str,
    lineage: Sequence[Lineage] = (),
) -> frozenset[str]:
    """What locks are checked against: canonical keys, recipe and candidate id, and the parts of the script
    ("optimizer", "schedule", "loss", "model", "data", "trainer") that the operation changes in `source`.

    Undoing a version touches what its action touched, which only `lineage` tells.
    """
    if isinstance(operation, RevertOperation):
        undone = next((entry for entry in lineage if entry.version == operation.version), None)
        inner = touches(undone.operation, source, lineage) if undone and undone.operation else frozenset()
        return inner | {"revert"}
    if isinstance(operation, SetOperation):
        setting = choose_setting(find_settings(source), operation.setting)
        return _with_parts({canonical(operation.setting), *([setting.key] if setting else [])})
    if isinstance(operation, EditOperation):
        return touched(source, operation)
    from progtrain.engine.script.action.recipes import get_recipe

    recipe = get_recipe(operation.recipe)
    given = recipe.resolve(source, operation.parameters)
    changed = {recipe.info.keys[name] for name, value in given.items() if value is not None}
    return recipe.info.touches | frozenset(changed - {"monitor"})


def _with_parts(keys: set[str]) -> frozenset[str]:
    return frozenset(keys | {PARTS[key] for key in keys if key in PARTS})


def apply_operation(
    source: str,
    operation: Operation,
    *,
    lineage: Sequence[Lineage] = (),
    filename: str = "",
) -> str:
    """The script with the operation applied, comments and layout kept.

    Undoing needs `lineage`, whose last entry is the version that `source` is. Raises `InputError` that names the
    precondition which fails.
    """
    if isinstance(operation, RevertOperation):
        if not lineage:
            raise InputError(f"{operation.version} cannot be undone: its history is not known")
        return undo(lineage, operation.version)
    if isinstance(operation, SetOperation):
        from progtrain.engine.script.action.edit import set_setting

        return set_setting(source, operation, filename=filename)
    if isinstance(operation, EditOperation):
        return set_body(source, operation, filename)
    from progtrain.engine.script.action.recipes import get_recipe

    return get_recipe(operation.recipe).run(source, operation.parameters, filename=filename)


def undo(lineage: Sequence[Lineage], version: str, current: str | None = None) -> str:
    """The script of `current` (by default the last entry) without the action that made `version`.

    The current version's own action is undone by going back to the script that it was made from. An earlier one by
    applying the later actions again, without it: refused when they depend on it, and when the script was changed in
    other ways since, which would get lost.
    """
    chain = _ancestry(lineage, current)
    newest = chain[-1]
    place = next((i for i, entry in enumerate(chain) if entry.version == version), None)
    if place is None:
        raise InputError(f"{version} is not among the versions that {newest.version} was made from")
    if chain[place].operation is None or place == 0:
        raise InputError(f"{version} was not made by an action: there is nothing to undo")
    if place == len(chain) - 1:
        return chain[place - 1].source
    if version in _undone(chain, set()):
        raise InputError(f"the action of {version} has been undone already")
    start = _start(chain, place)
    if not same_program(_replay(chain, start, set()), newest.source):
        raise InputError(
            f"{version} cannot be undone: the scripts since then were changed in other ways too, "
            "and applying their actions again would lose that",
            fix="go back to the version before it, or set its value back by hand",
        )
    try:
        return _replay(chain, start, {version})
    except InputError as error:
        raise InputError(
            f"{version} cannot be undone: a later action builds on it ({error.reason})", fix=error.fix
        ) from error


def _ancestry(lineage: Sequence[Lineage], current: str | None) -> list[Lineage]:
    """From the first version to the current one, along `base`."""
    entries = {entry.version: entry for entry in lineage}
    name = current or (lineage[-1].version if lineage else None)
    if name is None or name not in entries:
        raise InputError(f"the history of {name or 'this script'} is not known")
    chain: list[Lineage] = []
    while name is not None and name in entries and entries[name] not in chain:
        chain.append(entries[name])
        name = entries[name].base
    return chain[::-1]


def _undone(chain: Sequence[Lineage], omitted: set[str]) -> set[str]:
    """Versions whose actions do not count: omitted, or undone by a later action that does count."""
    gone = set(omitted)
    for entry in reversed(chain):
        if entry.version not in gone and isinstance(entry.operation, RevertOperation):
            gone.add(entry.operation.version)
    return gone


def _start(chain: Sequence[Lineage], place: int) -> int:
    """The last version before everything that must be applied again or left out."""
    versions = [entry.version for entry in chain]
    start = place - 1
    for entry in reversed(chain):
        operation = entry.operation
        if versions.index(entry.version) > start and isinstance(operation, RevertOperation):
            start = min(start, versions.index(operation.version) - 1) if operation.version in versions else start
    return max(start, 0)


def _replay(chain: Sequence[Lineage], start: int, omitted: set[str]) -> str:
    gone = _undone(chain, omitted)
    source = chain[start].source
    for entry in chain[start + 1 :]:
        if entry.operation and entry.version not in gone and not isinstance(entry.operation, RevertOperation):
            source = apply_operation(source, entry.operation)
    return source
