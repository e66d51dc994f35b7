"""The places of a script that a recipe may change, told from the old script alone."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Sequence

from progtrain.engine.script.action.trees import Change
from progtrain.engine.script.settings import choose_setting, find_settings, literal
from progtrain.engine.script.structure import describe

#: whether a change lies in a certain place of the old script, the second argument
Place = Callable[[Change, str], bool]

_LAYERS = re.compile(
    r"\b(Sequential|Linear|Conv\dd|Dropout|BatchNorm\dd|ReLU|GELU|SiLU|ELU|Tanh|LeakyReLU|Mish|relu|gelu|tanh)\b"
)
_LOSSES = re.compile(r"\b(cross_entropy|CrossEntropyLoss|mse_loss|MSELoss)\b")


def allowed(change: Change, places: Sequence[Place], old: str) -> bool:
    """Whether one change lies in one of the places. New constants and imports always do."""
    return _is_new_constant(change) or _is_import(change) or any(place(change, old) for place in places)


def _is_new_constant(change: Change) -> bool:
    if change.before is not None or not change.path.isupper():
        return False
    statement = _statement(change.after)
    return isinstance(statement, ast.Assign) and literal(statement.value)[0]


def _is_import(change: Change) -> bool:
    """An import may come or grow; a name in it may be exchanged for another of the same module."""
    if change.path != "import":
        return False
    before, after = _statement(change.before), _statement(change.after)
    if before is None:
        return isinstance(after, ast.Import | ast.ImportFrom)
    return (
        isinstance(before, ast.ImportFrom)
        and isinstance(after, ast.ImportFrom)
        and before.module == after.module
        and len(after.names) >= len(before.names)
    )


def _statement(text: str | None) -> ast.stmt | None:
    try:
        body = ast.parse(text or "").body
    except SyntaxError:
        return None
    return body[0] if len(body) == 1 else None


def trainer(change: Change, old: str) -> bool:
    return change.before is not None and "Trainer(" in change.before


def callbacks(change: Change, old: str) -> bool:
    """The list that the Trainer is given by name."""
    statement = _statement(change.before)
    if not isinstance(statement, ast.Assign) or not isinstance(statement.targets[0], ast.Name):
        return False
    return re.search(rf"\bcallbacks\s*=\s*{statement.targets[0].id}\b", old) is not None


def optimizers(change: Change, old: str) -> bool:
    return change.path == f"{describe(old).module_class}.configure_optimizers"


def setting(key: str) -> Place:
    """The statement that holds a setting."""

    def holds(change: Change, old: str) -> bool:
        found = choose_setting(find_settings(old), key)
        if found is None or change.old_line is None or change.before is None:
            return False
        return change.old_line <= found.line < change.old_line + _height(change, old)

    return holds


def _height(change: Change, old: str) -> int:
    """Lines of the old statement as it was written."""
    for node in ast.walk(ast.parse(old)):
        if isinstance(node, ast.stmt) and node.lineno == change.old_line:
            return (node.end_lineno or node.lineno) - node.lineno + 1
    return 1


def loss(change: Change, old: str) -> bool:
    """The statement was about the loss, or calls it by the name that the script gave it."""
    facts = describe(old)
    return _LOSSES.search(f"{change.before}\n{change.after}") is not None and (
        change.path in facts.training_path or change.path == f"{facts.module_class}.__init__" or "." not in change.path
    )


def model(change: Change, old: str) -> bool:
    owner, _, method = change.path.rpartition(".")
    if owner in describe(old).modules and method in ("__init__", "forward"):
        return True
    return _LAYERS.search(change.before or change.after or "") is not None


def start(change: Change, old: str) -> bool:
    """What is prepared before the first batch: the hook, and attributes made in `__init__`."""
    owner = describe(old).module_class
    return change.before is None and change.path in (f"{owner}.on_train_start", f"{owner}.__init__")
