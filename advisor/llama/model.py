"""A model file as llama.cpp opens it: what it says of itself, its tokens, and grammars over them.

The only module that imports llama_cpp, and only ever inside the advisor's own process: loading redirects file
descriptors, and a broken file can end the process. One thread may use a `Model`; nothing may fork after loading.
"""

from __future__ import annotations

import ctypes
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from llama_cpp import llama_cpp as _untyped

from progtrain.advisor.llama import machine

lib: Any = _untyped

#: Smaller files are read into memory: a mapped file that shrinks while in use ends the process.
_MAPPED_FROM = 256 * 2**20

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


def _listen(said: list[tuple[int, str]]) -> Any:
    """Puts what llama.cpp complains of into `said`, and all that it says on stderr. To be kept alive: llama.cpp holds
    only the pointer."""

    def take(level: int, text: bytes, _: object) -> None:
        if level == _DEBUG:
            # hundreds of lines about the graph, at each start of a session
            return
        line = text.decode("utf-8", "replace")
        if level in (_WARN, _ERROR):
            said.append((level, line.strip()))
        os.write(2, line.encode("utf-8", "replace"))

    callback = lib.llama_log_callback(take)
    lib.llama_log_set(callback, ctypes.c_void_p(0))
    return callback


class Model:
    """Weights and vocabulary of one file.

    Raises `ModelError` for a file that llama.cpp refuses, or that it takes but that cannot be written with.
    """

    def __init__(self, path: Path, *, gpu_layers: int | None = 0, alive: Callable[[], None] = lambda: None) -> None:
        self._said: list[tuple[int, str]] = []
        self._listener = _listen(self._said)
        lib.llama_backend_init()
        size = path.stat().st_size
        self.gpu_layers = machine.layers_on_gpu(gpu_layers, size, _graphics_memory())
        # layers that lie on the GPU take no memory here
        if self.gpu_layers == 0 and (problem := machine.too_large(size, machine.free_memory())):
            raise ModelError(problem)
        parameters = lib.llama_model_default_params()
        # repacked weights crash on machines with AMX when the file is quantised
        parameters.use_extra_bufts = False
        parameters.n_gpu_layers = self.gpu_layers
        mapped = size >= _MAPPED_FROM
        parameters.load_mode = lib.LLAMA_LOAD_MODE_MMAP if mapped else lib.LLAMA_LOAD_MODE_NONE

        def progressed(_share: float, _data: object) -> bool:
            alive()
            return True

        progress = lib.llama_progress_callback(progressed)
        parameters.progress_callback = progress
        self._model = lib.llama_model_load_from_file(os.fsencode(path), parameters)
        if not self._model:
            raise ModelError(f"llama.cpp cannot load it: {self.complaint()}")
        self._vocabulary = lib.llama_model_get_vocab(self._model)
        self.size: int = lib.llama_vocab_n_tokens(self._vocabulary)
        self._piece = ctypes.create_string_buffer(256)
        self._check()

    def _check(self) -> None:
        if lib.llama_vocab_type(self._vocabulary) == lib.LLAMA_VOCAB_TYPE_NONE or not self.size:
            raise ModelError("the file carries no vocabulary")
        if lib.llama_model_has_encoder(self._model) or not lib.llama_model_has_decoder(self._model):
            raise ModelError("an encoder model: it cannot write on from a prompt")
        causal = self.meta(f"{self.architecture}.attention.causal")
        if causal == "false" or self.meta(f"{self.architecture}.pooling_type") not in (None, "0"):
            raise ModelError("an embedding model: it makes vectors of texts and writes none")
        for name in ("eos", "bos"):
            token = self.meta(f"tokenizer.ggml.{name}_token_id")
            if token is not None and not 0 <= int(token) < self.size:
                word = "end-of-text" if name == "eos" else "begin-of-text"
                raise ModelError(f"the {word} token is {token}, outside the vocabulary of {self.size}")

    def complaint(self) -> str:
        """What llama.cpp complained about first, errors before warnings."""
        ordered = sorted(self._said, key=lambda said: -said[0])
        told = [line for _, line in ordered if "failed to load model" not in line]
        # "llama_model_load: error loading model: ..."
        said = re.sub(r"^(\w+: )+(error loading model: )?", "", told[0]) if told else "llama.cpp gave no reason"
        meant = next((meaning for words, meaning in _MEANINGS if words in said), None)
        return f"{meant} ({said})" if meant else said

    def meta(self, key: str) -> str | None:
        buffer = ctypes.create_string_buffer(1 << 10)
        length = lib.llama_model_meta_val_str(self._model, key.encode(), buffer, len(buffer))
        return buffer.value.decode("utf-8", "replace") if length >= 0 else None

    @property
    def chat_template(self) -> str | None:
        found = lib.llama_model_chat_template(self._model, None)
        return found.decode("utf-8", "replace") if found else None

    @property
    def parameters(self) -> int:
        return int(lib.llama_model_n_params(self._model))

    @property
    def trained_context(self) -> int:
        return int(lib.llama_model_n_ctx_train(self._model))

    @property
    def architecture(self) -> str:
        return self.meta("general.architecture") or "unknown"

    @property
    def file_type(self) -> str:
        told = self.meta("general.file_type")
        if told is None:
            return f"{8 * lib.llama_model_size(self._model) / max(1, self.parameters):.0f} bits"
        return _FILE_TYPES.get(int(told), f"file type {told}")

    @property
    def adds_bos(self) -> bool:
        return bool(lib.llama_vocab_get_add_bos(self._vocabulary))

    @property
    def bos(self) -> int:
        return int(lib.llama_vocab_bos(self._vocabulary))

    def text_of(self, token: int) -> str:
        """A special token as the chat template writes it; "" for none."""
        found = lib.llama_vocab_get_text(self._vocabulary, token) if 0 <= token < self.size else None
        return found.decode("utf-8", "replace") if found else ""

    @property
    def eos(self) -> int:
        return int(lib.llama_vocab_eos(self._vocabulary))

    def ends(self, token: int) -> bool:
        return bool(lib.llama_vocab_is_eog(self._vocabulary, token))

    def tokens(self, text: str, *, special: bool = False) -> list[int]:
        """`special` lets control tokens in the text act as such: for templates, never for data."""
        data = text.encode("utf-8", "replace")
        room = len(data) + 8
        buffer = (lib.llama_token * room)()
        count = lib.llama_tokenize(self._vocabulary, data, len(data), buffer, room, False, special)
        if count < 0:
            raise ModelError("the text could not be tokenised")
        return list(buffer[:count])

    def piece(self, token: int) -> bytes:
        length = lib.llama_token_to_piece(self._vocabulary, token, self._piece, len(self._piece), 0, False)
        if length < 0:
            # longer than any token so far
            self._piece = ctypes.create_string_buffer(-length)
            return self.piece(token)
        return ctypes.string_at(self._piece, length)

    def grammar(self, text: str) -> Grammar | None:
        """None when llama.cpp does not take it."""
        sampler = lib.llama_sampler_init_grammar(self._vocabulary, text.encode(), b"root")
        return Grammar(sampler) if sampler else None

    @property
    def handle(self) -> Any:
        return self._model


class Grammar:
    """What may be written next. A token must be asked about before it is taken: taking a wrong one ends the process."""

    def __init__(self, sampler: Any) -> None:
        self._sampler = sampler
        # kept for the question that is asked at each token
        self._one = np.zeros(1, dtype=_CANDIDATE)
        data = self._one.ctypes.data_as(lib.llama_token_data_p)
        self._asked = lib.llama_token_data_array(data, 1, -1, False)
        self._array = ctypes.byref(self._asked)

    def restart(self) -> None:
        lib.llama_sampler_reset(self._sampler)

    def allows(self, token: int) -> bool:
        self._one[0] = (token, 0, 0)
        lib.llama_sampler_apply(self._sampler, self._array)
        return bool(self._one["logit"][0] > _FORBIDDEN)

    def allowed(self, tokens: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """Which of these tokens may come next."""
        candidates = np.zeros(len(tokens), dtype=_CANDIDATE)
        candidates["id"] = tokens
        data = candidates.ctypes.data_as(lib.llama_token_data_p)
        array = lib.llama_token_data_array(data, len(tokens), -1, False)
        lib.llama_sampler_apply(self._sampler, ctypes.byref(array))
        allowed: np.ndarray[Any, Any] = candidates["logit"] > _FORBIDDEN
        return allowed

    def take(self, token: int) -> None:
        lib.llama_sampler_accept(self._sampler, token)


def _graphics_memory() -> list[int]:
    """Free bytes of each GPU that this build of llama.cpp can use."""
    if not lib.llama_supports_gpu_offload():
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
