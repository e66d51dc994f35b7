"""Facts of a training that is set up: what the script has really built, read from the objects."""

import ast
import gc
import inspect
import sys
import textwrap

from progtrain_hooks import quietly
from progtrain_json import class_name, plain


@quietly
def model_facts(module):
    parameters = [p for p in module.parameters() if hasattr(p, "numel") and not _is_lazy(p)]
    return {
        "class": class_name(module),
        "parameters": sum(p.numel() for p in parameters),
        "trainable_parameters": sum(p.numel() for p in parameters if p.requires_grad),
        "forward": _returns(type(module).forward) if overrides(module, "forward") else False,
    }


def _is_lazy(parameter):
    """Without a size until the first batch."""
    return type(parameter).__name__.startswith("Uninitialized")


def overrides(module, name):
    """Whether the class of `module` has a method `name` of its own, not that of the framework or of torch."""
    for kind in type(module).__mro__:
        if name in vars(kind):
            return kind.__module__.split(".")[0] not in ("lightning", "pytorch_lightning", "torch")
    return False


def _returns(function):
    """Whether `function` returns a value; None where its source cannot be read."""
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    except (OSError, TypeError, SyntaxError):
        return None
    return any(isinstance(node, ast.Return) and node.value is not None for node in ast.walk(tree))


@quietly
def optimizer_facts(optimizer):
    optimizer = getattr(optimizer, "optimizer", None) or optimizer
    return {
        "class": class_name(optimizer),
        "defaults": plain(optimizer.defaults),
        "groups": [
            {
                **{name: plain(value) for name, value in group.items() if name not in ("params", "param_names")},
                "parameters": sum(p.numel() for p in group["params"] if not _is_lazy(p)),
            }
            for group in optimizer.param_groups
        ],
    }


@quietly
def scheduler_facts(scheduler, **more):
    """Its class and its own settings, as far as they are numbers and words."""
    simple = (bool, int, float, str, list, tuple)
    settings = {
        name: plain(value)
        for name, value in vars(scheduler).items()
        if not name.startswith("_") and isinstance(value, simple) and name != "verbose"
    }
    return {"class": class_name(scheduler), **more, "settings": settings}


def flat(loaders, name=""):
    """Pairs of a name and a loader, of one loader or of a list or dict of them."""
    loaders = getattr(loaders, "iterables", loaders)
    if loaders is None:
        return []
    if isinstance(loaders, dict):
        pairs = loaders.items()
    elif isinstance(loaders, (list, tuple)):
        pairs = enumerate(loaders)
    else:
        return [(name, loaders)]
    return [found for key, part in pairs for found in flat(part, f"{name}/{key}" if name else str(key))]


@quietly
def loader_facts(loader, name=""):
    dataset = getattr(loader, "dataset", None)
    batch_sampler = getattr(loader, "batch_sampler", None)
    sampler = _sampler(loader, batch_sampler)
    return {
        "name": name,
        "class": class_name(loader),
        "dataset": _dataset_name(dataset),
        "iterable": is_iterable(dataset),
        "samples": _length(sampler if type(sampler).__name__ == "SubsetRandomSampler" else dataset),
        "batches": _length(loader),
        "batch_size": plain(getattr(loader, "batch_size", None) or getattr(batch_sampler, "batch_size", None)),
        "num_workers": plain(getattr(loader, "num_workers", None)),
        "shuffle": _shuffles(sampler),
        "sampler": class_name(sampler) if sampler is not None else None,
        "batch_sampler": class_name(batch_sampler) if batch_sampler is not None else None,
        "drop_last": plain(getattr(loader, "drop_last", None)),
    }


def _sampler(loader, batch_sampler):
    """The one that draws: a DataLoader that was given a batch sampler has a sampler that it does not use."""
    while hasattr(batch_sampler, "batch_sampler"):
        batch_sampler = batch_sampler.batch_sampler
    return getattr(batch_sampler, "sampler", None) or getattr(loader, "sampler", None)


def is_iterable(dataset):
    """Whether a data set has samples one after the other and none by number."""
    if dataset is None or not hasattr(type(dataset), "__getitem__"):
        return dataset is not None
    return any(kind.__name__ == "IterableDataset" for kind in type(dataset).__mro__)


def _dataset_name(dataset, depth=0):
    if dataset is None:
        return None
    inner = getattr(dataset, "dataset", None)
    around = inner is not None and hasattr(inner, "__getitem__") and depth < 4
    return class_name(dataset) + (f"({_dataset_name(inner, depth + 1)})" if around else "")


def _length(sized):
    try:
        return len(sized)
    except Exception:  # many kinds of error say that there is no length
        return None


def _shuffles(sampler):
    name = type(sampler).__name__
    if name in ("RandomSampler", "SubsetRandomSampler", "WeightedRandomSampler", "SeedableRandomSampler"):
        return True
    if name in ("SequentialSampler", "NoneType", "_InfiniteConstantSampler"):
        return False
    shuffle = getattr(sampler, "shuffle", None)
    return shuffle if isinstance(shuffle, bool) else None


def lightning_facts(trainer, module, callbacks=None, loggers=None):
    """All facts of a Lightning training; its own callbacks and loggers where the Trainer has others for now."""
    package = type(trainer).__module__.split(".")[0]
    framework = next((k.__module__ for k in type(trainer).__mro__ if k.__name__ == "Trainer"), package).split(".")[0]
    callbacks = trainer.callbacks if callbacks is None else callbacks
    data = trainer.datamodule
    return {
        "framework": framework,
        "version": getattr(sys.modules.get(framework), "__version__", None),
        "model": {
            **(model_facts(module) or {}),
            "validation_step": overrides(module, "validation_step"),
            "automatic_optimization": plain(module.automatic_optimization),
        },
        "hparams": plain(getattr(module, "hparams", None)),
        "data": {"class": class_name(data), "hparams": plain(getattr(data, "hparams", None))} if data else None,
        "trainer": trainer_facts(trainer),
        "optimizers": [optimizer_facts(optimizer) for optimizer in trainer.optimizers],
        "schedulers": [_scheduler_config(config) for config in trainer.lr_scheduler_configs],
        "loaders": loaders_facts(trainer),
        "callbacks": [class_name(callback) for callback in callbacks if not is_ours(callback)],
        "loggers": [logger_facts(logger) for logger in (trainer.loggers if loggers is None else loggers)],
    }


def is_ours(value):
    return type(value).__module__.startswith("progtrain_")


def _scheduler_config(config):
    names = ("interval", "frequency", "monitor", "reduce_on_plateau", "name")
    return scheduler_facts(config.scheduler, **{name: plain(getattr(config, name, None)) for name in names})


def loaders_facts(trainer):
    return {
        "train": [loader_facts(loader, name) for name, loader in flat(trainer.train_dataloader)],
        "val": [loader_facts(loader, name) for name, loader in flat(trainer.val_dataloaders)],
    }


@quietly
def trainer_facts(trainer):
    """The settings as they are in use."""
    import torch

    names = (
        "max_epochs min_epochs max_steps min_steps precision accumulate_grad_batches gradient_clip_val"
        " gradient_clip_algorithm log_every_n_steps check_val_every_n_epoch val_check_interval limit_train_batches"
        " limit_val_batches num_sanity_val_steps overfit_batches reload_dataloaders_every_n_epochs default_root_dir"
    )
    return {
        "class": class_name(trainer),
        **{name: plain(getattr(trainer, name, None)) for name in names.split()},
        "accelerator": type(trainer.accelerator).__name__,
        "device": str(trainer.strategy.root_device),
        "devices": trainer.num_devices,
        "nodes": trainer.num_nodes,
        "strategy": type(trainer.strategy).__name__,
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "steps": plain(trainer.estimated_stepping_batches),
    }


@quietly
def logger_facts(logger):
    def ask(name):
        try:
            return plain(getattr(logger, name, None))
        except Exception:  # a logger that has not begun
            return None

    return {"class": class_name(logger), **{name: ask(name) for name in ("save_dir", "log_dir", "name", "version")}}


@quietly
def checkpoint_facts(callback):
    names = (
        "dirpath filename monitor mode save_top_k save_last save_weights_only best_model_path best_model_score"
        " last_model_path"
    )
    return {"class": class_name(callback), **{name: plain(getattr(callback, name, None)) for name in names.split()}}


@quietly
def stopping_facts(callback):
    """Of an EarlyStopping."""
    names = "monitor mode patience min_delta stopped_epoch best_score"
    facts = {name: plain(getattr(callback, name, None)) for name in names.split()}
    return {"class": class_name(callback), **facts, "wait": plain(getattr(callback, "wait_count", None))}


def checkpoints_of(callbacks):
    """Those that know where they save."""
    return [callback for callback in callbacks if hasattr(callback, "best_model_path")]


def stoppings_of(callbacks):
    return [callback for callback in callbacks if hasattr(callback, "patience") and hasattr(callback, "stopped_epoch")]


def model_of(optimizer, torch):
    """The module with the most parameters: of those that the optimizer trains, of all where there is none."""
    modules = [thing for thing in gc.get_objects() if issubclass(type(thing), torch.nn.Module)]
    if optimizer is not None:
        first = next(parameter for group in optimizer.param_groups for parameter in group["params"])
        modules = [module for module in modules if any(parameter is first for parameter in module.parameters())]
    return max(modules, key=_size, default=None)


def _size(module):
    """Of two that hold the same parameters, the outer one counts as larger."""
    return sum(parameter.numel() for parameter in module.parameters()), sum(1 for _ in module.modules())
