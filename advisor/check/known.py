"""Whether a sentence of the hand-written banks is true and in its place for a briefing.

The bundled model learned from these sentences. Most of what it writes is one of them, so its sentence can be held
against what the bank knows about it: when it is true, for which diagnosis, for which candidate, in which section.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import NamedTuple

from progtrain.advisor.interface import Briefing
from progtrain.advisor.prose import wording
from progtrain.advisor.prose.phrasing import holds, spellings
from progtrain.advisor.prose.prompts import signals


class _Place(NamedTuple):
    section: str
    #: a diagnosis, a candidate, a family of candidates, or "" for any
    owner: str
    #: with its conditions
    sentence: str


class Known:
    """The banks, asked about one briefing."""

    def __init__(self, briefing: Briefing) -> None:
        self._signals = signals(briefing)
        self._version = briefing.version
        self._findings = {finding.id for finding in briefing.findings} or {"healthy"}
        brought = [
            _Place(part, option.id, text)
            for option in briefing.options
            for part, sentences in option.sentences.items()
            for text in sentences
        ]
        #: what the options bring along stands before what the banks say
        self._brought = _spelled(brought)

    def problem(self, text: str, section: str, chosen: str = "") -> str | None:
        """None for a sentence that is true here, and for one that the banks do not know."""
        spelled = text.strip().rstrip(".")
        places = [*self._brought.get(spelled, ()), *_index().get(spelled, ())]
        if not places:
            return None
        fitting = [place for place in places if place.section == section]
        if not fitting:
            return f"it belongs under {places[0].section}"
        owners = {"", *self._findings, *((chosen, wording.family(chosen, self._version)) if chosen else ())}
        owned = [place for place in fitting if place.owner in owners]
        if not owned:
            return f"it speaks of {fitting[0].owner}, which the facts do not show"
        return None if any(holds(place.sentence, self._signals) for place in owned) else "it is not true of these facts"


@cache
def _index() -> dict[str, list[_Place]]:
    results = wording.results()
    places = [_Place("summary", "", text) for text in (*results.summary, *results.outlook)]
    places += [_Place("deltas", "", text) for text in (*results.deltas, *results.no_deltas)]
    places += [_Place("evidence", "", text) for text in results.evidence]
    for name, finding in wording.findings().items():
        places += [_Place(part, name, text) for part in finding._fields for text in getattr(finding, part)]
    for name, action in wording.families().items():
        owner = "" if name == "other" else name
        places += [_Place(part, owner, text) for part, sentences in action.items() for text in sentences]
    return _spelled(places)


def _spelled(places: Iterable[_Place]) -> dict[str, list[_Place]]:
    found: dict[str, list[_Place]] = {}
    for place in places:
        for spelled in spellings(place.sentence):
            found.setdefault(spelled.rstrip("."), []).append(place)
    return found
