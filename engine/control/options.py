"""How a loop is to be run: what the command line and the app hand to a runner."""

from __future__ import annotations

from pydantic import BaseModel

from progtrain.engine.schema import StepName


class Options(BaseModel):
    """How a loop is to be run. What is None is taken from the open loop, else from rules and defaults."""

    autopilot: bool = False
    dataset_id: str | None = None
    max_versions: int | None = None
    until: StepName | None = None
    python: str | None = None
    model: str | None = None
