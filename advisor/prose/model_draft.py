"""Writes a draft with a model, section by section: prose first, then the choice, then what follows from it.

The bundled model writes along the outline (`composing`), and is asked for its choice straight after the briefing, where
it chooses better than after its own prose (models/README.md). Any other writes freely, and each sentence is checked as
soon as its section stands: a section with bad sentences is written once more; what is still missing then comes from the
rules, and a note says so.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from progtrain.advisor import ranking
from progtrain.advisor.check.grounding import Grounding
from progtrain.advisor.interface import Briefing, Draft, Ranked, Settings
from progtrain.advisor.llama.model import Model, ModelError
from progtrain.advisor.llama.session import Session, seeded
from progtrain.advisor.prose import fitting, prompts, rules_draft, subjects
from progtrain.advisor.prose.composing import Composer
from progtrain.advisor.prose.free_writing import TEMPERATURE, Emit, FreeWriter
from progtrain.advisor.prose.outline import Outline

#: Mean log-probability of the words on offer below which the bundled model is not itself; sound, it has -0.2 to -1.
_STRANGE = -3.0
_TITLES = {"deltas": "metric deltas", "focus": "next focus", "impact": "expected impact"}


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
        limit = settings.context_tokens or model.trained_context
        self._briefing, self._prompt, notes = fitting.fit(model, briefing, limit, native=self._native)
        for note in notes:
            self._note(note)
        self._grounding = Grounding(self._briefing)
        self._outline = Outline(self._briefing)
        self._disagreement: str | None = None
        self._chosen = ""
        self._plain = plain
        self._usable = 0

    def write(self, author: str, sha256: str) -> Draft:
        """Raises `ModelError` when no section before the choice held up, or the model cannot go on."""
        self._session = self._open()
        self._composer = Composer(self._model, self._session, self._rng, TEMPERATURE[0], self._said)
        self._writer = FreeWriter(
            self._model,
            self._session,
            self._briefing,
            seed=self._settings.seed,
            rng=self._rng,
            emit=self._emit,
            record=self._raw.append,
            note=self._note,
            plain=self._plain,
        )
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
            raise ModelError("the sentences that it was trained on are strange to it: the weights are damaged")
        if not self._usable:
            raise ModelError(f"it wrote nothing usable ({'; '.join(dict.fromkeys(self._writer.missing.values()))})")
        if problem := self._writer.problem():
            # such a model has no say in the choice either
            raise ModelError(problem)
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

    def _open(self) -> Session:
        need = len(self._prompt.tokens) + fitting.room_for_answer(native=self._native)
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
        kept = self._composed(name) if self._native else self._writer.section(name, self._chosen)
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
        kept = [line for line in lines if not subjects.contradicts(line, self._outline.acts(self._chosen))]
        return {**sections, "hypotheses": kept}

    def _tell_what_is_missing(self) -> None:
        if self._writer.missing:
            names = ", ".join(_TITLES.get(name, name) for name in self._writer.missing)
            first = next(iter(self._writer.missing.values()))
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

    def _note(self, text: str) -> None:
        self._notes.append(text)
        self._emit({"event": "note", "text": text})

    def _clock(self, part: str, started: float) -> None:
        self._seconds[part] = self._seconds.get(part, 0.0) + time.monotonic() - started
