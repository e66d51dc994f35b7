"""Text from data, scripts and logs, made harmless for documents and terminals."""

from __future__ import annotations

import unicodedata


def plain(text: str, width: int = 80) -> str:
    """On one line, without control characters or fences, not longer than `width`."""
    shown = "".join(" " if _is_control(c) else c for c in text)
    shown = " ".join(shown.replace("```", "'''").replace("~~~", "'''").split())
    return shown if len(shown) <= width else shown[: width - 1] + "…"


def _is_control(character: str) -> bool:
    # Cf holds the marks that turn the direction of writing around
    return unicodedata.category(character) in ("Cc", "Cf", "Zl", "Zp", "Cs")
