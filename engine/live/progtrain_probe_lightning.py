"""The probe of a script that trains by Lightning: a harmless Trainer, and a stop where its training would begin."""

import collections
import functools
import inspect
import sys
import time

import progtrain_probe as probe
from progtrain_batch import batch_facts
from progtrain_facts import checkpoint_facts, checkpoints_of, flat, lightning_facts, stopping_facts, stoppings_of
from progtrain_hooks import quietly
from progtrain_json import plain
from progtrain_shared import facts as shared_facts
from progtrain_split import facts as split_facts

#: for the first batches of all loaders together
_SECONDS_FOR_BATCHES = 0.4
_TUNERS = {"LearningRateFinder": "lr", "BatchSizeFinder": "batch_size"}


def wrap_trainer(module):
    trainer = module.Trainer
    make, fit = trainer.__init__, trainer.fit
    package = module.__name__[: -len(".trainer.trainer")]

    @functools.wraps(make)
    def __init__(self, *args, **kwargs):
        make(self, *args, **(_harmless(kwargs) or kwargs))
        self._progtrain_given = kwargs

    @functools.wraps(fit)
    def stopped_fit(self, model, *args, **kwargs):
        found = probe.found
        found["fits"] = 1
        own = _prepare(self, package, functools.partial(_stop, self))
        try:
            fit(self, model, *args, **kwargs)
        except Exception as error:
            probe.note_exception(error)
            raise
        # nothing would be trained: no epochs, no batches
        found["trains"] = False
        _stop(self, own)

    trainer.__init__, trainer.fit = __init__, stopped_fit
    for name in ("validate", "test", "predict"):
        setattr(trainer, name, _skipped(getattr(trainer, name), name))
    checkpoint = getattr(sys.modules.get(f"{package}.callbacks.model_checkpoint"), "ModelCheckpoint", None)
    if checkpoint is not None:
        # it would look for its folder by the loggers, which are others for now
        checkpoint.setup = lambda self, trainer, pl_module, stage=None: None


@quietly
def _harmless(given):
    """One process on the CPU that shows nothing. What is only used in the training stays as it is."""
    callbacks = given.get("callbacks") or []
    # a list of OmegaConf is none of Python's
    callbacks = list(callbacks) if hasattr(callbacks, "__iter__") else [callbacks]
    bar = any("ProgressBar" in kind.__name__ for callback in callbacks for kind in type(callback).__mro__)
    instead = {
        "accelerator": "cpu",
        "devices": 1,
        "num_nodes": 1,
        "strategy": "auto",
        "precision": None,
        "plugins": None,
        "sync_batchnorm": False,
        "profiler": None,
        "num_sanity_val_steps": 0,
        "enable_model_summary": False,
        **({} if bar else {"enable_progress_bar": False}),
    }
    return {**given, **instead}


def _skipped(method, name):
    """Instead of an evaluation before the training: results in which each metric is not a number."""

    @functools.wraps(method)
    def skip(self, *args, **kwargs):
        probe.found["skipped"].append(name)
        if name == "predict":
            return []
        loaders = kwargs.get("dataloaders", args[1] if len(args) > 1 else None)
        several = len(loaders) if isinstance(loaders, (list, tuple)) else 1
        return [collections.defaultdict(lambda: float("nan")) for _ in range(several)]

    return skip


def _prepare(trainer, package, stop):
    """For the set-up: loggers that log nothing, no search for settings, and the stop. Gives the script's own."""
    own = {"searches": [], "loggers": list(trainer.loggers)}
    trainer.loggers = [_quiet(logger, package) for logger in trainer.loggers]
    kept = []
    for callback in trainer.callbacks:
        decided = [_TUNERS[kind.__name__] for kind in type(callback).__mro__ if kind.__name__ in _TUNERS]
        probe.found["decided_at_run_time"] += decided
        (own["searches"] if decided else kept).append(callback)

    class Stop(sys.modules[f"{package}.callbacks"].Callback):
        def on_train_start(self, trainer, pl_module):
            stop(own)

    trainer.callbacks = [Stop(), *kept]
    _work_alone()
    return own


def _quiet(logger, package):
    """A logger that takes everything and does nothing, with the names and folders of `logger`."""

    class Quiet(sys.modules[f"{package}.loggers.logger"].DummyLogger):
        save_dir = property(lambda self: _ask(logger, "save_dir"))
        log_dir = property(lambda self: _ask(logger, "log_dir"))
        root_dir = property(lambda self: _ask(logger, "root_dir"))
        name = property(lambda self: _ask(logger, "name"))
        version = property(lambda self: _ask(logger, "version"))

    return Quiet()


def _ask(logger, name):
    try:
        return getattr(logger, name, None)
    except Exception:  # of a server that nobody asked yet
        return None


@quietly
def _work_alone():
    """Loaders read in this process: no workers are started for one batch."""
    loader = sys.modules["torch.utils.data"].DataLoader
    get_iterator = loader._get_iterator

    def alone(self):
        workers, self.num_workers = self.num_workers, 0
        try:
            return get_iterator(self)
        finally:
            self.num_workers = workers

    loader._get_iterator = alone


def _stop(trainer, own):
    trainer.loggers = own["loggers"]
    _tell(trainer, own)
    probe.finish("fit")


@quietly
def _tell(trainer, own):
    module, found = trainer.lightning_module, probe.found
    given = dict(getattr(trainer, "_progtrain_given", {}))
    _load_validation(trainer)
    # those of the module have come, and may have taken the place of others
    callbacks = own["searches"] + [callback for callback in trainer.callbacks if type(callback).__name__ != "Stop"]
    found["given"] = {name: _given(value) for name, value in given.items()}
    found.update(lightning_facts(trainer, module, callbacks, own["loggers"]))
    found["trainer"] = _as_given(trainer, found["trainer"] or {}, given)
    found["checkpoints"] = [_checkpoint(callback, trainer) for callback in checkpoints_of(callbacks)]
    found["early_stopping"] = [stopping_facts(callback) for callback in stoppings_of(callbacks)]
    found["split"] = split_facts(trainer.val_dataloaders)
    _read_batches(trainer, found["loaders"])
    found["shared"] = shared_facts(trainer.train_dataloader, trainer.val_dataloaders)


def _given(value):
    """Loggers and callbacks by their classes."""
    if isinstance(value, (list, tuple)):
        return [_given(item) for item in value]
    return plain(value)


def _as_given(trainer, facts, given):
    """What the harmless Trainer has otherwise than the script asked for: its word, or else Lightning's default."""
    defaults = inspect.signature(type(trainer).__init__).parameters
    for name, key in (
        ("accelerator", "accelerator"),
        ("devices", "devices"),
        ("strategy", "strategy"),
        ("precision", "precision"),
        ("num_nodes", "nodes"),
        ("num_sanity_val_steps", "num_sanity_val_steps"),
    ):
        default = defaults[name].default if name in defaults else None
        facts[key] = plain(given.get(name, default))
    facts["device"] = None
    return facts


@quietly
def _checkpoint(callback, trainer):
    facts = checkpoint_facts(callback)
    find_folder = getattr(callback, "_ModelCheckpoint__resolve_ckpt_dir", None)
    facts["folder"] = plain(quietly(find_folder)(trainer)) if find_folder else None
    return facts


@quietly
def _load_validation(trainer):
    """Lightning sets the loaders up in the first epoch that validates."""
    loop = trainer.fit_loop.epoch_loop.val_loop
    if trainer.val_dataloaders is None and loop._data_source.is_defined():
        trainer.validating = True
        try:
            loop.setup_data()
        finally:
            trainer.training = True


@quietly
def _read_batches(trainer, facts):
    loaders = {"train": flat(trainer.train_dataloader), "val": flat(trainer.val_dataloaders)}
    several = sum(len(part) for part in loaders.values())
    deadline = time.monotonic() + _SECONDS_FOR_BATCHES
    for part, pairs in loaders.items():
        for number, (_, loader) in enumerate(pairs):
            seconds = max(min(_SECONDS_FOR_BATCHES / several, deadline - time.monotonic()), 0)
            facts[part][number]["batch"] = batch_facts(loader, seconds)


def wrap_tuner(module):
    tuner = module.Tuner

    @functools.wraps(tuner.lr_find)
    def lr_find(self, model, *args, **kwargs):
        name, value = _setting(model, kwargs.get("attr_name"), ("lr", "learning_rate"))
        probe.found["decided_at_run_time"].append(name or "lr")
        return Anything(value if value is not None else 1e-3)

    @functools.wraps(tuner.scale_batch_size)
    def scale_batch_size(self, model, *args, **kwargs):
        wanted = kwargs.get("batch_arg_name", "batch_size")
        holders = [model, kwargs.get("datamodule"), *args]
        found = [_setting(holder, wanted, ()) for holder in holders if holder is not None]
        probe.found["decided_at_run_time"].append(wanted)
        return next((value for _, value in found if value is not None), kwargs.get("init_val", 2))

    tuner.lr_find, tuner.scale_batch_size = lr_find, scale_batch_size


def _setting(holder, wanted, names):
    """Name and value of the first of the attributes or hyperparameters that is there."""
    for name in (wanted,) if wanted else names:
        for place in (holder, getattr(holder, "hparams", None)):
            value = place.get(name) if isinstance(place, dict) else getattr(place, name, None)
            if value is not None:
                return name, value
    return wanted, None


class Anything:
    """What a search gives that did not take place: `suggestion()` is the value as it is, and whatever else is asked for
    can be called and does nothing.
    """

    def __init__(self, value=None):
        self._value = value
        self.results = {"lr": [value], "loss": [float("nan")]}

    def suggestion(self, *args, **kwargs):
        return self._value

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return Anything(self._value)

    def __call__(self, *args, **kwargs):
        return Anything(self._value)
