"""Trains a language model that lies in a folder, whole or by LoRA.

Runs in the user's interpreter with transformers and, for LoRA, peft; Python 3.9 and later. Nothing is fetched.
It writes into DIR: `best/`, `last/` and `epoch_N/` (adapters, or the whole model, with the tokenizer), `metrics.csv`,
`hparams.yaml`, `spec.json`, and `resume/` while there is something to go on from.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import json
import math
import os
import platform
import shutil
import time
from types import SimpleNamespace

import yaml
from progtrain_tokens import batch_of, load_split, targets_in

_SECONDS_BETWEEN_WRITES = 0.3
_COLUMNS = ("epoch", "step", "train_loss", "val_loss", "learning_rate")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--config", required=True)
    parser.add_argument("--output", required=True)
    parser.add_argument("--resume", action="store_true", help="go on from what lies in DIR/resume")
    parser.add_argument("changes", nargs="*", metavar="name=value", help="settings that differ from the file's")
    words = parser.parse_args()
    with open(words.config, encoding="utf-8") as file:
        config = yaml.safe_load(file)
    config.update(dict(value_of(change) for change in words.changes))
    os.makedirs(words.output, exist_ok=True)
    t = begin(SimpleNamespace(**config), words.output)
    if words.resume:
        resume(t)
    train(t)


def value_of(change):
    """`name=value`; the value as JSON writes it, else it is text. YAML would read 1e-5 as text."""
    name, _, text = change.partition("=")
    try:
        return name, json.loads(text)
    except ValueError:
        return name, text


# model and optimizer


def begin(s, output):
    """All that a training needs, built anew."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    torch.manual_seed(s.seed)
    device = s.device if s.device != "auto" else "cuda" if torch.cuda.is_available() else "cpu"
    tokenizer = AutoTokenizer.from_pretrained(s.model["path"], local_files_only=True)
    half = torch.bfloat16 if device.startswith("cuda") and torch.cuda.is_bf16_supported() else torch.float32
    kind = half if s.dtype == "auto" else getattr(torch, s.dtype)
    # of a model that is trained whole the weights stay in full precision: small steps would be lost
    stored = kind if s.rank else torch.float32
    model = AutoModelForCausalLM.from_pretrained(s.model["path"], local_files_only=True, dtype=stored)
    model.config.use_cache = False
    if s.gradient_checkpointing:
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    if s.rank:
        model = with_lora(model, s)
    model.to(device)
    t = SimpleNamespace(s=s, output=output, model=model, tokenizer=tokenizer, device=device, kind=kind)
    t.train = load_split(s.data["train"], tokenizer, s)
    t.valid = load_split(s.data["valid"], tokenizer, s) if s.data.get("valid") else []
    t.group = s.batch_size * s.gradient_accumulation_steps
    t.steps_of_epoch = math.ceil(len(t.train) / t.group)
    t.steps = min(s.max_steps or math.inf, s.epochs * t.steps_of_epoch)
    t.optimizer, t.schedule = optimizer_of(t)
    # how far it is: `at` counts the samples of this epoch that are done
    t.epoch = t.at = t.step = t.samples = 0
    t.best, t.curve, t.seconds = None, [], 0.0
    return t


def with_lora(model, s):
    from peft import LoraConfig, get_peft_model

    if s.gradient_checkpointing:
        model.enable_input_require_grads()
    targets = s.target_modules
    if isinstance(targets, str) and targets != "all-linear":
        targets = [name.strip() for name in targets.split(",")]
    alpha = 2 * s.rank if s.alpha is None else s.alpha
    how = {"r": s.rank, "lora_alpha": alpha, "lora_dropout": s.dropout, "target_modules": targets}
    return get_peft_model(model, LoraConfig(task_type="CAUSAL_LM", **how))


def optimizer_of(t):
    import torch

    s = t.s
    trained = [p for p in t.model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=s.learning_rate, weight_decay=s.weight_decay)
    warmup = round(s.warmup * t.steps) if s.warmup < 1 else int(s.warmup)

    def factor(step):
        if step < warmup:
            return (step + 1) / (warmup + 1)
        done = min(1.0, (step - warmup) / max(1, t.steps - warmup))
        return {"constant": 1.0, "linear": 1.0 - done, "cosine": 0.5 * (1 + math.cos(math.pi * done))}[s.schedule]

    return optimizer, torch.optim.lr_scheduler.LambdaLR(optimizer, factor)


# training


def train(t):
    begun, t.written = time.monotonic() - t.seconds, 0.0
    print(f"{len(t.train)} rows, {described(t)}, {t.steps} steps", flush=True)
    while t.step < t.steps:
        order = order_of(t)
        losses = []
        while t.at < len(order) and t.step < t.steps:
            losses.append(take_step(t, [t.train[i] for i in order[t.at : t.at + t.group]]))
            t.at += t.group
            t.seconds = time.monotonic() - begun
            tell(t, losses[-1])
            if stop_asked() and t.step < t.steps:
                finish(t, stopped=True)
                return
        end_epoch(t, losses)
    finish(t)


def order_of(t):
    """The same for a seed and an epoch, whatever the batch and wherever it was cut short."""
    import torch

    rng = torch.Generator().manual_seed(t.s.seed * 100_003 + t.epoch)
    return torch.randperm(len(t.train), generator=rng).tolist()


def take_step(t, samples):
    """One step of the optimizer. The loss is a mean over the tokens of all its batches: half the batch with twice the
    accumulation is the same step."""
    import torch

    t.model.train()
    size, tokens, total = t.s.batch_size, targets_in(samples), 0.0
    for at in range(0, len(samples), size):
        part = samples[at : at + size]
        loss = loss_of(t, part) * (targets_in(part) / tokens)
        loss.backward()
        total += loss.item()
    if not math.isfinite(total):
        raise FloatingPointError(f"the loss is {total} at step {t.step + 1}")
    if t.s.gradient_clip:
        torch.nn.utils.clip_grad_norm_([p for p in t.model.parameters() if p.requires_grad], t.s.gradient_clip)
    t.optimizer.step()
    t.schedule.step()
    t.optimizer.zero_grad(set_to_none=True)
    t.step, t.samples = t.step + 1, t.samples + len(samples)
    return total


def loss_of(t, samples):
    import torch

    mixed = t.kind != torch.float32
    with torch.autocast(t.device.split(":")[0], t.kind) if mixed else contextlib.nullcontext():
        return t.model(**batch_of(samples, t.tokenizer, t.device)).loss.float()


def validate(t):
    import torch

    t.model.eval()
    total, size = 0.0, t.s.batch_size
    with torch.no_grad():
        for at in range(0, len(t.valid), size):
            part = t.valid[at : at + size]
            total += loss_of(t, part).item() * targets_in(part)
    return total / targets_in(t.valid)


def end_epoch(t, losses):
    """Validates and keeps what the epoch came to."""
    val = validate(t) if t.valid else None
    mean = sum(losses) / len(losses) if losses else None
    note(t, mean, val)
    print(f"epoch {t.epoch}: train_loss {shown(mean)} val_loss {shown(val)}", flush=True)
    if val is not None and not math.isfinite(val):
        write_records(t)
        raise FloatingPointError(f"the validation loss is {val} after step {t.step}")
    if val is None or t.best is None or val < t.best:
        t.best = val
        save(t, "best")
    save(t, "last")
    if t.s.save_epochs:
        save(t, f"epoch_{t.epoch}")
    t.epoch, t.at = t.epoch + 1, 0
    if t.step < t.steps:
        save_state(t)


def finish(t, stopped=False):
    if stopped:
        save(t, "last")
        save_state(t)
        if not os.path.isdir(os.path.join(t.output, "best")):
            save(t, "best")
        print(f"stopped after step {t.step} of {t.steps}, as it was asked to: saved", flush=True)
    else:
        shutil.rmtree(os.path.join(t.output, "resume"), ignore_errors=True)
    write_records(t)
    check_saved(os.path.join(t.output, "best"))
    if not stopped:
        print(f"done: {t.step} steps in {t.seconds:.1f} s", flush=True)


def stop_asked():
    path = os.environ.get("PROGTRAIN_STOP_FILE")
    return bool(path) and os.path.exists(path)


# what is kept


def save(t, name):
    """Whole or not at all: beside it first, then in its place."""
    place = os.path.join(t.output, name)
    shutil.rmtree(place + ".new", ignore_errors=True)
    t.model.save_pretrained(place + ".new")
    t.tokenizer.save_pretrained(place + ".new")
    shutil.rmtree(place, ignore_errors=True)
    os.replace(place + ".new", place)


def save_state(t):
    import torch

    place = os.path.join(t.output, "resume")
    os.makedirs(place, exist_ok=True)
    names = {name for name, p in t.model.named_parameters() if p.requires_grad}
    weights = {name: value for name, value in t.model.state_dict().items() if name in names}
    kept = {"weights": weights, "optimizer": t.optimizer.state_dict(), "schedule": t.schedule.state_dict()}
    kept["rng"] = torch.get_rng_state()
    for name in ("epoch", "at", "step", "samples", "best", "curve", "seconds"):
        kept[name] = getattr(t, name)
    torch.save(kept, os.path.join(place, "training.pt.new"))
    os.replace(os.path.join(place, "training.pt.new"), os.path.join(place, "training.pt"))


def resume(t):
    import torch

    kept = torch.load(os.path.join(t.output, "resume", "training.pt"), map_location="cpu", weights_only=True)
    t.model.load_state_dict(kept.pop("weights"), strict=False)
    t.optimizer.load_state_dict(kept.pop("optimizer"))
    t.schedule.load_state_dict(kept.pop("schedule"))
    torch.set_rng_state(kept.pop("rng"))
    for name, value in kept.items():
        setattr(t, name, value)
    print(f"going on after step {t.step}", flush=True)


def check_saved(folder):
    """What will be evaluated can be read back, and is finite."""
    import torch
    from safetensors import safe_open

    names = [name for name in sorted(os.listdir(folder)) if name.endswith(".safetensors")]
    if not names:
        raise SystemExit(f"{folder} holds no weights")
    for name in names:
        with safe_open(os.path.join(folder, name), framework="pt") as file:
            for key in file.keys():  # noqa: SIM118 - it is no dict
                if not torch.isfinite(file.get_tensor(key)).all():
                    raise FloatingPointError(f"{name}: a weight of {key} is not finite")


# what is told


def tell(t, loss):
    """A point of the curve now and then, and how far it is a few times a second."""
    if t.step % max(1, int(t.steps) // 500) == 0:
        note(t, loss, None)
    path, now = os.environ.get("PROGTRAIN_LIVE_FILE"), time.monotonic()
    if not path or (now - t.written < _SECONDS_BETWEEN_WRITES and t.step < t.steps):
        return
    rate = t.step / t.seconds if t.seconds else None
    line = {"t": round(time.time(), 3), "seconds": round(t.seconds, 3), "epoch": t.epoch + 1, "epochs": t.s.epochs}
    line.update({"step": t.step, "steps": t.steps, "steps_per_second": rate})
    line.update({"samples_per_second": rate * t.group if rate else None, "metrics": {"train_loss": loss}})
    line.update({"seconds_left": (t.steps - t.step) / rate if rate else None})
    line["learning_rate"] = [group["lr"] for group in t.optimizer.param_groups]
    t.written = now
    # a view of the training must never end it
    with contextlib.suppress(OSError), open(path, "a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")


def note(t, train_loss, val_loss):
    t.curve.append([t.epoch, t.step, train_loss, val_loss, t.optimizer.param_groups[0]["lr"]])
    write(os.path.join(t.output, "metrics.csv"), lambda file: csv.writer(file).writerows([_COLUMNS, *t.curve]))


def write_records(t):
    import torch
    import transformers

    libraries = {"python": platform.python_version(), "torch": torch.__version__}
    libraries["transformers"] = transformers.__version__
    on_gpu = t.device.startswith("cuda")
    spec = {
        "settings": vars(t.s),
        "parameters": sum(p.numel() for p in t.model.parameters() if p.requires_grad),
        "device": torch.cuda.get_device_name() if on_gpu else t.device,
        "precision": str(t.kind).replace("torch.", ""),
        "libraries": libraries,
        "data": {"counts": {"train": len(t.train), "valid": len(t.valid)}},
        "steps": t.step,
        "samples": t.samples,
        "seconds": round(t.seconds, 3),
        "gpu_memory": torch.cuda.max_memory_allocated() if on_gpu else None,
    }
    write(os.path.join(t.output, "hparams.yaml"), lambda file: yaml.safe_dump(vars(t.s), file, sort_keys=False))
    write(os.path.join(t.output, "spec.json"), lambda file: json.dump(spec, file, indent=2))


def write(path, fill):
    with open(path + ".new", "w", encoding="utf-8", newline="") as file:
        fill(file)
    os.replace(path + ".new", path)


def described(t):
    return f"LoRA of rank {t.s.rank}" if t.s.rank else "the whole model"


def shown(value):
    return "-" if value is None else f"{value:.4f}"


if __name__ == "__main__":
    main()
