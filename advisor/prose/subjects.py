"""What a sentence is about, in terms of the candidates: which act on it, and which would act the other way.

So hypotheses can be held against the choice, and what deserves attention next against what is on offer. Moves of
settings are known here by their names; recipes come with the words that stand for them here ("slower_end").
"""

from __future__ import annotations

import re
from collections.abc import Collection

#: words that a sentence may hold, the candidates that it then speaks for and those that it speaks against
_Subject = tuple[re.Pattern[str], frozenset[str], frozenset[str]]

_LESS_FREEDOM = "dropout_up weight_decay_up label_smoothing_up hidden_size_down layers_down"
_MORE_FREEDOM = "dropout_down weight_decay_down label_smoothing_down hidden_size_up layers_up"
_SLOWER_END = "slower_end learning_rate_down"
_SIZE = "hidden_size_up hidden_size_down layers_up layers_down"


def _subject(words: str, served_by: str, against: str = "") -> _Subject:
    return re.compile(words, re.IGNORECASE), frozenset(served_by.split()), frozenset(against.split())


#: Claims about a cause: a candidate that acts the other way contradicts them.
_CAUSES = (
    _subject(
        r"smaller learning rate|smaller step|overshoot|too coarse|(?:learning rate|steps?|step size)\b[^.;]*too large",
        _SLOWER_END,
        "learning_rate_up momentum_up",
    ),
    _subject(
        r"larger learning rate|larger step|steps (?:of \S+ )?are too small|by step size|too little per step",
        "learning_rate_up epochs_up momentum_up adaptive_steps batch_size_down",
        "learning_rate_down",
    ),
    _subject(r"more epochs|not yet|ends before", "epochs_up", "epochs_down shorter_training"),
    _subject(r"runs on long after|longer training does not", "epochs_down shorter_training", "epochs_up patience_up"),
    _subject(
        r"memoris|more freedom than|(?:is|are) too weak|nothing holds the weights|few samples to determine"
        r"|surplus freedom|smaller model",
        _LESS_FREEDOM,
        _MORE_FREEDOM,
    ),
    _subject(r"too strongly regularised|takes away more", _MORE_FREEDOM, _LESS_FREEDOM),
    _subject(
        r"too few to follow|wider hidden|limits what the model|depth of the model limits|richer model",
        "hidden_size_up layers_up",
        "hidden_size_down layers_down",
    ),
    _subject(
        r"too few samples, so steps|more samples per step",
        "batch_size_up more_samples",
        "batch_size_down",
    ),
    _subject(r"not by the capacity", "learning_rate_up", _SIZE),
)

#: Things to look at next: they are worth naming where a candidate acts on them.
_MATTERS = (
    _subject(r"size of the learning rate|step size|learning rate (?:for|after)", "learning_rate_up learning_rate_down"),
    _subject(r"learning rate falls|learning rate at the end|schedule|with a decay", _SLOWER_END),
    _subject(r"gradient norm", "gradient_clip_down"),
    _subject(r"warm-up", "warmup_up"),
    _subject(r"(?:scale|form) of the inputs|normalisation inside", "input_scale"),
    _subject(r"length of the training|overfitting would set in", "epochs_up epochs_down shorter_training patience_up"),
    _subject(r"^momentum", "momentum_up momentum"),
    _subject(r"^the optimizer$|speed of optimisation", "adaptive_steps momentum learning_rate_up momentum_up"),
    _subject(r"dropout", "dropout_up dropout_down"),
    _subject(r"regularisation", f"{_LESS_FREEDOM} dropout_down weight_decay_down"),
    _subject(r"when to stop", "shorter_training epochs_down patience_up best_epoch"),
    _subject(r"(?:size|capacity) of the model|cannot form", _SIZE),
    _subject(r"width of", "hidden_size_up hidden_size_down"),
    _subject(r"depth of", "layers_up layers_down"),
    _subject(r"softer targets", "label_smoothing_up"),
    _subject(r"samples per step", "batch_size_up batch_size_down more_samples"),
    _subject(r"averaging", "averaging"),
    _subject(r"weight of rare", "rare_classes"),
    _subject(r"forgives outliers", "outliers"),
)


def contradicts(sentence: str, acts: Collection[str]) -> bool:
    """Whether the sentence names a cause that a candidate would make worse. `acts`: its id and its effects."""
    spoken = [(served, against) for words, served, against in _CAUSES if words.search(sentence)]
    return any(against & set(acts) for _, against in spoken) and not any(served & set(acts) for served, _ in spoken)


def out_of_reach(matter: str, acts: Collection[str]) -> bool:
    """Whether nothing acts on what a line of the next focus names. What no candidate ever acts on is never so.

    `acts`: ids and effects of what is on offer.
    """
    served = [served for words, served, _ in _MATTERS if words.search(matter)]
    return bool(served) and not any(named & set(acts) for named in served)
