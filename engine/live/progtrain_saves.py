"""Which weights and tables a loop of the script's own writes, as JSON lines: it tells of them in no other way."""

import functools
import json
import os
import sys
import time

from progtrain_hooks import quietly, when_imported

_MOST = 10_000
_state = {"path": None, "count": 0, "process": None, "tables": set()}


def install(path):
    _state.update(path=path, process=os.getpid())
    when_imported("torch.serialization", _wrap_save)
    when_imported("safetensors.torch", _wrap_safe)
    sys.addaudithook(_see_tables)


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
        _tell("weights", args[position] if len(args) > position else kwargs.get(name))
        return result

    return saved


def _see_tables(event, args):
    if event == "open" and isinstance(args[0], str) and args[0].endswith(".csv"):
        path, _, flags = args
        if isinstance(flags, int) and flags & (os.O_WRONLY | os.O_RDWR) and path not in _state["tables"]:
            _state["tables"].add(path)
            _tell("table", path)


@quietly
def _tell(kind, path):
    # workers of loaders and children of a fork are not the training
    if os.getpid() != _state["process"] or _state["count"] >= _MOST or not isinstance(path, (str, os.PathLike)):
        return
    _state["count"] += 1
    line = {"kind": kind, "path": os.path.abspath(os.fspath(path)), "t": round(time.time(), 3)}
    with open(_state["path"], "a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")
