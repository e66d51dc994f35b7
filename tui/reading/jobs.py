"""The ledger of jobs: read anew each time, since its states are what guards and their processes say now."""

from __future__ import annotations

from typing import TYPE_CHECKING

from progtrain.engine.workspace import Workspace

if TYPE_CHECKING:
    from progtrain.engine.records.jobs import Job


def read_jobs(workspace: Workspace) -> tuple[Job, ...]:
    from progtrain.engine.records.planned import ledger  # it loads the steps of the loop

    return tuple(ledger(workspace))
