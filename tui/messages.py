"""What threads tell the app: one frozen value for each look at the disk."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from progtrain.engine.status.snapshot import Snapshot
    from progtrain.tui.reading.curves import CurveRows
    from progtrain.tui.reading.drafts import Documents
    from progtrain.tui.reading.log import LogRows
    from progtrain.tui.reading.machine import Machine


class Update(NamedTuple):
    """What is new since the last one; None or empty where nothing is."""

    snapshot: Snapshot | None = None
    #: why the workspace cannot be read; "" when it can again
    problem: str | None = None
    curves: tuple[CurveRows, ...] = ()
    #: of each version whose curves are not read to their end yet, the share that is
    reading: dict[str, float] | None = None
    log: LogRows | None = None
    documents: Documents | None = None
    machine: Machine | None = None

    def __bool__(self) -> bool:
        return self != Update()
