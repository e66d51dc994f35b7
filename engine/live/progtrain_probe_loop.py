"""The probe of a script with a training loop of its own: it ends where the first optimizer takes its first step."""

import functools
import gc
import sys

import progtrain_probe as probe
from progtrain_batch import batch_facts
from progtrain_facts import loader_facts, model_facts, optimizer_facts
from progtrain_hooks import quietly
from progtrain_split import facts as split_facts

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


def stop(optimizer, args, kwargs):
    _tell(optimizer)
    probe.finish("step")


@quietly
def _tell(optimizer):
    torch, found = sys.modules["torch"], probe.found
    found["fits"] = 1
    found["framework"], found["version"] = "torch", torch.__version__
    found["optimizers"] = [optimizer_facts(optimizer)]
    module = _model_of(optimizer, torch)
    found["model"] = model_facts(module) if module is not None else None
    facts = [loader_facts(loader) for loader in _loaders]
    for loader, fact in zip(_loaders, facts):  # noqa: B905 - Python 3.9
        fact["batch"] = batch_facts(loader, _SECONDS_FOR_BATCHES / len(facts))
    found["loaders"] = {"train": facts, "val": []}
    found["split"] = split_facts(None)


def _model_of(optimizer, torch):
    """The module with the most parameters that has those of the optimizer."""
    first = next(parameter for group in optimizer.param_groups for parameter in group["params"])
    holders = [
        module
        for module in gc.get_objects()
        if issubclass(type(module), torch.nn.Module) and any(parameter is first for parameter in module.parameters())
    ]
    return max(holders, key=_size, default=None)


def _size(module):
    """Of two that hold the same parameters, the outer one counts as larger."""
    return sum(parameter.numel() for parameter in module.parameters()), sum(1 for _ in module.modules())
