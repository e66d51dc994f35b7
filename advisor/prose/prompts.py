"""From a briefing to what a model reads, and the plain-text form in which it answers.

`render` is for the bundled model, which was trained on exactly this text: keys with the word that the value amounts
to, no digits, since a model of this size copies keys reliably and digits badly. `instruct` is for any other model.

An answer is sections under short headings, one sentence a line, so that it can be shown while it is written:

    # summary
    validation stopped improving at epoch @best_epoch of @epochs.
    # evidence
    ...
    # choice
    learning_rate_down
    # goal
    ...
"""

from __future__ import annotations

import re
from collections.abc import Callable

from progtrain.advisor.interface import Briefing, Candidate, Fact

#: What the model writes before it chooses, and after. Names as they stand in the answer.
BEFORE = ("summary", "deltas", "evidence", "hypotheses", "focus")
CHOICE = "choice"
AFTER = ("goal", "impact", "risk", "verification")

#: So many options a model is shown. The bundled one was trained with up to these.
OFFERED = 12

#: Written into the bundled GGUF, so that a file says which rendering it was trained on.
FORMAT_KEY = "progtrain.prompt_format"
FORMAT = 2

_OPTIMIZERS = ("adamw", "adam", "sgd", "rmsprop")
_SCHEDULES = {
    "none": "constant",
    "constant": "constant",
    "no ": "constant",
    "cosine": "cosine",
    "plateau": "plateau",
    "warm": "warmup",
    "step": "step",
    "one": "onecycle",
    "exponential": "exponential",
}
_SPELLINGS = {
    "lr": "learning_rate",
    "max_epochs": "epochs",
    "num_epochs": "epochs",
    "n_epochs": "epochs",
    "wd": "weight_decay",
    "train_batch_size": "batch_size",
    "bs": "batch_size",
    "hidden": "hidden_size",
    "hidden_dim": "hidden_size",
    "width": "hidden_size",
    "n_hidden": "hidden_size",
    "num_layers": "layers",
    "n_layers": "layers",
    "depth": "layers",
    "dropout_rate": "dropout",
    "p_drop": "dropout",
    "gradient_clip_val": "gradient_clip",
    "max_norm": "gradient_clip",
    "warmup_steps": "warmup",
}
_LOWER_IS_BETTER = re.compile(
    r"loss|error|\b(mae|mse|rmse|mape|wer|cer|nll|perplexity|ppl|hinge|deviance|brier)\b|distance|entropy|divergence"
)
_HIGHER_IS_BETTER = re.compile(
    r"acc|f1|fbeta|precision|recall|auroc|auc|r2|score|iou|dice|jaccard|bleu|rouge|kappa|matthews|mcc|psnr|ssim"
    r"|specificity|sensitivity|map\b|ndcg|mrr|spearman|pearson|correlation|explained"
)
_CONTROL = re.compile(r"<\|.*?\|>|</?s>|\[/?INST\]|<</?SYS>>|<(?:start|end)_of_turn>|[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_NUMBER = re.compile(r"(?<![A-Za-z_])[-+]?\d[\d.,]*(?:[eE][-+]?\d+)?\s?%?")


def clean(text: str, limit: int = 200) -> str:
    """A line of the user's, of a log or of a data set, without what a model could take for control tokens."""
    text = " ".join(clean_text(text).split())
    return text if len(text) <= limit else text[: limit - 1].rstrip() + "…"


def clean_text(text: str) -> str:
    """Text of several lines, without what a model could take for control tokens."""
    previous = ""
    while previous != text:
        previous, text = text, _CONTROL.sub(" ", text)
    return text


def higher_is_better(briefing: Briefing) -> bool | None:
    """Which way the primary metric is better, as far as the facts tell. None: they do not."""
    facts = {fact.key: fact for fact in briefing.facts}
    metric = facts.get("metric")
    bucket = (metric.bucket or "").lower() if metric else ""
    if bucket.startswith(("higher", "lower")):
        return bucket.startswith("higher")
    for name in ("previous", "best"):
        delta = facts.get(f"delta_{name}")
        if delta and delta.bucket in ("improved", "worsened") and _sign(delta.value) in ("+", "-"):
            return (_sign(delta.value) == "+") == (delta.bucket == "improved")
    name = str(metric.value or metric.display).lower().replace("_", " ") if metric else ""
    if _LOWER_IS_BETTER.search(name):
        return False
    return True if _HIGHER_IS_BETTER.search(name) else None


def signals(briefing: Briefing) -> dict[str, str]:
    """Each fact's key with the word it amounts to, "" where there is none: `{"gap": "large", "wrong": ""}`."""
    better = higher_is_better(briefing)
    shown = {fact.key: fact.display for fact in briefing.facts}
    found = {fact.key: _signal(fact) for fact in briefing.facts}
    if "metric" in found:
        found["metric"] = {True: "higher", False: "lower", None: ""}[better]
    if "best" in found:
        own = {shown.get("version"): "self", shown.get("previous"): "previous"}
        found["best"] = own.get(shown["best"], "earlier")
    return found


def _signal(fact: Fact) -> str:
    key, shown = fact.key, fact.display.lower()
    if key.startswith("verdict"):
        return _verdict(fact)
    if key.startswith("delta"):
        return _sign(fact.value)
    if key == "task":
        return next((name for name in ("classification", "regression") if name in shown), "other")
    if key == "optimizer":
        return next((name for name in _OPTIMIZERS if name in shown), "other")
    if key == "schedule":
        return next((word for part, word in _SCHEDULES.items() if part in shown + " "), "other")
    if key == "last_action":
        return action_slug(fact.display)
    return _bucket(fact.bucket)


def _verdict(fact: Fact) -> str:
    words = f"{fact.value} {fact.display}".lower()
    return next((name for name in ("noise", "better", "worse") if name in words), "")


def _sign(value: float | int | str | None) -> str:
    if not isinstance(value, (int, float)) or value != value:
        return ""
    return "+" if value > 0 else "-" if value < 0 else "0"


def _bucket(bucket: str | None) -> str:
    return "_".join(re.findall(r"[a-z]+", (bucket or "").lower()))[:24]


def action_slug(text: str) -> str:
    """An action in the words of the candidates: `"learning_rate 0.001 → 0.0003"` -> `"learning_rate_down"`."""
    text = clean(text, 80)
    if re.fullmatch(r"[a-z]\w*", text):
        return text
    if match := re.search(r"\b(undo|back[ _]to)[ _](v\d{3,})", text):
        return f"{match[1].replace(' ', '_')}_{match[2]}"
    text = re.sub(r"^set\s+", "", text)
    if match := re.match(r"([A-Za-z_][\w.\[\]'\"]*)\s*:?\s*(\S+)\s*(?:→|->|to)\s*(\S+)", text):
        old, new = _as_number(match[2]), _as_number(match[3])
        # CONFIG['lr'] -> lr
        name = re.findall(r"[a-z_]\w*", match[1].lower())[-1]
        name = _SPELLINGS.get(name, name)
        if old is not None and new is not None:
            return f"{name}_{'up' if new > old else 'down'}"
        return f"{name}_changed"
    if match := re.match(r"(add|use)[ _](\w+)", text):
        return f"{match[1]}_{match[2].lower()}"
    return re.sub(r"\W+", "_", _NUMBER.sub("", text.lower())).strip("_")[:32]


def _as_number(text: str) -> float | None:
    try:
        return float(text.strip("(),;").replace(",", ""))
    except ValueError:
        return None


def strength_word(strength: float) -> str:
    return "strong" if strength >= 0.66 else "clear" if strength >= 0.33 else "weak"


def by_rank(briefing: Briefing) -> list[Candidate]:
    return sorted(briefing.options, key=lambda option: option.rank)


def offered(briefing: Briefing, limit: int = OFFERED) -> tuple[Candidate, ...]:
    """The options that a model chooses among: the first of the rules' ranking, and what the newest hint names."""
    ranked = by_rank(briefing)
    asked = set(re.findall(r"[a-z]{3,}", briefing.hints[-1].lower())) if briefing.hints else set()
    # a model that has proposed code of its own is asked about it too
    named = [o for o in ranked[limit:] if o.id.startswith("edit_") or (_subject(o.id) and _subject(o.id) <= asked)]
    return (*ranked[: limit - len(named[:3])], *named[:3])


def _subject(option: str) -> set[str]:
    """What it is about: `"add_batch_norm"` -> batch, norm."""
    return set(option.split("_")) - {"add", "use", "up", "down", "back", "to"}


def render(briefing: Briefing) -> str:
    """The briefing for the bundled model; empty lines are left out.

    Options come last, so that at each of them all that speaks for or against it was read, and by the alphabet: a model
    of this size would rather learn to follow the rules' order than to read.
    """
    found = signals(briefing)
    # what other programs say has keys that it was never taught
    known = {key: word for key, word in found.items() if not key.startswith("evidence_")}
    facts = [f"{key}:{word}" if word else key for key, word in known.items()]
    findings = sorted(briefing.findings, key=lambda finding: -finding.strength)
    options = sorted(o.id if o.risk == "low" else f"{o.id}:{o.risk}" for o in briefing.options)
    lines = [
        ("facts", " ".join(facts)),
        ("findings", " ".join(f"{f.id}:{strength_word(f.strength)}" for f in findings) or "none"),
        ("tried", " ".join(f"{t.version}:{action_slug(t.action)}:{_tried_verdict(t.verdict)}" for t in briefing.tried)),
        ("limits", "; ".join(_without_numbers(line) for line in briefing.limits[:6])),
        ("wishes", "; ".join(_without_numbers(line) for line in briefing.instruction[:6])),
        ("hint", "; ".join(_without_numbers(line) for line in briefing.hints[-2:])),
        ("options", " ".join(options)),
    ]
    return "\n".join(f"{name} {text}" for name, text in lines if text)


def _without_numbers(line: str) -> str:
    return _NUMBER.sub("N ", clean(line, 100)).strip().lower()


def _tried_verdict(verdict: str) -> str:
    return next((name for name in ("noise", "better", "worse") if name in verdict.lower()), "unknown")


def shorten(briefing: Briefing, fits: Callable[[Briefing], bool], least: int = 4) -> tuple[Briefing, int]:
    """Leaves out the least important facts until it fits, or `least` are left; also returns how many went."""
    kept = sorted(briefing.facts, key=lambda fact: fact.importance)
    dropped = 0
    while not fits(briefing) and len(kept) > least:
        gone = min(max(1, len(kept) // 8), len(kept) - least)
        kept, dropped = kept[:-gone], dropped + gone
        keys = {fact.key for fact in kept}
        briefing = briefing.model_copy(update={"facts": tuple(f for f in briefing.facts if f.key in keys)})
    return briefing, dropped


def heading(name: str) -> str:
    return f"# {name}\n"


_MARK = re.compile(r"^\s*#+\s*([a-z ]+?)\s*:?\s*$", re.IGNORECASE)
_BULLET = re.compile(r"^\s*(?:[-*•]|\d+[.)])\s+")


def parse(text: str) -> dict[str, list[str]]:
    """Section name -> its lines, bullets taken off. Text before the first heading counts as the summary."""
    sections: dict[str, list[str]] = {}
    name = "summary"
    for line in text.splitlines():
        if match := _MARK.match(line):
            name = match[1].lower()
        elif bare := _BULLET.sub("", line).strip():
            sections.setdefault(name, []).append(bare)
    return sections
