"""The weights that a training by transformers' Trainer ends with, as best.ckpt and last.ckpt."""

import importlib
import json
import os
import sys

from progtrain_hooks import quietly


@quietly
def save_weights(trainer, folder):
    """Gives which checkpoint each file was made of; "end" is the model as it is."""
    os.makedirs(folder, exist_ok=True)
    args, state = trainer.args, trainer.state
    end = trainer.accelerator.unwrap_model(trainer.model).state_dict()
    best = state.best_model_checkpoint
    if best and args.load_best_model_at_end:
        # the model holds the best weights again
        last = os.path.join(args.output_dir, f"checkpoint-{state.global_step}")
        sources = {"best": None, "last": last}
    else:
        sources = {"best": best, "last": None}
    told = {}
    for name, source in sources.items():
        weights = quietly(_read)(source) if source else None
        told[name] = source if weights else "end"
        _save(os.path.join(folder, f"{name}.ckpt"), _complete(weights, end) if weights else end, state)
    return told


def _save(path, weights, state):
    torch = sys.modules["torch"]
    weights = {name: value.detach().cpu() for name, value in weights.items()}
    temporary = f"{path}.{os.getpid()}.tmp"
    torch.save({"state_dict": weights, "epoch": state.epoch, "global_step": state.global_step}, temporary)
    os.replace(temporary, path)


def _read(folder):
    """The weights of a checkpoint of transformers, in one file or in several; None where it has others."""
    for name, load in (("model.safetensors", _load_safe), ("pytorch_model.bin", _load_pickled)):
        path = os.path.join(folder, name)
        if os.path.exists(path):
            return load(path)
        if os.path.exists(f"{path}.index.json"):
            with open(f"{path}.index.json", encoding="utf-8") as file:
                parts = sorted(set(json.load(file)["weight_map"].values()))
            return {name: value for part in parts for name, value in load(os.path.join(folder, part)).items()}
    return None


def _load_safe(path):
    return importlib.import_module("safetensors.torch").load_file(path)


def _load_pickled(path):
    return sys.modules["torch"].load(path, map_location="cpu", weights_only=True)


def _complete(weights, model):
    """Weights that a model uses twice are saved once."""
    places = {value.data_ptr(): name for name, value in model.items() if name in weights}
    others = {name: places.get(value.data_ptr()) for name, value in model.items() if name not in weights}
    return {**weights, **{name: weights[same] for name, same in others.items() if same is not None}}
