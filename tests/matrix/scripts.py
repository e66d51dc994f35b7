"""Training scripts as people write them: nothing in them knows of progtrain."""

from __future__ import annotations

BASE = """
import argparse
import lightning as L
import torch
import torch.nn.functional as F
from lightning.pytorch.callbacks import ModelCheckpoint
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

EPOCHS = 3
RATE = 0.05


def points(seed, count):
    g = torch.Generator().manual_seed(seed)
    x = torch.randn(count, 4, generator=g)
    return x, (x[:, 0] > 0).long() + (x[:, 1] > 0).long()


def loader(seed, count, **more):
    return DataLoader(TensorDataset(*points(seed, count)), batch_size=32, **more)


class Net(L.LightningModule):
    def __init__(self, width, rate):
        super().__init__()
        self.rate = rate
        self.net = nn.Sequential(nn.Linear(4, width), nn.ReLU(), nn.Linear(width, 3))

    def forward(self, x):
        return self.net(x)

    def training_step(self, batch, i):
        loss = F.cross_entropy(self(batch[0]), batch[1])
        self.log("train/loss", loss)
        return loss

    def validation_step(self, batch, i):
        out = self(batch[0])
        self.log("val/loss", F.cross_entropy(out, batch[1]))
        self.log("val/acc", (out.argmax(1) == batch[1]).float().mean())

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=self.rate)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--width", type=int, required=True)
    width = parser.parse_args().width
    L.seed_everything(1, verbose=False)
    best = ModelCheckpoint("outputs/run", "{epoch}-best", monitor="val/loss")
    trainer = L.Trainer(max_epochs=EPOCHS, accelerator="cpu", logger=False, callbacks=[best],
                        enable_progress_bar=False, enable_model_summary=False)
    trainer.fit(Net(width, RATE), loader(1, 256, shuffle=True), loader(2, 96))


if __name__ == "__main__":
    main()
"""

_NO_ARGUMENTS = ('''    parser = argparse.ArgumentParser()
    parser.add_argument("--width", type=int, required=True)
    width = parser.parse_args().width
''', "    width = 8\n")  # fmt: skip

_DATA = """class Data(L.LightningDataModule):
    def __init__(self, size):
        super().__init__()
        self.size = size

    def setup(self, stage):
        if stage == "fit":
            self.valid = loader(2, 96)

    def train_dataloader(self):
        return loader(1, self.size, shuffle=True)

    def val_dataloader(self):
        return self.valid


def main():"""

_STREAM = """class Stream(torch.utils.data.IterableDataset):
    def __init__(self, *what):
        self.what = what

    def __iter__(self):
        return iter(zip(*points(*self.what)))


def main():"""

_MANUAL = """    def training_step(self, batch, i):
        for optimizer in self.optimizers():
            loss = F.cross_entropy(self(batch[0]), batch[1])
            optimizer.zero_grad()
            self.manual_backward(loss)
            optimizer.step()
        self.log("train/loss", loss)
"""

_PLAIN = """
import csv
import os

import torch
from torch import nn

EPOCHS = 4
LEARNING_RATE = 0.1


def points(seed, count):
    g = torch.Generator().manual_seed(seed)
    x = torch.randn(count, 4, generator=g)
    return x, (x[:, 0] > 0).long()


def main():
    torch.manual_seed(0)
    net = nn.Linear(4, 2)
    optimizer = torch.optim.SGD(net.parameters(), lr=LEARNING_RATE)
    (x, y), (vx, vy) = points(1, 200), points(2, 80)
    os.makedirs("runs/a", exist_ok=True)
    lowest, rows = 9.0, [("epoch", "train_loss", "val_loss", "val_acc")]
    for epoch in range(EPOCHS):
        loss = nn.functional.cross_entropy(net(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        with torch.no_grad():
            out = net(vx)
            val = nn.functional.cross_entropy(out, vy).item()
            acc = (out.argmax(1) == vy).float().mean().item()
        rows.append((epoch, loss.item(), val, acc))
        if val < lowest:
            lowest = val
            torch.save(net.state_dict(), "runs/a/best_model.pt")
    torch.save(net.state_dict(), "runs/a/final.pt")
    with open("runs/a/history.csv", "w", newline="") as file:
        csv.writer(file).writerows(rows)


if __name__ == "__main__":
    main()
"""

_TEXT = """
import lightning as L
import torch
import torch.nn.functional as F
from lightning.pytorch.callbacks import ModelCheckpoint
from torch.utils.data import DataLoader

EPOCHS = 3
LEARNING_RATE = 0.05
LETTERS = " abcdefgh"
LENGTH = 9


def load_split(split):
    g = torch.Generator().manual_seed(len(split))
    drawn = torch.randint(0, len(LETTERS), (256 if split == "train" else 96, LENGTH), generator=g)
    texts = ["".join(LETTERS[i] for i in row) for row in drawn.tolist()]
    return [(f"{split}-{n}", text, text.upper().strip()) for n, text in enumerate(texts)]


def preprocess(text):
    return torch.tensor([LETTERS.index(letter) for letter in text])


def postprocess(output):
    return "".join(LETTERS[i] for i in output.argmax(-1).flatten().tolist()).upper().strip()


def per_sample_loss(output, target):
    wanted = preprocess(target.lower().ljust(LENGTH)[:LENGTH])
    return F.cross_entropy(output.reshape(-1, len(LETTERS)), wanted)


class Speller(L.LightningModule):
    def __init__(self):
        super().__init__()
        self.save_hyperparameters()
        self.net = torch.nn.Sequential(torch.nn.Embedding(len(LETTERS), 8), torch.nn.Linear(8, len(LETTERS)))

    def forward(self, x):
        return self.net(x)

    def training_step(self, batch, i):
        loss = F.cross_entropy(self(batch).flatten(0, 1), batch.flatten())
        self.log("train_loss", loss)
        return loss

    def validation_step(self, batch, i):
        self.log("val_loss", F.cross_entropy(self(batch).flatten(0, 1), batch.flatten()))

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=LEARNING_RATE)


def loader(split):
    return DataLoader([preprocess(text) for _, text, _ in load_split(split)], batch_size=32, shuffle=split == "train")


def main():
    L.seed_everything(1, verbose=False)
    best = ModelCheckpoint("outputs", "best", monitor="val_loss")
    trainer = L.Trainer(max_epochs=EPOCHS, accelerator="cpu", callbacks=[best], enable_progress_bar=False)
    trainer.fit(Speller(), loader("train"), loader("valid"))


if __name__ == "__main__":
    main()
"""

_OFFERS = """
def load_split(split):
    x, y = points(1, 200) if split == "train" else points(2, 96)
    return [(f"{split}-{i}", sample, int(target)) for i, (sample, target) in enumerate(zip(x, y))]


def load_model(checkpoint_path):
    net = nn.Linear(4, 2)
    net.load_state_dict(torch.load(checkpoint_path))
    return net


def main():"""

_TRANSFORMERS = """
import torch
from transformers import BertConfig, BertForSequenceClassification, GPT2Config, GPT2LMHeadModel
from transformers import Trainer, TrainingArguments

LEARNING_RATE = 1e-3


def rows(count, seed):
    drawn = torch.randint(1, 20, (count, 7), generator=torch.Generator().manual_seed(seed))
    return [{"input_ids": ids, "labels": int(ids[0]) % 3} for ids in drawn]


def metrics(found):
    return {"accuracy": float((found.predictions.argmax(-1) == found.label_ids).mean())}


def make():
    config = BertConfig(vocab_size=20, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16)
    config.num_labels = 3
    return BertForSequenceClassification(config)


def main():
    torch.manual_seed(0)
    args = TrainingArguments("outputs", num_train_epochs=3, learning_rate=LEARNING_RATE, eval_strategy="epoch",
                             save_strategy="epoch", per_device_train_batch_size=16, logging_steps=4, report_to=[],
                             load_best_model_at_end=True, use_cpu=True, disable_tqdm=True)
    trainer = Trainer(make(), args, train_dataset=rows(256, 1), eval_dataset=rows(96, 2), compute_metrics=metrics)
    trainer.train()


if __name__ == "__main__":
    main()
"""

_LANGUAGE = [
    ('"labels": int(ids[0]) % 3', '"labels": ids'),
    (_TRANSFORMERS[_TRANSFORMERS.index("    config = Bert"):_TRANSFORMERS.index("def main")],
     "    return GPT2LMHeadModel(GPT2Config(vocab_size=20, n_embd=16, n_layer=1, n_head=2, n_positions=16))\n\n\n"),
    (", compute_metrics=metrics", ""),
]  # fmt: skip

_SAVING = _PLAIN[_PLAIN.index("        rows.append") : _PLAIN.index("\n\nif __name__")]
_PRINTING = """        print(f"Epoch {epoch} train loss: {loss:.4f}")
        print(f"Test set: average loss: {val:.4f}, Accuracy: {int(acc * 80)}/80 ({100 * acc:.0f}%)")
"""
_BY_HAND = """        net.zero_grad()
        loss.backward()
        with torch.no_grad():
            for parameter in net.parameters():
                parameter -= LEARNING_RATE * parameter.grad
"""

#: name -> (what it stands for, script, pieces that are replaced, rules besides)
SCRIPTS: dict[str, tuple[str, str, list[tuple[str, str]], dict[str, object]]] = {
    "argparse": (
        "argparse with an argument that must be given, loaders made in `main()`, no logger, results elsewhere",
        BASE,
        [],
        {"training_args": ["--width", "8"]},
    ),
    "datamodule": (
        "LightningDataModule with arguments, Lightning's default logger",
        BASE,
        [_NO_ARGUMENTS, ("def main():", _DATA), ("logger=False, ", ""),
         ("loader(1, 256, shuffle=True), loader(2, 96))", "datamodule=Data(256))")],
        {},
    ),
    "stream": (
        "IterableDataset",
        BASE,
        [_NO_ARGUMENTS, ("def main():", _STREAM),
         ("loader(1, 256, shuffle=True), loader(2, 96))",
          "DataLoader(Stream(1, 256), batch_size=32), DataLoader(Stream(2, 96), batch_size=32))")],
        {},
    ),
    "dataclass": (
        "settings in a dataclass, training at the top level without a main guard",
        BASE,
        [_NO_ARGUMENTS,
         ("EPOCHS = 3\nRATE = 0.05", "from dataclasses import dataclass\n\n\n@dataclass\nclass Config:\n"
          "    epochs: int = 3\n    learning_rate: float = 0.05\n\n\nCFG = Config()"),
         ("max_epochs=EPOCHS", "max_epochs=CFG.epochs"), ("Net(width, RATE)", "Net(width, CFG.learning_rate)"),
         ('if __name__ == "__main__":\n    main()', "main()")],
        {},
    ),
    "manual": (
        "manual optimization with two optimizers",
        BASE,
        [_NO_ARGUMENTS,
         ("        self.rate = rate", "        self.rate = rate\n        self.automatic_optimization = False"),
         (BASE[BASE.index("    def training_step"):BASE.index("    def validation_step")], _MANUAL + "\n"),
         ("return torch.optim.SGD(self.parameters(), lr=self.rate)",
          "return [torch.optim.SGD(self.net[i].parameters(), lr=self.rate) for i in (0, 2)]")],
        {},
    ),
    "pytorch_lightning": (
        "`pytorch_lightning`, the older name",
        BASE,
        [_NO_ARGUMENTS, ("import lightning as L", "import pytorch_lightning as L"),
         ("lightning.pytorch.callbacks", "pytorch_lightning.callbacks")],
        {},
    ),
    "no_checkpoint_named": (
        "no callbacks at all: Lightning's own checkpoint, in its own folder",
        BASE,
        [_NO_ARGUMENTS, ("logger=False, callbacks=[best],", "")],
        {},
    ),
    "plain": ("a loop of its own that offers nothing", _PLAIN, [], {}),
    "printing": ("a loop of its own that only prints, and saves nothing", _PLAIN, [(_SAVING, _PRINTING)], {}),
    "by_hand": (
        "weights updated without an optimizer",
        _PLAIN,
        [(_PLAIN[_PLAIN.index("        optimizer.zero"):_PLAIN.index("        with torch.no")], _BY_HAND)],
        {},
    ),
    "two_processes": (
        "DDP on two CPU processes",
        BASE,
        [_NO_ARGUMENTS, ('accelerator="cpu"', 'accelerator="cpu", devices=2, strategy="ddp"')],
        {},
    ),
    "masks": (
        "segmentation: a class for each pixel",
        BASE,
        [_NO_ARGUMENTS,
         ("x = torch.randn(count, 4, generator=g)\n    return x, (x[:, 0] > 0).long() + (x[:, 1] > 0).long()",
          "x = torch.randn(count, 1, 8, 8, generator=g)\n    return x, (x[:, 0] > 0).long()"),
         ("nn.Sequential(nn.Linear(4, width), nn.ReLU(), nn.Linear(width, 3))",
          "nn.Sequential(nn.Conv2d(1, width, 3, padding=1), nn.ReLU(), nn.Conv2d(width, 2, 1))")],
        {"eval_config": {"primary_metric": "iou", "metrics": ["iou", "accuracy"]}},
    ),
    "regression": (
        "regression with three targets and an L1 loss",
        BASE,
        [_NO_ARGUMENTS,
         ("return x, (x[:, 0] > 0).long() + (x[:, 1] > 0).long()", "return x, x[:, :3] * 2 + 0.5"),
         ("F.cross_entropy", "F.l1_loss"),
         ('self.log("val/acc", (out.argmax(1) == batch[1]).float().mean())',
          'self.log("val/bias", (out - batch[1]).mean())')],
        {"eval_config": {"primary_metric": "mae", "metrics": ["mae", "r2"]}},
    ),
    "labels": (
        "several labels at once",
        BASE,
        [_NO_ARGUMENTS,
         ("return x, (x[:, 0] > 0).long() + (x[:, 1] > 0).long()", "return x, (x[:, :3] > 0).float()"),
         ("F.cross_entropy", "F.binary_cross_entropy_with_logits"),
         ("(out.argmax(1) == batch[1]).float().mean()", "((out > 0) == batch[1]).float().mean()")],
        {"eval_config": {"primary_metric": "f1", "metrics": ["f1", "accuracy"]}},
    ),
    "language": (
        "a language model: the next token at each place",
        BASE,
        [_NO_ARGUMENTS,
         ("x = torch.randn(count, 4, generator=g)\n    return x, (x[:, 0] > 0).long() + (x[:, 1] > 0).long()",
          "x = (torch.randint(0, 5, (count, 1), generator=g) + torch.arange(9)) % 5\n    return x[:, :-1], x[:, 1:]"),
         ("nn.Sequential(nn.Linear(4, width), nn.ReLU(), nn.Linear(width, 3))",
          "nn.Sequential(nn.Embedding(5, width), nn.ReLU(), nn.Linear(width, 5))"),
         ("F.cross_entropy(self(batch[0]), batch[1])",
          "F.cross_entropy(self(batch[0]).flatten(0, 1), batch[1].flatten())"),
         ("F.cross_entropy(out, batch[1])", "F.cross_entropy(out.flatten(0, 1), batch[1].flatten())"),
         ("out.argmax(1) == batch[1]", "out.argmax(2) == batch[1]")],
        {"eval_config": {"primary_metric": "perplexity", "metrics": ["perplexity"]}},
    ),
    "two_classes": (
        "two classes by one logit",
        BASE,
        [_NO_ARGUMENTS,
         ("return x, (x[:, 0] > 0).long() + (x[:, 1] > 0).long()", "return x, (x[:, 0] > 0).float()"),
         ("nn.Linear(width, 3))", "nn.Linear(width, 1), nn.Flatten(0))"),
         ("F.cross_entropy", "F.binary_cross_entropy_with_logits"),
         ("(out.argmax(1) == batch[1])", "((out > 0) == batch[1])")],
        {"eval_config": {"primary_metric": "f1", "metrics": ["f1", "accuracy"]}},
    ),
    "one_hot": (
        "one-hot targets",
        BASE,
        [_NO_ARGUMENTS,
         ("return x, (x[:, 0] > 0).long() + (x[:, 1] > 0).long()",
          "return x, F.one_hot((x[:, 0] > 0).long() + (x[:, 1] > 0).long(), 3).float()"),
         ("== batch[1])", "== batch[1].argmax(1))")],
        {},
    ),
    "tags": (
        "token tags, with places that do not count",
        BASE,
        [_NO_ARGUMENTS,
         ("x = torch.randn(count, 4, generator=g)\n    return x, (x[:, 0] > 0).long() + (x[:, 1] > 0).long()",
          "x = torch.randint(0, 9, (count, 6), generator=g)\n    y = x % 3\n    y[:, 4:] = -100\n    return x, y"),
         ("nn.Sequential(nn.Linear(4, width), nn.ReLU(), nn.Linear(width, 3))",
          "nn.Sequential(nn.Embedding(9, width), nn.Linear(width, 3))"),
         ("F.cross_entropy(self(batch[0]), batch[1])",
          "F.cross_entropy(self(batch[0]).flatten(0, 1), batch[1].flatten())"),
         ("F.cross_entropy(out, batch[1])", "F.cross_entropy(out.flatten(0, 1), batch[1].flatten())"),
         ("(out.argmax(1) == batch[1])", "(out.argmax(2) == batch[1])[batch[1] >= 0]")],
        {},
    ),
    "boxes": (
        "detection: boxes, by the metric that the module logs",
        BASE,
        [_NO_ARGUMENTS,
         ("    return DataLoader(TensorDataset(*points(seed, count)), batch_size=32, **more)",
          "    data = [(x, {'boxes': torch.tensor([[0.0, 0.0, 2.0, 2.0]]), 'labels': y[None]})\n"
          "            for x, y in zip(*points(seed, count))]\n"
          "    return DataLoader(data, batch_size=32, collate_fn=lambda parts: tuple(zip(*parts)), **more)"),
         ("        return self.net(x)",
          "        out = self.net(torch.stack(x))\n        if self.training:\n            return out\n"
          "        return [{'boxes': torch.tensor([[0.0, 0.0, 2.0, 2.0]]), 'labels': one.argmax(0, True),\n"
          "                 'scores': one.softmax(0).max(0, True).values} for one in out]"),
         ("F.cross_entropy(self(batch[0]), batch[1])",
          "F.cross_entropy(self(batch[0]), torch.cat([one['labels'] for one in batch[1]]))"),
         ('        self.log("val/loss", F.cross_entropy(out, batch[1]))\n'
          '        self.log("val/acc", (out.argmax(1) == batch[1]).float().mean())\n',
          "        hits = [float(o['labels'] == t['labels']) for o, t in zip(out, batch[1])]\n"
          '        self.log("val/hits", sum(hits) / len(hits), batch_size=len(hits))\n'
          '        self.log("val/loss", 1 - sum(hits) / len(hits), batch_size=len(hits))\n')],
        {"eval_config": {"primary_metric": "hits", "metrics": [{"name": "hits", "higher_is_better": True}]}},
    ),
    "restored": (
        "image to image",
        BASE,
        [_NO_ARGUMENTS,
         ("x = torch.randn(count, 4, generator=g)\n    return x, (x[:, 0] > 0).long() + (x[:, 1] > 0).long()",
          "x = torch.rand(count, 1, 16, 16, generator=g)\n"
          "    return (x + torch.randn(x.shape, generator=g) / 9).clamp(0, 1), x"),
         ("nn.Sequential(nn.Linear(4, width), nn.ReLU(), nn.Linear(width, 3))", "nn.Conv2d(1, 1, 3, padding=1)"),
         ("F.cross_entropy", "F.mse_loss"), ("(out.argmax(1) == batch[1]).float().mean()", "out.mean()")],
        {"eval_config": {"primary_metric": "psnr", "metrics": ["psnr", "ssim"]}},
    ),
    "sound": (
        "audio: waveforms",
        BASE,
        [_NO_ARGUMENTS,
         ("x = torch.randn(count, 4, generator=g)\n    return x, (x[:, 0] > 0).long() + (x[:, 1] > 0).long()",
          "x = torch.randn(count, 1, 256, generator=g)\n    return x + 0.3 * torch.randn(x.shape, generator=g), x"),
         ("nn.Sequential(nn.Linear(4, width), nn.ReLU(), nn.Linear(width, 3))", "nn.Conv1d(1, 1, 3, padding=1)"),
         ("F.cross_entropy", "F.l1_loss"), ("(out.argmax(1) == batch[1]).float().mean()", "out.mean()")],
        {"eval_config": {"primary_metric": "si_sdr", "metrics": ["si_sdr", "mae"]}},
    ),
    "texts": (
        "text to text, by what the script offers",
        _TEXT,
        [],
        {"eval_config": {"primary_metric": "cer", "metrics": ["cer", "wer", "exact_match"]}},
    ),
    "compiled": (
        "a model that is compiled (torch.compile)",
        BASE,
        [_NO_ARGUMENTS, ("        self.net = nn.Sequential(", "        self.net = torch.compile(nn.Sequential("),
         ("nn.Linear(width, 3))", "nn.Linear(width, 3)))")],
        {},
    ),
    "offers": ("a loop of its own that offers its samples and its model", _PLAIN, [("\ndef main():", _OFFERS)], {}),
    "tensorboard": (
        "TensorBoard's logger",
        BASE,
        [_NO_ARGUMENTS, ("logger=False", 'logger=L.pytorch.loggers.TensorBoardLogger("tb")')],
        {},
    ),
    "transformers": ("transformers' Trainer: a classifier", _TRANSFORMERS, [], {}),
    "lora": (
        "PEFT: LoRA on a model of transformers",
        _TRANSFORMERS,
        [("    return BertForSequenceClassification(config)",
          '    lora = LoraConfig(task_type="SEQ_CLS", r=2, target_modules=["query", "value"])\n'
          "    return get_peft_model(BertForSequenceClassification(config), lora)"),
         ("import torch\n", "import torch\nfrom peft import LoraConfig, get_peft_model\n")],
        {},
    ),
    "causal": (
        "transformers' Trainer: a language model",
        _TRANSFORMERS,
        _LANGUAGE,
        {"eval_config": {"primary_metric": "perplexity", "metrics": ["perplexity"]}},
    ),
}  # fmt: skip

#: name -> packages that it needs besides, in an environment of its own
PACKAGES = {
    "tensorboard": "tensorboard", "transformers": "transformers", "lora": "peft", "causal": "transformers"
}  # fmt: skip


def source(name: str) -> str:
    _, text, pieces, _ = SCRIPTS[name]
    for old, new in pieces:
        assert old in text, (name, old)
        text = text.replace(old, new)
    return text
