"""The probe of a script that trains by transformers' Trainer: it ends where `train()` would begin."""

import collections
import functools
import inspect

import progtrain_probe as probe
from progtrain_batch import batch_facts
from progtrain_facts import flat
from progtrain_hooks import quietly
from progtrain_json import plain
from progtrain_shared import facts as shared_facts
from progtrain_split import facts as split_facts
from progtrain_transformers_facts import changed_arguments, checkpoint_of, loaders_of, training_facts

_SECONDS_FOR_BATCHES = 0.4


def wrap_trainer(module):
    trainer = module.Trainer
    make, train = trainer.__init__, trainer.train
    names = list(inspect.signature(make).parameters)[1:]

    @functools.wraps(make)
    def __init__(self, *args, **kwargs):
        make(self, *args, **kwargs)
        self._progtrain_given = {**dict(zip(names, args)), **kwargs}  # noqa: B905 - Python 3.9

    @functools.wraps(train)
    def stopped_train(self, *args, **kwargs):
        probe.found["fits"] = 1
        _tell(self)
        probe.finish("train")

    trainer.__init__, trainer.train = __init__, stopped_train
    trainer.evaluate = _skipped(trainer.evaluate, "evaluate")


def _skipped(method, name):
    @functools.wraps(method)
    def skip(self, *args, **kwargs):
        probe.found["skipped"].append(name)
        return collections.defaultdict(lambda: float("nan"))

    return skip


@quietly
def _tell(trainer):
    found = probe.found
    given = getattr(trainer, "_progtrain_given", {})
    found["given"] = {name: plain(value) for name, value in given.items() if name != "args"}
    found["given"]["args"] = changed_arguments(trainer.args)
    loaders = loaders_of(trainer)
    steps = _steps(trainer, loaders["train"])
    quietly(trainer.create_optimizer_and_scheduler)(num_training_steps=steps)
    found.update(training_facts(trainer, loaders))
    found["trainer"]["steps"] = steps
    found["checkpoints"] = [checkpoint_of(trainer)]
    found["split"] = split_facts(loaders["val"])
    found["shared"] = shared_facts(loaders["train"], loaders["val"])
    pairs = [(part, loader) for part, several in loaders.items() for _, loader in flat(several)]
    numbers = collections.Counter()
    for part, loader in pairs:
        found["loaders"][part][numbers[part]]["batch"] = batch_facts(loader, _SECONDS_FOR_BATCHES / len(pairs))
        numbers[part] += 1


def _steps(trainer, loader):
    args = trainer.args
    if args.max_steps > 0:
        return args.max_steps
    try:
        batches = len(loader)
    except TypeError:
        return 1
    return int(max(batches // args.gradient_accumulation_steps, 1) * args.num_train_epochs)
