"""Versions beside each other: settings of all; script, samples and verdicts of each against the one chosen as base."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from progtrain.engine.analysis.compare import serving
from progtrain.engine.errors import InputError, ProgtrainError
from progtrain.engine.metrics import same
from progtrain.engine.workspace import Workspace
from progtrain.tui.reading.samples import Outcome, flips, read_outcomes

if TYPE_CHECKING:
    from progtrain.engine.analysis.types import Comparison


@dataclass(frozen=True)
class Pair:
    """One version against the base."""

    diff: str
    flips: tuple[tuple[Outcome, Outcome], ...]
    #: metric -> difference to the base with its interval, where it can be worked out from single samples
    intervals: Mapping[str, Comparison]
    #: why there are no intervals
    note: str
    #: of the base and the version, where it is more than "all by the checkpoint": how many samples have an answer, and
    #: what answered
    served: tuple[str, str] = ("", "")
    #: where rows were added to the base: what they brought in their focus, in the rest, and against random ones
    parts: Mapping[str, Comparison] = field(default_factory=dict)


#: setting, and its value in each version
Differences = tuple[tuple[str, tuple[str, ...]], ...]


def differing_settings(workspace: Workspace, versions: Sequence[str]) -> Differences:
    """Only those that differ. Imports the code that reads scripts: call it from a thread. Raises `InputError`."""
    from progtrain.engine.script.settings import find_settings

    sources = [_source(workspace, version) for version in versions]
    found = [{s.full_name: s.value for s in find_settings(source)} if source else {} for source in sources]
    names = dict.fromkeys(name for settings in found for name in settings if name.casefold() != "version")
    rows = [(name, tuple(repr(s[name]) if name in s else "–" for s in found)) for name in names]
    return tuple((name, values) for name, values in rows if len(set(values)) > 1)


def pair(workspace: Workspace, base: str, version: str) -> Pair:
    """Script, samples and verdicts. Imports numpy for the latter, and may take a second: call it from a thread."""
    from progtrain.engine.analysis.compare import added_rows
    from progtrain.engine.drafting import history
    from progtrain.engine.script import version_files

    intervals, note = _intervals(workspace, base, version)
    insight = history.read_insight(workspace, version)
    parts = added_rows.parts(insight.added_rows if insight else None, base)
    if insight and parts:
        intervals = {
            name: added_rows.capped(one, insight.added_rows) or one if same(name, insight.primary_metric) else one
            for name, one in intervals.items()
        }
    return Pair(
        version_files.diff(workspace, base, version),
        flips(read_outcomes(workspace, base), read_outcomes(workspace, version)),
        intervals,
        note,
        (_served(workspace, base), _served(workspace, version)),
        parts,
    )


def _served(workspace: Workspace, version: str) -> str:
    shares = serving.read(workspace.version(version).protocol)
    return "" if not shares or shares == {serving.CHECKPOINT: 1} else serving.told(shares)


def _source(workspace: Workspace, version: str) -> str:
    from progtrain.engine.script import version_files

    try:
        return version_files.text_of(workspace, version)
    except (InputError, OSError):
        return ""


def _intervals(workspace: Workspace, base: str, version: str) -> tuple[dict[str, Comparison], str]:
    """As the engine's analysis works them out, for any two versions."""
    from progtrain.engine import comparable
    from progtrain.engine.analysis.compare.pairs import compare_runs
    from progtrain.engine.analysis.compare.repeats import noise_between, runs_of
    from progtrain.engine.analysis.measure.samples import read_per_sample
    from progtrain.engine.repeats import found as found_repeats
    from progtrain.engine.rules import rules
    from progtrain.engine.schema import EvalScore, Protocol, load

    folders = [workspace.version(name) for name in (base, version)]
    try:
        for folder in folders:
            load(folder.protocol, Protocol)
        if why := comparable.why_not(workspace, version, base):
            return {}, f"{version} {why}: no verdict against {base}"
        samples = [read_per_sample(folder.per_sample) for folder in folders]
        metrics = load(folders[1].eval_score, EvalScore).metrics
        seed = rules.load(workspace).seed
        told = found_repeats.told_beside(workspace, comparable.basis_of(workspace, version))
        own = [found_repeats.reported(workspace, name) for name in (base, version)]
        repeats = [found_repeats.of(workspace, name) for name in (base, version)]
    except ProgtrainError as error:
        return {}, f"no verdict: {str(error).splitlines()[0]}"
    before, after = (
        runs_of(reported[0] if reported else {}, held, more)
        for reported, held, more in zip(own, samples, repeats, strict=True)
    )
    noise, found = noise_between(base, version, told), {}
    for metric in metrics:
        result = compare_runs(before, after, metric.name, metric.higher_is_better, seed, against=base, noise_of=noise)
        # others fall back to the loss, which has a row of its own
        if result is not None and same(result.metric, metric.name):
            found[metric.name] = result
    return found, ""
