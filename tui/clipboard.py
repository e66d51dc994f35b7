"""What goes past the screen to the terminal: copying over SSH (OSC 52), and a bell with a message (OSC 9).

Wrapped for tmux and screen, which hand on what they are asked to.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Mapping

from progtrain.engine.text import clean_line

#: terminals drop longer sequences
_MOST_BYTES = 74_000
#: of a message: more is not shown
_MOST_LETTERS = 200


def sequences(text: str, environment: Mapping[str, str] = os.environ) -> str | None:
    """What to write to the terminal; None when the text is too long for one."""
    data = text.encode("utf-8")
    if len(data) > _MOST_BYTES:
        return None
    plain = f"\x1b]52;c;{base64.b64encode(data).decode('ascii')}\x07"
    return _wrapped(plain, environment)


def bell(text: str, environment: Mapping[str, str] = os.environ) -> str:
    """A bell, and a message for terminals that show some: iTerm2, kitty, WezTerm, Windows Terminal and others."""
    # some take a message that begins with a digit for a command
    message = f"\x1b]9;progtrain: {clean_line(text)[:_MOST_LETTERS]}\x07"
    return f"\x07{_wrapped(message, environment)}"


def _wrapped(plain: str, environment: Mapping[str, str]) -> str:
    if environment.get("TMUX"):
        inner = plain.replace("\x1b", "\x1b\x1b")
        # tmux takes the first with set-clipboard on, hands the second on with allow-passthrough
        return f"{plain}\x1bPtmux;{inner}\x1b\\"
    if environment.get("TERM", "").startswith("screen"):
        return f"\x1bP{plain}\x1b\\"
    return plain
