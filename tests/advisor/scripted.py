"""GGUF files that say what a test wants: real files for real llama.cpp, with weights that hold a chain of texts.

Each text is a token of its own. A token's embedding is a random direction, and the row of the output matrix that
stands for its successor points the same way; the one layer adds nothing. So the model goes from text to text, and
ends wherever no successor is laid down.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from gguf import GGUFReader, GGUFWriter, TokenType

from progtrain.advisor.locate import bundled_model

#: Where an answer begins, and where it ends.
BEGIN, END = "<|assistant|>", "<|eos|>"
TEMPLATE = (
    "{% for m in messages %}<|{{ m['role'] }}|>{{ m['content'] }}{{ eos_token }}{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
_WIDTH, _HEADS, _FEED_FORWARD = 128, 2, 32
#: Logits: of a successor, and of the end where there is none. Chance directions come to 14 at most.
_NEXT, _STOP = 4.0, 1.8


def write(
    path: Path,
    says: Mapping[str, Sequence[str]],
    *,
    context: int = 4096,
    template: str | None = TEMPLATE,
    architecture: str = "llama",
    pooling: int | None = None,
    weights: bool = True,
) -> Path:
    """A model that goes on with `says[text]`, piece by piece, wherever `text` was read. `BEGIN` is a text too."""
    vocabulary, types, merges, ids = _vocabulary()
    for text in dict.fromkeys(piece for start, pieces in says.items() for piece in (start, *pieces)):
        if text not in ids:
            ids[text] = len(vocabulary)
            vocabulary.append(text)
            types.append(TokenType.USER_DEFINED)
    writer = GGUFWriter(str(path), architecture)
    _describe(writer, context, len(vocabulary))
    if pooling is not None:
        writer.add_uint32(f"{architecture}.pooling_type", pooling)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list(vocabulary)
    writer.add_token_types(types)
    writer.add_token_merges(merges)
    writer.add_bos_token_id(ids["<|bos|>"])
    writer.add_eos_token_id(ids[END])
    writer.add_add_bos_token(False)
    if template is not None:
        writer.add_chat_template(template)
    if weights:
        _weights(writer, _chain(says, ids), len(vocabulary), ids[END])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _vocabulary() -> tuple[list[str], list[int], list[str], dict[str, int]]:
    """The bundled model's: so a prompt has as many tokens as with any other small vocabulary."""
    fields: dict[str, Any] = GGUFReader(bundled_model()).fields
    tokens = [str(text) for text in fields["tokenizer.ggml.tokens"].contents()]
    types = [int(kind) for kind in fields["tokenizer.ggml.token_type"].contents()]
    merges = [str(merge) for merge in fields["tokenizer.ggml.merges"].contents()]
    return tokens, types, merges, {text: number for number, text in enumerate(tokens)}


def _chain(says: Mapping[str, Sequence[str]], ids: Mapping[str, int]) -> list[tuple[int, int]]:
    links = [link for start, pieces in says.items() for link in pairwise((start, *pieces))]
    assert len({one for one, _ in links}) == len(set(links)), "a text has one successor"
    return [(ids[one], ids[other]) for one, other in dict.fromkeys(links)]


def _describe(writer: GGUFWriter, context: int, vocabulary: int) -> None:
    writer.add_name("scripted")
    writer.add_context_length(context)
    writer.add_embedding_length(_WIDTH)
    writer.add_block_count(1)
    writer.add_feed_forward_length(_FEED_FORWARD)
    writer.add_head_count(_HEADS)
    writer.add_head_count_kv(_HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(_WIDTH // _HEADS)
    writer.add_vocab_size(vocabulary)
    writer.add_file_type(0)


def _weights(writer: GGUFWriter, links: Sequence[tuple[int, int]], vocabulary: int, end: int) -> None:
    rng = np.random.default_rng(0)
    embedding = rng.standard_normal((vocabulary, _WIDTH)).astype(np.float32)
    embedding[:, 0] = 0
    embedding /= np.linalg.norm(embedding, axis=1, keepdims=True)
    output = np.zeros((vocabulary, _WIDTH), dtype=np.float32)
    for one, other in links:
        output[other] += _NEXT * embedding[one]
    # the same for every token: a bias
    embedding[:, 0] = 1
    output[end, 0] += _STOP
    nothing = {
        **dict.fromkeys(("attn_q", "attn_k", "attn_v", "attn_output"), (_WIDTH, _WIDTH)),
        **dict.fromkeys(("ffn_gate", "ffn_up"), (_FEED_FORWARD, _WIDTH)),
        "ffn_down": (_WIDTH, _FEED_FORWARD),
    }
    writer.add_tensor("token_embd.weight", embedding)
    writer.add_tensor("output.weight", output)
    writer.add_tensor("output_norm.weight", np.ones(_WIDTH, dtype=np.float32))
    for name, shape in nothing.items():
        writer.add_tensor(f"blk.0.{name}.weight", np.zeros(shape, dtype=np.float32))
    for name in ("attn_norm", "ffn_norm"):
        writer.add_tensor(f"blk.0.{name}.weight", np.ones(_WIDTH, dtype=np.float32))


def write_bert(path: Path) -> Path:
    """An embedding model: whole and sound, and nothing to write with."""
    vocabulary, types, merges, _ = _vocabulary()
    writer = GGUFWriter(str(path), "bert")
    _describe(writer, 512, len(vocabulary))
    writer.add_layer_norm_eps(1e-5)
    writer.add_causal_attention(False)
    writer.add_uint32("bert.pooling_type", 1)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_type_count(2)
    writer.add_token_list(vocabulary)
    writer.add_token_types(types)
    writer.add_token_merges(merges)
    wide, high = (_WIDTH, _WIDTH), (_FEED_FORWARD, _WIDTH)
    shapes = {"token_embd": (len(vocabulary), _WIDTH), "token_types": (2, _WIDTH), "position_embd": (512, _WIDTH)}
    inner = dict.fromkeys(("attn_q", "attn_k", "attn_v", "attn_output"), wide)
    inner |= {"ffn_up": high, "ffn_down": high[::-1]}
    shapes |= {f"blk.0.{name}": shape for name, shape in inner.items()}
    for name, shape in shapes.items():
        writer.add_tensor(f"{name}.weight", np.zeros(shape, dtype=np.float32))
    for name, shape in inner.items():
        writer.add_tensor(f"blk.0.{name}.bias", np.zeros(shape[0], dtype=np.float32))
    for name in ("token_embd_norm", "blk.0.attn_output_norm", "blk.0.layer_output_norm"):
        writer.add_tensor(f"{name}.weight", np.ones(_WIDTH, dtype=np.float32))
        writer.add_tensor(f"{name}.bias", np.zeros(_WIDTH, dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path
