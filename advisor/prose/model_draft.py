"""Writes a draft with a model, section by section: prose first, then the choice, then what follows from it.

The bundled model writes along the outline (`composing`), and is asked for its choice straight after the briefing, where
it chooses better than after its own prose (models/README.md). Any other writes freely, and each sentence is checked as
soon as its section stands: a section with bad sentences is written once more; what is still missing then comes from the
rules, and a note says so.
"""

from __future__ import annotations

import random
import re
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from progtrain.advisor import ranking
from progtrain.advisor.check import wellformed
from progtrain.advisor.check.grounding import PAST, Grounding
from progtrain.advisor.check.known import Known
from progtrain.advisor.interface import Briefing, Draft, Ranked, Settings
from progtrain.advisor.llama import chat, grammar
from progtrain.advisor.llama.model import Grammar, Model, ModelError
from progtrain.advisor.llama.session import Session, seeded
from progtrain.advisor.prose import instruct, prompts, rules_draft, subjects
from progtrain.advisor.prose.composing import Composer
from progtrain.advisor.prose.outline import Outline
from progtrain.advisor.prose.phrasing import KEY, same_figures, spell

Emit = Callable[[dict[str, Any]], None]

#: The most lines of a section.
_LINES = {"summary": 4, "deltas": 3, "evidence": 4, "hypotheses": 3, "focus": 3, "goal": 1, "impact": 1, "risk": 1}
_LINE_TOKENS = 60
#: How freely words are drawn, at the first attempt and at the second.
_TEMPERATURE = (0.7, 0.3)
#: What a section must name, as far as the facts hold it: a summary without the result is none.
_REQUIRED = {"summary": ("value", "delta_previous"), "deltas": ("delta_previous",)}
#: Mean log-probability of the words on offer below which the bundled model is not itself; sound, it has -0.2 to -1.
_STRANGE = -3.0
#: Sentences to judge a model's writing by.
_ENOUGH = 6
#: Tokens kept free for the answer of the bundled model, and the least that it can do with.
_ROOM, _LEAST_ROOM = 512, 64
#: Tokens that the choice needs, and without which a section is not begun.
_CHOICE_ROOM, _SECTION_ROOM = 64, 12


class _Way(NamedTuple):
    """One way to put the briefing to a model that was not trained on ours."""

    example: bool
    short: bool
    options: int
    #: facts that must be left
    facts: int
    #: tokens that must be free for the answer
    room: int


_ALL = 1000
#: From the whole briefing to what fits into 1024 tokens, the least important going first.
_WAYS = (
    _Way(example=True, short=False, options=prompts.OFFERED, facts=_ALL, room=1024),
    _Way(example=False, short=False, options=prompts.OFFERED, facts=_ALL, room=1024),
    _Way(example=False, short=False, options=prompts.OFFERED, facts=24, room=640),
    _Way(example=False, short=True, options=prompts.OFFERED, facts=16, room=512),
    _Way(example=False, short=True, options=6, facts=12, room=448),
    _Way(example=False, short=True, options=6, facts=6, room=384),
)
#: What the sections are about; a sentence without any of it, and without a key, says nothing here.
_FIELD = re.compile(
    r"loss|train|valid|learn|rate|epoch|gradient|weight|batch|overfit|underfit|capacity|regularis|regulariz|dropout"
    r"|layer|width|depth|schedule|optimi|noise|class|label|feature|input|sample|metric|version|model|baseline|gap"
    r"|compar|step|curve|bootstrap|interval|recall|error|momentum|averag|normalis|normaliz|scal|generalis|generaliz"
    r"|parameter|memori|target|outlier|stop|fit|change",
    re.IGNORECASE,
)
_TITLES = {"deltas": "metric deltas", "focus": "next focus", "impact": "expected impact"}


class Unusable(Exception):
    """The model gave nothing that could be used; the text says what was wrong with it."""


class Drafter:
    """One draft. `emit` gets the events of the stream."""

    def __init__(
        self, model: Model, briefing: Briefing, settings: Settings, emit: Emit, *, plain: bool = False
    ) -> None:
        self._model = model
        self._settings = settings
        self._emit = emit
        self._native = model.meta(prompts.FORMAT_KEY) == str(prompts.FORMAT)
        self._notes: list[str] = []
        self._raw: list[str] = []
        self._seconds: dict[str, float] = {}
        self._rng = seeded(settings.seed)
        # far down the rules' ranking lies what hardly anybody would try next
        briefing = briefing.model_copy(update={"options": prompts.offered(briefing)})
        self._briefing, self._prompt = self._fitted(briefing)
        self._grounding = Grounding(self._briefing)
        self._known = Known(self._briefing)
        self._outline = Outline(self._briefing)
        #: section -> what was wrong with what the model wrote for it
        self._missing: dict[str, str] = {}
        self._disagreement: str | None = None
        self._chosen = ""
        self._plain = plain or model.size > grammar.LARGEST_VOCABULARY
        self._grammars: dict[int, Grammar | None] = {}
        self._usable = 0
        #: sentences that were written freely, and how many of them were refused
        self._offered = self._refused = 0

    def write(self, author: str, sha256: str) -> Draft:
        """Raises `Unusable` when no section before the choice held up, `ModelError` when the model cannot go on."""
        self._session = self._open()
        self._composer = Composer(self._model, self._session, self._rng, _TEMPERATURE[0], self._said)
        try:
            return self._write(author, sha256)
        finally:
            self._session.close()

    def _write(self, author: str, sha256: str) -> Draft:
        started = time.monotonic()
        self._session.feed(self._prompt.tokens)
        self._clock("read", started)
        ranked = self._rank() if self._native else ()
        sections = self._sections(prompts.BEFORE)
        if self._native and self._composer.familiar < _STRANGE:
            raise Unusable("the sentences that it was trained on are strange to it: the weights are damaged")
        if not self._usable:
            raise Unusable(f"it wrote nothing usable ({'; '.join(dict.fromkeys(self._missing.values()))})")
        if self._offered >= _ENOUGH and self._refused >= self._offered / 2:
            # what got through was chance: such a model has no say in the choice either
            first = next(iter(self._missing.values()), "nonsense")
            raise Unusable(f"{self._refused} of its {self._offered} sentences could not be used (at first: {first})")
        ranked = ranked or self._rank()
        self._put_down(ranked)
        sections |= self._sections(prompts.AFTER if ranked else ())
        sections = self._filled(self._consistent(sections))
        self._tell_what_is_missing()
        return Draft(
            author=author,
            model_sha256=sha256,
            chosen=self._chosen,
            ranking=ranked,
            prose=rules_draft.prose(sections),
            notes=tuple(dict.fromkeys(self._notes)),
            disagreement=self._disagreement,
            prompt=self._prompt.text,
            raw="".join(self._raw),
            seed=self._settings.seed,
            seconds={name: round(value, 4) for name, value in self._seconds.items()},
        )

    @property
    def tokens(self) -> tuple[int, int]:
        """Read in the prompt, and written."""
        return len(self._prompt.tokens), self._session.written

    def _fitted(self, briefing: Briefing) -> tuple[Briefing, chat.Prompt]:
        """Says less, the least important first, until prompt and answer fit into the context."""
        limit = self._settings.context_tokens or self._model.trained_context
        fitted, asked, told, room = (self._own_way if self._native else self._some_way)(briefing, limit)
        if len(asked.tokens) + room > limit:
            need = f"{len(asked.tokens)} tokens, and {room} for the answer"
            raise ModelError(f"a context of {limit} tokens is too small for the briefing ({need})")
        if told:
            self._note(f"{told} to fit {limit} tokens of context")
        if asked.note:
            self._note(asked.note)
        return fitted, asked

    def _own_way(self, briefing: Briefing, limit: int) -> tuple[Briefing, chat.Prompt, str, int]:
        """As the bundled model was trained: facts alone are left out."""

        def ask(shorter: Briefing) -> chat.Prompt:
            return chat.prompt(self._model, [{"role": "user", "content": prompts.render(shorter)}])

        fitted, dropped = prompts.shorten(briefing, lambda b: len(ask(b).tokens) + _ROOM <= limit)
        return fitted, ask(fitted), _left_out(dropped), _LEAST_ROOM

    def _some_way(self, briefing: Briefing, limit: int) -> tuple[Briefing, chat.Prompt, str, int]:
        for way in _WAYS:
            fewer = briefing.model_copy(update={"options": prompts.offered(briefing, way.options)})

            def ask(shorter: Briefing, way: _Way = way) -> chat.Prompt:
                return chat.prompt(self._model, instruct.messages(shorter, example=way.example, short=way.short))

            def fits(shorter: Briefing, way: _Way = way) -> bool:
                return len(ask(shorter, way).tokens) + way.room <= limit

            fitted, dropped = prompts.shorten(fewer, fits, way.facts)
            if fits(fitted):
                break
        told = _left_out(dropped)
        if way.short:
            told = ", ".join(filter(None, ("meanings and reasons were left out", told)))
            gone = len(briefing.options) - len(fitted.options)
            told += f", and {gone} of the candidates are not in the choice" if gone else ""
        return fitted, ask(fitted), told, way.room

    def _open(self) -> Session:
        need = len(self._prompt.tokens) + (_ROOM if self._native else _WAYS[0].room)
        context = self._settings.context_tokens or min(self._model.trained_context, -(-need // 256) * 256)
        return Session(self._model, self._settings, context, lambda: self._emit({"event": "alive"}))

    def _sections(self, names: Sequence[str]) -> dict[str, list[str]]:
        started = time.monotonic()
        written = {name: self._section(name) for name in names}
        self._clock("write", started)
        return written

    def _section(self, name: str) -> list[str]:
        """Finished sentences; none when the model wrote nothing usable."""
        self._emit({"event": "section", "name": name})
        kept = self._composed(name) if self._native else self._completed(name, self._written(name))
        self._usable += bool(kept)
        finished = [self._grounding.fill(line) for line in kept]
        if kept:
            self._emit({"event": "sentences", "name": name, "lines": finished})
        return finished

    def _composed(self, name: str) -> list[str]:
        heading = prompts.heading(name)
        self._session.feed(self._model.tokens(heading))
        lines = self._composer.lines(self._outline.parts(name, self._chosen), self._outline.signals)
        self._raw.append(heading + "".join(f"{line}\n" for line in lines))
        return lines

    def _written(self, name: str) -> list[str]:
        """Freely, twice at most."""
        start, heading = len(self._session.read), prompts.heading(name)
        kept: list[str] = []
        complaint = "it wrote nothing" if self._free(name) else "no room was left in its context"
        for temperature in _TEMPERATURE if self._free(name) else ():
            self._session.rewind(start)
            self._session.feed(self._model.tokens(heading))
            good, problem = self._sorted_out(self._lines(name, temperature), name)
            complaint = problem or complaint
            kept = max((kept, good), key=len)
            if good and not problem:
                break
        self._stand_on(start, heading, kept)
        if not kept:
            self._missing[name] = complaint
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
        rng = random.Random(self._settings.seed)
        return [spell(rng.choice(fitting), self._outline.signals, rng), *kept]

    def _lines(self, name: str, temperature: float) -> list[str]:
        most = _LINES.get(name, 1)
        shown = Shown(self._grounding.shown)
        text = ""
        limit = min(_LINE_TOKENS * most, self._free(name))
        for piece in self._session.write(self._rng, limit, self._grammar(most), temperature):
            text += piece
            if part := shown.add(piece.split(grammar.END)[0]):
                self._emit({"event": "text", "text": part})
            if _done(text, most):
                break
        self._raw.append(f"{prompts.heading(name)}{text}")
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

    def _sorted_out(self, lines: Sequence[str], name: str) -> tuple[list[str], str | None]:
        """The usable lines, and what was wrong with the first of the others."""
        good: list[str] = []
        problem: str | None = None
        for line in lines:
            phrase = name == "focus"
            wrong = wellformed.problem(line, phrase=phrase) or self._grounding.problem(line, name)
            wrong = wrong or (None if phrase else _unfinished(line)) or _aside(line)
            wrong = wrong or self._known.problem(line, name, self._chosen)
            problem = problem or wrong
            self._offered += 1
            self._refused += wrong is not None
            if not wrong and not (name in PAST and any(same_figures(line, other) for other in good)):
                good.append(line)
        if name in ("summary", "evidence") and good and not any(KEY.search(line) for line in good):
            self._refused += len(good)
            return [], "it rests on no fact"
        return good, problem

    def _stand_on(self, start: int, heading: str, kept: list[str]) -> None:
        """Later sections follow on what was kept, not on what was refused."""
        self._session.rewind(start)
        if kept:
            self._session.feed(self._model.tokens(heading + "".join(f"{line}\n" for line in kept)))

    def _rank(self) -> tuple[Ranked, ...]:
        """Every option scored as if the choice came next; what was read stays as it was."""
        if not self._briefing.options:
            return ()
        started, length = time.monotonic(), len(self._session.read)
        ids = [option.id for option in prompts.by_rank(self._briefing)]
        self._session.feed(self._model.tokens(prompts.heading(prompts.CHOICE)))
        scores = self._session.score([self._model.tokens(f"{option}\n") for option in ids])
        self._session.rewind(length)
        ranked = ranking.combined(self._briefing, dict(zip(ids, scores, strict=True)))
        self._chosen = ranked[0].id
        self._disagreement = ranking.disagreement(self._briefing, ranked)
        self._clock("rank", started)
        return ranked

    def _put_down(self, ranked: tuple[Ranked, ...]) -> None:
        """Writes the choice where it stands in the draft."""
        if ranked:
            heading, line = prompts.heading(prompts.CHOICE), f"{self._chosen}\n"
            self._emit({"event": "section", "name": prompts.CHOICE})
            # the very tokens that were scored
            self._session.feed([*self._model.tokens(heading), *self._model.tokens(line)])
            self._raw.append(heading + line)
            self._emit({"event": "text", "text": line})

    def _consistent(self, sections: dict[str, list[str]]) -> dict[str, list[str]]:
        """Without hypotheses that speak against the choice, where that was made after them."""
        lines = sections["hypotheses"]
        kept = [line for line in lines if not subjects.contradicts(line, self._chosen)]
        return {**sections, "hypotheses": kept}

    def _tell_what_is_missing(self) -> None:
        if self._missing:
            names = ", ".join(_TITLES.get(name, name) for name in self._missing)
            first = next(iter(self._missing.values()))
            self._note(f"drafted by the rules, since the model wrote nothing usable there: {names} (at first: {first})")

    def _filled(self, sections: dict[str, list[str]]) -> dict[str, list[str]]:
        spare = rules_draft.sections(self._briefing, self._chosen, seed=self._settings.seed)
        result = {}
        for name in (*prompts.BEFORE, *prompts.AFTER):
            lines = sections.get(name) or spare[name]
            # the last word: whatever wrote it, a number that no fact shows does not pass
            clean = [line for line in lines if not self._grounding.foreign_numbers(line)]
            result[name] = clean or [rules_draft.LAST_RESORT[name]]
        return result

    def _said(self, line: str) -> None:
        self._emit({"event": "text", "text": self._grounding.fill(line) + "\n"})

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

    def _note(self, text: str) -> None:
        self._notes.append(text)
        self._emit({"event": "note", "text": text})

    def _clock(self, part: str, started: float) -> None:
        self._seconds[part] = self._seconds.get(part, 0.0) + time.monotonic() - started


class Shown:
    """Text for the eye while it is written: keys become values as soon as they are complete."""

    def __init__(self, values: dict[str, str]) -> None:
        self._values = values
        self._held = ""

    def add(self, piece: str) -> str:
        text = self._held + piece
        unfinished = re.search(r"@[a-z0-9_]*$", text)
        cut = unfinished.start() if unfinished else len(text)
        self._held = text[cut:]
        return KEY.sub(lambda match: self._values.get(match[1], match[0]), text[:cut])


def _left_out(dropped: int) -> str:
    return f"{dropped} of the less important facts were left out" if dropped else ""


def _done(text: str, lines: int) -> bool:
    """Whether the section is over: the next heading's mark, or enough lines."""
    return grammar.END in text or text.lstrip("\n").count("\n") >= lines


def _unfinished(line: str) -> str | None:
    return None if re.search(r"[.!?][\"')]*$", line) else "it has no end"


def _aside(line: str) -> str | None:
    return None if KEY.search(line) or _FIELD.search(line) else "it is not about the training"
