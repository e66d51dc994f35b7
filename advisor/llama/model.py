"""llama.cpp, as far as a draft needs it: read a prompt, write under a grammar, score what could be written next.

The only module that imports llama_cpp, and only ever inside the advisor's own process: loading redirects file
descriptors, and a broken file can end the process. One thread may use a `Model`; nothing may fork after loading.
"""

from __future__ import annotations

import codecs
import ctypes
import math
import os
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from llama_cpp import llama_cpp as _untyped

from progtrain.advisor.interface import Settings
from progtrain.advisor.llama import machine

_c: Any = _untyped

#: What words are drawn with.
Rng = np.random.Generator

#: Tokens that are read at once.
BATCH = 512
#: Smaller files are read into memory: a mapped file that shrinks while in use ends the process.
_MAPPED_FROM = 256 * 2**20
#: Below this many parameters more threads cost more than they bring.
_SMALL = 50_000_000

_FILE_TYPES = {
    0: "f32",
    1: "f16",
    32: "bf16",
    2: "q4_0",
    3: "q4_1",
    7: "q8_0",
    8: "q5_0",
    9: "q5_1",
    10: "q2_k",
    11: "q3_k_s",
    12: "q3_k_m",
    13: "q3_k_l",
    14: "q4_k_s",
    15: "q4_k_m",
    16: "q5_k_s",
    17: "q5_k_m",
    18: "q6_k",
}

#: ggml_log_level
_DEBUG, _WARN, _ERROR = 1, 3, 4
#: ggml_backend_dev_type
_GPU = 1
#: llama_token_data
_FORBIDDEN = -1e30
_CANDIDATE = np.dtype([("id", np.int32), ("logit", np.float32), ("p", np.float32)])


#: What llama.cpp says -> what a person should know.
_MEANINGS = (
    ("CLIP cannot be used", "it is the part of a model that reads pictures, not a language model"),
    ("unknown model architecture", "it is no language model that this llama.cpp knows"),
    ("'token_embd.weight' not found", "it has no weights: a vocabulary alone, or something else than a language model"),
)


class ModelError(Exception):
    """The file cannot be used as a model; the text says why."""


class Log:
    """What llama.cpp says while it works: kept for the reason of a failure, written to the process's stderr."""

    def __init__(self) -> None:
        self._warnings: list[str] = []
        self._errors: list[str] = []
        # kept alive here: llama.cpp holds only the pointer
        self._callback = _c.llama_log_callback(self._take)
        _c.llama_log_set(self._callback, ctypes.c_void_p(0))

    def _take(self, level: int, text: bytes, _: object) -> None:
        if level == _DEBUG:
            # hundreds of lines about the graph, at each start of a session
            return
        line = text.decode("utf-8", "replace")
        if level in (_WARN, _ERROR):
            (self._errors if level == _ERROR else self._warnings).append(line.strip())
        os.write(2, line.encode("utf-8", "replace"))

    def reason(self) -> str:
        """What llama.cpp complained about first."""
        told = [line for line in (*self._errors, *self._warnings) if "failed to load model" not in line]
        # "llama_model_load: error loading model: ..."
        said = re.sub(r"^(\w+: )+(error loading model: )?", "", told[0]) if told else "llama.cpp gave no reason"
        meant = next((meaning for words, meaning in _MEANINGS if words in said), None)
        return f"{meant} ({said})" if meant else said


class Model:
    """Weights and vocabulary of one file.

    Raises `ModelError` for a file that llama.cpp refuses, or that it takes but that cannot be written with.
    """

    def __init__(self, path: Path, *, gpu_layers: int | None = 0, alive: Callable[[], None] = lambda: None) -> None:
        self.log = Log()
        _c.llama_backend_init()
        size = path.stat().st_size
        self.gpu_layers = machine.layers_on_gpu(gpu_layers, size, _graphics_memory())
        # layers that lie on the GPU take no memory here
        if self.gpu_layers == 0 and (problem := machine.too_large(size, machine.free_memory())):
            raise ModelError(problem)
        parameters = _c.llama_model_default_params()
        # repacked weights crash on machines with AMX when the file is quantised
        parameters.use_extra_bufts = False
        parameters.n_gpu_layers = self.gpu_layers
        mapped = size >= _MAPPED_FROM
        parameters.load_mode = _c.LLAMA_LOAD_MODE_MMAP if mapped else _c.LLAMA_LOAD_MODE_NONE

        def progressed(_share: float, _data: object) -> bool:
            alive()
            return True

        progress = _c.llama_progress_callback(progressed)
        parameters.progress_callback = progress
        self._model = _c.llama_model_load_from_file(os.fsencode(path), parameters)
        if not self._model:
            raise ModelError(f"llama.cpp cannot load it: {self.log.reason()}")
        self._vocabulary = _c.llama_model_get_vocab(self._model)
        self.size: int = _c.llama_vocab_n_tokens(self._vocabulary)
        self._piece = ctypes.create_string_buffer(256)
        self._check()

    def _check(self) -> None:
        if _c.llama_vocab_type(self._vocabulary) == _c.LLAMA_VOCAB_TYPE_NONE or not self.size:
            raise ModelError("the file carries no vocabulary")
        if _c.llama_model_has_encoder(self._model) or not _c.llama_model_has_decoder(self._model):
            raise ModelError("an encoder model: it cannot write on from a prompt")
        causal = self.meta(f"{self.architecture}.attention.causal")
        if causal == "false" or self.meta(f"{self.architecture}.pooling_type") not in (None, "0"):
            raise ModelError("an embedding model: it makes vectors of texts and writes none")
        for name in ("eos", "bos"):
            token = self.meta(f"tokenizer.ggml.{name}_token_id")
            if token is not None and not 0 <= int(token) < self.size:
                word = "end-of-text" if name == "eos" else "begin-of-text"
                raise ModelError(f"the {word} token is {token}, outside the vocabulary of {self.size}")

    def meta(self, key: str) -> str | None:
        buffer = ctypes.create_string_buffer(1 << 10)
        length = _c.llama_model_meta_val_str(self._model, key.encode(), buffer, len(buffer))
        return buffer.value.decode("utf-8", "replace") if length >= 0 else None

    @property
    def chat_template(self) -> str | None:
        found = _c.llama_model_chat_template(self._model, None)
        return found.decode("utf-8", "replace") if found else None

    @property
    def parameters(self) -> int:
        return int(_c.llama_model_n_params(self._model))

    @property
    def trained_context(self) -> int:
        return int(_c.llama_model_n_ctx_train(self._model))

    @property
    def architecture(self) -> str:
        return self.meta("general.architecture") or "unknown"

    @property
    def file_type(self) -> str:
        told = self.meta("general.file_type")
        if told is None:
            return f"{8 * _c.llama_model_size(self._model) / max(1, self.parameters):.0f} bits"
        return _FILE_TYPES.get(int(told), f"file type {told}")

    @property
    def adds_bos(self) -> bool:
        return bool(_c.llama_vocab_get_add_bos(self._vocabulary))

    @property
    def bos(self) -> int:
        return int(_c.llama_vocab_bos(self._vocabulary))

    def text_of(self, token: int) -> str:
        """A special token as the chat template writes it; "" for none."""
        found = _c.llama_vocab_get_text(self._vocabulary, token) if 0 <= token < self.size else None
        return found.decode("utf-8", "replace") if found else ""

    @property
    def eos(self) -> int:
        return int(_c.llama_vocab_eos(self._vocabulary))

    def ends(self, token: int) -> bool:
        return bool(_c.llama_vocab_is_eog(self._vocabulary, token))

    def tokens(self, text: str, *, special: bool = False) -> list[int]:
        """`special` lets control tokens in the text act as such: for templates, never for data."""
        data = text.encode("utf-8", "replace")
        room = len(data) + 8
        buffer = (_c.llama_token * room)()
        count = _c.llama_tokenize(self._vocabulary, data, len(data), buffer, room, False, special)
        if count < 0:
            raise ModelError("the text could not be tokenised")
        return list(buffer[:count])

    def piece(self, token: int) -> bytes:
        length = _c.llama_token_to_piece(self._vocabulary, token, self._piece, len(self._piece), 0, False)
        if length < 0:
            # longer than any token so far
            self._piece = ctypes.create_string_buffer(-length)
            return self.piece(token)
        return ctypes.string_at(self._piece, length)

    def grammar(self, text: str) -> Grammar | None:
        """None when llama.cpp does not take it."""
        sampler = _c.llama_sampler_init_grammar(self._vocabulary, text.encode(), b"root")
        return Grammar(sampler) if sampler else None

    def session(self, settings: Settings, context: int, alive: Callable[[], None] = lambda: None) -> Session:
        return Session(self, settings, context, alive)

    @property
    def handle(self) -> Any:
        return self._model


class Grammar:
    """What may be written next. A token must be asked about before it is taken: taking a wrong one ends the process."""

    def __init__(self, sampler: Any) -> None:
        self._sampler = sampler
        # kept for the question that is asked at each token
        self._one = np.zeros(1, dtype=_CANDIDATE)
        data = self._one.ctypes.data_as(_c.llama_token_data_p)
        self._asked = _c.llama_token_data_array(data, 1, -1, False)
        self._array = ctypes.byref(self._asked)

    def restart(self) -> None:
        _c.llama_sampler_reset(self._sampler)

    def allows(self, token: int) -> bool:
        self._one[0] = (token, 0, 0)
        _c.llama_sampler_apply(self._sampler, self._array)
        return bool(self._one["logit"][0] > _FORBIDDEN)

    def allowed(self, tokens: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """Which of these tokens may come next."""
        candidates = np.zeros(len(tokens), dtype=_CANDIDATE)
        candidates["id"] = tokens
        data = candidates.ctypes.data_as(_c.llama_token_data_p)
        array = _c.llama_token_data_array(data, len(tokens), -1, False)
        _c.llama_sampler_apply(self._sampler, ctypes.byref(array))
        allowed: np.ndarray[Any, Any] = candidates["logit"] > _FORBIDDEN
        return allowed

    def take(self, token: int) -> None:
        _c.llama_sampler_accept(self._sampler, token)


class Session:
    """One text being read and written. `alive` is called at each step, for whoever watches the time."""

    def __init__(self, model: Model, settings: Settings, context: int, alive: Callable[[], None]) -> None:
        self.model = model
        self._alive = alive
        parameters = _c.llama_context_default_params()
        # never the default of 512: a prompt that does not fit would be refused
        parameters.n_ctx = max(256, context)
        parameters.n_batch = parameters.n_ubatch = BATCH
        threads = settings.threads or default_threads(model.parameters)
        parameters.n_threads = parameters.n_threads_batch = threads
        if model.parameters < _SMALL:
            parameters.flash_attn_type = _c.LLAMA_FLASH_ATTN_TYPE_DISABLED
        parameters.no_perf = True
        self._context = _c.llama_init_from_model(model.handle, parameters)
        if not self._context:
            raise ModelError(f"no room for a context of {parameters.n_ctx} tokens: {model.log.reason()}")
        self.context = int(parameters.n_ctx)
        self._memory = _c.llama_get_memory(self._context)
        self._batch = _c.llama_batch_init(BATCH, 0, 1)
        self._row = ctypes.c_float * model.size
        self._one = (_c.llama_token * 1)()
        self.read: list[int] = []
        #: tokens that were written, whether kept or not
        self.written = 0

    def close(self) -> None:
        """Gives the memory back. Nothing may be called after it."""
        _c.llama_batch_free(self._batch)
        _c.llama_free(self._context)

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
            batch = _c.llama_batch_get_one(self._one, 1)
        else:
            batch, at = self._batch, len(self.read)
            batch.n_tokens = len(tokens)
            for i, token in enumerate(tokens):
                batch.token[i] = token
                batch.pos[i] = at + i
                batch.n_seq_id[i] = 1
                batch.seq_id[i][0] = 0
                batch.logits[i] = all_logits or i == len(tokens) - 1
        if code := _c.llama_decode(self._context, batch):
            raise ModelError(f"llama.cpp could not go on reading (code {code})")
        self.read += tokens
        self._alive()

    def rewind(self, length: int) -> None:
        """Forgets what follows the first `length` tokens. The next call must be `feed`."""
        if length >= len(self.read):
            return
        kept = self.read[:length]
        if _c.llama_memory_seq_rm(self._memory, 0, length, -1):
            self.read = kept
            return
        # recurrent models cannot forget a part: read it all again
        _c.llama_memory_clear(self._memory, True)
        self.read = []
        self.feed(kept)

    def logits(self, place: int = -1) -> np.ndarray[Any, Any]:
        """Of the last token read, or of one in the batch just fed with `all_logits`."""
        pointer = _c.llama_get_logits_ith(self._context, place)
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
        chain = _c.llama_sampler_chain_init(_c.llama_sampler_chain_default_params())
        for sampler in (
            _c.llama_sampler_init_min_p(0.05, 1),
            _c.llama_sampler_init_temp(0.7),
            _c.llama_sampler_init_dist(seed),
        ):
            _c.llama_sampler_chain_add(chain, sampler)
        token = (_c.llama_token * 1)()
        for _ in range(count):
            token[0] = _c.llama_sampler_sample(chain, self._context, -1)
            if code := _c.llama_decode(self._context, _c.llama_batch_get_one(token, 1)):
                raise ModelError(f"llama.cpp could not go on writing (code {code})")
        _c.llama_sampler_free(chain)

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


def _graphics_memory() -> list[int]:
    """Free bytes of each GPU that this build of llama.cpp can use."""
    if not _c.llama_supports_gpu_offload():
        return []
    from llama_cpp._ggml import libggml

    libggml.ggml_backend_dev_count.restype = ctypes.c_size_t
    libggml.ggml_backend_dev_get.restype = ctypes.c_void_p
    found = []
    for number in range(libggml.ggml_backend_dev_count()):
        device = ctypes.c_void_p(libggml.ggml_backend_dev_get(ctypes.c_size_t(number)))
        if libggml.ggml_backend_dev_type(device) == _GPU:
            free, total = ctypes.c_size_t(), ctypes.c_size_t()
            libggml.ggml_backend_dev_memory(device, ctypes.byref(free), ctypes.byref(total))
            found.append(free.value)
    return found
