"""Facts of a training by transformers' Trainer, in the words of the Lightning ones where they mean the same."""

import dataclasses
import glob
import os
import platform
import sys

from progtrain_facts import flat, loader_facts, model_facts, optimizer_facts, scheduler_facts
from progtrain_hooks import quietly
from progtrain_json import class_name, plain


def training_facts(trainer, loaders):
    """`loaders`: those that there are, as "train" and "val"."""
    model = trainer.model
    config = getattr(model, "config", None)
    optimizer, scheduler = trainer.optimizer, trainer.lr_scheduler
    return {
        "framework": "transformers",
        "version": sys.modules["transformers"].__version__,
        "model": {**(model_facts(model) or {}), "validation_step": trainer.eval_dataset is not None},
        "hparams": plain(config.to_dict()) if hasattr(config, "to_dict") else None,
        "data": None,
        "trainer": trainer_facts(trainer),
        "optimizers": [optimizer_facts(optimizer)] if optimizer is not None else [],
        "schedulers": [_scheduler(scheduler, trainer.args)] if scheduler is not None else [],
        "loaders": {
            part: [loader_facts(loader, name) for name, loader in flat(found)] for part, found in loaders.items()
        },
        "callbacks": [
            class_name(callback) for callback in trainer.callback_handler.callbacks if not _is_ours(callback)
        ],
        "loggers": [{"class": plain(name)} for name in trainer.args.report_to or []],
        "early_stopping": [
            {"class": class_name(callback), "patience": plain(callback.early_stopping_patience)}
            for callback in trainer.callback_handler.callbacks
            if hasattr(callback, "early_stopping_patience")
        ],
    }


def _is_ours(callback):
    return type(callback).__module__.startswith("progtrain_")


def _scheduler(scheduler, args):
    inner = getattr(scheduler, "scheduler", scheduler)
    return scheduler_facts(inner, interval="step", monitor=None, name=plain(args.lr_scheduler_type))


def loaders_of(trainer):
    """Made by the Trainer's own methods: for a probe alone."""
    return {
        "train": quietly(trainer.get_train_dataloader)() if trainer.train_dataset is not None else None,
        "val": quietly(_validation_loaders)(trainer),
    }


def _validation_loaders(trainer):
    data = trainer.eval_dataset
    if isinstance(data, dict):
        return {name: trainer.get_eval_dataloader(part) for name, part in data.items()}
    return trainer.get_eval_dataloader() if data is not None else None


@quietly
def trainer_facts(trainer):
    args, state = trainer.args, trainer.state
    return {
        "class": class_name(trainer),
        "max_epochs": plain(args.num_train_epochs),
        "max_steps": plain(state.max_steps or args.max_steps),
        "precision": "bf16-mixed" if args.bf16 else "16-mixed" if args.fp16 else "32-true",
        "device": str(args.device),
        "devices": args.world_size * max(args.n_gpu, 1),
        "accumulate_grad_batches": args.gradient_accumulation_steps,
        "gradient_clip_val": plain(args.max_grad_norm),
        "log_every_n_steps": plain(args.logging_steps),
        "validation": plain(args.eval_strategy),
        "default_root_dir": plain(args.output_dir),
        "deterministic": plain(args.full_determinism),
        "seed": plain(args.seed),
        "arguments": changed_arguments(args),
    }


def changed_arguments(args):
    """Those of the TrainingArguments that are not their class's defaults."""
    changed = {}
    for field in dataclasses.fields(args):
        default = field.default
        if default is dataclasses.MISSING and field.default_factory is not dataclasses.MISSING:
            default = field.default_factory()
        value = plain(getattr(args, field.name, None))
        if value != plain(default) and "token" not in field.name:
            changed[field.name] = value
    return changed


@quietly
def setup_facts(trainer):
    """As the Lightning callback says it at the beginning."""
    facts = trainer_facts(trainer) or {}
    checkpoint = checkpoint_of(trainer)
    return {
        "parameters": (model_facts(trainer.model) or {}).get("trainable_parameters"),
        "device": facts.get("device"),
        "precision": facts.get("precision"),
        "libraries": {
            "python": platform.python_version(),
            "torch": sys.modules["torch"].__version__,
            "transformers": sys.modules["transformers"].__version__,
        },
        "checkpoint": {name: checkpoint[name] for name in ("monitor", "mode")},
    }


def checkpoint_of(trainer):
    """Where the Trainer keeps its checkpoints, and which is the best so far."""
    args, state = trainer.args, trainer.state
    greater = args.greater_is_better
    return {
        "class": class_name(trainer),
        "dirpath": plain(args.output_dir),
        "filename": "checkpoint-{step}",
        "monitor": plain(args.metric_for_best_model),
        "mode": None if greater is None else "max" if greater else "min",
        "save_top_k": plain(args.save_total_limit),
        "load_best_model_at_end": plain(args.load_best_model_at_end),
        "best_model_path": plain(state.best_model_checkpoint) or "",
        "best_model_score": plain(state.best_metric),
        "last_model_path": latest_checkpoint(args.output_dir) or "",
    }


def latest_checkpoint(folder):
    steps = [path.rsplit("-", 1)[1] for path in glob.glob(os.path.join(glob.escape(folder or ""), "checkpoint-*"))]
    latest = max((int(step) for step in steps if step.isdigit()), default=None)
    return None if latest is None else os.path.join(folder, f"checkpoint-{latest}")
