"""Which weights and tables a loop of the script's own writes, and which config files a script reads, as JSON lines:
nothing else tells of them.

Where it saves no weights at all, those that it ends with are kept.
"""

import atexit
import functools
import json
import os
import sys
import time

from progtrain_facts import model_of
from progtrain_hooks import quietly, when_imported

_MOST = 10_000
_CONFIGS = (".yaml", ".yml", ".toml", ".json")
#: optimizers whose models are held until the end; a cross-validation has one for each fold
_MOST_OPTIMIZERS = 4
_state = {"path": None, "count": 0, "process": None, "seen": set(), "root": "", "saved": False}
#: optimizer -> the model that it trains, the latest last
_trained = {}


def install(path):
    _state.update(path=path, process=os.getpid(), root=os.path.join(os.path.realpath(os.getcwd()), ""))
    when_imported("torch.serialization", _wrap_save)
    when_imported("safetensors.torch", _wrap_safe)
    sys.addaudithook(_see_opened)
    when_imported("torch.optim.optimizer", _follow_optimizers)
    atexit.register(_keep_the_last)


def _wrap_save(module):
    module.save = _telling(module.save, 1, "f")
    torch = sys.modules.get("torch")
    if torch is not None and hasattr(torch, "save"):
        torch.save = module.save


def _wrap_safe(module):
    module.save_file = _telling(module.save_file, 1, "filename")


def _telling(save, position, name):
    @functools.wraps(save)
    def saved(*args, **kwargs):
        result = save(*args, **kwargs)
        target = args[position] if len(args) > position else kwargs.get(name)
        _tell("weights", target if isinstance(target, (str, os.PathLike)) else getattr(target, "name", None))
        return result

    return saved


def _see_opened(event, args):
    if event != "open" or not isinstance(args[0], str) or not isinstance(args[2], int):
        return
    path, _, flags = args
    writes = flags & (os.O_WRONLY | os.O_RDWR)
    kind = None
    if path.endswith(".csv"):
        kind = "table" if writes else None
    elif path.lower().endswith(_CONFIGS) and os.path.realpath(path).startswith(_state["root"]):
        kind = "settings_written" if writes else "settings"
    if kind is not None and (kind, path) not in _state["seen"]:
        _state["seen"].add((kind, path))
        _tell(kind, path)


@quietly
def _tell(kind, path):
    # workers of loaders and children of a fork are not the training
    if os.getpid() != _state["process"] or _state["count"] >= _MOST or not isinstance(path, (str, os.PathLike)):
        return
    _state["count"] += 1
    _state["saved"] |= kind == "weights"
    path = os.path.abspath(os.fspath(path))
    path = os.path.realpath(path) if kind.startswith("settings") else path
    line = {"kind": kind, "path": path, "t": round(time.time(), 3)}
    with open(_state["path"], "a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")


# where nothing is saved


def _follow_optimizers(module):
    register = getattr(module, "register_optimizer_step_pre_hook", None)
    if register is not None:
        register(_see_step)


def _see_step(optimizer, args, kwargs):
    if id(optimizer) not in _trained:
        _note_optimizer(optimizer)


@quietly
def _note_optimizer(optimizer):
    _trained[id(optimizer)] = optimizer, model_of(optimizer, sys.modules["torch"])
    while len(_trained) > _MOST_OPTIMIZERS:
        _trained.pop(next(iter(_trained)))


@quietly
def _keep_the_last():
    """The weights of the largest model, unless a Trainer kept a record or the script saved some itself."""
    record, folder = (os.environ.get(f"PROGTRAIN_{name}") for name in ("RECORD_FILE", "WEIGHTS_DIR"))
    models = [model for _, model in _trained.values() if model is not None]
    elsewhere = os.getpid() != _state["process"] or (record and os.path.exists(record))
    if elsewhere or _state["saved"] or not models or not folder:
        return
    os.makedirs(folder, exist_ok=True)
    largest = max(models, key=lambda model: sum(parameter.numel() for parameter in model.parameters()))
    weights = {name: value.detach().cpu() for name, value in largest.state_dict().items() if hasattr(value, "detach")}
    # this save is told of like one of the script's own
    sys.modules["torch"].save({"state_dict": weights}, os.path.join(folder, "last.ckpt"))
