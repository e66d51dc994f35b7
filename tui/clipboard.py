"""Copying over SSH: OSC 52, wrapped for tmux and screen, and a file for terminals that know neither."""

from __future__ import annotations

import base64
import os
from collections.abc import Mapping

#: terminals drop longer sequences
_MOST_BYTES = 74_000


def sequences(text: str, environment: Mapping[str, str] = os.environ) -> str | None:
    """What to write to the terminal; None when the text is too long for one."""
    data = text.encode("utf-8")
    if len(data) > _MOST_BYTES:
        return None
    plain = f"\x1b]52;c;{base64.b64encode(data).decode('ascii')}\x07"
    if environment.get("TMUX"):
        inner = plain.replace("\x1b", "\x1b\x1b")
        # tmux takes the first with set-clipboard on, hands the second on with allow-passthrough
        return f"{plain}\x1bPtmux;{inner}\x1b\\"
    if environment.get("TERM", "").startswith("screen"):
        return f"\x1bP{plain}\x1b\\"
    return plain
