"""What the user tells the advisor in reviews: remembered for the workspace until it is taken back.

A hint that says "no ..." is not left to the model: the candidates that it speaks of are taken out here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase

from progtrain.advisor.interface import Candidate
from progtrain.engine.analysis.types import Insight, VersionRecord
from progtrain.engine.drafting import history, next_script
from progtrain.engine.errors import InputError
from progtrain.engine.rules import instruction
from progtrain.engine.rules.rules import Rules
from progtrain.engine.script.action.operations import parse_operation
from progtrain.engine.script.names import canonical
from progtrain.engine.workspace import Workspace

_LEADS = r"(?:(?:please|maybe|perhaps|rather|better|now|first|instead|let's|we could|you could) )*"
_VERBS = "try|use|add|test|take|prefer|go for|go with|how about|what about|think of|consider|rather|instead"
#: where somebody goes on to ask: "no schedule, try dropout"; but "do not use, add or try dropout" is all one no
_GOES_ON = (
    "".join(rf"(?<!\b{verb})" for verb in _VERBS.split("|"))
    + rf"(?i:,\s*(?:(?:and|but)\s+)?|\s(?:and|but)\s+)(?={_LEADS}(?:{_VERBS})(?:ing)?\b(?! of\b))"
)
_CLAUSE = re.compile(
    r"[.;!?\n]|,\s*(?=no\b|not\b|but\b|and\b|without\b|please\b)|\b(?:but|and)\s+(?=no\b|not\b|without\b)"
    rf"|{_GOES_ON}",
    re.IGNORECASE,
)
#: Ways to say "no".
_NO = re.compile(
    r"^(?:please |also |again |really |absolutely )*"
    r"(?:no|not|without|skip|avoid|leave out|never|stop|drop"
    r"|(?:do not|don't|never|stop) (?:suggest|propose|try|use|add|choose|pick|recommend|offer)(?:ing)?)\b"
    r"(?: (?:any|the|a|an|more of the|another))?\s+(?P<rest>.+)$",
    re.IGNORECASE,
)
_NOT = re.compile(r"^(?:do not|don't|never)\b")
#: Ways to ask for something.
_YES = re.compile(
    rf"^{_LEADS}(?:{_VERBS})(?:ing)?\b(?: (?:a|an|the|some|with|out))*\s+(?P<rest>.+)$",
    re.IGNORECASE,
)
#: Parts of candidates' names that a person leaves out.
_UNSAID = frozenset({"add", "use", "keep", "up", "down", "schedule", "on", "reduce"})
_UP = r"(?:longer|more|higher|larger|bigger|wider|deeper|stronger|greater|increased|raising|increasing)"
_DOWN = r"(?:shorter|fewer|less|lower|smaller|narrower|shallower|weaker|reduced|lowering|decreasing|halving)"
_WAYS = ("_up", "_down")
_DIRECTED = re.compile(rf"^(?:(?P<up>{_UP})|(?P<down>{_DOWN}))\s+(?P<what>[\w -]+?)(?:\s+(?:please|again|now))?$")
#: What a person calls it -> the subjects of the candidates.
_SUBJECTS = {
    "training": ("epochs",),
    "model": ("hidden_size", "layers"),
    "models": ("hidden_size", "layers"),
    "network": ("hidden_size", "layers"),
    "capacity": ("hidden_size", "layers"),
    "regularisation": ("dropout", "weight_decay", "label_smoothing"),
    "regularization": ("dropout", "weight_decay", "label_smoothing"),
    "steps": ("learning_rate",),
    "batches": ("batch_size",),
}
#: All code edits.
EDITS = "edit_*"
_CODE = re.compile(r"^(?:code|code edits?|code changes?|changes? (?:to|of|in) (?:the )?code|rewrit\w+.*)$")
_BACK = re.compile(r"^(?:undo|undoing|revert\w*|going back|go back|rollback)\b.*$")
_NEVER_BACK = re.compile(r"^(?:do not|don't|never) (?:undo|revert|go back)\b.*$", re.IGNORECASE)


def veto(hint: str) -> tuple[frozenset[str], frozenset[str]]:
    """The settings and the candidates that a hint rules out; none where it rules nothing out, as far as understood."""
    locks: set[str] = set()
    candidates: set[str] = set()
    for clause in _clauses(hint):
        said = _NO.match(clause)
        rest = said["rest"].lower().strip() if said else ""
        if directed := _DIRECTED.match(rest):
            candidates |= set(_directions(directed))
        elif _CODE.match(rest):
            candidates.add(EDITS)
        elif _BACK.match(rest) or _NEVER_BACK.match(clause):
            candidates |= {"undo_*", "back_to_*"}
        else:
            found = instruction.read(f"No {rest}." if said else f"{clause}.")
            locks |= found.locked
            candidates |= set(re.findall(r"\b[a-z]+(?:_[a-z0-9]+)+\b", rest))
    return frozenset(locks), frozenset(candidates)


def wanted(hint: str, candidates: Sequence[str]) -> tuple[str, ...]:
    """Ids of the candidates that a hint asks for: "try dropout", "smaller steps", "how about a cosine schedule"."""
    found: list[str] = []
    for clause in _clauses(hint):
        if _NO.match(clause):
            continue
        said = _YES.match(clause)
        rest = (said["rest"] if said else clause).lower().strip()
        words = set(re.findall(r"[a-z0-9]+", rest))
        if directed := _DIRECTED.match(rest):
            asked = set(_directions(directed))
            found += [name for name in candidates if name in asked]
        elif said:
            found += [name for name in candidates if name in rest.split() or _is_about(name, words)]
        elif not _NOT.match(rest):
            # "keep the best epoch" says all of the name; "keep dropout" is none
            found += [name for name in candidates if set(name.split("_")) <= words]
    return tuple(dict.fromkeys(found))


def _is_about(candidate: str, words: set[str]) -> bool:
    own = set(candidate.split("_")) - _UNSAID
    return bool(own) and own <= words and not candidate.endswith(_WAYS)


def _clauses(hint: str) -> Iterator[str]:
    for part in _CLAUSE.split(hint.replace("’", "'")):
        text = re.sub(r"^(?:(?:but|and|please)\b[ ,]*)+|[ ,]*\bplease$|[ ,:]+$", "", " ".join(part.split()))
        if text:
            yield text


def _directions(directed: re.Match[str]) -> Iterator[str]:
    way = "up" if directed["up"] else "down"
    what = re.sub(r"^(?:the|of the)\s+", "", directed["what"].strip())
    for subject in _SUBJECTS.get(what, (canonical(what),)):
        yield f"{subject}_{way}"
        if way == "up":
            yield f"add_{subject}"


def left_out(ws: Workspace, rules: Rules, insight: Insight, hints: Sequence[str]) -> dict[str, str]:
    """Ids of the candidates that hints rule out, each with the hint."""
    vetoes = {hint: veto(hint) for hint in hints}
    if not any(locks or candidates for locks, candidates in vetoes.values()):
        return {}
    records = history.records(ws, rules, until=insight.version)
    found: dict[str, str] = {}
    for candidate in insight.candidates:
        touched = _touched(ws, rules, insight.version, candidate, records)
        for hint, (locks, names) in vetoes.items():
            if touched & locks or any(fnmatchcase(candidate.id, name) for name in names):
                found.setdefault(candidate.id, hint)
    return found


def _touched(
    ws: Workspace, rules: Rules, version: str, candidate: Candidate, records: Sequence[VersionRecord]
) -> frozenset[str]:
    try:
        return next_script.touches(ws, rules, version, candidate.operation, records, base=candidate.base)
    except InputError:
        # it cannot be applied: whoever plans it will say so
        return frozenset({parse_operation(candidate.operation).describe()})


def told(left: dict[str, str]) -> tuple[str, ...]:
    """A note for each hint that took something out."""
    by_hint: dict[str, list[str]] = {}
    for candidate, hint in left.items():
        by_hint.setdefault(hint, []).append(candidate)
    return tuple(f'left out because of your hint "{hint}": {", ".join(ids)}' for hint, ids in by_hint.items())
