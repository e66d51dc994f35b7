"""What users and data sets say in the made-up briefings: class names, actions, instructions, hints."""

from __future__ import annotations

import random
import re

_CLASSES = (
    "cat",
    "dog",
    "class_1",
    "3",
    "8",
    "setosa",
    "benign",
    "fraud",
    "spam",
    "truck",
    "sneaker",
    "urgent",
    "rare",
)

_ABOUT: dict[str, tuple[str, ...]] = {
    "learning_rate": ("learning rate", "lr", "step size"),
    "epochs": ("epochs", "training length"),
    "batch_size": ("batch size", "batches"),
    "hidden_size": ("hidden size", "width", "wider layers"),
    "layers": ("depth", "number of layers"),
    "dropout": ("dropout",),
    "weight_decay": ("weight decay",),
    "label_smoothing": ("label smoothing", "softer labels"),
    "momentum": ("momentum",),
    "patience": ("patience",),
    "gradient_clip": ("gradient clipping", "clipping"),
    "cosine": ("cosine schedule", "schedule"),
    "warmup": ("warm-up", "warmup"),
    "plateau": ("reduce on plateau",),
    "adamw": ("adamw",),
    "sgd": ("sgd",),
    "early_stopping": ("early stopping",),
    "best_epoch": ("best epoch", "best checkpoint"),
    "averaging": ("weight averaging", "averaging"),
    "accumulation": ("gradient accumulation",),
    "standardisation": ("input scaling", "standardising the inputs", "normalising the inputs"),
    "class_weights": ("class weights", "the rare classes"),
    "batch_norm": ("batch norm", "normalisation layers"),
    "huber": ("huber loss", "robust loss"),
    "undo": ("undo the last change", "take the last change back"),
    "back_to": ("go back to the best version", "continue from the best version"),
}
_HINTS = (
    "try {x}",
    "try {x} next",
    "what about {x}?",
    "I think {x} is worth a try",
    "look at {x} first",
    "please try {x}",
    "{x}",
    "use {x}",
)
_NEVER = ("never change the {x}", "keep the {x} as it is", "do not touch {x}", "leave {x} alone", "{x} stays fixed")
_LINES = (
    "the model runs on a small device", "latency matters", "prefer small steps", "we care about the rare cases",
    "training must stay short", "data comes from two sites", "no changes to the data", "be careful with the labels",
    "prefer simple changes", "accuracy matters more than speed", "the classes are ordered", "labels were made by hand",
)  # fmt: skip


def about(option: str) -> str:
    """What an option is about: `"add_cosine_schedule"` -> `"cosine"`."""
    return next((topic for topic in _ABOUT if topic in option), "")


def asks_for(hint: str, option: str) -> bool:
    """Whether a hint names what the option is about."""
    lowered = f" {re.sub(r'[^a-z-]+', ' ', hint.lower())} "
    return any(f" {term} " in lowered for term in _ABOUT.get(about(option), ()))


def class_name(rng: random.Random) -> str:
    return rng.choice(_CLASSES)


def action(rng: random.Random, candidate: str) -> str:
    """An action as the engine writes it: `"learning_rate 0.001 → 0.0003"`."""
    if match := re.fullmatch(r"(\w+)_(up|down)", candidate):
        small, large = rng.choice((("0.001", "0.01"), ("16", "64"), ("0.1", "0.3"), ("0.0003", "0.001")))
        return f"{match[1]} {small} → {large}" if match[2] == "up" else f"{match[1]} {large} → {small}"
    return candidate.replace("_", " ", 1) if rng.random() < 0.5 else candidate


def instruction(rng: random.Random) -> tuple[str, ...]:
    lines = [rng.choice(_LINES)]
    if rng.random() < 0.5:
        lines.append(rng.choice(_NEVER).format(x=rng.choice(rng.choice(list(_ABOUT.values())[:20]))))
    return tuple(lines)


def hint(rng: random.Random, options: list[str]) -> tuple[str, ...]:
    """Mostly about something on offer."""
    topics = [topic for option in options if (topic := about(option))] if rng.random() < 0.85 else list(_ABOUT)
    topic = rng.choice(topics or list(_ABOUT))
    return (rng.choice(_HINTS).format(x=rng.choice(_ABOUT[topic])),)


def limits(rng: random.Random) -> tuple[str, ...]:
    topics = rng.sample(list(_ABOUT)[:12], rng.randint(1, 3))
    return tuple(f"{topic} is locked at {rng.choice((8, 20, 64, 0.01))}" for topic in topics)
