"""The probe of a script with a training loop of its own: it ends where the first optimizer takes its first step, or
where gradients are worked out a second time before one does.
"""

import functools
import gc
import sys

import progtrain_probe as probe
from progtrain_batch import batch_facts
from progtrain_facts import loader_facts, model_facts, model_of, optimizer_facts
from progtrain_hooks import quietly
from progtrain_shared import facts as shared_facts
from progtrain_split import facts as split_facts
from progtrain_split import named_held_out, not_drawn

_SECONDS_FOR_BATCHES = 0.4
#: loaders that the script went through, the latest last
_loaders = []


def wrap_loader(module):
    loader = module.DataLoader
    begin = loader.__iter__

    @functools.wraps(begin)
    def noting(self):
        if all(self is not other for other in _loaders):
            _loaders.append(self)
        return begin(self)

    loader.__iter__ = noting


def wrap_backward(module):
    """Of a script that updates its weights by hand: it ends where gradients are worked out a second time."""
    tensor = module.Tensor
    backward, seen = tensor.backward, []

    @functools.wraps(backward)
    def stopping(self, *args, **kwargs):
        if seen:
            tensor.backward = backward
            stop(_largest_optimizer(), args, kwargs)
        seen.append(True)
        return backward(self, *args, **kwargs)

    tensor.backward = stopping


@quietly
def _largest_optimizer():
    kind = sys.modules["torch"].optim.Optimizer
    found = [thing for thing in gc.get_objects() if issubclass(type(thing), kind)]
    return max(found, key=lambda one: sum(p.numel() for g in one.param_groups for p in g["params"]), default=None)


def stop(optimizer, args, kwargs):
    _tell(optimizer)
    probe.finish("step")


@quietly
def _tell(optimizer):
    torch, found = sys.modules["torch"], probe.found
    found["fits"] = 1
    found["framework"], found["version"] = "torch", torch.__version__
    found["optimizers"] = [optimizer_facts(optimizer)] if optimizer is not None else []
    module = model_of(optimizer, torch)
    found["model"] = model_facts(module) if module is not None else None
    facts = [loader_facts(loader) for loader in _loaders]
    for loader, fact in zip(_loaders, facts):  # noqa: B905 - Python 3.9
        fact["batch"] = batch_facts(loader, _SECONDS_FOR_BATCHES / len(facts))
    found["loaders"] = {"train": facts, "val": []}
    held_out = quietly(named_held_out)(sys._getframe())
    found["split"] = split_facts(held_out if not_drawn() else None)
    found["shared"] = shared_facts(_loaders[-1:], held_out)
