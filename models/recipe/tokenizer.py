"""The tokenizer: byte-level BPE with the pattern that llama.cpp knows as `qwen2`, each digit a token of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

from models.recipe import corpus

PAD, BOS, EOS, USER, ASSISTANT, SYSTEM = "<|pad|>", "<|bos|>", "<|eos|>", "<|user|>", "<|assistant|>", "<|system|>"
SPECIAL = (PAD, BOS, EOS, USER, ASSISTANT, SYSTEM)
VOCABULARY = 2048
#: Seeds of the tokenizer's own examples, apart from those of training.
_FIRST_SEED = 10_000_000

_QWEN2 = (
    r"(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def train(path: Path, examples: int = 4000) -> Tokenizer:
    """Writes `tokenizer.json`; the vocabulary has exactly `VOCABULARY` entries."""
    tokenizer = Tokenizer(models.BPE(byte_fallback=False))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_QWEN2), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=list(SPECIAL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    # made here and not by the library's threads, whose stacks are too small for it
    texts = list(_texts(examples))
    tokenizer.train_from_iterator(texts, trainer)
    path.parent.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(path))
    return tokenizer


def _texts(examples: int) -> Iterator[str]:
    for seed in range(_FIRST_SEED, _FIRST_SEED + examples):
        made = corpus.example(seed)
        yield made.prompt
        yield made.answer


def encode(tokenizer: Tokenizer, example: corpus.Example) -> tuple[list[int], list[int]]:
    """Prompt and answer as the chat template joins them, special tokens included.

    The choice is encoded on its own, since at run time every option is scored as tokens of its own.
    """
    special = {name: tokenizer.token_to_id(name) for name in SPECIAL}
    prompt = [special[BOS], special[USER], *tokenizer.encode(example.prompt).ids, special[EOS], special[ASSISTANT]]
    answer = [i for part in (example.before, example.choice, example.after) for i in tokenizer.encode(part).ids]
    return prompt, [*answer, special[EOS]]
