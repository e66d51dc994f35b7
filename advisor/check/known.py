"""Whether a sentence of the hand-written banks is true and in its place for a briefing.

The bundled model learned from these sentences. Most of what it writes is one of them, so its sentence can be held
against what the bank knows about it: when it is true, for which diagnosis, for which candidate, in which section.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache

from progtrain.advisor.interface import Briefing
from progtrain.advisor.prose import wording
from progtrain.advisor.prose.phrasing import holds, spellings
from progtrain.advisor.prose.prompts import signals

#: section; a diagnosis, a candidate, a family of candidates, or "" for any; the sentence with its conditions
_Place = tuple[str, str, str]


def problem(text: str, section: str, briefing: Briefing, chosen: str = "") -> str | None:
    """None for a sentence that is true here, and for one that the banks do not know."""
    spelled = text.strip().rstrip(".")
    brought = _spelled(
        (part, o.id, line) for o in briefing.options for part in o.sentences for line in o.sentences[part]
    )
    # what the options bring along stands before what the banks say
    places = [*brought.get(spelled, ()), *_index().get(spelled, ())]
    if not places:
        return None
    fitting = [(owner, sentence) for part, owner, sentence in places if part == section]
    if not fitting:
        return f"it belongs under {places[0][0]}"
    findings = {finding.id for finding in briefing.findings} or {"healthy"}
    owners = {"", *findings, *((chosen, wording.family(chosen, briefing.version)) if chosen else ())}
    owned = [sentence for owner, sentence in fitting if owner in owners]
    if not owned:
        return f"it speaks of {fitting[0][0]}, which the facts do not show"
    found = signals(briefing)
    return None if any(holds(sentence, found) for sentence in owned) else "it is not true of these facts"


@cache
def _index() -> dict[str, list[_Place]]:
    places: list[_Place] = []
    for part, texts in wording.results().items():
        section = {"outlook": "summary", "no_deltas": "deltas"}.get(part, part)
        places += [(section, "", text) for text in texts]
    for name, parts in (*wording.findings().items(), *wording.families().items()):
        owner = "" if name == "other" else name
        places += [(part, owner, text) for part, texts in parts.items() for text in texts]
    return _spelled(places)


def _spelled(places: Iterable[_Place]) -> dict[str, list[_Place]]:
    found: dict[str, list[_Place]] = {}
    for place in places:
        for spelled in spellings(place[2]):
            found.setdefault(spelled.rstrip("."), []).append(place)
    return found
