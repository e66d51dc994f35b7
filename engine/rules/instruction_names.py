"""Known names in a sentence of the user's: settings, recipes and parts of a script."""

from __future__ import annotations

import re
from functools import cache

from progtrain.engine.script.action.catalogue import recipes as all_recipes
from progtrain.engine.script.names import ALIASES, canonical

#: what is locked when the user fixes a name ("keep Adam" fixes the optimizer), and when the user forbids it ("no SGD"
#: forbids the recipe)
Mention = tuple[frozenset[str], frozenset[str]]


def _listed(**names: str) -> dict[str, list[str]]:
    return {part: re.split(r",\s+", listed) for part, listed in names.items()}


_PARTS = _listed(
    optimizer="optimizer, optimiser, optimizers, optimizer class",
    schedule="""schedule, scheduler, schedulers, learning rate schedule, learning rate scheduler,
        learning rate scheduling, lr schedule, lr scheduler, lr scheduling""",
    loss="loss, loss function, loss term, training loss function, objective, criterion, cost function",
    model="""model, network, neural network, architecture, model architecture, network architecture,
        model structure, network structure, topology""",
    data="""data, dataset, data set, data pipeline, data loading, data preparation, validation data, validation set,
        validation split, training data, training set, split, splits, data split, preprocessing, pre processing""",
    trainer="trainer, trainer arguments",
)
#: optimizers and losses by their own names: keeping one fixes the part that it plays
_PLAYS = _listed(
    optimizer="adam, adamw, sgd, rmsprop, adagrad, nadam, radam, lion, muon, lbfgs, adamax",
    loss="cross entropy, mse, mse loss, l1 loss, huber, huber loss, bce, smooth l1",
    schedule="cosine schedule, cosine annealing, one cycle, onecycle, step decay",
)
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
        marked.append(words[at].lower() if found is None else f"<{len(mentions)}>")
        mentions += [found] if found is not None else []
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
    parts, plays = (frozenset(part for part in table if plain in table[part]) for table in (_PARTS, _PLAYS))
    key = canonical("_".join(plain.split()))
    settings = {key} if key in _settings() and plain not in _VERBS else set[str]()
    if parts and not settings:
        return parts, parts
    forbidden = _recipes_named(plain) | settings
    # "keep the best epoch" asks for the recipe of that name and fixes nothing
    kept = {recipe.id for recipe in all_recipes() if recipe.candidate_id.startswith("keep_")}
    return (plays or forbidden - kept, forbidden) if forbidden or plays else None


def _identifier(text: str) -> Mention | None:
    """A name in backticks or with an underscore is meant as the script's own, known or not."""
    if text.startswith("dataset/"):
        return frozenset({"data"}), frozenset({"data"})
    if not re.fullmatch(r"[\w.\- ]+", text) or text.endswith((".py", ".json", ".md")):
        return None
    known = _name(tuple(text.lower().replace("_", " ").split()))
    if known is not None:
        return known
    named = frozenset({canonical(text.rpartition(".")[2])})
    return named, named


@cache
def _settings() -> frozenset[str]:
    """Keys of settings, those that recipes bring along included."""
    brought = {key for recipe in all_recipes() for key in recipe.keys.values()}
    return frozenset(brought | set(ALIASES)) - _NO_SETTINGS


def _recipes_named(plain: str) -> frozenset[str]:
    """Recipes whose id is these words in any order and form: "clip the gradients" is gradient_clipping."""
    words = [word for word in plain.split() if word not in _FILLERS]
    stems, squashed = {_stem(word) for word in words}, _stem("".join(words))
    known = {recipe.id: {_stem(word) for word in recipe.id.split("_")} for recipe in all_recipes()}
    found = {id for id, own in known.items() if _same_stems(stems, own) or squashed == _stem(id.replace("_", ""))}
    # "SGD", "Huber": the one word that tells the recipe apart
    if not found and len(stems) == 1 and plain in (*_PLAYS["optimizer"], *_PLAYS["loss"]):
        found = {id for id, own in known.items() if stems <= own}
    return frozenset(found)


def _same_stems(spoken: set[str], own: set[str]) -> bool:
    """Also where the id is shorter: "batch normalisation" is batch_norm."""
    pairs = list(zip(sorted(spoken), sorted(own), strict=False))
    return len(spoken) == len(own) and all(a == b or (len(b) > 3 and a.startswith(b)) for a, b in pairs)


@cache
def _stem(word: str) -> str:
    """`"standardization"`, `"standardise"` -> `"standardis"`; `"clipping"` -> `"clip"`."""
    word = word.replace("iz", "is")
    word = re.sub(r"(?:ations?|ates?|ating|ing|ed|e|(?<=s)es|(?<![su])s)$", "", word) if len(word) > 3 else word
    return word[:-1] if len(word) > 3 and word[-1] == word[-2] and word[-1] in "pt" else word
