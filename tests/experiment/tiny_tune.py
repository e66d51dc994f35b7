"""What a config of torchtune names for the tiny model of `tiny_model.py`; copied into a workspace."""

from pathlib import Path

import torch
from torchtune.models.llama3 import lora_llama3


def tiny_lora(lora_attn_modules, lora_rank=8, lora_alpha=16, lora_dropout=0.0, **others):
    sizes = {"num_layers": 2, "num_heads": 4, "num_kv_heads": 2, "embed_dim": 32, "intermediate_dim": 64}
    how = {"lora_rank": lora_rank, "lora_alpha": lora_alpha, "lora_dropout": lora_dropout}
    vocabulary = int(Path("vocabulary.txt").read_text())
    return lora_llama3(
        lora_attn_modules=list(lora_attn_modules), vocab_size=vocabulary, max_seq_len=128, **sizes, **how
    )


class Breaking(torch.optim.AdamW):
    """Fails in its 7th step while a file says so."""

    def step(self, *arguments, **options):
        self.steps = getattr(self, "steps", 0) + 1
        if self.steps == 7 and Path("break").exists():
            raise RuntimeError("CUDA out of memory. Tried to allocate 2 GiB")
        return super().step(*arguments, **options)
