"""Giving the optimizer a learning-rate schedule, whatever `configure_optimizers` returns."""

from __future__ import annotations

import ast

from progtrain.engine.script.action.parts.optimizer import configure_optimizers, optimizer_call
from progtrain.engine.script.action.parts.packages import lightning_root, qualify
from progtrain.engine.script.action.rewrite import Refused, Script
from progtrain.engine.script.nodes import (
    arguments,
    assignments,
    called,
    calls,
    dotted,
    identifiers,
    last_name,
    text_of,
    walk,
)
from progtrain.engine.script.structure import SCHEDULERS

STEPS = "self.trainer.estimated_stepping_batches"
_ROOM = 110 - 8


def allow_beside(script: Script, compatible: frozenset[str]) -> None:
    """Refuses where the script steps its schedules itself, or has one that the new one would fight with."""
    script.refuse_manual_optimisation()
    if script.method("lr_scheduler_step") or script.method("optimizer_step"):
        raise Refused("the script steps its optimizer or schedule itself")
    for call in calls(configure_optimizers(script)):
        name = called(call)
        known = name in SCHEDULERS
        if (known or name.endswith(("LR", "Scheduler")) or "schedule" in name.lower()) and name not in compatible:
            raise Refused(f"the learning rate follows a schedule already ({name})")


def refuse_endless(script: Script) -> None:
    for setting in script.settings:
        if setting.key in ("epochs", "max_steps") and setting.value == -1 and setting.source == "keyword":
            raise Refused("training has no end that a schedule could reach (max_epochs=-1)")


def add_schedule(script: Script, name: str, scheduler: str, options: str, steps: str = STEPS) -> None:
    """`scheduler` is code with `{optimizer}` and `{steps}` where they go, `options` entries of its configuration."""
    method, made = configure_optimizers(script), optimizer_call(script)
    statement, mapping = _returned(script, method, made)
    optimizer, schedules = _read(script, statement, mapping)
    if optimizer is not made and not (isinstance(optimizer, ast.Name) and _holds(method, optimizer.id, made)):
        raise Refused(f"configure_optimizers returns {script.text(optimizer)}, which cannot be read as its optimizer")
    used = set(identifiers(method))
    name = next(free for free in (name, f"lr_{name}", f"{name}_schedule", f"added_{name}") if free not in used)
    anchor = mapping or statement
    variable = optimizer.id if isinstance(optimizer, ast.Name) else _free(("optimizer", "main_optimizer"), used)
    if not isinstance(optimizer, ast.Name):
        script.insert_before(anchor, f"{variable} = {script.text(optimizer)}")
        if mapping is not None and not schedules:
            script.replace(optimizer, variable)
    if "{steps}" in scheduler:
        kind = "warmup" if name.startswith("warmup") else "total"
        count = _free((f"{kind}_steps", f"{name}_steps"), used)
        script.insert_before(anchor, f"{count} = {steps}")
        scheduler = scheduler.replace("{steps}", count)
    script.insert_before(anchor, _in_lines(f"{name} = {scheduler.format(optimizer=variable)}"))
    _annotate(script, method)
    config = f'{{"scheduler": {name}, {options}}}'
    assert statement.value is not None
    if schedules:
        script.replace(statement.value, f"[{variable}], [{', '.join((*schedules, config))}]")
    elif mapping is not None:
        script.append(mapping, f'"lr_scheduler": {config}')
    else:
        script.replace(statement.value, f'{{"optimizer": {variable}, "lr_scheduler": {config}}}')


def _free(names: tuple[str, ...], used: set[str]) -> str:
    return next((name for name in names if name not in used), names[-1])


def _in_lines(statement: str) -> str:
    """`x = f(a, b)` with an argument on each line, where it would be too long."""
    if len(statement) <= _ROOM:
        return statement
    call = calls(ast.parse(statement))[0]
    args = "".join(f"    {ast.get_source_segment(statement, arg)},\n" for arg in arguments(call))
    head, _, _ = statement.partition("(")
    return f"{head}(\n{args})"


def _returned(script: Script, method: ast.FunctionDef, made: ast.Call) -> tuple[ast.Return, ast.Dict | None]:
    """The one return, and the dict that it returns, if it does: there, or put together before."""
    returns = [node for node in walk(method) if isinstance(node, ast.Return)]
    if len(returns) != 1 or returns[0].value is None:
        raise Refused("configure_optimizers does not return in exactly one place")
    statement, value = returns[0], returns[0].value
    if script.parent(statement) is not method:
        raise Refused("configure_optimizers returns from inside a branch")
    if isinstance(value, ast.Name) and not _holds(method, value.id, made):
        assigned = [v for t, v in assignments(method) if dotted(t) == value.id]
        if len(assigned) != 1 or not isinstance(assigned[0], ast.Dict):
            raise Refused("what configure_optimizers returns cannot be read")
        value = assigned[0]
    return statement, value if isinstance(value, ast.Dict) else None


def _read(script: Script, statement: ast.Return, mapping: ast.Dict | None) -> tuple[ast.expr, list[str]]:
    """The optimizer, and the code of each schedule or its configuration."""
    value = statement.value
    if mapping is not None:
        return _from_dict(script, mapping, in_place=mapping is value)
    items: list[ast.expr] = [value] if value is not None else []
    schedules: list[ast.expr] = []
    if isinstance(value, ast.Tuple | ast.List):
        items = value.elts
        match items:  # `[optimizer], [schedules]`
            case [ast.List() | ast.Tuple() as first, ast.List() | ast.Tuple() as second]:
                items, schedules = first.elts, second.elts
    if len(items) != 1:
        raise Refused("configure_optimizers returns several optimizers, or something that cannot be read")
    return items[0], [script.text(schedule) for schedule in schedules]


def _from_dict(script: Script, mapping: ast.Dict, in_place: bool) -> tuple[ast.expr, list[str]]:
    entries = {text_of(key): value for key, value in zip(mapping.keys, mapping.values, strict=True)}
    if None in entries or len(entries) != len(mapping.keys) or "optimizer" not in entries:
        raise Refused("the dict that configure_optimizers returns cannot be read")
    optimizer, schedule, monitor = (entries.get(name) for name in ("optimizer", "lr_scheduler", "monitor"))
    assert optimizer is not None
    if not in_place and (schedule is not None or not isinstance(optimizer, ast.Name)):
        raise Refused("configure_optimizers puts what it returns together in several places")
    if schedule is None:
        return optimizer, []
    code = script.text(schedule)
    if code == "None":
        raise Refused("configure_optimizers returns lr_scheduler=None")
    return optimizer, [f'{{"scheduler": {code}, "monitor": {script.text(monitor)}}}' if monitor else code]


def _holds(method: ast.FunctionDef, name: str, made: ast.Call) -> bool:
    return any(dotted(target) == name and value is made for target, value in assignments(method))


def _annotate(script: Script, method: ast.FunctionDef) -> None:
    """A return annotation that named an optimizer would no longer be true."""
    if method.returns is None or "Optimizer" not in script.text(method.returns):
        return
    if last_name(method.returns) != "OptimizerLRScheduler":
        name = qualify(script, f"{lightning_root(script)}.utilities.types.OptimizerLRScheduler")
        script.replace(method.returns, name)
