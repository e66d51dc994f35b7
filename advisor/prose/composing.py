"""The bundled model writes along the outline: at each word it may go on with any sentence that is true here.

It learned from these sentences and from little else. Left free it now and then joined halves of two of them, which
read as clumsy or was wrong; here it decides what is said, in which order and in which words, and cannot.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from progtrain.advisor.prose.outline import Part, fresh
from progtrain.advisor.prose.phrasing import spellings

if TYPE_CHECKING:
    from progtrain.advisor.llama.model import Model
    from progtrain.advisor.llama.session import Rng, Session

Tokens = tuple[int, ...]


class Composer:
    """Writes into a session. `said` is called with each line as soon as it stands, keys still in place."""

    def __init__(
        self, model: Model, session: Session, rng: Rng, temperature: float, said: Callable[[str], None]
    ) -> None:
        self._model = model
        self._session = session
        self._rng = rng
        self._temperature = temperature
        self._said = said
        self._end: Tokens = tuple(model.tokens("# choice")[:1])
        #: how likely it was to the model that it would go on with one of the sentences on offer
        self._likely: list[float] = []

    @property
    def familiar(self) -> float:
        """Mean log-probability of the words on offer: near 0 when the model would have written them by itself."""
        return sum(self._likely) / len(self._likely) if self._likely else 0.0

    def lines(self, parts: Sequence[Part], signals: dict[str, str]) -> list[str]:
        """One section, its heading being read already."""
        lines: list[str] = []
        used: list[str] = []
        counts = [0] * len(parts)
        while True:
            choices = self._choices(parts, counts, used, signals)
            if not choices or set(choices) == {self._end}:
                return lines
            tokens = self._follow(list(choices))
            if tokens == self._end:
                return lines
            place, sentence, line = choices[tokens]
            # what comes before a part that has spoken is closed
            counts[:place] = [part.most for part in parts[:place]]
            counts[place] += 1
            used.append(sentence)
            lines.append(line)
            self._said(line)

    def _choices(
        self, parts: Sequence[Part], counts: Sequence[int], used: Sequence[str], signals: dict[str, str]
    ) -> dict[Tokens, tuple[int, str, str]]:
        """What may come next, up to the next part that must speak; the end, if none must."""
        found: dict[Tokens, tuple[int, str, str]] = {}
        for place, part in enumerate(parts):
            if counts[place] >= part.most:
                continue
            left = fresh(part, used)
            for sentence in left:
                for line in spellings(sentence, signals):
                    found.setdefault(tuple(self._model.tokens(f"{line}\n")), (place, sentence, line))
            if left and counts[place] < part.least:
                return found
        return {**found, self._end: (len(parts), "", "")}

    def _follow(self, choices: list[Tokens]) -> Tokens:
        """One of the choices, drawn word by word. The end is decided on but not read: a heading follows."""
        at = fed = 0
        while len(choices) > 1:
            following = sorted({tokens[at] for tokens in choices})
            if len(following) > 1:
                self._session.feed(choices[0][fed:at])
                fed = at
                token, likely = self._session.choose(following, self._rng, self._temperature)
                self._likely.append(likely)
                choices = [tokens for tokens in choices if tokens[at] == token]
            at += 1
        tokens = choices[0]
        if tokens != self._end:
            self._session.feed(tokens[fed:])
            self._session.written += len(tokens)
        return tokens
