"""What is compared: a version or an external model, with its score and what may be said of it beside the first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from progtrain.engine import comparable
from progtrain.engine.analysis.compare import serving
from progtrain.engine.analysis.compare.serving import Shares
from progtrain.engine.analysis.measure import added
from progtrain.engine.analysis.measure.samples import PerSample, read_per_sample
from progtrain.engine.analysis.types import Repeat
from progtrain.engine.drafting import history
from progtrain.engine.errors import InputError
from progtrain.engine.repeats import found
from progtrain.engine.schema import EvalScore, load
from progtrain.engine.workspace import VersionFolder, Workspace

#: how an external model is named among versions
EXTERNAL = "external/"


class Side(NamedTuple):
    #: `v003`, `external/NAME`
    name: str
    folder: VersionFolder
    score: EvalScore
    #: None: its score tells of no single samples
    samples: PerSample | None
    shares: Shares
    #: of a version: its trainings with other seeds
    repeats: tuple[Repeat, ...] = ()
    #: of a version that was given more training rows: what they are for, also in words
    added: tuple[Mapping[str, Any], str] | None = None
    #: why it is not compared with the first: "was ..."; empty where it is
    refused: str = ""
    #: why a difference from the first would be none of models; empty where nothing is in the way
    confounded: str = ""

    @property
    def is_external(self) -> bool:
        return self.name.startswith(EXTERNAL)

    @property
    def answered(self) -> float | None:
        """Share of the samples with an answer; None where nobody says so."""
        if self.samples is not None and self.samples.error:
            return 1 - sum(map(bool, self.samples.error)) / len(self.samples)
        told = self.score.metric(serving.ANSWERED)
        return told.value if told else None


def find(ws: Workspace, names: Sequence[str]) -> list[Side]:
    """In the order in which they are named; an external model also by its name alone. Raises `InputError` for one that
    is not there, has no score, or is named twice."""
    there = ws.versions()
    names = [name if name in there or not (ws.external / name).is_dir() else f"{EXTERNAL}{name}" for name in names]
    repeated = next((name for at, name in enumerate(names) if name in names[:at]), None)
    if repeated is not None:
        raise InputError(f"{repeated} is named twice", file=ws.root, fix="name each once")
    sides = [_side(ws, name) for name in names]
    return [sides[0], *(_beside(ws, sides[0], side) for side in sides[1:])]


def _side(ws: Workspace, name: str) -> Side:
    external = name.startswith(EXTERNAL)
    folder = VersionFolder(ws.external / name.removeprefix(EXTERNAL)) if external else ws.version(name)
    known = [*ws.versions(), *(f"{EXTERNAL}{path.name}" for path in sorted(ws.external.glob("*")) if path.is_dir())]
    if name not in known:
        fix = f"there are: {', '.join(known) or 'none yet'}"
        raise InputError(f"there is no version and no external model {name!r}", file=ws.root, fix=fix)
    if not folder.eval_score.is_file():
        how = (
            f"python 03_eval.py --external {folder.path.name}"
            if external
            else f"progtrain step evaluate --version {name}"
        )
        raise InputError(f"{name} has not been evaluated yet", file=folder.eval_score, fix=how)
    samples = read_per_sample(folder.per_sample) if folder.per_sample.is_file() else None
    shares = serving.shares_of(samples) if samples else {}
    score = load(folder.eval_score, EvalScore)
    if external:
        return Side(name, folder, score, samples, shares)
    return Side(name, folder, score, samples, shares, found.of(ws, name), _added(ws, name, score.dataset_id))


def _added(ws: Workspace, version: str, dataset_id: str) -> tuple[Mapping[str, Any], str] | None:
    operation = history.authored(ws).get(version, {}).get("operation") or {}
    told = added.told_of(ws, dataset_id, operation) if operation.get("operation") == "data" else None
    return told[:2] if told else None


def _beside(ws: Workspace, first: Side, side: Side) -> Side:
    confounded = serving.confounded(first.name, first.shares, side.name, side.shares)
    return side._replace(refused=_why_not(ws, first, side), confounded=confounded)


def _why_not(ws: Workspace, first: Side, side: Side) -> str:
    bases = [basis(ws, one) for one in (first, side)]
    without = next((one.name for one, held in zip((first, side), bases, strict=True) if held["protocol"] is None), None)
    if without is not None:
        return f"cannot be compared: nothing says how the score of {without} was made (_eval/protocol.json)"
    return comparable.difference(bases[1], bases[0])


def basis(ws: Workspace, side: Side) -> comparable.Basis:
    """What answered is told apart from the rest, in `Side.confounded`."""
    external = comparable.basis(comparable.protocol_in(side.folder.protocol))
    found = external if side.is_external else comparable.basis_of(ws, side.name)
    protocol = found["protocol"]
    return {**found, "protocol": {**protocol, "served_by": None} if protocol else None}


def common(sides: Sequence[Side]) -> list[str]:
    """Samples that all of them have, as the first has them in order; of those that tell of samples at all."""
    held = [side.samples for side in sides if side.samples is not None and not side.refused]
    return [i for i in held[0].row if all(i in one.row for one in held[1:])] if held else []
