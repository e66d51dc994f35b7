"""What a sentence is about, in terms of the candidates: which act on it, and which would act the other way.

So hypotheses can be held against the choice, and what deserves attention next against what is on offer.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import NamedTuple


class Subject(NamedTuple):
    """Words that a sentence may hold, and the candidates that it then speaks for and against."""

    words: re.Pattern[str]
    served_by: frozenset[str]
    against: frozenset[str]


_LESS_FREEDOM = (
    "add_dropout dropout_up add_weight_decay weight_decay_up add_label_smoothing label_smoothing_up hidden_size_down"
    " layers_down"
)
_MORE_FREEDOM = "dropout_down weight_decay_down label_smoothing_down hidden_size_up layers_up"
_SLOWER_END = "add_cosine_schedule add_reduce_on_plateau learning_rate_down add_weight_averaging"
_SIZE = "hidden_size_up hidden_size_down layers_up layers_down"


def _subject(words: str, served_by: str, against: str = "") -> Subject:
    return Subject(re.compile(words, re.IGNORECASE), frozenset(served_by.split()), frozenset(against.split()))


#: Claims about a cause: a candidate that acts the other way contradicts them.
_CAUSES = (
    _subject(
        r"smaller learning rate|smaller step|overshoot|too coarse|(?:learning rate|steps?|step size)\b[^.;]*too large",
        _SLOWER_END,
        "learning_rate_up momentum_up",
    ),
    _subject(
        r"larger learning rate|larger step|steps (?:of \S+ )?are too small|by step size|too little per step",
        "learning_rate_up epochs_up momentum_up use_adamw batch_size_down",
        "learning_rate_down",
    ),
    _subject(r"more epochs|not yet|ends before", "epochs_up", "epochs_down add_early_stopping"),
    _subject(r"runs on long after|longer training does not", "epochs_down add_early_stopping", "epochs_up patience_up"),
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
        "batch_size_up add_gradient_accumulation",
        "batch_size_down",
    ),
    _subject(r"not by the capacity", "learning_rate_up", _SIZE),
)

#: Things to look at next: they are worth naming where a candidate acts on them.
_MATTERS = (
    _subject(r"size of the learning rate|step size|learning rate (?:for|after)", "learning_rate_up learning_rate_down"),
    _subject(r"learning rate falls|learning rate at the end|schedule|with a decay", _SLOWER_END),
    _subject(r"gradient norm", "add_gradient_clipping gradient_clip_down"),
    _subject(r"warm-up", "add_warmup warmup_up"),
    _subject(r"(?:scale|form) of the inputs|normalisation inside", "add_input_standardisation add_batch_norm"),
    _subject(
        r"length of the training|overfitting would set in", "epochs_up epochs_down add_early_stopping patience_up"
    ),
    _subject(r"^momentum", "momentum_up use_sgd_momentum"),
    _subject(r"^the optimizer$|speed of optimisation", "use_adamw use_sgd_momentum learning_rate_up momentum_up"),
    _subject(r"dropout", "add_dropout dropout_up dropout_down"),
    _subject(r"regularisation", f"{_LESS_FREEDOM} dropout_down weight_decay_down"),
    _subject(r"when to stop", "add_early_stopping epochs_down patience_up keep_best_epoch"),
    _subject(r"(?:size|capacity) of the model|cannot form", _SIZE),
    _subject(r"width of", "hidden_size_up hidden_size_down"),
    _subject(r"depth of", "layers_up layers_down"),
    _subject(r"softer targets", "add_label_smoothing label_smoothing_up"),
    _subject(r"samples per step", "batch_size_up batch_size_down add_gradient_accumulation"),
    _subject(r"averaging", "add_weight_averaging add_gradient_accumulation"),
    _subject(r"weight of rare", "add_class_weights"),
    _subject(r"forgives outliers", "use_huber_loss"),
)


def contradicts(sentence: str, option: str) -> bool:
    """Whether the sentence names a cause that the option would make worse."""
    spoken = [subject for subject in _CAUSES if subject.words.search(sentence)]
    return any(option in s.against for s in spoken) and not any(option in s.served_by for s in spoken)


def out_of_reach(matter: str, options: Collection[str]) -> bool:
    """Whether no option acts on what a line of the next focus names. What no option ever acts on is never so."""
    served = [subject.served_by for subject in _MATTERS if subject.words.search(matter)]
    return bool(served) and not any(option in named for named in served for option in options)
