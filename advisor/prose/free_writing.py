"""Lets a model that was not trained on ours write a section freely, and keeps the sentences that hold up.

Each sentence is checked as soon as its section stands; a section with bad sentences is written once more.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence
from typing import Any

from progtrain.advisor.check import known, wellformed
from progtrain.advisor.check.grounding import PAST, Grounding
from progtrain.advisor.interface import Briefing
from progtrain.advisor.llama import grammar
from progtrain.advisor.llama.model import Grammar, Model
from progtrain.advisor.llama.session import Rng, Session
from progtrain.advisor.prose import prompts
from progtrain.advisor.prose.outline import Outline
from progtrain.advisor.prose.phrasing import KEY, same_figures, spell

Emit = Callable[[dict[str, Any]], None]

#: The most lines of a section.
_LINES = {"summary": 4, "deltas": 3, "evidence": 4, "hypotheses": 3, "focus": 3, "goal": 1, "impact": 1, "risk": 1}
_LINE_TOKENS = 60
#: How freely words are drawn, at the first attempt and at the second.
TEMPERATURE = (0.7, 0.3)
#: What a section must name, as far as the facts hold it: a summary without the result is none.
_REQUIRED = {"summary": ("value", "delta_previous"), "deltas": ("delta_previous",)}
#: Sentences to judge a model's writing by.
_ENOUGH = 6
#: Tokens that the choice needs, and without which a section is not begun.
_CHOICE_ROOM, _SECTION_ROOM = 64, 12
#: What the sections are about; a sentence without any of it, and without a key, says nothing here.
_FIELD = re.compile(
    r"loss|train|valid|learn|rate|epoch|gradient|weight|batch|overfit|underfit|capacity|regularis|regulariz|dropout"
    r"|layer|width|depth|schedule|optimi|noise|class|label|feature|input|sample|metric|version|model|baseline|gap"
    r"|compar|step|curve|bootstrap|interval|recall|error|momentum|averag|normalis|normaliz|scal|generalis|generaliz"
    r"|parameter|memori|target|outlier|stop|fit|change",
    re.IGNORECASE,
)


class FreeWriter:
    """Writes on in `session`. `record` gets what the model wrote as it was, `note` what a reader should know."""

    def __init__(
        self,
        model: Model,
        session: Session,
        briefing: Briefing,
        *,
        seed: int,
        rng: Rng,
        emit: Emit,
        record: Callable[[str], None],
        note: Callable[[str], None],
        plain: bool = False,
    ) -> None:
        self._model = model
        self._session = session
        self._seed = seed
        self._rng = rng
        self._emit = emit
        self._record = record
        self._note = note
        self._grounding = Grounding(briefing)
        self._briefing = briefing
        self._outline = Outline(briefing)
        self._plain = plain or model.size > grammar.LARGEST_VOCABULARY
        self._grammars: dict[int, Grammar | None] = {}
        #: section -> what was wrong with what the model wrote for it
        self.missing: dict[str, str] = {}
        #: sentences that were written, and how many of them were refused
        self.offered = self.refused = 0

    def section(self, name: str, chosen: str) -> list[str]:
        """Usable sentences; none when the model wrote none. `chosen` is what is to be tried next, "" while open."""
        return self._completed(name, self._written(name, chosen))

    def problem(self) -> str | None:
        """Why none of it can be trusted, when most of the sentences were refused: what got through was chance."""
        if self.offered < _ENOUGH or self.refused < self.offered / 2:
            return None
        first = next(iter(self.missing.values()), "nonsense")
        return f"{self.refused} of its {self.offered} sentences could not be used (at first: {first})"

    def _written(self, name: str, chosen: str) -> list[str]:
        """Freely, twice at most."""
        start, heading = len(self._session.read), prompts.heading(name)
        kept: list[str] = []
        complaint = "it wrote nothing" if self._free(name) else "no room was left in its context"
        for temperature in TEMPERATURE if self._free(name) else ():
            self._session.rewind(start)
            self._session.feed(self._model.tokens(heading))
            good, problem = self._sorted_out(self._lines(name, temperature), name, chosen)
            complaint = problem or complaint
            kept = max((kept, good), key=len)
            if good and not problem:
                break
        self._stand_on(start, heading, kept)
        if not kept:
            self.missing[name] = complaint
        return kept

    def _completed(self, name: str, kept: list[str]) -> list[str]:
        """With a sentence of the rules in front, where what the section must name is not named."""
        wanted = set(_REQUIRED.get(name, ())) & set(self._outline.signals)
        if not kept or wanted <= {key for line in kept for key in KEY.findall(line)}:
            return kept
        parts = self._outline.parts(name)
        fitting = [text for text in parts[0].sentences if wanted <= set(KEY.findall(text))] if parts else []
        if not fitting:
            return kept
        rng = random.Random(self._seed)
        return [spell(rng.choice(fitting), self._outline.signals, rng), *kept]

    def _lines(self, name: str, temperature: float) -> list[str]:
        most = _LINES.get(name, 1)
        text = held = ""
        limit = min(_LINE_TOKENS * most, self._free(name))
        for piece in self._session.write(self._rng, limit, self._grammar(most), temperature):
            text += piece
            part, held = shown(held + piece.split(grammar.END)[0], self._grounding.shown)
            if part:
                self._emit({"event": "text", "text": part})
            if _done(text, most):
                break
        self._record(f"{prompts.heading(name)}{text}")
        body, _, _ = text.partition(grammar.END)
        complete = body.splitlines()
        if not body.endswith("\n") and complete and not re.search(r"[.!?]$", complete[-1]) and name != "focus":
            # cut off by the limit
            complete = complete[:-1]
        tidy = (self._grounding.tidy(line) for line in complete)
        return list(dict.fromkeys(line for line in tidy if line))[:most]

    def _free(self, name: str) -> int:
        """Tokens that this section may take, so that some are left for those that follow; 0 for too few."""
        order = (*prompts.BEFORE, *prompts.AFTER)
        left = self._session.context - len(self._session.read)
        left -= _CHOICE_ROOM if name in prompts.BEFORE else 0
        share = 2 * left // (len(order) - order.index(name) + 1)
        return share if share >= _SECTION_ROOM else 0

    def _sorted_out(self, lines: Sequence[str], name: str, chosen: str) -> tuple[list[str], str | None]:
        """The usable lines, and what was wrong with the first of the others."""
        good: list[str] = []
        problem: str | None = None
        for line in lines:
            phrase = name == "focus"
            wrong = wellformed.problem(line, phrase=phrase) or self._grounding.problem(line, name)
            wrong = wrong or (None if phrase else _unfinished(line)) or _aside(line)
            wrong = wrong or known.problem(line, name, self._briefing, chosen)
            problem = problem or wrong
            self.offered += 1
            self.refused += wrong is not None
            if not wrong and not (name in PAST and any(same_figures(line, other) for other in good)):
                good.append(line)
        if name in ("summary", "evidence") and good and not any(KEY.search(line) for line in good):
            self.refused += len(good)
            return [], "it rests on no fact"
        return good, problem

    def _stand_on(self, start: int, heading: str, kept: list[str]) -> None:
        """Later sections follow on what was kept, not on what was refused."""
        self._session.rewind(start)
        if kept:
            self._session.feed(self._model.tokens(heading + "".join(f"{line}\n" for line in kept)))

    def _grammar(self, lines: int) -> Grammar | None:
        if self._plain:
            return None
        if lines not in self._grammars:
            self._grammars[lines] = self._tried_grammar(lines)
        found = self._grammars[lines]
        if found:
            found.restart()
        return found

    def _tried_grammar(self, lines: int) -> Grammar | None:
        found = self._model.grammar(grammar.section(lines))
        if found and self._as_meant(found):
            return found
        self._note("the grammar failed its own test with this vocabulary: the model wrote without it")
        self._plain = True
        return None

    def _as_meant(self, rules: Grammar) -> bool:
        accepted = [grammar.follows(rules, self._model.tokens(text)) for text in grammar.ACCEPT]
        return all(accepted) and not any(grammar.follows(rules, self._model.tokens(text)) for text in grammar.REFUSE)


def shown(text: str, values: dict[str, str]) -> tuple[str, str]:
    """Text for the eye while it is written, keys being values, and the end of it that may be part of a key yet."""
    unfinished = re.search(r"@[a-z0-9_]*$", text)
    cut = unfinished.start() if unfinished else len(text)
    return KEY.sub(lambda match: values.get(match[1], match[0]), text[:cut]), text[cut:]


def _done(text: str, lines: int) -> bool:
    """Whether the section is over: the next heading's mark, or enough lines."""
    return grammar.END in text or text.lstrip("\n").count("\n") >= lines


def _unfinished(line: str) -> str | None:
    return None if re.search(r"[.!?][\"')]*$", line) else "it has no end"


def _aside(line: str) -> str | None:
    return None if KEY.search(line) or _FIELD.search(line) else "it is not about the training"
