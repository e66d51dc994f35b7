"""Recipes that give the optimizer a learning-rate schedule."""

from __future__ import annotations

from dataclasses import dataclass

import libcst as cst

from progtrain.engine.script.action.layout import append_entry
from progtrain.engine.script.action.nodes import assignments, broken, calls, dotted, last_name, string_value, walk
from progtrain.engine.script.action.recipes.base import Parameters
from progtrain.engine.script.action.recipes.optimizers import configure_optimizers, optimizer_call
from progtrain.engine.script.action.recipes.trainer import monitored
from progtrain.engine.script.action.rewrite import Refused, Script
from progtrain.engine.script.structure import SCHEDULERS, WARMUPS

#: schedules that multiply the rate as it is, so that a warm-up beside them keeps its effect
_MULTIPLYING = frozenset(
    {"StepLR", "MultiStepLR", "ExponentialLR", "CosineAnnealingLR", "PolynomialLR", "ReduceLROnPlateau"}
)
_STEPS = "self.trainer.estimated_stepping_batches"


def cosine_schedule(script: Script, parameters: Parameters) -> None:
    _allow_beside(script, WARMUPS)
    _refuse_endless(script)
    scheduler = script.qualify("torch.optim.lr_scheduler.CosineAnnealingLR")
    _add(script, "scheduler", f"{scheduler}({{optimizer}}, T_max={{steps}})", '"interval": "step"')


def warmup(script: Script, parameters: Parameters) -> None:
    _allow_beside(script, _MULTIPLYING)
    _refuse_endless(script)
    script.refuse_setting("warmup")
    share = script.constant(["WARMUP", "WARMUP_SHARE"], float(parameters["share"]))
    scheduler = script.qualify("torch.optim.lr_scheduler.LinearLR")
    call = f"{scheduler}({{optimizer}}, start_factor=0.1, total_iters={{steps}})"
    _add(script, "warmup", call, '"interval": "step"', steps=f"max(1, round({share} * {_STEPS}))")


def reduce_on_plateau(script: Script, parameters: Parameters) -> None:
    _allow_beside(script, WARMUPS)
    metric, mode = monitored(script, parameters.get("monitor"))
    script.refuse_setting("plateau_factor")
    script.refuse_setting("plateau_patience")
    factor = script.constant("PLATEAU_FACTOR", float(parameters["factor"]))
    patience = script.constant("PLATEAU_PATIENCE", int(parameters["patience"]))
    scheduler = script.qualify("torch.optim.lr_scheduler.ReduceLROnPlateau")
    call = f'{scheduler}({{optimizer}}, mode="{mode}", factor={factor}, patience={patience})'
    _add(script, "scheduler", call, f'"monitor": "{metric}"')


def _allow_beside(script: Script, compatible: frozenset[str]) -> None:
    """Refuses where the script steps its schedules itself, or has one that the new one would fight with."""
    script.refuse_manual_optimisation()
    if script.method("lr_scheduler_step") or script.method("optimizer_step"):
        raise Refused("the script steps its optimizer or schedule itself")
    for call in calls(configure_optimizers(script)):
        name = last_name(call.func)
        known = name in SCHEDULERS
        if (known or name.endswith(("LR", "Scheduler")) or "schedule" in name.lower()) and name not in compatible:
            raise Refused(f"the learning rate follows a schedule already ({name})")


def _refuse_endless(script: Script) -> None:
    for setting in script.settings:
        if setting.key in ("epochs", "max_steps") and setting.value == -1 and setting.source == "keyword":
            raise Refused("training has no end that a schedule could reach (max_epochs=-1)")


@dataclass(frozen=True)
class _Returned:
    """What `configure_optimizers` returns: the optimizer, and schedules as they stand there."""

    statement: cst.Return
    optimizer: cst.BaseExpression
    #: code of each schedule or its configuration
    schedules: tuple[str, ...]
    #: the dict literal that is returned, where it is one
    mapping: cst.Dict | None = None
    #: the dict is put together in a statement of its own before
    by_name: bool = False


def _add(script: Script, name: str, scheduler: str, options: str, steps: str = _STEPS) -> None:
    """`scheduler` is code with `{optimizer}` and `{steps}` where they go, `options` entries of its configuration."""
    returned = _returned(script)
    used = {n.value for n in walk(configure_optimizers(script)) if isinstance(n, cst.Name)}
    name = next(free for free in (name, f"lr_{name}", f"{name}_schedule", f"added_{name}") if free not in used)
    optimizer = _optimizer_name(script, returned, used)
    anchor = returned.mapping if returned.by_name and returned.mapping else returned.statement
    if "{steps}" in scheduler:
        kind = "warmup" if name.startswith("warmup") else "total"
        variable = next(free for free in (f"{kind}_steps", f"{name}_steps") if free not in used)
        script.insert_before(anchor, f"{variable} = {steps}\n")
        scheduler = scheduler.replace("{steps}", variable)
    statement = f"{name} = {scheduler.format(optimizer=optimizer)}"
    script.insert_before(anchor, broken(statement, depth=2) + "\n")
    _annotate(script)
    config = f'{{"scheduler": {name}, {options}}}'
    if returned.schedules:
        schedules = ", ".join((*returned.schedules, config))
        _return(script, returned, f"[{optimizer}], [{schedules}]")
    elif returned.mapping is not None:
        entry = cst.DictElement(cst.parse_expression('"lr_scheduler"'), cst.parse_expression(config))
        script.change(returned.mapping, lambda node: append_entry(node, entry))
    else:
        _return(script, returned, f'{{"optimizer": {optimizer}, "lr_scheduler": {config}}}')


def _return(script: Script, returned: _Returned, code: str) -> None:
    value = cst.parse_expression(code)
    script.change(returned.statement, lambda node: node.with_changes(value=value))


def _optimizer_name(script: Script, returned: _Returned, used: set[str]) -> str:
    """The variable that holds the optimizer; made where the optimizer is returned without one."""
    if isinstance(returned.optimizer, cst.Name):
        return returned.optimizer.value
    name = "optimizer" if "optimizer" not in used else "main_optimizer"
    script.insert_before(returned.statement, f"{name} = {script.text(returned.optimizer)}\n")
    if returned.mapping is not None:
        script.replace(returned.optimizer, name)
    return name


def _returned(script: Script) -> _Returned:
    method = configure_optimizers(script)
    made = optimizer_call(script)
    returns = [node for node in walk(method) if isinstance(node, cst.Return)]
    if len(returns) != 1 or returns[0].value is None:
        raise Refused("configure_optimizers does not return in exactly one place")
    statement, value = returns[0], returns[0].value
    if script.parent(script.statement(statement)) is not method.body:
        raise Refused("configure_optimizers returns from inside a branch")
    mapping = value
    if isinstance(value, cst.Name) and _holds(method, value.value, made) is False:
        assigned = [v for t, v in assignments(method) if dotted(t) == value.value]
        if len(assigned) != 1 or not isinstance(assigned[0], cst.Dict):
            raise Refused("what configure_optimizers returns cannot be read")
        mapping = assigned[0]
    if isinstance(mapping, cst.Dict):
        return _from_dict(script, statement, mapping, method, made, in_place=mapping is value)
    if isinstance(value, cst.Tuple | cst.List):
        return _from_sequence(script, statement, value, method, made)
    return _Returned(statement, _checked(script, value, method, made), ())


def _holds(method: cst.FunctionDef, name: str, made: cst.Call) -> bool:
    return any(dotted(target) == name and value is made for target, value in assignments(method))


def _checked(script: Script, value: cst.BaseExpression, method: cst.FunctionDef, made: cst.Call) -> cst.BaseExpression:
    """The expression, if it is the optimizer that the method makes."""
    if value is made or (isinstance(value, cst.Name) and _holds(method, value.value, made)):
        return value
    raise Refused(f"configure_optimizers returns {script.text(value)}, which cannot be read as its optimizer")


def _from_dict(
    script: Script,
    statement: cst.Return,
    mapping: cst.Dict,
    method: cst.FunctionDef,
    made: cst.Call,
    in_place: bool,
) -> _Returned:
    entries = {string_value(e.key): e.value for e in mapping.elements if isinstance(e, cst.DictElement)}
    if None in entries or len(entries) != len(mapping.elements) or "optimizer" not in entries:
        raise Refused("the dict that configure_optimizers returns cannot be read")
    optimizer = _checked(script, entries["optimizer"], method, made)
    schedule = entries.get("lr_scheduler")
    if not in_place and (schedule is not None or not isinstance(optimizer, cst.Name)):
        raise Refused("configure_optimizers puts what it returns together in several places")
    schedules: tuple[str, ...] = ()
    if schedule is not None and script.text(schedule) != "None":
        code = script.text(schedule)
        monitor = entries.get("monitor")
        schedules = (f'{{"scheduler": {code}, "monitor": {script.text(monitor)}}}' if monitor else code,)
    elif schedule is not None:
        raise Refused("configure_optimizers returns lr_scheduler=None")
    return _Returned(statement, optimizer, schedules, mapping, by_name=not in_place)


def _annotate(script: Script) -> None:
    """A return annotation that named an optimizer would no longer be true."""
    method = configure_optimizers(script)
    if method.returns is None or "Optimizer" not in script.text(method.returns.annotation):
        return
    if last_name(method.returns.annotation) == "OptimizerLRScheduler":
        return
    name = script.qualify(f"{script.lightning_root()}.utilities.types.OptimizerLRScheduler")
    script.replace(method.returns.annotation, name)


def _from_sequence(
    script: Script, statement: cst.Return, value: cst.Tuple | cst.List, method: cst.FunctionDef, made: cst.Call
) -> _Returned:
    """`[optimizer]`, or `[optimizer], [schedules]`."""
    items = [element.value for element in value.elements]
    schedules: list[cst.BaseExpression] = []
    if len(items) == 2 and all(isinstance(item, cst.List | cst.Tuple) for item in items):
        first, second = items
        assert isinstance(first, cst.List | cst.Tuple)
        assert isinstance(second, cst.List | cst.Tuple)
        schedules = [element.value for element in second.elements]
        items = [element.value for element in first.elements]
    if len(items) != 1:
        raise Refused("configure_optimizers returns several optimizers, or something that cannot be read")
    optimizer = _checked(script, items[0], method, made)
    return _Returned(statement, optimizer, tuple(script.text(schedule) for schedule in schedules))
