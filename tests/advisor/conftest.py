"""Briefings as the engine makes them, and files that are broken in one place."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from progtrain.advisor import process
from progtrain.advisor.interface import Briefing, Candidate, Draft, Fact, Finding, Risk, Settings, Tried
from progtrain.advisor.locate import bundled_model
from progtrain.engine.script.action.catalogue import words_of

Make = Callable[..., Briefing]


def fact(
    key: str, display: str, value: float | int | str | None = None, bucket: str | None = None, importance: int = 1
) -> Fact:
    return Fact(
        key=key,
        display=display,
        value=display if value is None else value,
        meaning=f"what {key} means",
        bucket=bucket,
        importance=importance,
    )


@pytest.fixture
def make_briefing() -> Make:
    return briefing


@pytest.fixture(scope="session")
def drafted(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Briefing], Draft]:
    """A draft by the bundled model, which says the same of the same briefing: each is made once."""
    kept: dict[str, Draft] = {}

    def draft(briefing: Briefing) -> Draft:
        key = briefing.model_dump_json()
        if key not in kept:
            folder = tmp_path_factory.mktemp("drafted")
            kept[key] = process.draft(briefing, Settings(), events=folder / "events.jsonl", log=folder / "advisor.log")
        return kept[key]

    return draft


def option(id: str, change: str, why: str, rank: int, risk: Risk = "low") -> Candidate:
    """With the sentences that it brings along where it is a recipe."""
    return Candidate(id=id, change=change, why=why, risk=risk, rank=rank, **words_of(id))


def briefing(
    *,
    delta: float = 0.0139,
    verdict: str = "better",
    metric: str = "accuracy",
    higher: bool = True,
    first: bool = False,
) -> Briefing:
    """A version that overfits. `delta` and `verdict` say how it compares with the one before."""
    good = "improved" if (delta > 0) == higher else "worsened"
    compared = (
        fact("previous", "v002"),
        fact("previous_value", f"{0.9611 - delta:.4f}", 0.9611 - delta),
        fact("delta_previous", f"{delta:+.4f}", delta, good, 0),
        fact("verdict_previous", verdict),
        fact("delta_low", f"{delta - 0.01:+.4f}", delta - 0.01),
        fact("delta_high", f"{delta + 0.01:+.4f}", delta + 0.01),
        fact("last_action", "learning_rate 0.001 → 0.0003"),
    )
    return Briefing(
        version="v001" if first else "v003",
        facts=(
            fact("version", "v001" if first else "v003", importance=0),
            fact("best", "v001" if first else "v003"),
            fact("task", "classification"),
            fact("metric", metric, importance=0),
            fact("value", "0.9611", 0.9611, importance=0),
            *(() if first else compared),
            fact("train_loss", "0.0812", 0.0812),
            fact("val_loss", "0.1904", 0.1904),
            fact("final_val_loss", "0.3104", 0.3104),
            fact("gap", "0.574", 0.574, "large"),
            fact("rise", "0.630", 0.63, "large"),
            fact("late_slope", "-0.120", -0.12, "rising"),
            fact("best_epoch", "6", 6, "early"),
            fact("epochs", "20", 20),
            fact("learning_rate", "3e-4", 3e-4, "usual"),
            fact("weight_decay", "0", 0.0, "none"),
            fact("worst_class", "class 8"),
            fact("worst_class_recall", "0.71", 0.71, "middling"),
        ),
        findings=(
            Finding(
                id="overfitting",
                strength=0.9,
                text="Validation loss rose by @rise after epoch @best_epoch.",
                evidence=("rise", "best_epoch"),
            ),
        ),
        options=(
            option("add_dropout", "add dropout (p=0.2)", "It counters overfitting.", 1),
            option("add_weight_decay", "add weight decay", "It holds weights back.", 2),
            option("learning_rate_up", "learning_rate 3e-4 → 1e-3", "Speed.", 3, risk="medium"),
            option("undo_v003", "undo v003", "It goes back.", 4),
        ),
        tried=()
        if first
        else (
            Tried(version="v002", action="epochs 10 → 20", verdict="better"),
            Tried(version="v003", action="learning_rate 0.001 → 0.0003", verdict=verdict),
        ),
        instruction=("Never change the batch size.",),
        limits=("batch_size stays 64",),
    )


@pytest.fixture
def bundled() -> Path:
    return bundled_model()


def _cut(share: float) -> Callable[[bytes], bytes]:
    return lambda data: data[: int(len(data) * share)]


def _end_of_text_out_of_range(data: bytes) -> bytes:
    key = b"tokenizer.ggml.eos_token_id"
    # key, type (4 bytes: uint32), value (4 bytes)
    at = data.index(key) + len(key) + 4
    return data[:at] + struct.pack("<I", 999_999) + data[at + 4 :]


#: How a file is broken -> bytes to bytes.
BREAKS: dict[str, Callable[[bytes], bytes]] = {
    "only the first bytes": lambda data: data[:10],
    "cut in the vocabulary": _cut(0.004),
    "cut in the list of tensors": lambda data: data[: data.index(b"blk.3.attn_q")],
    "cut in the weights": _cut(0.5),
    "the last bytes are missing": lambda data: data[:-100],
    "garbage where the header was": lambda data: b"\x00\x13\x37" * 50 + data[150:],
    "not a model at all": lambda data: b"import torch\n" * 1000,
    "end-of-text out of range": _end_of_text_out_of_range,
    "a tensor is missing": lambda data: data.replace(b"blk.5.ffn_up.weight", b"blk.5.ffn_xx.weight"),
    "an unknown architecture": lambda data: data.replace(
        b"\x05" + bytes(7) + b"llama", b"\x05" + bytes(7) + b"lhama", 1
    ),
    "a damaged entry in the header": lambda data: data.replace(b"general.architecture", b"general.architektur"),
    "not finite": lambda data: data[:-4000] + b"\xff\x7f" * 2000,
}


@pytest.fixture(params=list(BREAKS))
def broken(request: pytest.FixtureRequest, tmp_path: Path, bundled: Path) -> Path:
    path = tmp_path / f"{request.param}.gguf"
    path.write_bytes(BREAKS[request.param](bundled.read_bytes()))
    return path
