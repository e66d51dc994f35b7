"""The metric to watch: what validation logs, and which way is better."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from progtrain.engine.script.action.parts.trainer import value_of
from progtrain.engine.script.action.rewrite import Refused, Script
from progtrain.engine.script.nodes import calls, dotted, keyword, text_of

_LOWER_IS_BETTER = re.compile(r"loss|err|mae|mse|rmse|mape|perplexity|ppl|nll|brier|wer\b|cer\b", re.IGNORECASE)


def monitored(script: Script, wanted: str | None = None) -> tuple[str, str]:
    """(name, "min" or "max") of a metric that the validation logs, preferably the one that picks checkpoints."""
    logged = list(dict.fromkeys(_logged_in_validation(script)))
    checkpoint = _checkpoint_metric(script)
    if wanted is not None:
        if wanted not in logged and (checkpoint is None or wanted != checkpoint[0]):
            raise Refused(f"validation does not log {wanted!r}; it logs {', '.join(logged) or 'nothing'}")
        return wanted, checkpoint[1] if checkpoint and checkpoint[0] == wanted else _mode(wanted)
    if checkpoint is not None and (checkpoint[0] in logged or not logged):
        return checkpoint
    losses = [name for name in logged if "loss" in name.lower()]
    if not (losses or logged):
        raise Refused("validation logs no metric to watch")
    name = (losses or logged)[0]
    return name, _mode(name)


def _mode(metric: str) -> str:
    return "min" if _LOWER_IS_BETTER.search(metric) else "max"


def _checkpoint_metric(script: Script) -> tuple[str, str] | None:
    for call in script.calls("ModelCheckpoint"):
        name, mode = value_of(script, keyword(call, "monitor"), call), keyword(call, "mode")
        if name and not name.startswith("train"):
            direction = value_of(script, mode, call) if mode else "min"
            return (name, direction) if direction in ("min", "max") else None
    return None


def _logged_in_validation(script: Script) -> Iterator[str]:
    """Names given to `self.log` and `self.log_dict` in `validation_step` and the methods that it calls."""
    begin = [script.method(name) for name in ("validation_step", "on_validation_epoch_end")]
    waiting: list[tuple[ast.FunctionDef, dict[str, str]]] = [(method, {}) for method in begin if method]
    seen: set[tuple[str, tuple[tuple[str, str], ...]]] = set()
    while waiting:
        function, given = waiting.pop(0)
        mark = (function.name, tuple(sorted(given.items())))
        if mark in seen:
            continue
        seen.add(mark)
        for call in calls(function):
            name = dotted(call.func)
            if name in ("self.log", "self.log_dict"):
                yield from _names_logged(script, call, given)
            elif name.startswith("self.") and (target := script.method(name[5:])) is not None:
                waiting.append((target, _texts_passed(target, call, given)))


def _texts_passed(function: ast.FunctionDef, call: ast.Call, given: dict[str, str]) -> dict[str, str]:
    """Texts that a call passes: `self._step(batch, "val")` -> {"stage": "val"}."""
    names = [p.arg for p in (*function.args.posonlyargs, *function.args.args)][1:]
    passed = {**dict(zip(names, call.args, strict=False)), **{k.arg: k.value for k in call.keywords if k.arg}}
    texts = {name: _formatted(value, given) for name, value in passed.items()}
    return {name: text for name, text in texts.items() if text is not None}


def _names_logged(script: Script, call: ast.Call, given: dict[str, str]) -> Iterator[str]:
    first = call.args[0] if call.args else call.keywords[0].value if call.keywords else None
    if isinstance(first, ast.Name) and (assigned := script.assigned(first.id, call)) is not None:
        first = assigned
    keys = list(first.keys) if isinstance(first, ast.Dict) else []
    for key in keys or [first]:
        if (name := _formatted(key, given)) is not None:
            yield name


def _formatted(node: ast.expr | None, given: dict[str, str]) -> str | None:
    """The text of a literal, of an f-string over known names, or of a known name."""
    if isinstance(node, ast.Name):
        return given.get(node.id)
    if isinstance(node, ast.JoinedStr):
        parts = [_formatted(p.value if isinstance(p, ast.FormattedValue) else p, given) for p in node.values]
        return None if None in parts else "".join(part for part in parts if part is not None)
    return text_of(node)
