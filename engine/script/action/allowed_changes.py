"""The places of a script that a recipe may change, told from the old script alone."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Sequence

from progtrain.engine.script.action.trees import Change
from progtrain.engine.script.settings import Setting, choose_setting, literal
from progtrain.engine.script.structure import ScriptFacts

_Place = Callable[[Change, ScriptFacts, Sequence[Setting], str], bool]

_LAYERS = re.compile(
    r"\b(Sequential|Linear|Conv\dd|Dropout|BatchNorm\dd|ReLU|GELU|SiLU|ELU|Tanh|LeakyReLU|Mish|relu|gelu|tanh)\b"
)
_LOSSES = re.compile(r"\b(cross_entropy|CrossEntropyLoss|mse_loss|MSELoss)\b")
#: the names that recipes give to new classes and hooks
_NEW_CLASS = "InputStandardisation"
_HOOK = "on_train_start"


def allowed(
    change: Change, footprint: frozenset[str], facts: ScriptFacts, settings: Sequence[Setting], old: str
) -> bool:
    """Whether one change lies within the footprint. New constants and imports always do."""
    if _is_new_constant(change) or _is_import(change):
        return True
    return any(_PLACES[place](change, facts, settings, old) for place in footprint)


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


def _trainer(change: Change, facts: ScriptFacts, settings: Sequence[Setting], old: str) -> bool:
    return change.before is not None and "Trainer(" in change.before


def _callbacks(change: Change, facts: ScriptFacts, settings: Sequence[Setting], old: str) -> bool:
    """The list that the Trainer is given by name."""
    statement = _statement(change.before)
    if not isinstance(statement, ast.Assign) or not isinstance(statement.targets[0], ast.Name):
        return False
    return re.search(rf"\bcallbacks\s*=\s*{statement.targets[0].id}\b", old) is not None


def _checkpoint(change: Change, facts: ScriptFacts, settings: Sequence[Setting], old: str) -> bool:
    return change.before is not None and "ModelCheckpoint(" in change.before


def _optimizers(change: Change, facts: ScriptFacts, settings: Sequence[Setting], old: str) -> bool:
    return change.path == f"{facts.module_class}.configure_optimizers"


def _setting(key: str) -> _Place:
    """The statement that holds a setting."""

    def holds(change: Change, facts: ScriptFacts, settings: Sequence[Setting], old: str) -> bool:
        setting = choose_setting(settings, key)
        if setting is None or change.old_line is None or change.before is None:
            return False
        return change.old_line <= setting.line < change.old_line + _height(change, old)

    return holds


def _height(change: Change, old: str) -> int:
    """Lines of the old statement as it was written."""
    for node in ast.walk(ast.parse(old)):
        if isinstance(node, ast.stmt) and node.lineno == change.old_line:
            return (node.end_lineno or node.lineno) - node.lineno + 1
    return 1


def _loss(change: Change, facts: ScriptFacts, settings: Sequence[Setting], old: str) -> bool:
    return _is_loss(change) and (
        change.path in facts.training_path or change.path == f"{facts.module_class}.__init__" or "." not in change.path
    )


def _is_loss(change: Change) -> bool:
    """The statement was about the loss, or calls it by the name that the script gave it."""
    return _LOSSES.search(f"{change.before}\n{change.after}") is not None


def _model(change: Change, facts: ScriptFacts, settings: Sequence[Setting], old: str) -> bool:
    owner, _, method = change.path.rpartition(".")
    if owner in facts.modules and method in ("__init__", "forward"):
        return True
    return _LAYERS.search(change.before or change.after or "") is not None


def _inputs(change: Change, facts: ScriptFacts, settings: Sequence[Setting], old: str) -> bool:
    if change.path == _NEW_CLASS:
        return change.before is None
    return change.path.startswith(f"{facts.module_class}.") and "standardise" in (change.after or "")


def _start(change: Change, facts: ScriptFacts, settings: Sequence[Setting], old: str) -> bool:
    """What is prepared before the first batch: the hook, and attributes made in `__init__`."""
    if change.path == f"{facts.module_class}.{_HOOK}":
        return change.before is None
    return change.path == f"{facts.module_class}.__init__" and change.before is None


_PLACES: dict[str, _Place] = {
    "trainer": _trainer,
    "callbacks": _callbacks,
    "checkpoint": _checkpoint,
    "optimizers": _optimizers,
    "learning_rate": _setting("learning_rate"),
    "weight_decay": _setting("weight_decay"),
    "loss": _loss,
    "model": _model,
    "inputs": _inputs,
    "start": _start,
}
