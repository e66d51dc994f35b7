"""Telling people: a message to the address that the plan names, sent by a process of its own.

`python -P -m progtrain.engine.experiment.notify URL MESSAGE`. A dead address costs the runner nothing: it has gone on.
Only the standard library, so that it starts at once.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from progtrain.engine.jobs.detached import spawn

if TYPE_CHECKING:
    from progtrain.engine.experiment.folder import ExperimentFolder
    from progtrain.engine.experiment.plan import Plan

_SECONDS = 5.0


def tell(folder: ExperimentFolder, plan: Plan, what: str, message: Mapping[str, Any]) -> None:
    """Posts one JSON object, where the plan names an address and wants to hear of this. Returns at once.

    `what`: "ended", "failed" or "waiting".
    """
    if plan.notify.webhook and what in plan.notify.on:
        text = json.dumps({"experiment": folder.name, "event": what, **message}, ensure_ascii=False, default=str)
        spawn("progtrain.engine.experiment.notify", [plan.notify.webhook, text], folder.log("notify"))


def main() -> None:
    import urllib.request  # 40 ms that no runner and no command needs

    url, text = sys.argv[1:]
    request = urllib.request.Request(url, text.encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=_SECONDS) as answer:
        answer.read()


if __name__ == "__main__":
    main()
