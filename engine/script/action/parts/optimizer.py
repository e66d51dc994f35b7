"""The optimizer that `configure_optimizers` makes."""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence

from progtrain.engine.script.action.parts.packages import qualify
from progtrain.engine.script.action.rewrite import Refused, Script
from progtrain.engine.script.nodes import arguments, called, calls, dotted, identifiers, keyword
from progtrain.engine.script.settings import OPTIMIZERS, Setting

#: a rate below this is one for adaptive steps, above it one for plain gradient steps
RATE_BORDER = 0.005


def configure_optimizers(script: Script) -> ast.FunctionDef:
    method = script.method("configure_optimizers")
    if method is None:
        raise Refused("the LightningModule defines no configure_optimizers")
    return method


def optimizer_call(script: Script) -> ast.Call:
    """The call in `configure_optimizers` that makes the one optimizer."""
    found = [call for call in calls(configure_optimizers(script)) if called(call) in OPTIMIZERS]
    if not found:
        raise Refused("configure_optimizers makes no optimizer of torch.optim by name")
    if len(found) > 1:
        raise Refused(f"configure_optimizers makes {len(found)} optimizers")
    if not script.full_name(found[0].func).startswith("torch.optim."):
        raise Refused(f"{script.text(found[0].func)} is not from torch.optim")
    if any(isinstance(arg, ast.Starred) for arg in found[0].args) or any(k.arg is None for k in found[0].keywords):
        raise Refused("the optimizer gets arguments that cannot be read (* or **)")
    return found[0]


def learning_rate(settings: Sequence[Setting]) -> float | None:
    rates = {s.value for s in settings if s.key == "learning_rate" and isinstance(s.value, int | float)}
    return float(next(iter(rates))) if len(rates) == 1 else None


def exchange(
    script: Script,
    call: ast.Call,
    name: str,
    known: frozenset[str],
    added: Mapping[str, str],
    positional: tuple[str, ...],
) -> None:
    """Calls `torch.optim.<name>` instead, with those arguments that it knows."""
    if len(call.args) > (len(positional) if called(call) in ("Adam", "NAdam", "RAdam") else 2):
        raise Refused("the optimizer gets arguments by position that the other one does not know")
    gone = [n for n, arg in enumerate(arguments(call)) if isinstance(arg, ast.keyword) and arg.arg not in known]
    if keyword(call, "lr") is None and "lr" not in positional[: len(call.args)]:
        raise Refused("the optimizer is given no learning rate, and the other one's default is another")
    script.replace(call.func, _exchanged_name(script, call, name))
    script.remove_arguments(call, gone)
    for key, code in added.items():
        script.append(call, f"{key}={code}")


def _exchanged_name(script: Script, call: ast.Call, name: str) -> str:
    """`optim.Adam` -> `optim.AdamW`; an imported name takes the place of the one no longer used."""
    if isinstance(call.func, ast.Attribute):
        return f"{script.text(call.func.value)}.{name}"
    old = dotted(call.func)
    if list(identifiers(script.module)).count(old) == 2 and name not in script.bindings:
        for node in ast.walk(script.module):
            for alias in node.names if isinstance(node, ast.ImportFrom) else ():
                if alias.name == old and alias.asname is None:
                    script.edit(script.source.replace(alias, name))
                    return name
    return qualify(script, f"torch.optim.{name}")
