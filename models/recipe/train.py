"""Training with Lightning on one thread: Muon for the matrices, AdamW for the rest, bfloat16."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import lightning as L
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from tokenizers import Tokenizer
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import DataLoader, IterableDataset

from models.recipe import corpus
from models.recipe.model import Llama, Shape
from models.recipe.tokenizer import PAD, encode


@dataclass(frozen=True)
class Plan:
    steps: int = 2600
    batch: int = 6
    learning_rate: float = 3e-3
    warmup: int = 60
    #: the rate is constant for this share of the steps and falls to nearly nothing after it
    constant: float = 0.35
    #: the prompt counts a little, so that the model knows what prompts look like
    prompt_weight: float = 0.05
    #: the choice is what matters most, and only a few tokens
    choice_weight: float = 8.0
    #: this share of the examples goes straight to the choice, and is what choosing is learned from
    short: float = 0.75
    seed: int = 1
    threads: int = 1
    #: optimizer steps, of which there are two a batch
    save_every: int = 200


class Batch(NamedTuple):
    """Token ids [rows, length], and what each counts; an option's tokens count by `odds` alone."""

    tokens: Tensor
    weights: Tensor
    #: [n, 3]: row, position and token of what may stand there in the choice
    likely: Tensor
    #: [n]: how likely each is, times what the choice counts
    odds: Tensor


class Row(NamedTuple):
    """One example."""

    ids: list[int]
    weights: list[float]
    #: position -> token -> how likely it is there
    choice: dict[int, dict[int, float]]


class Examples(IterableDataset[Batch]):
    """Batches of new examples without end, similar lengths together: token ids and the weight of each."""

    def __init__(self, tokenizer: Tokenizer, plan: Plan, first: int = 0) -> None:
        self._tokenizer, self._plan, self._first = tokenizer, plan, first

    def __iter__(self) -> Iterator[Batch]:
        size, seed = self._plan.batch, self._first
        while True:
            pool = [self._weighted(self._example(s)) for s in range(seed, seed + size * 16)]
            seed += size * 16
            pool.sort(key=lambda row: len(row.ids))
            batches = [pool[i : i + size] for i in range(0, len(pool), size)]
            random.Random(seed).shuffle(batches)
            for rows in batches:
                yield self._padded(rows)

    def _example(self, seed: int) -> corpus.Example:
        return corpus.example(seed, short=random.Random(seed + 1).random() < self._plan.short)

    def _weighted(self, example: corpus.Example) -> Row:
        prompt, answer = encode(self._tokenizer, example)
        before = len(self._tokenizer.encode(example.before).ids)
        chosen = self._tokenizer.encode(example.choice).ids
        weights = [self._plan.prompt_weight] * len(prompt) + [1.0] * len(answer)
        start = len(prompt) + before
        weights[start : start + len(chosen)] = [0.0] * len(chosen)
        return Row(prompt + answer, weights, self._expected(example, chosen, start) if example.short else {})

    def _expected(self, example: corpus.Example, chosen: list[int], start: int) -> dict[int, dict[int, float]]:
        """What may stand at each place of the choice, given those before: an example tells of all its options, not of
        the one that was drawn."""
        spelled = {option: self._tokenizer.encode(f"{option}\n").ids for option in example.odds}
        expected = {}
        for depth in range(len(chosen)):
            likely: dict[int, float] = {}
            for option, ids in spelled.items():
                if ids[:depth] == chosen[:depth]:
                    likely[ids[depth]] = likely.get(ids[depth], 0.0) + example.odds[option]
            total = sum(likely.values())
            expected[start + depth] = {token: odds / total for token, odds in likely.items()}
        return expected

    def _padded(self, rows: list[Row]) -> Batch:
        length = max(len(row.ids) for row in rows)
        tokens = torch.full((len(rows), length), self._tokenizer.token_to_id(PAD))
        weights = torch.zeros(len(rows), length)
        likely, odds = [], []
        for place, row in enumerate(rows):
            tokens[place, : len(row.ids)] = torch.tensor(row.ids)
            weights[place, : len(row.ids)] = torch.tensor(row.weights)
            for position, expected in row.choice.items():
                likely += [(place, position, token) for token in expected]
                odds += [self._plan.choice_weight * likely for likely in expected.values()]
        # a batch of long examples alone has no choice
        return Batch(tokens, weights, torch.tensor(likely, dtype=torch.long).reshape(-1, 3), torch.tensor(odds))


class Advisor(L.LightningModule):
    def __init__(self, shape: Shape, plan: Plan) -> None:
        super().__init__()
        self.save_hyperparameters({"shape": asdict(shape), "plan": asdict(plan)})
        self.plan = plan
        self.model = Llama(shape)
        # two optimizers, stepped together
        self.automatic_optimization = False

    def training_step(self, batch: Batch, _: int) -> None:
        tokens, weights, likely, odds = batch
        scores = F.log_softmax(self.model(tokens[:, :-1]).float(), dim=-1)
        losses = -scores.gather(2, tokens[:, 1:, None]).flatten()
        weight = weights[:, 1:].flatten()
        row, position, token = likely.unbind(1)
        chosen = -(scores[row, position - 1, token] * odds).sum()
        self.manual_backward(((losses * weight).sum() + chosen) / (weight.sum() + odds.sum()))
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        rate = self._rate()
        for optimizer in self.optimizers():  # type: ignore[union-attr]
            for group in optimizer.param_groups:
                group["lr"] = rate
            optimizer.step()
            optimizer.zero_grad()
        self.log("loss", losses[weight == 1].mean(), prog_bar=True)
        if len(odds):
            # what is left when it is sure of all that one can be sure of
            left = -torch.special.xlogy(odds, odds / self.plan.choice_weight).sum()
            self.log("choice_loss", (chosen - left) / odds.sum(), prog_bar=True)

    def _rate(self) -> float:
        # every batch steps two optimizers, and Lightning counts both
        step, plan = self.global_step // 2, self.plan
        share = step / plan.steps
        fall = 1.0 if share < plan.constant else max(0.02, 1 - (share - plan.constant) / (1 - plan.constant))
        return plan.learning_rate * min(1.0, (step + 1) / plan.warmup) * fall

    def configure_optimizers(self) -> list[torch.optim.Optimizer]:
        named = list(self.model.named_parameters())
        matrices = [p for name, p in named if p.dim() == 2 and not name.startswith("token_embd")]
        others = [p for name, p in named if p.dim() != 2 or name.startswith("token_embd")]
        rate = self.plan.learning_rate
        return [
            torch.optim.Muon(matrices, lr=rate, weight_decay=0.01, adjust_lr_fn="match_rms_adamw"),
            torch.optim.AdamW(others, lr=rate, betas=(0.9, 0.95), weight_decay=0.0),
        ]


def train(folder: Path, tokenizer: Tokenizer, plan: Plan, shape: Shape | None = None) -> Path:
    """Trains, or goes on from `folder/last.ckpt`; returns the last checkpoint."""
    torch.set_num_threads(plan.threads)
    L.seed_everything(plan.seed, verbose=False)
    module = Advisor(shape or Shape(), plan)
    last = folder / "last.ckpt"
    resume = last if last.exists() else None
    # the stream of examples goes on where the interrupted run left it, near enough
    done = torch.load(resume, weights_only=False)["global_step"] // 2 if resume else 0
    loader = DataLoader(Examples(tokenizer, plan, first=done * plan.batch), batch_size=None)
    trainer = L.Trainer(
        accelerator="cpu",
        precision="bf16-mixed",
        max_steps=plan.steps * 2,
        callbacks=[ModelCheckpoint(folder, save_last=True, save_top_k=1, every_n_train_steps=plan.save_every)],
        logger=L.pytorch.loggers.CSVLogger(folder, name="logs", version=0),
        log_every_n_steps=20,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(module, loader, ckpt_path=resume)
    trainer.save_checkpoint(last)
    return last


def load(checkpoint: Path) -> tuple[Llama, dict[str, Any]]:
    """The trained model and its hyperparameters."""
    stored = torch.load(checkpoint, map_location="cpu", weights_only=False)
    model = Llama(Shape(**stored["hyper_parameters"]["shape"]))
    weights = {name.removeprefix("model."): value for name, value in stored["state_dict"].items()}
    model.load_state_dict(weights)
    return model.eval(), stored["hyper_parameters"]
