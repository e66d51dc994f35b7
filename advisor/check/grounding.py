"""Keeps prose to the facts: keys become values, numbers from elsewhere and wrong directions are refused.

A sentence passes or fails as a whole. What fails is rewritten or left out, never repaired: nobody could say what a
repaired sentence meant.
"""

from __future__ import annotations

import re

from progtrain.advisor.interface import Briefing
from progtrain.advisor.prose.phrasing import KEY
from progtrain.advisor.prose.prompts import clean, higher_is_better, signals

#: Sections about what has happened; the others look ahead.
PAST = frozenset({"summary", "deltas", "evidence"})

_UP = "rose rises risen increased increases climbed climbs grew grows higher"
_DOWN = "fell falls fallen decreased decreases dropped drops declined declines shrank shrinks lower"
_GOOD = "improved improves improvement better gained gains gain helped helps beats beat ahead"
_BAD = (
    "loses lost worse worsened worsens regressed regresses regression degraded degrades hurt hurts harm behind"
    " deteriorated"
)
_WORDS = {
    word: kind
    for kind, words in {"up": _UP, "down": _DOWN, "good": _GOOD, "bad": _BAD}.items()
    for word in words.split()
}
_PAST_FORMS = frozenset(
    re.findall(
        r"\w+",
        "rose increased climbed grew fell decreased dropped declined shrank improved gained helped worsened regressed"
        " degraded hurt deteriorated lost",
    )
)
_PAIRS = {
    "went up": "rose",
    "goes up": "rises",
    "went down": "fell",
    "goes down": "falls",
    "paid off": "helped",
    "did harm": "hurt",
}
#: A direction after one of these is not claimed: "should improve", "if it rose", "no better than".
_OPEN = frozenset(
    re.findall(
        r"\w+",
        "should would could may might can cannot will must if whether until unless to expect expected likely without"
        " no not nothing never neither nor rather hardly hopes hope aims than see check verify",
    )
)
_NOISE = re.compile(r"\bnoise\b|contains zero|cannot (?:be told apart|separate)|no evidence")
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*(?:[eE][-+]?\d+)?")
_SPELLED = re.compile(
    r"\b(two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|fifteen|twenty|thirty|forty|fifty|hundreds?"
    r"|thousands?|millions?|dozens?|twice|thrice|\w+fold|doubles?|doubled|tripled?|percent)\b",
    re.IGNORECASE,
)
_BEYOND = re.compile(
    r"(?:beyond|outside|more than|not|clear of|than) (?:the )?noise|noise does not explain|noise between runs"
    r"|excludes zero|little doubt|bootstrap (?:confirms|calls)|\b(?:gain|loss) is real|statistically significant"
)
#: Names that hold a digit and are no numbers.
_NAMES = frozenset({"f1", "r2", "l1", "l2", "f1-score", "f1_score"})
#: Up to so many letters a metric's name is taken for an abbreviation.
_LONGEST_SHORT_NAME = 5
#: Nouns that name a measured figure: which keys may follow them directly.
_NOUNS = {
    "roughness": {"roughness"},
    "gap": {"gap"},
    "epoch": {"best_epoch", "epochs"},
    "width": {"hidden_size"},
    "decay": {"weight_decay"},
    "learning rate": {"learning_rate"},
    "batch size": {"batch_size"},
    "batches": {"batch_size"},
    "dropout rate": {"dropout"},
    "loss": {"train_loss", "val_loss", "final_train_loss", "final_val_loss", "value"},
}
#: What a word says about a figure: the buckets that bear it out.
_QUALITIES = {
    "late_slope": {"flat": {"flat"}, "falling": {"slow", "steady", "steep"}, "fall": {"slow", "steady", "steep"}},
    "roughness": {"smooth": {"smooth", "moderate"}, "rough": {"rough", "moderate"}},
    "gap": {"small": {"none", "small", "moderate"}, "large": {"moderate", "large"}},
    "rise": {"hardly": {"none", "small"}},
}
_NAMED = re.compile(
    rf"\b(?:({'|'.join(_NOUNS)})(?: of| at| near)|(epoch|roughness)(?: now)?) @([a-z][a-z0-9_]*[a-z0-9])"
)
_LITTER = re.compile(r"[*`~#<>{}|\\]|\[/?\w+\]")
#: Facts with a sign of their own: what the words up and down say about them.
_OWN_SIGN = {"rise": "up", "late_slope": "down", "first_drop": "down", "total_drop": "down"}


class Grounding:
    """The facts of one briefing, ready to check sentences against."""

    def __init__(self, briefing: Briefing) -> None:
        self.shown = {fact.key: clean(fact.display) for fact in briefing.facts}
        self._values = {fact.key: fact.value for fact in briefing.facts}
        self._signals = signals(briefing)
        self._higher = higher_is_better(briefing)
        ids = [briefing.version, *(o.id for o in briefing.options), *(t.version for t in briefing.tried)]
        words = [word for text in (*ids, *self.shown.values()) for word in re.findall(r"[\w.-]*[A-Za-z_][\w.-]*", text)]
        self._names = {word.lower().strip(".-") for word in words if any(c.isdigit() for c in word)} | _NAMES
        self._numbers = {number for text in self.shown.values() for number in _NUMBER.findall(text)}

    def tidy(self, sentence: str) -> str:
        """Without Markdown, control tokens and other litter of a model."""
        return " ".join(_LITTER.sub("", clean(sentence, 600)).split()).strip("-• ")

    def problem(self, sentence: str, section: str) -> str | None:
        """Why the sentence (keys still in place) cannot be used; None when it can."""
        if len(sentence) < 3 or not re.search(r"[A-Za-z@]", sentence):
            return "it says nothing"
        if unknown := [key for key in KEY.findall(sentence) if key not in self.shown]:
            return f"it names @{unknown[0]}, which is not among the facts"
        for named, direct, key in _NAMED.findall(sentence):
            if key not in _NOUNS[named or direct]:
                return f"it gives @{key} as {named or direct}"
        if section in PAST and (problem := self._quality_problem(sentence)):
            return problem
        bare = KEY.sub(" ", sentence)
        if "@" in bare:
            return "it holds a stray @"
        return self._number_problem(bare) or self._direction_problem(sentence, section)

    def fill(self, sentence: str) -> str:
        """Keys become values. Only for sentences without a problem."""
        text = KEY.sub(lambda match: self.shown[match[1]], sentence)
        # a display may carry the unit that the sentence adds
        text = re.sub(r"(%|\bms)(\s*)\1", r"\1", text)
        # names such as rmse or v002 keep their small letter
        first = re.match(r"\w+", text)
        keep = sentence[:1] == "@" and not (first and first[0].isalpha() and len(first[0]) > _LONGEST_SHORT_NAME)
        return text if keep else text[:1].upper() + text[1:]

    def foreign_numbers(self, text: str) -> list[str]:
        """Numbers in finished prose that no fact shows."""
        return [number for number in self._literals(text) if number not in self._numbers]

    def _literals(self, text: str) -> list[str]:
        words = re.findall(r"[\w.-]*[A-Za-z_][\w.-]*", text)
        for word in sorted(words, key=len, reverse=True):
            if word.lower().strip(".-") in self._names:
                text = text.replace(word, " ")
        return _NUMBER.findall(text)

    def _number_problem(self, bare: str) -> str | None:
        if wrong := [number for number in self._literals(bare) if number not in self._numbers]:
            return f"the number {wrong[0]} is not among the facts"
        if match := _SPELLED.search(bare):
            return f'"{match[0]}" is a number that no fact shows'
        return None

    def _quality_problem(self, sentence: str) -> str | None:
        words = set(re.findall(r"[a-z]+", KEY.sub(" ", sentence).lower()))
        for key in KEY.findall(sentence):
            bucket = self._signals.get(key, "")
            for word, buckets in _QUALITIES.get(key, {}).items():
                if word in words and bucket and bucket not in buckets:
                    return f'"{word}" contradicts @{key}, which is {bucket.replace("_", " ")}'
        return None

    def _direction_problem(self, sentence: str, section: str) -> str | None:
        words = _claims(sentence)
        if section not in PAST:
            words = [word for word in words if word in _PAST_FORMS]
        elif problem := self._verdict_problem(sentence):
            return problem
        for word in words:
            if problem := self._claim_problem(word, sentence):
                return problem
        return None

    def _claim_problem(self, word: str, sentence: str) -> str | None:
        kind, keys = _WORDS[word], set(KEY.findall(sentence))
        against = _compared(sentence, keys)
        if against is None:
            return self._own_sign_problem(word, kind, keys)
        sign = self._signals.get(f"delta_{against}")
        verdict = self._signals.get(f"verdict_{against}")
        if sign is None and verdict in ("better", "worse") and kind in ("good", "bad"):
            right = (verdict == "better") == (kind == "good")
            return None if right else f'"{word}" contradicts the verdict'
        if sign is None:
            return f'"{word}" compares, and there is nothing to compare with'
        if kind in ("up", "down"):
            return (
                None if sign == {"up": "+", "down": "-"}[kind] else f'"{word}" contradicts the sign of @delta_{against}'
            )
        return self._judgement_problem(word, kind, against, sign, sentence)

    def _verdict_problem(self, sentence: str) -> str | None:
        """Whether what is said about noise agrees with the verdict."""
        lowered = sentence.lower()
        beyond = bool(_BEYOND.search(lowered))
        within = bool(_NOISE.search(lowered)) and not beyond
        against = _compared(sentence, set(KEY.findall(sentence)))
        verdict = self._signals.get(f"verdict_{against}") if against else None
        if beyond and verdict not in ("better", "worse"):
            return "it claims more than noise, and the verdict does not"
        if within and verdict in ("better", "worse"):
            return f'it speaks of noise although the verdict is "{verdict}"'
        return None

    def _judgement_problem(self, word: str, kind: str, against: str, sign: str, sentence: str) -> str | None:
        """Whether "improved" or "worse" is borne out by the sign, the metric's direction and the verdict."""
        verdict = self._signals.get(f"verdict_{against}")
        if verdict == "noise" and not _NOISE.search(sentence):
            return f'"{word}" although the difference is within noise'
        if self._higher is None:
            said = {"better": "good", "worse": "bad"}.get(verdict or "")
        elif sign in ("+", "-"):
            said = "good" if (sign == "+") == self._higher else "bad"
        else:
            said = None
        return None if said == kind else f'"{word}" contradicts @delta_{against}'

    def _own_sign_problem(self, word: str, kind: str, keys: set[str]) -> str | None:
        for key in keys & set(_OWN_SIGN):
            value = self._values.get(key)
            if not isinstance(value, (int, float)) or kind not in ("up", "down"):
                continue
            rises = (value > 0) == (_OWN_SIGN[key] == "up")
            way = "flat" if value == 0 else "up" if rises else "down"
            if kind != way and len(keys & set(_OWN_SIGN)) == 1:
                return f'"{word}" contradicts @{key}'
        return None


def _claims(sentence: str) -> list[str]:
    """The direction words that the sentence asserts."""
    text = sentence.lower()
    for pair, word in _PAIRS.items():
        text = text.replace(pair, word)
    found = []
    for clause in re.split(r"[.;:()]", text):
        words = re.findall(r"@?[a-z_]+", clause)
        for place, word in enumerate(words):
            if word in _WORDS and not _OPEN & set(words[max(0, place - 6) : place]):
                found.append(word)
    return found


def _compared(sentence: str, keys: set[str]) -> str | None:
    """Which earlier version the sentence sets this one against: "previous", "best", or None."""
    if "delta_best" in keys:
        return "best" if "delta_previous" not in keys else "previous"
    if keys & {"delta_previous", "delta_low", "delta_high", "previous_value", "last_action"}:
        return "previous"
    if "previous" in keys and keys & {"version", "value", "metric"}:
        return "previous"
    if keys & {"best", "best_value"}:
        return "best" if keys & {"version", "value"} else None
    if keys & {"version", "metric"} or "last change" in sentence.lower():
        return "previous"
    return None
