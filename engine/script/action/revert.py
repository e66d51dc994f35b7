"""Taking the action that made a version out again."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Sequence
from typing import Literal

from pydantic import Field

from progtrain.engine.errors import InputError
from progtrain.engine.script.action.code_edit import functions
from progtrain.engine.script.action.difference import compare
from progtrain.engine.script.action.operation import Lineage, Operation, ancestry
from progtrain.engine.script.action.trees import program, same_program
from progtrain.engine.script.config_files import flat, is_config
from progtrain.engine.script.sources import files_of

#: What an action leaves behind where a later one uses it too: the list of callbacks, an import, a keyword's name.
_SHARED = ("keyword", "List", "Dict", "Tuple", "alias", "Import", "ImportFrom", "Load", "Store", "Name", "Expr")


class RevertOperation(Operation):
    """Takes the action that made `version` out again."""

    operation: Literal["revert"] = "revert"
    version: str = Field(pattern=r"^v\d{3,}$")

    def touches(self, source: str, lineage: Sequence[Lineage] = ()) -> frozenset[str]:
        """What the undone action touched, which only `lineage` tells."""
        undone = next((entry for entry in lineage if entry.version == self.version), None)
        inner = undone.operation.touches(source, lineage) if undone and undone.operation else frozenset()
        return inner | {"revert"}

    def apply(self, source: str, *, lineage: Sequence[Lineage] = ()) -> str:
        if not lineage:
            raise InputError(f"{self.version} cannot be undone: its history is not known")
        return undo(lineage, self.version)

    def verify(self, old: str, new: str, *, lineage: Sequence[Lineage] = ()) -> None:
        """Against what the undone action changed when it was made, which the scripts of the two versions tell.

        The newest version's script must be its base's again. For an earlier one: only what the action brought has
        gone, only what it took away is back, in the same places, and nothing but what later actions share is left.
        """
        chain = _chain(lineage)
        place = next((i for i, entry in enumerate(chain) if entry.version == self.version), 0)
        if place == 0:
            raise self.refusal(f"{self.version} was not made by an action")
        before, made = chain[place - 1].source, chain[place].source
        if place == len(chain) - 1:
            if not same_program(before, new):
                raise self.refusal(f"it is not the script of {chain[place - 1].version} again")
            return
        if same_program(old, new):
            raise self.refusal("nothing differs")
        brought, taken = _nodes(made) - _nodes(before), _nodes(before) - _nodes(made)
        gone, back = _nodes(old) - _nodes(new), _nodes(new) - _nodes(old)
        if gone - brought or back - taken:
            raise self.refusal(f"something else than the action of {self.version} changed too")
        kept = (brought - gone) + (taken - back) - _new_headers(before, new)
        if left := [node for node in kept if node.partition(" ")[0] not in _SHARED]:
            raise self.refusal(f"a part of the action of {self.version} is still there ({left[0]})")
        places = {change.path for change in compare(before, made)}
        for change in compare(old, new):
            if change.path not in places:
                raise self.refusal(f"{change.path} changed, which {self.version} did not", change.line)

    def describe(self) -> str:
        return f"undo {self.version}"


def _nodes(source: str) -> Counter[str]:
    """How often the program has each node, told without the nodes in it, and what its other files hold."""
    found = Counter(_own(node) for node in ast.walk(program(source)))
    for name, text in files_of(source).items():
        if is_config(name):
            found.update(f"{name}:{path} {value!r}" for path, value in flat(name, text).items())
        else:
            found.update(f"{_own(node)} in {name}" for node in ast.walk(program(text)))
    return found


def _own(node: ast.AST) -> str:
    """`Constant 0.001`, `keyword lr`, `Name self`: the kind first, then what is no node itself."""
    own = [value for _, value in ast.iter_fields(node) if not isinstance(value, ast.AST | list) and value is not None]
    return " ".join([type(node).__name__, *map(repr, own)])


def _new_headers(before: str, new: str) -> Counter[str]:
    """Of functions that the action brought and a later one put statements into, such as `on_train_start`."""
    had = dict(functions(program(before)))
    found = [node for path, node in functions(program(new)) if path not in had]
    headers = [header for node in found for header in (node.args, node.returns) if header is not None]
    return Counter(map(_own, [*found, *(part for header in headers for part in ast.walk(header))]))


def undo(lineage: Sequence[Lineage], version: str) -> str:
    """The script of the last entry without the action that made `version`.

    The last version's own action is undone by going back to the script that it was made from. An earlier one by
    applying the later actions again, without it: refused when they depend on it, and when the script was changed in
    other ways since, which would get lost.
    """
    chain = _chain(lineage)
    newest = chain[-1]
    place = next((i for i, entry in enumerate(chain) if entry.version == version), None)
    if place is None:
        raise InputError(f"{version} is not among the versions that {newest.version} was made from")
    if chain[place].operation is None or place == 0:
        raise InputError(f"{version} was not made by an action: there is nothing to undo")
    if place == len(chain) - 1:
        return chain[place - 1].source
    if version in _undone(chain):
        raise InputError(f"the action of {version} has been undone already")
    start = _start(chain, place)
    if not same_program(_replay(chain, start), newest.source):
        raise InputError(
            f"{version} cannot be undone: the scripts since then were changed in other ways too, "
            "and applying their actions again would lose that",
            fix="go back to the version before it, or set its value back by hand",
        )
    try:
        return _replay(chain, start, version)
    except InputError as error:
        raise InputError(
            f"{version} cannot be undone: a later action builds on it ({error.reason})", fix=error.fix
        ) from error


def _chain(lineage: Sequence[Lineage]) -> list[Lineage]:
    """From the first version to the last one, along `base`."""
    if not lineage:
        raise InputError("the history of this script is not known")
    entries = {entry.version: entry for entry in lineage}
    bases = {entry.version: entry.base for entry in lineage}
    return [entries[version] for version in ancestry(lineage[-1].version, bases)]


def _undone(chain: Sequence[Lineage], omitted: str = "") -> set[str]:
    """Versions whose actions do not count: omitted, or undone by a later action that does count."""
    gone = {omitted}
    for entry in reversed(chain):
        if entry.version not in gone and isinstance(entry.operation, RevertOperation):
            gone.add(entry.operation.version)
    return gone


def _start(chain: Sequence[Lineage], place: int) -> int:
    """The last version before everything that must be applied again or left out."""
    places = {entry.version: number for number, entry in enumerate(chain)}
    start = place - 1
    for number, entry in reversed([*enumerate(chain)]):
        if number > start and isinstance(entry.operation, RevertOperation):
            start = min(start, places.get(entry.operation.version, len(chain)) - 1)
    return max(start, 0)


def _replay(chain: Sequence[Lineage], start: int, omitted: str = "") -> str:
    gone = _undone(chain, omitted)
    source = chain[start].source
    for entry in chain[start + 1 :]:
        if entry.operation and entry.version not in gone and not isinstance(entry.operation, RevertOperation):
            source = entry.operation.apply(source)
    return source
