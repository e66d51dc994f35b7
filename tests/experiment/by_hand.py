"""Runs of an experiment, taken by hand through worker and executor, as the runner does."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from progtrain.engine.clock import now
from progtrain.engine.experiment import expand, placing, plan
from progtrain.engine.experiment.folder import ExperimentFolder
from progtrain.engine.experiment.workers import base
from progtrain.engine.files import write_text
from progtrain.engine.jobs.local import Local
from progtrain.engine.rules import rules
from progtrain.engine.workspace import JobFolder, Workspace


class ByHand:
    """One experiment, a step at a time."""

    def __init__(self, ws: Workspace, text: str, kind: str = "grid", dataset_id: str = "toy_v1") -> None:
        folder = ExperimentFolder(ws.experiments / "cap")
        write_text(folder.plan, f"experiment: {{name: cap, kind: {kind}}}\n{text}")
        read = plan.read(folder)
        self.experiment = base.Experiment(ws, rules.load(ws), dataset_id, folder, read, now, sys.executable)
        self.worker = base.training("lightning")

    def piece(self, name: str, changes: Mapping[str, Any] | None = None) -> base.Piece:
        found = expand.runs(self.experiment.plan, self.experiment.folder)
        run = next(run for run in found if run.name == name)
        return base.Piece(self.experiment, run, changes=changes or {})

    def cell(self, name: str, task: str) -> base.Piece:
        piece = self.piece(name)
        found = expand.cells(self.experiment.plan, [piece.run], self.experiment.folder)
        return replace(piece, cell=next(cell for cell in found if cell.name == task))

    def scaffold(self, piece: base.Piece, worker: base.Worker | None = None) -> None:
        worker = worker or self.worker
        placing.put(worker.files(piece), worker.links(piece), piece.folder.path)

    def train(self, piece: base.Piece, number: int = 1, *, resume: bool = False) -> base.Ended:
        self.submit(piece, number, resume=resume)
        return self.wait(piece, number)

    def submit(
        self, piece: base.Piece, number: int = 1, worker: base.Worker | None = None, *, resume: bool = False
    ) -> JobFolder:
        attempt = piece.folder.attempt(piece.cell.name if piece.cell else "train", number)
        Local().submit(attempt, (worker or self.worker).request(piece, attempt, resume=resume))
        return attempt

    def wait(self, piece: base.Piece, number: int = 1, worker: base.Worker | None = None) -> base.Ended:
        attempt = piece.folder.attempt(piece.cell.name if piece.cell else "train", number)
        state = Local().wait(attempt, lambda: None)
        return (worker or self.worker).ended(piece, attempt, state)
