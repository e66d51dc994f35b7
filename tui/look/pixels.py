"""Pictures as real pixels (Kitty's protocol or Sixel), where the optional package textual-image and the terminal can.

The package asks the terminal when it is imported, and nobody reads the answer once Textual reads the keyboard: so this
is called before the app starts.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from textual.widget import Widget

#: they take pixels for text or swallow them; none of them says so
_BLIND = ("screen", "tmux", "linux", "vt", "dumb")


def may_show_pixels(environ: Mapping[str, str]) -> bool:
    """False for terminals of which it is known beforehand: they are not asked, and nothing is imported."""
    term = environ.get("TERM", "")
    if environ.get("TMUX") or environ.get("STY") or "NO_COLOR" in environ or term.startswith(_BLIND):
        return False
    # Kitty's protocol hides a picture's number in a colour, which must come through as it is
    return environ.get("COLORTERM", "").strip().lower() in {"truecolor", "24bit"}


def pixel_widget(environ: Mapping[str, str]) -> type[Widget] | None:
    """A widget that takes a Pillow image; None where half blocks have to do. Asks the terminal, up to 0.3 seconds."""
    if not may_show_pixels(environ) or importlib.util.find_spec("textual_image") is None:
        return None
    from textual_image.renderable import Image, SixelImage, TGPImage
    from textual_image.widget import Image as PixelImage

    found: type[Widget] | None = PixelImage if Image in (SixelImage, TGPImage) else None
    return found
