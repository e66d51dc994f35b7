"""How states, changes and times are told: words, and signs that do not need colour."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from progtrain.engine import values
from progtrain.engine.status.snapshot import WORKING

if TYPE_CHECKING:
    from progtrain.engine.status.snapshot import Snapshot, Status


class Signs(NamedTuple):
    """Signs of one alphabet: Unicode, or plain ASCII for terminals that have no more."""

    done: str = "✓"
    running: str = "▶"
    waiting: str = "◆"
    failed: str = "✗"
    pending: str = "·"
    best: str = "★"
    up: str = "▲"
    down: str = "▼"
    same: str = "≈"
    on: str = "●"
    off: str = "○"
    marked: str = "■"
    full: str = "█"
    empty: str = "░"
    arrow: str = "→"
    dots: str = "…"
    none: str = "–"
    train: str = "─"
    valid: str = "┄"


UNICODE = Signs()
ASCII = Signs(
    done="+",
    running=">",
    waiting="?",
    failed="x",
    pending=".",
    best="*",
    up="^",
    down="v",
    same="~",
    on="*",
    off="o",
    marked="#",
    full="#",
    empty=".",
    arrow="->",
    dots="..",
    none="-",
    train="-",
    valid=":",
)

#: states that are not told by their own names
_HEADLINES: dict[Status, str] = {
    "not started": "nothing started yet",
    "initializing": "looking at rules, data and scripts",
    "analyzing": "working out what the numbers say",
    "drafting": "the advisor drafts",
    "authoring": "writing the next script",
    "reporting": "writing the report",
    "repeating": "again with another seed",
    "waiting": "waiting for you",
    "runner gone": "the runner is gone",
    "orphan training": "trains without a runner",
}


def headline(snapshot: Snapshot) -> str:
    """The state in a few words: "v003 training"."""
    words = _HEADLINES.get(snapshot.status, snapshot.status)
    if snapshot.status == "waiting" and snapshot.review:
        kind = {"audit": "fixes of the baseline", "repair": "a repair", "attempts": "attempts used up"}
        words = f"waiting for you: {kind.get(snapshot.review.kind, 'review')}"
    about = snapshot.status not in {"not ready", "not started", "finished", "initializing", "starting"}
    return f"{snapshot.version} {words}" if snapshot.version and about else words


def status_sign(status: Status, signs: Signs) -> str:
    if status == "waiting":
        return signs.waiting
    if status in {"failed", "not ready", "runner gone"}:
        return signs.failed
    if status == "finished":
        return signs.done
    return signs.on if status in WORKING else signs.off


def step_sign(state: str, signs: Signs) -> str:
    """The steps' states have signs of their names."""
    return str(getattr(signs, state, signs.pending))


def change_sign(delta: float | None, verdict: str | None, higher_is_better: bool, signs: Signs) -> str:
    """▲ better, ▼ worse, ≈ within noise: better and worse, not up and down (a loss that falls is ▲)."""
    if verdict == "within noise":
        return signs.same
    if verdict in {"better", "worse"}:
        return signs.up if verdict == "better" else signs.down
    if not delta:
        return signs.same if delta == 0 else ""
    return signs.up if (delta > 0) == higher_is_better else signs.down


def number(value: float | None, signs: Signs = UNICODE) -> str:
    """Four digits that tell: 0.9611, 52.34, 1.2e-05."""
    if value is None or not math.isfinite(value):
        return signs.none if value is None else str(value)
    if value == 0:
        return "0"
    if value == int(value) and abs(value) < 1e6:
        return str(int(value))
    size = abs(value)
    if size < 0.0001 or size >= 1e6:
        return f"{value:.2e}"
    return f"{value:.{5 if size < 0.01 else 4 if size < 10 else 3 if size < 100 else 1}f}"


def metric_value(value: float | None, signs: Signs = UNICODE, decimals: int | None = None) -> str:
    """`decimals`: those of a table's column, so that its numbers line up (`values.places`)."""
    if value is None or not math.isfinite(value):
        return signs.none if value is None else str(value)
    return values.metric(value, decimals)


def signed(value: float | None, signs: Signs = UNICODE, decimals: int | None = None) -> str:
    return signs.none if value is None else values.change(value, decimals)


def clock(seconds: float | None) -> str:
    """00:41, 1:02:03; nothing for an unknown or impossible time."""
    if seconds is None or not math.isfinite(seconds) or seconds < 0:
        return "--:--"
    whole = int(seconds)
    if whole >= 86_400:
        return f"{whole // 86_400}d {whole % 86_400 // 3600:02d}h"
    if whole >= 3600:
        return f"{whole // 3600}:{whole % 3600 // 60:02d}:{whole % 60:02d}"
    return f"{whole // 60:02d}:{whole % 60:02d}"


def big(value: float) -> str:
    """1 204, 2 064: thousands apart."""
    return f"{value:,.0f}".replace(",", " ")


def size_of(count: float) -> str:
    """Bytes: 2.1G, 312M."""
    for unit in ("B", "K", "M", "G"):
        if count < 1024:
            return f"{count:.0f}{unit}" if unit in "BKM" else f"{count:.1f}{unit}"
        count /= 1024
    return f"{count:.1f}T"


def bar(share: float, width: int, signs: Signs = UNICODE) -> str:
    filled = round(max(0.0, min(1.0, share)) * width)
    return signs.full * filled + signs.empty * (width - filled)
