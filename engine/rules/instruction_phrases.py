"""Phrases that fix, forbid or single out names, over text in which known names stand as `<0>`, `<1>` ...

Each line of a table is one phrase. Words in capitals stand for the alternatives below, NAMES for a list of
names; brackets make a word optional, `~` is a space within a word. A phrase counts only when the sentence could
end after it: "keep the loss" does, "keep the loss curve smooth" doesn't.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache


def _any(text: str) -> str:
    """Alternatives, separated by commas or lines."""
    words = [word.strip() for word in re.split(r"[,\n]", text) if word.strip()]
    return "(?:" + "|".join(sorted(words, key=len, reverse=True)) + ")"


_DETERMINER = _any(
    """the, a, an, any, our, my, this, that, these, those, current, existing, its, their, your, other
    new, different, another, more, extra, additional, same, given, original, baseline, whole, both
    all, chosen, present, script's, model's, value of, values of, number of, amount of, choice of
    kind of, type of, sort of, use of, kind, type"""
)
_TAIL = _any(
    """setting, settings, value, values, parameter, parameters, hyperparameter, hyperparameters, choice
    type, class, function, itself, code, part"""
)
_NAME = r"<\d+>"
_JOIN = r"(?: ?, (?:and |or |nor )?| and | or | nor | & | / ?| as well as | and also | plus )"
_VALUE = r"(?:[-+]?[\d.][\w.%-]*|true|false|none|[\"'`][^\"'`]*[\"'`]|<\d+>)"
_AT = rf"(?:(?:at|=|==|to|of|on|:) {_VALUE}|= ?{_VALUE})"
_VALUED = rf"{_NAME}(?: ?{_AT})?"

# a list must not be cut short to make the phrase fit: after the next name only a verb may follow
_VERB = _any("may, can, could, should, must, is, are, will, has, have, need, needs, might, to")
_NEW_CLAUSE = rf"(?!(?:and |or |nor )?{_NAME}(?! {_VERB}\b))"
_TRAILING = _any(
    """because, since, as it, as they, at all, please, for now, ever, again, yet, anymore, any more
    in any, under any, either, too, for any, in this, throughout, in all, in every, for all
    for every, of the script, of the model, of the network, of the baseline, from version, during
    across, anywhere, everywhere, in the script, no matter, whatever"""
)
_STOPS = r"\s*$|\s*[.!:()—–]| ?- | ?,\s*$"
_END = rf"(?={_STOPS}| ?, {_NEW_CLAUSE}| (?:and|then|so|while|or) {_NEW_CLAUSE}| {_TRAILING}\b)"

_WORDS = {
    "NAMES": rf"(?P<names>{_NAME}(?:{_JOIN}{_NAME})*)",
    "NAME": rf"(?P<names>{_NAME})",
    "VALUED_NAMES": rf"(?P<names>{_VALUED}(?:{_JOIN}{_VALUED})*)",
    "VALUE": _VALUE,
    "AT": _AT,
    # where a sentence or a new part of it begins
    "LEAD": r"(?:^|(?<=[>\w]) ?, |(?<=[>\w]) and | then )(?:"
    + _any(
        """and, also, so, then, please, always, rule, important, note, remember to, be sure to
        make sure to, make sure you, you, we, i, they, must, should, shall, have to, need to
        want to, want you to, would like to, 'd like to, would like you to, just, in any case, :, -"""
    )
    + r" ?,? ?)*",
    "NOT": r"\b"
    + _any(
        """never, do not, don't, dont, must not, mustn't, must never, may not, may never, should not
        shouldn't, should never, shall not, cannot, can't, can not, not allowed to, not permitted to
        forbidden to, will not, won't, are not to, don't want you to, do not want you to"""
    )
    + r"(?: ?,? (?:ever|please|again|even|also|under any circumstances)(?: ?,)?)?",
    "CHANGE": _any(
        """change, touch, modify, alter, edit, adjust, tune, replace, swap, switch, vary, update, tweak
        retune, override, set, move, mess with, play with, fiddle with, tinker with, experiment with
        deviate from, move away from, switch away from, lower, raise, increase, decrease, reduce
        remove, drop, disable, turn off, make changes to, make any changes to"""
    ),
    "CHANGING": _any(
        """changing, touching, modifying, altering, editing, adjusting, tuning, replacing, swapping
        switching, varying, updating, tweaking, lowering, raising, increasing, decreasing, reducing
        removing, changes to, a change of, a change to, any change to, any changes to
        modifications to, changes in, changes of, change of, change to, tuning of"""
    ),
    "CHANGED": _any(
        """changed, touched, modified, altered, edited, adjusted, tuned, replaced, swapped, varied
        updated, tweaked, removed, raised, increased, lowered, decreased, reduced"""
    ),
    "USE": _any(
        """use, add, try, apply, introduce, enable, turn on, include, insert, put in, activate, employ
        propose, suggest, switch to, switch over to, move to, go for, try out"""
    ),
    "USING": _any("using, adding, trying, applying, introducing, enabling, switching to, moving to, any"),
    "KEEP": _any("keep, keep using, retain, preserve, stick to, stick with, stay with, lock, freeze, pin"),
    "UNCHANGED": _any(
        """fixed, constant, unchanged, untouched, unmodified, frozen, locked, stable, alone, the same
        as is, as it is, as they are, as it was, as they were, as in the baseline, like that
        like this, where it is, where they are, off limits, the way it is, the way they are
        set in stone"""
    ),
    "IS_FIXED": _any("""is, are""")
    + " "
    + _any(
        """fixed, locked, frozen, off limits, set in stone, untouchable, not negotiable, non-negotiable
        read-only, a given, taboo"""
    ),
    "FIXED": _any("fixed, locked, frozen, keep, off limits"),
    "DO_NOT_CHANGE": r"(?:do not|don't|never) (?:change|touch|modify)",
    "MUST": _any("must, should, shall, has to, have to, need to, needs to, is to, are to, will, ought to"),
    "STAY": r"(?:always )?" + _any("stay, remain, be kept, be left, be, stay at, remain at"),
    "MUST_NOT": _any("must, may, should, shall, can, will, is, are") + r"(?: not| never|not|n't)",
    "MAY": _any("may, can, should, must, shall, is allowed to, are allowed to, is to, are to, will"),
    "WITH": rf"(?:from|with|by|for|to) (?:{_VALUE}|{_NAME}|(?:some|any|an)\w+(?: else)?)",
    "EVERYTHING": _any(
        """anything, everything, nothing, all, any setting, any settings, any other setting, anything else
        the rest, all else, everything else, nothing else"""
    ),
    "BUT": _any("except, but, other than, besides, apart from, except for, aside from"),
    "ONLY_THING": "(?:the )?only (?:things?|settings?|parameters?)(?: that)?",
    "STOP": r"\s*[.!]?$",
}


def _found(lines: str, text: str, end: str = _END, needs: str = "") -> Iterator[str]:
    """The lists of names in what a phrase says, one phrase a line.

    `end` is what may follow a phrase; a sentence without one of the words `needs` has none of them.
    """
    for line in lines.strip().splitlines() if re.search(needs, text) else ():
        # a phrase takes long to compile, and most of them lack a word
        if all(_word(token).search(text) for token in line.split() if _is_needed(token)):
            yield from (match["names"] for match in _phrase(line, end).finditer(text))


@cache
def _phrase(line: str, end: str) -> re.Pattern[str]:
    return re.compile(_pattern(line.split()) + end)


@cache
def _word(token: str) -> re.Pattern[str]:
    return re.compile(_spelled(token))


def _is_needed(token: str) -> bool:
    return token not in {"LEAD", "^"} and not token.startswith("[") and "NAMES" not in token


def _spelled(word: str) -> str:
    return re.sub(r"[A-Z_]{2,}", lambda name: _WORDS[name[0]], word).replace("~", " ")


def _pattern(tokens: list[str]) -> str:
    pattern, glue = "", ""
    for token in tokens:
        optional = token.startswith("[")
        word = token[1:-1] if optional else token
        piece = _spelled(word)
        if word not in {"LEAD", "^"}:
            piece = f"(?:{piece})"
        if optional and not glue:
            pattern += f"(?:{piece} )?"
            continue
        pattern += f"(?:{glue}{piece})?" if optional else f"{glue}{piece}"
        glue = "" if word in {"LEAD", "^"} else " "
    return pattern


#: nothing may be made that uses or changes the names
_FORBID = r"""
NOT USE NAMES
NOT NAME
LEAD avoid|no~need~for|refrain~from|stay~away~from|forget~about [USING] NAMES
LEAD [(?:there~)?(?:must|should|shall)~be|with|use|allow|apply] no [use~of] NAMES
^ no NAMES
LEAD no NAMES
^ \w.*(?<=\w)~without [USING] NAMES
^ NAMES is|are forbidden|not~allowed|prohibited|banned|taboo|out~of~the~question
^ NAMES MUST_NOT be used|added|tried|applied
^ (?:not~allowed|forbidden|prohibited|do~not~use|don't~use|never~use|no)~?: NAMES
"""
_FORBIDDING = r"\b(?:not?|never|dont|avoid|without|forbidden|forget|refrain|stay|prohibited|banned|taboo)\b|n't|out of"

#: the names stay as they are
_FIX = r"""
NOT CHANGE NAMES [WITH]
LEAD avoid|refrain~from|stop|no CHANGING NAMES
LEAD no NAMES changes?
without CHANGING NAMES
LEAD KEEP VALUED_NAMES [UNCHANGED] [AT] [UNCHANGED]
LEAD leave|hold NAMES UNCHANGED [AT]
LEAD leave|hold NAMES AT
LEAD fix NAMES at|to VALUE
LEAD hands~off|keep~your~hands~off NAMES
LEAD NAMES [AT] MUST STAY UNCHANGED
LEAD NAMES [AT] MUST STAY VALUE
LEAD NAMES MUST stay|remain|be~kept
LEAD NAMES MUST_NOT (?:to~)?(?:be~CHANGED|change)
LEAD NAMES stays?|remains? UNCHANGED|(?:at~)?VALUE
LEAD NAMES IS_FIXED [AT]
LEAD KEEP UNCHANGED~?:? VALUED_NAMES
^ (?:(?:what|things|settings)~)?(?:to~|MUST~)?(?:keep|be~kept|stays?|remains?)~UNCHANGED~?: VALUED_NAMES
^ (?:FIXED|kept|constant|DO_NOT_CHANGE)~?: VALUED_NAMES
^ fixed NAMES [AT]
^ NAMES UNCHANGED
"""
_FIX_ALONE = r"""
^ NAMES(?:~?[:=]~VALUE)?~?[:(—–-]~?(?:is~|are~)?(?:FIXED|unchanged|must~stay|DO_NOT_CHANGE)\b
"""

#: nothing but the names may change
_EXCLUSIVE = r"\b(?:only|else|nothing|except|but|other|besides|apart|aside)\b"
_ONLY = r"""
LEAD [may|can|are~allowed~to] only [ever] CHANGE NAMES
LEAD CHANGE only NAMES
LEAD allow|make|try|propose|suggest only~changes|changes~only to|of|in NAMES
LEAD only NAMES MAY (?:be~CHANGED|change|vary)
LEAD ONLY_THING (?:you~|we~)?MAY(?:~be)?~(?:CHANGED|CHANGE) is|are NAMES
NOT CHANGE EVERYTHING BUT NAMES
LEAD keep|leave EVERYTHING BUT NAMES [UNCHANGED]
LEAD EVERYTHING BUT NAMES MUST STAY UNCHANGED
LEAD EVERYTHING BUT NAMES stays|remains|is|are UNCHANGED
LEAD CHANGE nothing [else] BUT NAMES
"""
_ONLY_ALONE = r"""
LEAD only(?:~?:)? NAMES(?:~?,?~please)?~?STOP
LEAD CHANGE NAMES~?(?:,|~and)~(?:and~)?(?:nothing|not~anything)~elseSTOP
LEAD CHANGE NAMES onlySTOP
"""


def forbidden(text: str) -> Iterator[str]:
    """Each list of names that nothing may use or change."""
    yield from _found(_FORBID, text, needs=_FORBIDDING)


def fixed(text: str) -> Iterator[str]:
    """Each list of names that stay as they are."""
    yield from _found(_FIX, text)
    yield from _found(_FIX_ALONE, text, end="")


def singled_out(text: str) -> Iterator[str]:
    """Each list of names beside which nothing may change."""
    yield from _found(_ONLY, text, needs=_EXCLUSIVE)
    yield from _found(_ONLY_ALONE, text, end="", needs=_EXCLUSIVE)


#: a wish, a condition or a bound, which no lock can stand for
VETO = re.compile(
    r"\?|\b"
    + _any(
        r"""unless, until, if, whether, maybe, perhaps, ideally, prefer\w*, when, whenever, before
        after, once, where possible, at the same time, together, simultaneously, at once
        in one step, in one go, more than, less than, fewer than, at least, at most, below, above
        under (?!any), over (?!to), exceed, beyond, between, within, too \w+, instead of
        rather than, afraid, hesitate, try to, try not, first, usually, normally, generally
        necessarily, drastically, larger, smaller, longer, shorter, bigger, higher, greater, wider
        deeper, better, worse"""
    )
    + r"\b"
)

_AROUND = re.compile(rf"\b(?:{_DETERMINER} )+(?=<)|(?<=>) {_TAIL}\b(?! ?[<=])")


def plain_names(text: str) -> str:
    """Takes articles and the like away: "the value of the <0>" -> "<0>"."""
    return _AROUND.sub("", text)


#: a bare list of names, as below an opening such as "Do not change:"
MERE_NAMES = re.compile(rf"{_VALUED}(?:{_JOIN}{_VALUED})*(?: \(.*\))?\s*[.!]?")
