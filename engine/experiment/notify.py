"""Telling people: a message to the address that the plan names, sent by a process of its own.

`python -P -m progtrain.engine.experiment.notify URL MESSAGE`. A dead address costs the runner nothing: it has gone on.
Only the standard library, so that it starts at once.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from progtrain.engine.jobs.detached import send, spawn
from progtrain.engine.text import clean_line

if TYPE_CHECKING:
    from progtrain.engine.experiment.folder import ExperimentFolder
    from progtrain.engine.experiment.plan import Plan

_SECONDS = 5.0


def tell(folder: ExperimentFolder, plan: Plan, what: str, message: Mapping[str, Any]) -> None:
    """Posts one JSON object, where the plan names an address and wants to hear of this. Returns at once.

    `what`: "ended", "failed" or "waiting". On a desktop a note appears besides.
    """
    if what not in plan.notify.on:
        return
    if plan.notify.bell and plan.resources.executor == "local":
        _note(f"progtrain: {folder.name}", str(message.get("text") or f"{message.get('run')}: {message.get('reason')}"))
    if plan.notify.webhook:
        text = json.dumps({"experiment": folder.name, "event": what, **message}, ensure_ascii=False, default=str)
        spawn("progtrain.engine.experiment.notify", [plan.notify.webhook, text], folder.log("notify"))


def _note(title: str, text: str) -> None:
    """Where there is a screen, and a program for it."""
    program = shutil.which("notify-send") if os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY") else None
    if program:
        send([program, "--", clean_line(title), clean_line(text)], dict(os.environ))


def main() -> None:
    import urllib.request  # 40 ms that no runner and no command needs

    url, text = sys.argv[1:]
    request = urllib.request.Request(url, text.encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=_SECONDS) as answer:
        answer.read()


if __name__ == "__main__":
    main()
