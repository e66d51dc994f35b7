"""Dropout behind hidden activations."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from progtrain.engine.script.action import allowed_changes
from progtrain.engine.script.action.parts.network import (
    ACTIVATIONS,
    CONVOLUTIONS,
    Chain,
    find_chains,
    find_forwards,
    insert_layers,
    layer_below,
    refuse_network,
    weighs,
)
from progtrain.engine.script.action.parts.packages import qualify
from progtrain.engine.script.action.recipes.base import Parameters, Recipe
from progtrain.engine.script.action.rewrite import Refused, Script
from progtrain.engine.script.nodes import calls, dotted, walk


def rewrite(script: Script, parameters: Parameters) -> None:
    refuse_network(script)
    script.refuse_setting("dropout")
    made = script.made()
    if any("ropout" in name for name in made):
        raise Refused("the network has dropout already: set it instead")
    if any(name.startswith(("Transformer", "MultiheadAttention")) for name in made):
        raise Refused("the network drops activations by an argument of its own layers (dropout=...)")
    chains = list(find_chains(script))
    points = [(chain, index) for chain in chains for index in _hidden_activations(chain)]
    wraps = list(_functional_activations(script))
    if not points and not wraps:
        points = _before_last_linear(chains)
        wraps = [] if points else _into_last_linear(script)
    if not points and not wraps:
        raise Refused("the network has no hidden linear layer whose activations could be dropped")
    rate = script.constant(["DROPOUT", "DROPOUT_RATE"], float(parameters["dropout"]))
    code = f"{qualify(script, 'torch.nn.Dropout')}({rate})"
    _wrap_with_module(script, wraps, "dropout", code)
    insert_layers(script, [(chain, index, code) for chain, index in points])


def _hidden_activations(chain: Chain) -> Iterator[int]:
    """Activations of linear layers that another linear layer reads."""
    kinds = chain.kinds
    for index, kind in enumerate(kinds):
        before = [other for other in kinds[:index] if weighs(other)]
        after = [other for other in kinds[index + 1 :] if weighs(other)]
        read = after[0] == "Linear" if after else chain.open_end
        if kind in ACTIVATIONS and before and before[-1] == "Linear" and read:
            yield index


def _functional_activations(script: Script) -> Iterator[ast.expr]:
    """Activations of linear layers in `forward`, unless they are what it returns."""
    for forward, _, kinds in find_forwards(script):
        for call in calls(forward):
            layer = layer_below(script, call, kinds)
            returned = isinstance(script.parent(call), ast.Return)
            if layer is not None and kinds.get(dotted(layer.func)) == "Linear" and not returned:
                yield call


def _before_last_linear(chains: list[Chain]) -> list[tuple[Chain, int]]:
    """Convolutional networks: what the last linear layer reads."""
    for chain in reversed(chains):
        last = max((i for i, kind in enumerate(chain.kinds) if kind == "Linear"), default=0)
        if any(kind in CONVOLUTIONS for kind in chain.kinds[:last]):
            return [(chain, last - 1)]
    return []


def _into_last_linear(script: Script) -> list[ast.expr]:
    """The argument of the last call of a linear layer in a `forward` that has other layers before it."""
    for forward, _, kinds in find_forwards(script):
        found = [call for call in calls(forward) if dotted(call.func) in kinds]
        ordered = sorted(found, key=lambda call: sum(1 for other in calls(call) if other in found))
        linear = [c for c in ordered if kinds[dotted(c.func)] == "Linear" and len(c.args) == 1 and not c.keywords]
        outermost = [c for c in linear if not any(c is not o and c in calls(o) for o in linear)]
        if len(found) > 1 and outermost:
            return [outermost[-1].args[0]]
    return []


def _wrap_with_module(script: Script, nodes: list[ast.expr], name: str, code: str) -> None:
    """Makes `self.<name>` in `__init__` and calls it on what each of the nodes gives."""
    owners: list[ast.ClassDef] = []
    for node in nodes:
        owner = script.enclosing(node, ast.ClassDef)
        init = script.method("__init__", owner) if owner else None
        if owner is None or init is None:
            raise Refused("the layers of the network are not made in __init__")
        if any(inside.attr == name for inside in walk(owner) if isinstance(inside, ast.Attribute)):
            raise Refused(f"the network uses the name {name} itself")
        if owner not in owners:
            script.insert_after(init.body[-1], f"self.{name} = {code}")
            owners.append(owner)
        script.wrap(node, f"self.{name}")


RECIPE = Recipe(
    id="dropout",
    candidate_id="add_dropout",
    order=90,
    title="drop activations during training",
    why="stops units from relying on each other; for a gap between training and validation",
    risk="low",
    rewrite=rewrite,
    changes=(allowed_changes.model,),
    touches=frozenset({"model"}),
    brings={"dropout": ("dropout", 0.2)},
    speaks_for={"overfitting": 0.6, "too_much_capacity": 0.65, "healthy": 0.25},
    speaks_against={"too_few_epochs": 0.4, "underfitting": 0.8, "too_little_capacity": 0.7},
    sized=lambda situation: {"dropout": 0.3} if situation.strength("overfitting", "too_much_capacity") >= 0.8 else {},
    spoken_of_as="dropout_up",
)
