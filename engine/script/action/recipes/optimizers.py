"""Recipes that change the optimizer in `configure_optimizers`."""

from __future__ import annotations

from collections.abc import Sequence

import libcst as cst

from progtrain.engine.script.action.layout import append_argument
from progtrain.engine.script.action.nodes import argument, calls, dotted, keyword, last_name, walk
from progtrain.engine.script.action.recipes.base import Parameters
from progtrain.engine.script.action.rewrite import Refused, Script
from progtrain.engine.script.settings import Setting
from progtrain.engine.script.structure import OPTIMIZERS, ScriptFacts

#: what AdamW decays by where nothing is said
ADAMW_DECAY = 0.01
_ADAMW = frozenset(
    {"lr", "betas", "eps", "weight_decay", "amsgrad", "maximize", "foreach", "capturable"} | {"differentiable", "fused"}
)
_SGD = frozenset(
    {"lr", "momentum", "dampening", "weight_decay", "nesterov", "maximize", "foreach"} | {"differentiable", "fused"}
)
#: a rate below this is one for adaptive steps, above it one for plain gradient steps
_RATE_BORDER = 0.005


def configure_optimizers(script: Script) -> cst.FunctionDef:
    method = script.method("configure_optimizers")
    if method is None:
        raise Refused("the LightningModule defines no configure_optimizers")
    return method


def optimizer_call(script: Script) -> cst.Call:
    """The call in `configure_optimizers` that makes the one optimizer."""
    method = configure_optimizers(script)
    found = [call for call in calls(method) if last_name(call.func) in OPTIMIZERS]
    if not found:
        raise Refused("configure_optimizers makes no optimizer of torch.optim by name")
    if len(found) > 1:
        raise Refused(f"configure_optimizers makes {len(found)} optimizers")
    if not script.full_name(found[0].func).startswith("torch.optim."):
        raise Refused(f"{script.text(found[0].func)} is not from torch.optim")
    if any(arg.star for arg in found[0].args):
        raise Refused("the optimizer gets arguments that cannot be read (* or **)")
    return found[0]


def weight_decay(script: Script, parameters: Parameters) -> None:
    call = optimizer_call(script)
    name = last_name(call.func)
    if name in ("LBFGS", "Rprop", "SparseAdam"):
        raise Refused(f"{name} does not decay weights")
    given = argument(call, "weight_decay")
    if given is not None and script.text(given.value) not in ("0", "0.0", "None"):
        raise Refused(f"the optimizer has weight_decay={script.text(given.value)} already: set it instead")
    if given is None:
        script.refuse_setting("weight_decay")
    if name == "AdamW" and given is None and parameters["weight_decay"] == ADAMW_DECAY:
        raise Refused(f"AdamW decays by {ADAMW_DECAY} where nothing is said: give another value")
    constant = script.constant("WEIGHT_DECAY", float(parameters["weight_decay"]), like="1e-2")
    script.add_argument(call, "weight_decay", constant)


def fit_weight_decay(facts: ScriptFacts, settings: Sequence[Setting]) -> Parameters:
    """AdamW decays the weights themselves, the others add to the gradient, where much less is usual."""
    return {"weight_decay": {"AdamW": 0.05, "SGD": 5e-4}.get(facts.optimizer or "", 1e-4)}


def adamw(script: Script, parameters: Parameters) -> None:
    call = optimizer_call(script)
    if last_name(call.func) == "AdamW":
        raise Refused("the optimizer is AdamW already")
    decay, wanted = argument(call, "weight_decay"), parameters["weight_decay"]
    added: dict[str, str] = {}
    if decay is None:
        script.refuse_setting("weight_decay")
        wanted = ADAMW_DECAY if wanted is None else float(wanted)
        added["weight_decay"] = script.constant("WEIGHT_DECAY", wanted, like="1e-2")
    elif wanted is not None and not any(setting.key == "weight_decay" for setting in script.settings):
        raise Refused(f"the decay is not a setting of the script (weight_decay={script.text(decay.value)})")
    _exchange(script, call, "AdamW", _ADAMW, added, positional=("params", "lr", "betas", "eps"))


def fit_adamw(facts: ScriptFacts, settings: Sequence[Setting]) -> Parameters:
    """A rate for plain gradient steps is far too large for adaptive ones. A decay that the script has stays, but for
    none at all: AdamW would be Adam with another name."""
    rate = _rate(settings)
    fitted: Parameters = {}
    if facts.optimizer == "SGD" and rate and rate > _RATE_BORDER:
        fitted["learning_rate"] = 1e-3
    if any(setting.key == "weight_decay" and setting.value for setting in settings):
        fitted["weight_decay"] = None
    return fitted


def sgd_momentum(script: Script, parameters: Parameters) -> None:
    call = optimizer_call(script)
    is_sgd = last_name(call.func) == "SGD"
    if is_sgd and (argument(call, "momentum") is not None or (len(call.args) > 2 and call.args[2].keyword is None)):
        raise Refused("SGD has momentum already: set it instead")
    script.refuse_setting("momentum")
    momentum = script.constant(["MOMENTUM", "SGD_MOMENTUM"], float(parameters["momentum"]))
    if is_sgd:
        script.add_argument(call, "momentum", momentum)
    else:
        _exchange(script, call, "SGD", _SGD, {"momentum": momentum}, positional=("params", "lr"))


def fit_sgd_momentum(facts: ScriptFacts, settings: Sequence[Setting]) -> Parameters:
    """A rate for adaptive steps is too small for plain gradient steps."""
    rate = _rate(settings)
    adaptive = facts.optimizer is not None and facts.optimizer != "SGD"
    return {"learning_rate": 0.01} if adaptive and rate and rate < _RATE_BORDER else {}


def _rate(settings: Sequence[Setting]) -> float | None:
    rates = {s.value for s in settings if s.key == "learning_rate" and isinstance(s.value, int | float)}
    return float(next(iter(rates))) if len(rates) == 1 else None


def _exchange(
    script: Script,
    call: cst.Call,
    name: str,
    known: frozenset[str],
    added: dict[str, str],
    positional: tuple[str, ...],
) -> None:
    """Calls `torch.optim.<name>` instead, with those arguments that it knows."""
    plain = [arg for arg in call.args if arg.keyword is None]
    if len(plain) > (len(positional) if last_name(call.func) in ("Adam", "NAdam", "RAdam") else 2):
        raise Refused("the optimizer gets arguments by position that the other one does not know")
    kept = [
        arg.keyword.value if arg.keyword else positional[index]
        for index, arg in enumerate(call.args)
        if arg.keyword is None or arg.keyword.value in known
    ]
    if "lr" not in kept:
        raise Refused("the optimizer is given no learning rate, and the other one's default is another")
    function = _exchanged_name(script, call, name)

    def exchange(node: cst.Call) -> cst.Call:
        args = [a for a in node.args if a.keyword is None or a.keyword.value in known]
        if args and args[-1] is not node.args[-1]:
            args[-1] = args[-1].with_changes(
                comma=node.args[-1].comma, whitespace_after_arg=node.args[-1].whitespace_after_arg
            )
        changed = node.with_changes(func=cst.parse_expression(function), args=args)
        for key, code in added.items():
            changed = append_argument(changed, keyword(key, cst.parse_expression(code)))
        return changed

    script.change(call, exchange)


def _exchanged_name(script: Script, call: cst.Call, name: str) -> str:
    """`optim.Adam` -> `optim.AdamW`; an imported name takes the place of the one no longer used."""
    if isinstance(call.func, cst.Attribute):
        return f"{script.text(call.func.value)}.{name}"
    old = dotted(call.func)
    uses = [n for n in walk(script.module) if isinstance(n, cst.Name) and n.value == old]
    for node in walk(script.module):
        if (
            isinstance(node, cst.ImportAlias)
            and dotted(node.name) == old
            and node.asname is None
            and isinstance(script.parent(node), cst.ImportFrom)
            and len(uses) == 2
            and name not in script.bindings
        ):
            script.change(node, lambda alias: alias.with_changes(name=cst.Name(name)))
            return name
    return script.qualify(f"torch.optim.{name}")
