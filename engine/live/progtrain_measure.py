"""A few steps of a training, timed: the script trains in its own way until so many steps are done, and ends there.

As after a probe, nothing that it writes stays. Loaders of the training get another batch size where one is asked for.
"""

import functools
import gc
import os
import sys
import tempfile
import threading
import time

import progtrain_probe as probe
from progtrain_facts import model_facts, model_of, optimizer_facts
from progtrain_hooks import quietly, when_imported
from progtrain_json import plain

_MOST_LOSSES = 1000
#: with a batch this slow, fewer steps have to do
_LEAST_STEPS = 3
_state = {"steps": 0, "batch_size": None, "all": False, "memory": 0, "ends": 0.0, "samples": None}
_losses, _times, _batches = [], [], []


def install(steps, batch_size, every_loader, memory, seconds):
    """`memory`: bytes that this process may hold. `seconds`: of training, before fewer steps have to do."""
    _state.update(steps=steps, batch_size=batch_size, all=every_loader, memory=memory, seconds=seconds)
    when_imported("torch.optim.optimizer", _wrap_optimizer)
    when_imported("torch.utils.data.dataloader", _wrap_loader)
    when_imported("torch._tensor", _wrap_backward)
    for package in ("lightning.pytorch", "pytorch_lightning"):
        when_imported(f"{package}.trainer.trainer", _wrap_trainer)
    if memory:
        threading.Thread(target=_watch_memory, daemon=True).start()


def _wrap_trainer(module):
    trainer = module.Trainer
    make = trainer.__init__

    @functools.wraps(make)
    def __init__(self, *args, **kwargs):
        make(self, *args, **(_alone(kwargs) or kwargs))

    trainer.__init__ = __init__


@quietly
def _alone(given):
    """One process: others would train to their end."""
    strategy = given.get("strategy", "auto")
    several = not isinstance(strategy, str) or strategy.startswith(("ddp", "fsdp", "deepspeed", "horovod"))
    devices = given.get("devices", 1)
    devices = list(devices)[:1] if isinstance(devices, (list, tuple)) else 1
    return {**given, "devices": devices, "num_nodes": 1, **({"strategy": "auto"} if several else {})}


def _wrap_loader(module):
    loader = module.DataLoader
    make, begin = loader.__init__, loader.__iter__

    @functools.wraps(make)
    def __init__(self, dataset, batch_size=1, shuffle=None, sampler=None, batch_sampler=None, *args, **kwargs):
        for_training = bool(shuffle) or sampler is not None or _state["all"]
        own = batch_size is not None and batch_sampler is None
        if own and for_training and _state["batch_size"]:
            batch_size = _state["batch_size"]
        make(self, dataset, batch_size, shuffle, sampler, batch_sampler, *args, **kwargs)
        self.__dict__["_progtrain_trains"] = for_training

    @functools.wraps(begin)
    def __iter__(self):
        batches = begin(self)
        return _counted(batches, self) if self.__dict__.get("_progtrain_trains") else batches

    loader.__init__, loader.__iter__ = __init__, __iter__


def _counted(batches, loader):
    size = getattr(loader, "batch_size", None) or getattr(loader.batch_sampler, "batch_size", None)
    _state["samples"] = quietly(len)(loader.dataset)
    # known where the first batch does not fit, too
    probe.found["batch_size"] = size
    for batch in batches:
        _batches.append(size)
        yield batch


def _wrap_backward(module):
    """Every loss that is gone back from, whatever trains."""
    backward = module.Tensor.backward

    @functools.wraps(backward)
    def noting(self, *args, **kwargs):
        if len(_losses) < _MOST_LOSSES and self.numel() == 1:
            _losses.append(self.detach())
        return backward(self, *args, **kwargs)

    module.Tensor.backward = noting


def _wrap_optimizer(module):
    module.register_optimizer_step_post_hook(_after_step)


def _after_step(optimizer, args, kwargs):
    torch = sys.modules["torch"]
    if torch.cuda.is_initialized():
        torch.cuda.synchronize()
    now = time.monotonic()
    if not _times:
        _state["ends"] = now + _state["seconds"]
    _times.append(now)
    probe.found["steps"] = len(_times)
    if len(_times) > _state["steps"] or (now > _state["ends"] and len(_times) > _LEAST_STEPS):
        _tell(optimizer, torch)
        probe.finish("measured")


@quietly
def _tell(optimizer, torch):
    found = probe.found
    between = [_times[number] - _times[number - 1] for number in range(1, len(_times))]
    sizes = [size for size in _batches if size]
    found["measured"] = {
        "steps": len(_times),
        "seconds_of_a_step": sorted(between)[len(between) // 2],
        "batch_size": sizes[-1] if sizes else None,
        "batches": len(_batches),
        "samples": _state["samples"],
        "losses": [plain(float(loss)) for loss in _losses],
        "memory": _memory(),
        "gpu_memory": torch.cuda.max_memory_allocated() if torch.cuda.is_initialized() else None,
        "device": str(optimizer.param_groups[0]["params"][0].device),
    }
    found["torch"] = torch.__version__
    found["optimizers"] = [optimizer_facts(optimizer)]
    model = model_of(optimizer, torch)
    found["model"] = model_facts(model) if model is not None else None
    found["checkpoint"] = _saved_and_loaded(model, torch) if model is not None else None


def _saved_and_loaded(model, torch):
    """Size in bytes and seconds of a checkpoint that was written, read again, and put back into the model."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "smoke.ckpt")
        try:
            trainer = getattr(model, "_trainer", None)
            if hasattr(trainer, "save_checkpoint"):
                trainer.save_checkpoint(path)
                weights = torch.load(path, map_location="cpu", weights_only=False)["state_dict"]
            else:
                torch.save(model.state_dict(), path)
                weights = torch.load(path, map_location="cpu", weights_only=True)
            model.load_state_dict(weights)
            return {"bytes": os.path.getsize(path), "seconds": round(time.monotonic() - began, 3)}
        except Exception as error:  # it is told what the script's checkpoints would meet
            return {"error": f"{type(error).__name__}: {error}"[:500]}


def _watch_memory():
    while True:
        time.sleep(0.02)
        if _now_held() > _state["memory"]:
            probe.found["held"] = _now_held()
            probe.finish("memory", 1)


def _now_held():
    try:
        with open("/proc/self/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError):
        return _memory()


def _memory():
    """The most that this process has held, in bytes."""
    import resource

    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    gc.collect()
    return most if sys.platform == "darwin" else most * 1024
