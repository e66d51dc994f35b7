"""Known names in a sentence of the user's: settings, recipes and parts of a script."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

from progtrain.engine.script.action.catalogue import recipes as all_recipes
from progtrain.engine.script.names import ALIASES, canonical


@dataclass(frozen=True)
class Mention:
    #: what is locked when the user fixes it: "keep Adam" fixes the optimizer
    fixed: frozenset[str]
    #: what is locked when the user forbids it: "no SGD" forbids the recipe
    forbidden: frozenset[str]


_PARTS = {
    "optimizer": ("optimizer", "optimiser", "optimizers", "optimizer class"),
    "schedule": (
        "schedule",
        "scheduler",
        "schedulers",
        "learning rate schedule",
        "learning rate scheduler",
        "learning rate scheduling",
        "lr schedule",
        "lr scheduler",
        "lr scheduling",
    ),
    "loss": (
        "loss",
        "loss function",
        "loss term",
        "training loss function",
        "objective",
        "criterion",
        "cost function",
    ),
    "model": (
        "model",
        "network",
        "neural network",
        "architecture",
        "model architecture",
        "network architecture",
        "model structure",
        "network structure",
        "topology",
    ),
    "data": (
        "data",
        "dataset",
        "data set",
        "data pipeline",
        "data loading",
        "data preparation",
        "validation data",
        "validation set",
        "validation split",
        "training data",
        "training set",
        "split",
        "splits",
        "data split",
        "preprocessing",
        "pre-processing",
    ),
    "trainer": ("trainer", "trainer arguments"),
}
#: optimizers and losses by their own names: keeping one fixes the part that it plays
_PLAYS = {
    "optimizer": (
        "adam",
        "adamw",
        "sgd",
        "rmsprop",
        "adagrad",
        "nadam",
        "radam",
        "lion",
        "muon",
        "lbfgs",
        "adamax",
    ),
    "loss": ("cross entropy", "mse", "mse loss", "l1 loss", "huber", "huber loss", "bce", "smooth l1"),
    "schedule": ("cosine schedule", "cosine annealing", "one cycle", "onecycle", "step decay"),
}
#: keys that are parts, or no setting at all
_NO_SETTINGS = frozenset({"monitor", "optimizer", "schedule", "loss", "dataset_id", "version"})
#: spellings in scripts that are plain English verbs in a sentence
_VERBS = frozenset({"drop", "smooth", "decay", "act", "opt", "accumulate", "amp"})
_TOKEN = re.compile(r"`[^`]+`|\d(?:[\w.]*\w)?(?:(?<=[eE])[-+]\d+)?%?|[A-Za-z]\w*(?:[.'-][A-Za-z_]\w*)*|\S")
_LONGEST = 4
_FILLERS = {"the", "a", "any", "with", "in"}


def mark_names(sentence: str) -> tuple[str, list[Mention]]:
    """The sentence in lower case, each known name as `<number>`, and what the numbers stand for."""
    words = _TOKEN.findall(sentence.replace("<", "< "))
    marked: list[str] = []
    mentions: list[Mention] = []
    at = 0
    while at < len(words):
        length, found = _longest_name(words, at)
        if found is None:
            marked.append(words[at].lower())
        else:
            marked.append(f"<{len(mentions)}>")
            mentions.append(found)
        at += length
    return re.sub(r" ([.!;])(?= |$)", r"\1", " ".join(marked)), mentions


def _longest_name(words: list[str], at: int) -> tuple[int, Mention | None]:
    for length in range(min(_LONGEST + 1, len(words) - at), 0, -1):
        chunk = words[at : at + length]
        if chunk[0].lower() in _FILLERS or chunk[-1].lower() in _FILLERS:
            continue
        if not all(re.match(r"[`A-Za-z]", word) for word in chunk):
            continue
        found = _name(tuple(word.lower() if "`" not in word and "_" not in word else word for word in chunk))
        if found is not None:
            return length, found
    return 1, None


@cache
def _name(words: tuple[str, ...]) -> Mention | None:
    """What these words name, all of them together."""
    if len(words) == 1 and (words[0].startswith("`") or "_" in words[0]):
        return _identifier(words[0].strip("`"))
    if any("`" in word for word in words):
        return None
    plain = " ".join(words).replace("-", " ")
    locks: set[str] = {part for part, names in _PARTS.items() if plain in names}
    plays = {part for part, names in _PLAYS.items() if plain in names}
    key = canonical("_".join(plain.split()))
    settings = {key} if key in _settings() and plain not in _VERBS else set[str]()
    recipes = _recipes_named(plain)
    if locks and not settings:
        return Mention(frozenset(locks), frozenset(locks))
    if not (settings or recipes or plays):
        return None
    forbidden = recipes | settings
    # "keep the best epoch" asks for the recipe of that name and fixes nothing
    return Mention(frozenset(plays or forbidden - _kept()), frozenset(forbidden))


def _identifier(text: str) -> Mention | None:
    """A name in backticks or with an underscore is meant as the script's own, known or not."""
    if text.startswith("dataset/"):
        return Mention(frozenset({"data"}), frozenset({"data"}))
    if not re.fullmatch(r"[\w.\- ]+", text) or text.endswith((".py", ".json", ".md")):
        return None
    known = _name(tuple(text.lower().replace("_", " ").split()))
    if known is not None:
        return known
    key = canonical(text.rpartition(".")[2])
    return Mention(frozenset({key}), frozenset({key}))


@cache
def _settings() -> frozenset[str]:
    """Keys of settings, those that recipes bring along included."""
    brought = {key for recipe in all_recipes() for key in recipe.keys.values()}
    return frozenset(brought | set(ALIASES)) - _NO_SETTINGS


@cache
def _kept() -> frozenset[str]:
    return frozenset(recipe.id for recipe in all_recipes() if recipe.candidate_id.startswith("keep_"))


@cache
def _recipe_stems() -> dict[str, frozenset[str]]:
    return {recipe.id: frozenset(_stem(word) for word in recipe.id.split("_")) for recipe in all_recipes()}


def _recipes_named(plain: str) -> set[str]:
    """Recipes whose id is these words in any order and form: "clip the gradients" is gradient_clipping."""
    words = [word for word in plain.split() if word not in _FILLERS]
    stems, squashed = {_stem(word) for word in words}, _stem("".join(words))
    found = {
        name
        for name, own in _recipe_stems().items()
        if _same_stems(stems, own) or squashed == _stem(name.replace("_", ""))
    }
    # "SGD", "Huber": the one word that tells the recipe apart
    if not found and len(stems) == 1:
        for part in ("optimizer", "loss"):
            if plain in _PLAYS[part]:
                found = {name for name, own in _recipe_stems().items() if stems <= own}
    return found


def _same_stems(spoken: set[str], own: frozenset[str]) -> bool:
    """Also where the id is shorter: "batch normalisation" is batch_norm."""
    pairs = list(zip(sorted(spoken), sorted(own), strict=False))
    return len(spoken) == len(own) and all(a == b or (len(b) > 3 and a.startswith(b)) for a, b in pairs)


def _stem(word: str) -> str:
    """`"standardization"`, `"standardise"` -> `"standardis"`; `"clipping"` -> `"clip"`."""
    word = word.replace("iz", "is")
    word = re.sub(r"(?:ations?|ates?|ating|ing|ed|e|(?<=s)es|(?<![su])s)$", "", word) if len(word) > 3 else word
    return word[:-1] if len(word) > 3 and word[-1] == word[-2] and word[-1] in "pt" else word
