"""Recipes that give the Trainer another argument or callback."""

from __future__ import annotations

import re
from collections.abc import Iterator

import libcst as cst

from progtrain.engine.script.action.nodes import argument, calls, dotted, last_name, string_value
from progtrain.engine.script.action.recipes.base import Parameters
from progtrain.engine.script.action.rewrite import Refused, Script


def trainer_call(script: Script) -> cst.Call:
    """The call that makes the Trainer which fits. Raises `Refused` when it cannot be told."""
    found = [call for call in calls(script.module) if script.full_name(call.func).endswith(".Trainer")]
    found = found or [call for call in calls(script.module) if last_name(call.func) == "Trainer"]
    if len(found) > 1:
        found = [call for call in found if _fits(script, call)]
    if len(found) != 1:
        raise Refused("the script makes no Trainer" if not found else "the script fits with several Trainers")
    return found[0]


def _fits(script: Script, call: cst.Call) -> bool:
    parent = script.parent(call)
    if isinstance(parent, cst.Attribute):
        return parent.attr.value == "fit"
    if not isinstance(parent, cst.Assign):
        return False
    name = dotted(parent.targets[0].target)
    scope = script.enclosing(call, cst.FunctionDef) or script.module
    return any(dotted(other.func) == f"{name}.fit" for other in calls(scope))


def gradient_clipping(script: Script, parameters: Parameters) -> None:
    script.refuse_manual_optimisation()
    if script.method("configure_gradient_clipping"):
        raise Refused("the script clips gradients itself (configure_gradient_clipping)")
    call = trainer_call(script)
    script.refuse_setting("gradient_clip")
    _refuse_argument(script, call, "gradient_clip_val", unset={"None", "0", "0.0"})
    name = script.constant(["GRADIENT_CLIP", "GRADIENT_CLIP_NORM"], float(parameters["max_norm"]))
    script.add_argument(call, "gradient_clip_val", name)


def gradient_accumulation(script: Script, parameters: Parameters) -> None:
    script.refuse_manual_optimisation()
    if any(last_name(c.func) == "GradientAccumulationScheduler" for c in calls(script.module)):
        raise Refused("the script accumulates gradients on a schedule (GradientAccumulationScheduler)")
    batches = int(parameters["batches"])
    if batches < 2:
        raise Refused("accumulating over one batch changes nothing")
    call = trainer_call(script)
    existing = argument(call, "accumulate_grad_batches")
    if existing is None or script.text(existing.value) not in ("1", "None"):
        script.refuse_setting("gradient_accumulation")
        _refuse_argument(script, call, "accumulate_grad_batches", unset=set())
    name = script.constant(["GRADIENT_ACCUMULATION", "ACCUMULATE_GRAD_BATCHES"], batches)
    script.add_argument(call, "accumulate_grad_batches", name)


def early_stopping(script: Script, parameters: Parameters) -> None:
    if any(last_name(c.func) == "EarlyStopping" for c in calls(script.module)):
        raise Refused("the script stops early already: set its patience instead")
    metric, mode = monitored(script, parameters.get("monitor"))
    patience = script.constant(["EARLY_STOPPING_PATIENCE", "STOPPING_PATIENCE"], int(parameters["patience"]))
    callback = script.qualify(f"{script.lightning_root()}.callbacks.EarlyStopping")
    add_callback(script, f'{callback}(monitor="{metric}", mode="{mode}", patience={patience})')


def best_epoch(script: Script, parameters: Parameters) -> None:
    call = _checkpoint_call(script)
    given, most = argument(call, "monitor"), argument(call, "save_top_k")
    name = _text_of(script, given.value, call) if given else None
    # dirpath and filename may come without their names; what else does is a guess
    if sum(arg.keyword is None for arg in call.args) > 2 or (
        given and name is None and script.text(given.value) != "None"
    ):
        raise Refused("what the ModelCheckpoint monitors cannot be told")
    if name is not None and not name.startswith("train"):
        raise Refused(f"the epoch with the best {name} is kept already")
    if most is not None and script.text(most.value) != "1":
        raise Refused(f"the ModelCheckpoint keeps save_top_k={script.text(most.value)} files")
    if often := next((o for o in ("every_n_train_steps", "train_time_interval") if argument(call, o)), None):
        raise Refused(f"checkpoints are written between validations ({often})")
    metric, mode = monitored(script, parameters.get("monitor"))
    script.add_argument(call, "monitor", f'"{metric}"')
    # Lightning's default is "min"
    if mode != "min" or argument(call, "mode"):
        script.add_argument(call, "mode", f'"{mode}"')


def _checkpoint_call(script: Script) -> cst.Call:
    """The one that writes best.ckpt. Raises `Refused` when it cannot be told."""
    found = [call for call in calls(script.module) if last_name(call.func) == "ModelCheckpoint"]
    if not found:
        raise Refused("the script makes no ModelCheckpoint")
    best = found if len(found) == 1 else [call for call in found if "best" in (_file_name(script, call) or "")]
    if len(best) != 1:
        raise Refused("which ModelCheckpoint writes best.ckpt cannot be told")
    return best[0]


def _file_name(script: Script, call: cst.Call) -> str | None:
    given = argument(call, "filename") or next(iter([arg for arg in call.args if arg.keyword is None][1:]), None)
    return _text_of(script, given.value, call) if given else None


def weight_averaging(script: Script, parameters: Parameters) -> None:
    script.refuse_manual_optimisation()
    averaging = {"EMAWeightAveraging", "WeightAveraging", "StochasticWeightAveraging", "AveragedModel"}
    if named := [last_name(c.func) for c in calls(script.module) if last_name(c.func) in averaging]:
        raise Refused(f"the script averages weights already ({named[0]})")
    if script.method("configure_model"):
        raise Refused("the model is made in configure_model, which averaging does not go with")
    script.refuse_setting("ema_decay")
    decay = script.constant(["EMA_DECAY", "WEIGHT_AVERAGING_DECAY"], float(parameters["decay"]))
    callback = script.qualify(f"{script.lightning_root()}.callbacks.EMAWeightAveraging")
    add_callback(script, f"{callback}(decay={decay})")


def _refuse_argument(script: Script, call: cst.Call, name: str, unset: set[str]) -> None:
    given = argument(call, name)
    if given is not None and script.text(given.value) not in unset:
        raise Refused(f"the Trainer has {name}={script.text(given.value)} already")


def add_callback(script: Script, code: str) -> None:
    """Whether `callbacks` is missing, a list, a name for one, or something else that is one."""
    call = trainer_call(script)
    given = argument(call, "callbacks")
    if given is None:
        script.add_argument(call, "callbacks", f"[{code}]")
        return
    value = given.value
    if isinstance(value, cst.Name) and value.value != "None":
        assigned = script.assigned(value.value, call)
        if assigned is None:
            raise Refused(f"what the callbacks are cannot be told: {value.value} is not assigned just once")
        if not isinstance(assigned, cst.List):
            _extend(script, value, assigned, code)
            return
        value = assigned
    if isinstance(value, cst.List):
        script.append(value, cst.Element(cst.parse_expression(code)))
    else:
        _extend(script, value, value, code)


def _extend(script: Script, used: cst.BaseExpression, meaning: cst.BaseExpression, code: str) -> None:
    """`used` stands in the call and has the value of `meaning`: one callback, nothing, or a list made elsewhere."""
    text = script.text(used)
    if isinstance(meaning, cst.Name) and meaning.value == "None":
        script.replace(used, f"[{code}]")
    elif isinstance(meaning, cst.Call) and last_name(meaning.func)[:1].isupper():
        script.make_list(used, text, code)
    elif isinstance(used, cst.Name | cst.Call | cst.Attribute):
        script.make_list(used, f"*{text}", code)
    else:
        script.make_list(used, f"*({text})", code)


# the metric to watch


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


_LOWER_IS_BETTER = re.compile(r"loss|err|mae|mse|rmse|mape|perplexity|ppl|nll|brier|wer\b|cer\b", re.IGNORECASE)


def _mode(metric: str) -> str:
    return "min" if _LOWER_IS_BETTER.search(metric) else "max"


def _checkpoint_metric(script: Script) -> tuple[str, str] | None:
    for call in calls(script.module):
        if last_name(call.func) != "ModelCheckpoint":
            continue
        monitor, mode = argument(call, "monitor"), argument(call, "mode")
        name = _text_of(script, monitor.value, call) if monitor else None
        if name and not name.startswith("train"):
            direction = _text_of(script, mode.value, call) if mode else "min"
            return (name, direction) if direction in ("min", "max") else None
    return None


def _text_of(script: Script, node: cst.BaseExpression, near: cst.CSTNode) -> str | None:
    if isinstance(node, cst.Name) and (assigned := script.assigned(node.value, near)) is not None:
        node = assigned
    return string_value(node)


def _logged_in_validation(script: Script) -> Iterator[str]:
    """Names given to `self.log` and `self.log_dict` in `validation_step` and the methods that it calls."""
    step = script.method("validation_step")
    waiting: list[tuple[cst.FunctionDef, dict[str, str]]] = [(step, {})] if step else []
    if (hook := script.method("on_validation_epoch_end")) is not None:
        waiting.append((hook, {}))
    seen: set[tuple[str, tuple[tuple[str, str], ...]]] = set()
    while waiting:
        function, given = waiting.pop(0)
        mark = (function.name.value, tuple(sorted(given.items())))
        if mark in seen:
            continue
        seen.add(mark)
        for call in calls(function):
            name = dotted(call.func)
            if name in ("self.log", "self.log_dict"):
                yield from _names_logged(script, call, given)
            elif name.startswith("self.") and (target := script.method(name[5:])) is not None:
                waiting.append((target, _texts_passed(target, call, given)))


def _texts_passed(function: cst.FunctionDef, call: cst.Call, given: dict[str, str]) -> dict[str, str]:
    """Texts that a call passes: `self._step(batch, "val")` -> {"stage": "val"}."""
    names = [p.name.value for p in function.params.params][1:]
    passed: dict[str, str] = {}
    for position, arg in enumerate(call.args):
        name = arg.keyword.value if arg.keyword else names[position] if position < len(names) else None
        text = _formatted(arg.value, given)
        if name and text is not None:
            passed[name] = text
    return passed


def _names_logged(script: Script, call: cst.Call, given: dict[str, str]) -> Iterator[str]:
    first = call.args[0].value if call.args else None
    if first is None:
        return
    if isinstance(first, cst.Name) and (assigned := script.assigned(first.value, call)) is not None:
        first = assigned
    entries = first.elements if isinstance(first, cst.Dict) else ()
    keys = [entry.key for entry in entries if isinstance(entry, cst.DictElement)]
    for key in keys or [first]:
        if (name := _formatted(key, given)) is not None:
            yield name


def _formatted(node: cst.BaseExpression, given: dict[str, str]) -> str | None:
    """The text of a literal, of an f-string over known names, or of a known name."""
    if isinstance(node, cst.Name):
        return given.get(node.value)
    if isinstance(node, cst.FormattedString):
        parts = []
        for part in node.parts:
            if isinstance(part, cst.FormattedStringText):
                parts.append(part.value)
            else:
                inner = part.expression if isinstance(part, cst.FormattedStringExpression) else None
                text = _formatted(inner, given) if inner is not None else None
                if text is None:
                    return None
                parts.append(text)
        return "".join(parts)
    return string_value(node)


def uses_several_devices(script: Script) -> bool:
    """Whether the Trainer is told to spread over devices, so that each process sees a part of the data."""
    call = trainer_call(script)
    devices, strategy = argument(call, "devices"), argument(call, "strategy")
    many = devices is not None and script.text(devices.value) not in ("1", '"auto"', "'auto'")
    spread = strategy is not None and re.search(r"ddp|fsdp|deepspeed", script.text(strategy.value))
    return many or bool(spread)
