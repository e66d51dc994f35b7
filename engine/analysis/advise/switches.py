"""Flags and words of a script as actions: what the script can do already is turned on there, not written again."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from progtrain.advisor.interface import Risk
from progtrain.engine.analysis.advise.evidence import FOR
from progtrain.engine.analysis.advise.tuning import TUNINGS, Situation
from progtrain.engine.errors import InputError
from progtrain.engine.script.action.catalogue import find_recipe
from progtrain.engine.script.choices import find_choices
from progtrain.engine.script.settings import Setting, Value, choose_setting, duplicates, find_settings

#: what a flag turns on -> the candidate that does the like: its evidence is that of the flag
_ON = {
    "standardisation": "add_input_standardisation",
    "batch_norm": "add_batch_norm",
    "dropout": "add_dropout",
    "augmentation": "dropout_up",
    "class_weights": "add_class_weights",
    "early_stopping": "add_early_stopping",
    "weight_averaging": "add_weight_averaging",
    "gradient_clipping": "add_gradient_clipping",
}
_OFF = {"dropout": "dropout_down", "augmentation": "dropout_down"}
#: words of a setting, the best first, and the candidate that does the like
_WORDS = {
    "optimizer": (("adamw", "use_adamw"), ("adam|nadam|radam", "use_adamw"), ("sgd.*", "use_sgd_momentum")),
    "schedule": (("cos.*", "add_cosine_schedule"), (".*plateau.*", "add_reduce_on_plateau")),
    "loss": (("huber.*|smooth_?l1.*", "use_huber_loss"),),
    "activation": (("gelu|silu|swish|relu|leaky_?relu|elu", "add_batch_norm"),),
}
#: words that it may hold now, where another one would be an action
_FROM = {"schedule": "none|no|off|constant|fixed|", "loss": "mse.*|l2.*", "activation": "sigmoid|tanh"}
_WHY = {
    "use_adamw": "each weight gets steps of its own size",
    "use_sgd_momentum": "steps that carry on in their direction",
    "add_batch_norm": "units that do not saturate pass gradients on",
}
#: evidence below this is none
_SPEAKS = 0.1


class Switch(NamedTuple):
    """One setting that could be another; `like` is the candidate whose evidence counts for it."""

    setting: Setting
    to: Value
    like: str

    @property
    def name(self) -> str:
        return f"{self.setting.key}_{'on' if self.to is True else 'off' if self.to is False else _plain(self.to)}"

    @property
    def title(self) -> str:
        if isinstance(self.to, bool):
            return f"turn {self.setting.name} {'on' if self.to else 'off'}"
        return f"take {self.to} for {self.setting.name}"

    @property
    def risk(self) -> Risk:
        recipe = find_recipe(self.like)
        return recipe.risk if recipe else TUNINGS[self.like][0]

    @property
    def why(self) -> str:
        recipe = find_recipe(self.like)
        if not isinstance(self.to, bool) and self.like in _WHY:
            return _WHY[self.like]
        return recipe.why if recipe else TUNINGS[self.like][1]


def find_switches(situation: Situation) -> Iterator[Switch]:
    """Those that a diagnosis speaks for. One that stands in several places is left alone."""
    for setting, meaning, words in _choices(situation):
        found = _of_flag(setting, meaning) if isinstance(setting.value, bool) else _of_word(setting, meaning, words)
        yield from (s for s in found if _is_alone(s.setting, situation) and _may(s, situation))


def replaced(situation: Situation) -> frozenset[str]:
    """Recipes that would do a second time what a flag or word of the script does, or can do."""
    found = set()
    for setting, meaning, words in _choices(situation):
        if isinstance(setting.value, bool):
            found.add(_ON[meaning])
        known = [*words, setting.value]
        found |= {like for names, like in _WORDS.get(meaning, ()) if any(_matches(names, word) for word in known)}
    return frozenset(found)


def _choices(situation: Situation) -> tuple[tuple[Setting, str, tuple[Value, ...]], ...]:
    try:
        return find_choices(situation.source)
    except InputError:
        return ()


def _of_flag(setting: Setting, meaning: str) -> Iterator[Switch]:
    like = (_OFF if setting.value else _ON).get(meaning)
    if like:
        yield Switch(setting, not setting.value, like)


def _of_word(setting: Setting, meaning: str, words: tuple[Value, ...]) -> Iterator[Switch]:
    """The best word for each candidate that it is like, none where it holds such a word already."""
    if meaning in _FROM and not _matches(_FROM[meaning], setting.value):
        return
    taken = {like for names, like in _WORDS[meaning] if _matches(names, setting.value)}
    for names, like in _WORDS[meaning]:
        word = next((word for word in words if _matches(names, word)), None)
        if word is not None and like not in taken:
            taken.add(like)
            yield Switch(setting, word, like)


def _plain(word: Value) -> str:
    return re.sub(r"[^a-z0-9]+", "_", str(word).casefold())


def _matches(names: str, word: Value) -> bool:
    return re.fullmatch(names, "" if word is None else _plain(word)) is not None


def _is_alone(setting: Setting, situation: Situation) -> bool:
    found = find_settings(situation.source)
    try:
        return choose_setting(found, setting.key) == setting and not duplicates(found, setting)
    except InputError:
        return False


def _may(switch: Switch, situation: Situation) -> bool:
    """No lock stands against what it is like, a diagnosis speaks for it, and it fits the learning rate."""
    recipe = find_recipe(switch.like)
    if recipe and (situation.limits.locked & (recipe.touches | {recipe.id, switch.like})):
        return False
    if recipe and not recipe.suits(situation.measured):
        return False
    rate = situation.measured.number("learning_rate")
    if (switch.like == "use_adamw" and rate and rate > 0.01) or (
        switch.like == "use_sgd_momentum" and rate and rate < 0.005
    ):
        return False
    return any(FOR[f.id].get(switch.like, 0.0) * f.strength >= _SPEAKS for f in situation.findings)
