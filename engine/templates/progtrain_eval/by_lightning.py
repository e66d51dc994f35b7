"""What a script gives to Lightning's `Trainer.fit`, evaluated by its own validation_step."""

from __future__ import annotations

import functools
import importlib
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from .batches import TARGETS, number_of
from .common import EvalError
from .outputs import Outputs
from .running import TRAINERS
from .samples import class_names, in_order
from .steps import Steps
from .weights import put_weights


def take_lightning(
    steps: Steps, checkpoint: Path, split: str, trainer: Any, model: Any, *args: Any, **kwargs: Any
) -> Any:
    """In the place of `Trainer.fit`: best.ckpt in the model that it is given, on the validation data that it is given.
    Returns the model.
    """
    model = getattr(model, "_orig_mod", model)  # of torch.compile
    evaluator, package = silent_trainer(trainer)
    model.trainer = evaluator
    data, loaders = lightning_data(split, model, arguments_of_fit(args, kwargs))
    steps.judge.names = steps.judge.names or class_names(loaders)
    model.configure_model()
    put_weights(model, checkpoint)
    for holder in (data, model):  # it is all done, and for fit(), as the script expects
        for name in ("prepare_data", "setup", "configure_model"):
            if hasattr(holder, name):
                setattr(holder, name, lambda *_, **__: None)
    if data is not None:
        data.val_dataloader = lambda: loaders
    base = importlib.import_module(package).LightningModule.validation_step
    real = model.validation_step if type(model).validation_step is not base else functools.partial(forward_alone, model)

    def validate() -> None:
        nonlocal loaders
        if hasattr(steps, "chosen"):
            several = isinstance(loaders, (list, tuple))
            loaders = [steps.few(part, n) for n, part in enumerate(loaders)] if several else steps.few(loaders)
        given = {"datamodule": data} if data is not None else {"dataloaders": loaders}
        evaluator.validate(model, verbose=False, **given)

    validate_twice(steps, model, real, validate)
    return model


def arguments_of_fit(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    return {**dict(zip(("train_dataloaders", "val_dataloaders", "datamodule", "ckpt_path"), args)), **kwargs}


def lightning_data(split: str, model: Any, given: Mapping[str, Any]) -> tuple[Any, Any]:
    """The DataModule, if there is one, and the loaders of a split, set up as fit() would."""
    named = {"valid": "val_dataloaders", "train": "train_dataloaders"}.get(split, "")
    data, loaders = given.get("datamodule"), given.get(named)
    if data is None and hasattr(given.get("train_dataloaders"), "val_dataloader"):
        data = given["train_dataloaders"]
    loaders = None if loaders is data else loaders
    for holder in (data, model):
        if holder is not None:
            holder.prepare_data()
            holder.setup("fit")
            if split == "test":
                holder.setup("test")
    name = "val_dataloader" if split == "valid" else f"{split}_dataloader"
    for holder in (data, model):
        own = holder is not None and getattr(holder, name, None) is not None
        if loaders is None and own and "lightning" not in getattr(type(holder), name).__module__:
            loaders = getattr(holder, name)()
    if loaders is None or (isinstance(loaders, (list, tuple)) and not loaders):
        fix = f"offer {name}()"
        if split == "valid":
            fix = "give fit() val_dataloaders, or its DataModule a val_dataloader()"
        raise EvalError(f"the script has no data of the split {split!r}: {fix}")
    ordered = [in_order(loader) for loader in loaders] if isinstance(loaders, (list, tuple)) else in_order(loaders)
    return data, ordered


def silent_trainer(trainer: Any) -> tuple[Any, str]:
    """A Trainer on the same device and in the same precision that writes nothing, and the name of its package."""
    owner = next(m.Trainer for m in map(sys.modules.get, TRAINERS) if m is not None and isinstance(trainer, m.Trainer))
    package = owner.__module__.rpartition(".trainer.trainer")[0]
    made = owner(
        accelerator=trainer.strategy.root_device.type,
        devices=1,
        precision=trainer.precision,
        logger=importlib.import_module(f"{package}.loggers.logger").DummyLogger(),
        **dict.fromkeys(("enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False),
        inference_mode=getattr(trainer.validate_loop, "inference_mode", True),
    )
    return made, package


def validate_twice(steps: Steps, model: Any, real: Callable[..., Any], validate: Callable[[], Any]) -> None:
    """First the batches as they are, then their samples one by one, both through the module's own step."""
    outputs, logs = Outputs(model), {"log": model.log, "log_dict": model.log_dict}

    def whole(batch: Any, *more: Any) -> Any:
        outputs.calls.clear()
        said = real(batch, *more)
        steps.batch(batch, said, outputs, more[1] if len(more) > 1 else 0)
        return said

    def singles(batch: Any, *more: Any) -> None:
        def step(one: Any, logged: dict[str, float]) -> Any:
            model.log = lambda name, value, *_, **__: logged.update({name: number_of(value)})
            model.log_dict = lambda values, *_, **__: logged.update({n: number_of(v) for n, v in values.items()})
            return real(one, *more)

        steps.one_by_one(batch, more[1] if len(more) > 1 else 0, outputs, step)
        for name, function in logs.items():
            setattr(model, name, function)

    try:
        for step in (whole, singles):
            # Lightning looks at its parameters for the number of the loader
            model.validation_step = functools.wraps(real)(step) if hasattr(real, "__name__") else step
            validate()
            if step is whole:
                steps.keep_logged({name: number_of(value) for name, value in model.trainer.callback_metrics.items()})
                steps.draw()
    finally:
        outputs.remove()


def forward_alone(model: Any, batch: Any, *_: Any) -> None:
    """Where the module has no validation_step: the model's answer alone."""
    if isinstance(batch, Mapping):
        model(**{key: value for key, value in batch.items() if key not in TARGETS})
    else:
        model(batch[0] if isinstance(batch, (list, tuple)) else batch)
