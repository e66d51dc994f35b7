"""Hidden activations normalised over the batch."""

from __future__ import annotations

import ast
from itertools import pairwise
from typing import TYPE_CHECKING

from progtrain.engine.script.action import allowed_changes
from progtrain.engine.script.action.parts.network import (
    ACTIVATIONS,
    CONVOLUTIONS,
    find_chains,
    find_forwards,
    insert_layers,
    kind_of,
    layer_below,
    refuse_network,
    width_of,
)
from progtrain.engine.script.action.parts.packages import qualify
from progtrain.engine.script.action.recipes.base import STEADIER, Parameters, Recipe
from progtrain.engine.script.action.rewrite import Refused, Script
from progtrain.engine.script.nodes import assignments, calls, dotted

if TYPE_CHECKING:
    from progtrain.engine.analysis.measure.measurements import Measurements

_NORMS = ("BatchNorm", "LayerNorm", "GroupNorm", "InstanceNorm", "RMSNorm", "batch_norm", "layer_norm", "group_norm")
_SEQUENCES = frozenset(
    {"Embedding", "LSTM", "GRU", "RNN", "MultiheadAttention", "Transformer"}
    | {"TransformerEncoder", "TransformerEncoderLayer", "TransformerDecoderLayer"}
)


def rewrite(script: Script, parameters: Parameters) -> None:
    refuse_network(script)
    made = script.made()
    if named := sorted(name for name in made if name.removeprefix("Lazy").startswith(_NORMS)):
        raise Refused(f"the network normalises activations already ({named[0]})")
    if named := sorted(made & _SEQUENCES):
        raise Refused(f"the network works on sequences ({named[0]}), whose activations have another shape")
    if any(s.key == "batch_size" and s.value == 1 for s in script.settings):
        raise Refused("batches of one sample have no spread")
    inserts = []
    for chain in find_chains(script):
        for index, (layer, following) in enumerate(pairwise(chain.items)):
            norm = _norm_for(script, layer)
            if norm and kind_of(following) in ACTIVATIONS:
                inserts.append((chain, index, norm))
    wrapped = _normalise_in_forward(script)
    if not inserts and not wrapped:
        raise Refused("the network has no layer followed by an activation between which to normalise")
    insert_layers(script, inserts)


def _norm_for(script: Script, layer: ast.expr) -> str | None:
    """`nn.BatchNorm1d(hidden)` for `nn.Linear(inputs, hidden)`."""
    width = width_of(script, layer)
    norm = CONVOLUTIONS.get(kind_of(layer), "BatchNorm1d")
    return f"{qualify(script, f'torch.nn.{norm}')}({width})" if width else None


def _normalise_in_forward(script: Script) -> bool:
    """`F.relu(self.fc(x))` becomes `F.relu(self.fc_norm(self.fc(x)))`."""
    done: set[str] = set()
    for forward, init, kinds in find_forwards(script):
        for activation in calls(forward):
            layer = layer_below(script, activation, kinds)
            name = dotted(layer.func) if layer is not None else ""
            made = [value for target, value in assignments(init) if name and dotted(target) == name]
            norm = _norm_for(script, made[0]) if len(made) == 1 else None
            if layer is None or norm is None:
                continue
            if name not in done:
                script.insert_after(made[0], f"{name}_norm = {norm}")
            done.add(name)
            script.wrap(layer, f"{name}_norm")
    return bool(done)


def suits(measured: Measurements) -> bool:
    """A last batch of one sample has no spread to normalise by, which torch refuses."""
    samples, batch = measured.train_samples, measured.number("batch_size")
    return not (samples and batch and samples % batch == 1)


RECIPE = Recipe(
    id="batch_norm",
    candidate_id="add_batch_norm",
    order=160,
    title="normalise hidden activations over the batch",
    why="evens out the scale of activations, so that larger steps work; for slow training of plain "
    "layers. A last batch of a single sample would stop training",
    risk="medium",
    rewrite=rewrite,
    changes=(allowed_changes.model,),
    touches=frozenset({"model", "normalisation"}),
    speaks_for={
        "divergence": 0.35,
        "learning_rate_too_high": 0.3,
        "learning_rate_too_low": 0.3,
        "overfitting": 0.2,
        "underfitting": 0.5,
        "too_little_capacity": 0.45,
        "plateau": 0.3,
        "unscaled_inputs": 0.55,
        "healthy": 0.25,
    },
    suits=suits,
    effects=("input_scale",),
    sentences="""
        goal: Keep hidden activations in a healthy range.
        goal: Make optimisation easier by normalising hidden activations.
        impact: Faster, smoother training than now (roughness @roughness).
        impact: A lower training loss than @final_train_loss and often a smaller gap.
        risk: Medium: its statistics are noisy with batches of @batch_size.
        risk: Evaluation uses running statistics; a mismatch would show in the validation loss.
    """
    + STEADIER,
)
