"""A text being read and written by a model: read a prompt, write under a grammar, score what could be written next.

Only ever inside the advisor's own process, like `model`. One thread may use a `Session`.
"""

from __future__ import annotations

import codecs
import ctypes
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from progtrain.advisor.interface import Settings
from progtrain.advisor.llama import machine
from progtrain.advisor.llama.model import Grammar, Model, ModelError, lib

#: What words are drawn with.
Rng = np.random.Generator

#: Tokens that are read at once.
BATCH = 512
#: Below this many parameters more threads cost more than they bring.
_SMALL = 50_000_000


class Session:
    """One text being read and written. `alive` is called at each step, for whoever watches the time."""

    def __init__(
        self, model: Model, settings: Settings, context: int, alive: Callable[[], None] = lambda: None
    ) -> None:
        self.model = model
        self._alive = alive
        parameters = lib.llama_context_default_params()
        # never the default of 512: a prompt that does not fit would be refused
        parameters.n_ctx = max(256, context)
        parameters.n_batch = parameters.n_ubatch = BATCH
        threads = settings.threads or default_threads(model.parameters)
        parameters.n_threads = parameters.n_threads_batch = threads
        if model.parameters < _SMALL:
            parameters.flash_attn_type = lib.LLAMA_FLASH_ATTN_TYPE_DISABLED
        parameters.no_perf = True
        self._context = lib.llama_init_from_model(model.handle, parameters)
        if not self._context:
            raise ModelError(f"no room for a context of {parameters.n_ctx} tokens: {model.complaint()}")
        self.context = int(parameters.n_ctx)
        self._memory = lib.llama_get_memory(self._context)
        self._batch = lib.llama_batch_init(BATCH, 0, 1)
        self._row = ctypes.c_float * model.size
        self._one = (lib.llama_token * 1)()
        self.read: list[int] = []
        #: tokens that were written, whether kept or not
        self.written = 0

    def close(self) -> None:
        """Gives the memory back. Nothing may be called after it."""
        lib.llama_batch_free(self._batch)
        lib.llama_free(self._context)

    def feed(self, tokens: Sequence[int], *, all_logits: bool = False) -> None:
        """Reads on from where it stands."""
        if len(self.read) + len(tokens) > self.context:
            raise ModelError(f"the context of {self.context} tokens is full")
        for start in range(0, len(tokens), BATCH):
            self._decode(tokens[start : start + BATCH], all_logits)

    def _decode(self, tokens: Sequence[int], all_logits: bool) -> None:
        if len(tokens) == 1:
            # every field of a batch that is set from here costs: while writing, llama.cpp fills them in itself
            self._one[0] = tokens[0]
            batch = lib.llama_batch_get_one(self._one, 1)
        else:
            batch, at = self._batch, len(self.read)
            batch.n_tokens = len(tokens)
            for i, token in enumerate(tokens):
                batch.token[i] = token
                batch.pos[i] = at + i
                batch.n_seq_id[i] = 1
                batch.seq_id[i][0] = 0
                batch.logits[i] = all_logits or i == len(tokens) - 1
        if code := lib.llama_decode(self._context, batch):
            raise ModelError(f"llama.cpp could not go on reading (code {code})")
        self.read += tokens
        self._alive()

    def rewind(self, length: int) -> None:
        """Forgets what follows the first `length` tokens. The next call must be `feed`."""
        if length >= len(self.read):
            return
        kept = self.read[:length]
        if lib.llama_memory_seq_rm(self._memory, 0, length, -1):
            self.read = kept
            return
        # recurrent models cannot forget a part: read it all again
        lib.llama_memory_clear(self._memory, True)
        self.read = []
        self.feed(kept)

    def logits(self, place: int = -1) -> np.ndarray[Any, Any]:
        """Of the last token read, or of one in the batch just fed with `all_logits`."""
        pointer = lib.llama_get_logits_ith(self._context, place)
        # `as_array` makes a type at each call, which takes longer than a small model's token
        row: Any = self._row.from_address(ctypes.addressof(pointer.contents))
        return np.frombuffer(row, dtype=np.float32)

    def score(self, continuations: Sequence[Sequence[int]]) -> list[float]:
        """Log-probability of each coming next. What was read stays as it was; the next call must be `feed`."""
        length = len(self.read)
        first = _log_softmax(self.logits())
        totals = []
        for tokens in continuations:
            total = float(first[tokens[0]])
            if len(tokens) > 1:
                self.feed(tokens[:-1], all_logits=True)
                for place, token in enumerate(tokens[1:]):
                    total += float(_log_softmax(self.logits(place))[token])
                self.rewind(length)
            totals.append(total)
        return totals

    def choose(self, tokens: Sequence[int], rng: Rng, temperature: float) -> tuple[int, float]:
        """One of these tokens, and the log-probability that the next one is among them. Nothing is read."""
        logits = self.logits().astype(np.float64)
        if not np.isfinite(logits).all():
            raise ModelError("its output is not finite: the weights are damaged")
        offered = logits[list(tokens)]
        likely = float(np.logaddexp.reduce(offered) - np.logaddexp.reduce(logits))
        return tokens[_sample(offered, rng, temperature)], likely

    def write(self, rng: Rng, limit: int, grammar: Grammar | None, temperature: float) -> Iterator[str]:
        """Text, piece by piece, until the model ends, the grammar is done or `limit` tokens are out."""
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        for _ in range(min(limit, self.context - len(self.read))):
            token = self._draw(rng, grammar, temperature)
            if token is None or self.model.ends(token):
                break
            self.feed([token])
            self.written += 1
            if text := decoder.decode(self.model.piece(token)):
                yield text

    def own_loop(self, seed: int, count: int) -> None:
        """llama.cpp's own way to write `count` tokens, as a yardstick: its samplers, and nothing of ours but the calls.

        The end of the text is passed over, so that as many tokens are written as asked for.
        """
        chain = lib.llama_sampler_chain_init(lib.llama_sampler_chain_default_params())
        for sampler in (
            lib.llama_sampler_init_min_p(0.05, 1),
            lib.llama_sampler_init_temp(0.7),
            lib.llama_sampler_init_dist(seed),
        ):
            lib.llama_sampler_chain_add(chain, sampler)
        token = (lib.llama_token * 1)()
        for _ in range(count):
            token[0] = lib.llama_sampler_sample(chain, self._context, -1)
            if code := lib.llama_decode(self._context, lib.llama_batch_get_one(token, 1)):
                raise ModelError(f"llama.cpp could not go on writing (code {code})")
        lib.llama_sampler_free(chain)

    def _draw(self, rng: Rng, grammar: Grammar | None, temperature: float) -> int | None:
        logits = self.logits()
        token = _sample(logits, rng, temperature)
        # a model that wants to end is not made to go on: what it wrote then would be chance
        if grammar is None or self.model.ends(token):
            return token
        # asking about one token is cheap, asking about all of them is not
        if not grammar.allows(token):
            allowed = grammar.allowed(np.arange(len(logits)))
            if not allowed.any():
                return None
            token = _sample(np.where(allowed, logits, -np.inf), rng, temperature)
        grammar.take(token)
        return token


#: What is less likely than a twentieth of the likeliest is not drawn.
_RARE = math.log(0.05)


def _sample(logits: np.ndarray[Any, Any], rng: Rng, temperature: float) -> int:
    """Greedy at temperature 0; else from the tokens that are at least a twentieth as likely as the likeliest."""
    if temperature <= 0:
        return int(logits.argmax())
    top = float(logits.max())
    near = (logits >= top + _RARE).nonzero()[0].tolist()
    # a handful: plain numbers are quicker here than arrays
    weights = [math.exp((value - top) / temperature) for value in logits[near].tolist()]
    left = rng.random() * math.fsum(weights)
    for token, weight in zip(near, weights, strict=True):
        left -= weight
        if left < 0:
            return int(token)
    return int(near[-1])


def _log_softmax(logits: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    shifted = logits.astype(np.float64) - logits.max()
    result: np.ndarray[Any, Any] = shifted - np.log(np.exp(shifted).sum())
    return result


def seeded(seed: int) -> Rng:
    """What words are drawn with: the same seed, the same words."""
    return np.random.default_rng(seed)


def default_threads(parameters: int) -> int:
    """One for a small model: more only wait for each other, above all while something else runs."""
    return 1 if parameters < _SMALL else machine.processors()
