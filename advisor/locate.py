"""Where the bundled model lies."""

from __future__ import annotations

from pathlib import Path

NAME = "progtrain-advisor.gguf"


def bundled_model() -> Path:
    """Beside this module in a wheel, else under `models/` in a checkout. The file may be missing: look before use."""
    packaged = Path(__file__).with_name(NAME)
    return packaged if packaged.exists() else Path(__file__).resolve().parents[1] / "models" / NAME
