"""The trained model as a GGUF file, and the check that llama.cpp computes what torch does."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from gguf import GGUFWriter, TokenType
from tokenizers import Tokenizer

from models.recipe import corpus
from models.recipe.model import Llama, Shape
from models.recipe.tokenizer import BOS, EOS, PAD, encode
from progtrain.advisor.prose.prompts import FORMAT, FORMAT_KEY

NAME = "progtrain-advisor"
#: LLAMA_FTYPE_MOSTLY_F16
_F16 = 1
_TEMPLATE = (
    "{{ bos_token }}{% for m in messages %}{% if m['role'] == 'user' %}<|user|>{{ m['content'] }}{{ eos_token }}"
    "{% elif m['role'] == 'system' %}<|system|>{{ m['content'] }}{{ eos_token }}"
    "{% else %}<|assistant|>{{ m['content'] }}{{ eos_token }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)


def export(model: Llama, tokenizer_file: Path, path: Path) -> None:
    """Writes F16 matrices and F32 norms; the output matrix is left out, since it is tied to the embedding."""
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = GGUFWriter(str(path), "llama")
    _describe(writer, model.shape)
    _vocabulary(writer, model.shape, json.loads(tokenizer_file.read_text(encoding="utf-8")))
    for name, weight in model.state_dict().items():
        array = weight.float().numpy()
        writer.add_tensor(name, array.astype(np.float32 if array.ndim == 1 else np.float16))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _describe(writer: GGUFWriter, shape: Shape) -> None:
    writer.add_name(NAME)
    writer.add_license("mit")
    writer.add_uint32(FORMAT_KEY, FORMAT)
    writer.add_context_length(shape.context)
    writer.add_embedding_length(shape.width)
    writer.add_block_count(shape.layers)
    writer.add_feed_forward_length(shape.feed_forward)
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv(shape.heads)
    writer.add_layer_norm_rms_eps(shape.norm_epsilon)
    writer.add_rope_dimension_count(shape.head_width)
    writer.add_rope_freq_base(shape.rope_base)
    writer.add_vocab_size(shape.vocabulary)
    writer.add_file_type(_F16)


def _vocabulary(writer: GGUFWriter, shape: Shape, tokenizer: dict[str, Any]) -> None:
    known = {number: text for text, number in tokenizer["model"]["vocab"].items()}
    special = {token["content"]: token["id"] for token in tokenizer["added_tokens"]}
    controls = set(special.values())
    numbers = range(shape.vocabulary)
    merges = [" ".join(m) if isinstance(m, list) else m for m in tokenizer["model"]["merges"]]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list([known.get(number, f"[unused {number}]") for number in numbers])
    writer.add_token_types(
        [
            TokenType.CONTROL if number in controls else TokenType.NORMAL if number in known else TokenType.UNUSED
            for number in numbers
        ]
    )
    writer.add_token_merges(merges)
    writer.add_bos_token_id(special[BOS])
    writer.add_eos_token_id(special[EOS])
    writer.add_pad_token_id(special[PAD])
    # the chat template writes it
    writer.add_add_bos_token(False)
    writer.add_add_space_prefix(False)
    writer.add_chat_template(_TEMPLATE)


def agreement(model: Llama, tokenizer: Tokenizer, path: Path, examples: int = 4) -> tuple[float, float]:
    """Largest difference of a logit between torch and llama.cpp, and the share of equal first choices.

    Raises `AssertionError` when both tokenise differently.
    """
    from progtrain.advisor.interface import Settings
    from progtrain.advisor.llama.model import Model
    from progtrain.advisor.llama.session import Session

    native = Model(path)
    largest, same, count = 0.0, 0, 0
    for seed in range(corpus.HELD_OUT, corpus.HELD_OUT + examples):
        example = corpus.example(seed)
        prompt, answer = encode(tokenizer, example)
        parts = (example.before, example.choice, example.after)
        assert [t for part in parts for t in native.tokens(part)] == answer[:-1], "the tokenizers differ"
        ids = (prompt + answer)[:500]
        session = Session(native, Settings(), 1024)
        session.feed(ids, all_logits=True)
        theirs = np.stack([session.logits(place).copy() for place in range(len(ids))])
        with torch.no_grad():
            ours = model(torch.tensor([ids]))[0].numpy()
        largest = max(largest, float(np.abs(ours - theirs).max()))
        same += int((ours.argmax(1) == theirs.argmax(1)).sum())
        count += len(ids)
    return largest, same / count
