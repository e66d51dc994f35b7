"""What the engine would do with an action as it stands, or why it refuses: for the review on any screen."""

from __future__ import annotations

from typing import NamedTuple

from progtrain.engine.errors import ProgtrainError
from progtrain.engine.workspace import Workspace


class Check(NamedTuple):
    """What the engine would do with an edit, or why it refuses."""

    #: unified diff of the next script; empty when it is refused
    diff: str = ""
    #: name of the file that would be written
    target: str = ""
    #: why it is refused, empty when it is not
    problems: tuple[str, ...] = ()
    checks: tuple[str, ...] = ()


def preview(ws: Workspace, version: str, action_text: str, base: str | None = None) -> Check:
    """Never raises for what a user can write: the refusal is the answer."""
    # the app's first frame needs the type above and nothing of these
    from progtrain.engine.analysis.action_file import parse_action
    from progtrain.engine.drafting import addition, next_script
    from progtrain.engine.rules import rules

    try:
        parsed = parse_action(action_text, ws.drafts(version).action)
        planned = next_script.plan(ws, rules.load(ws), version, parsed.operation, base=base or parsed.base)
        refused = addition.refused(ws, version, planned.operation, planned.base)
    except ProgtrainError as error:
        return Check(problems=(str(error),))
    if refused:
        return Check(problems=(refused,))
    return Check(planned.diff, ws.script(planned.version).name, (), planned.checks)
