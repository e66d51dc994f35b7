"""One workspace on the laboratory bench: real scripts trained and scored, validation and held-out samples apart."""

from __future__ import annotations

import math
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.lab.warm import WarmPython
from progtrain.advisor.interface import Candidate
from progtrain.engine.analysis.compare.pairs import compare
from progtrain.engine.analysis.gather import gather
from progtrain.engine.analysis.measure.samples import read_per_sample
from progtrain.engine.analysis.types import Insight
from progtrain.engine.control.journal import Journal
from progtrain.engine.control.launch import Options
from progtrain.engine.drafting import history, next_script
from progtrain.engine.errors import InputError
from progtrain.engine.files import write_text
from progtrain.engine.loop import runner
from progtrain.engine.loop.steps.evaluate import ensure_script
from progtrain.engine.rules import rules
from progtrain.engine.rules.rules import Rules
from progtrain.engine.schema import EvalScore, load
from progtrain.engine.workspace import Workspace, version_id, version_number

#: errors and their ratios are cut here: what lies beyond is as good, or as bad, as it gets
_LOWEST, _MOST = 1e-3, 3.0
#: seconds for one script
TIMEOUT = 60.0


@dataclass(frozen=True)
class Score:
    """Of one version: the primary metric, and the error that it leaves (1 - metric where more is better)."""

    metric: float
    error: float


def error_of(metric: float, higher_is_better: bool) -> float:
    """What is left to gain; infinite for a value that is none. Metrics of which more is better end at 1."""
    if not math.isfinite(metric):
        return math.inf
    return max(_LOWEST, 1 - metric if higher_is_better else metric)


def gain(before: float, after: float) -> float:
    """log(before / after) of two errors, within -3 and 3: 0.7 is half the error."""
    if math.isinf(after):
        return -_MOST if math.isfinite(before) else 0.0
    if math.isinf(before):
        return _MOST
    return max(-_MOST, min(_MOST, math.log(before / after)))


def clock() -> datetime:
    """Stands still, so that the same seed leaves the same files."""
    return datetime(2026, 1, 1, tzinfo=UTC)


def read_score(folder: Path, rules: Rules) -> Score:
    """What `03_eval.py` wrote there, by the rules' primary metric. Raises `InputError` where it wrote nothing."""
    found = history.primary_value(load(folder / "eval_score.json", EvalScore), rules.primary_metric)
    value = math.nan if found is None else found
    return Score(value, error_of(value, rules.higher_is_better(rules.primary_metric)))


def evaluate(
    ws: Workspace, rules: Rules, warm: WarmPython, version: str, split: str = "valid", *, timeout: float = TIMEOUT
) -> Score | None:
    """By the workspace's own `03_eval.py`; held-out scores go into a folder of their own. None where it fails."""
    folder = ws.version(version).path
    arguments = [ws.eval_script.name, "--version", version]
    if split == "test":
        folder = folder / "held_out"
        arguments += ["--split", "test", "--output", str(folder)]
    log = ws.own / f"{version}-{split}.log"
    if warm.run(arguments, cwd=ws.root, log=log, timeout=timeout).exit_code != 0:
        return None
    return read_score(folder, rules)


class Bench:
    """Raises `InputError` where a workspace cannot be made ready."""

    def __init__(self, root: Path, warm: WarmPython, *, timeout: float = TIMEOUT) -> None:
        self.ws, self._warm, self._timeout = Workspace(root), warm, timeout
        if not self.ws.versions():
            code = runner.run(self.ws, Options.model_validate({"autopilot": True, "until": "initialize"}), clock=clock)
            if code != 0:
                raise InputError("the workspace could not be initialized", file=self.ws.journal)
        ensure_script(self.ws.eval_script)
        self.rules = rules.load(self.ws)
        #: of the last training
        self.seconds = 0.0
        self.journal = Journal(self.ws.journal, clock, None)

    def train(self, version: str) -> bool:
        """Whether it went through and left a checkpoint."""
        shutil.rmtree(self.ws.version(version).path, ignore_errors=True)
        log = self.ws.own / f"{version}.log"
        ended = self._warm.run([self.ws.script(version).name], cwd=self.ws.root, log=log, timeout=self._timeout)
        self.seconds = ended.seconds
        return ended.exit_code == 0 and self.ws.version(version).best_checkpoint.is_file()

    def score(self, version: str, split: str = "valid") -> Score | None:
        return evaluate(self.ws, self.rules, self._warm, version, split, timeout=self._timeout)

    def both(self, version: str) -> tuple[Score, Score] | None:
        """On validation and held-out samples; None where either fails."""
        valid = self.score(version)
        held = self.score(version, "test") if valid else None
        return (valid, held) if valid and held else None

    def look(self, version: str) -> Insight:
        """What the engine works out, kept where later versions look for it."""
        records = history.records(self.ws, self.rules, until=version)
        insight = gather(self.ws, version, next_script.limits(self.rules), records)
        write_text(self.ws.insight(version), insight.to_json())
        return insight

    def held_out_verdict(self, version: str, before: Path) -> str:
        """The paired comparison on the held-out samples with those of a folder that `score` wrote."""
        after = self.ws.version(version).path / "held_out"
        try:
            new, old = (read_per_sample(folder / "_eval" / "per_sample.csv") for folder in (after, before))
        except InputError:
            return ""
        found = compare(
            old,
            new,
            metric=self.rules.primary_metric,
            higher_is_better=self.rules.higher_is_better(self.rules.primary_metric),
            against="before",
            seed=self.rules.seed,
        )
        return found.verdict if found else ""

    def author(self, version: str, candidate: Candidate) -> str:
        """Writes the script of the next version and returns its id. Raises `InputError`."""
        planned = next_script.plan(self.ws, self.rules, version, candidate.operation, base=candidate.base)
        write_text(self.ws.script(planned.version), planned.source)
        return planned.version

    def put_away(self, version: str, name: str) -> None:
        """The trial of that version goes aside, script and all."""
        aside = self.ws.own / "trials" / version / name
        aside.mkdir(parents=True, exist_ok=True)
        shutil.move(self.ws.script(version), aside / "script.py")
        if self.ws.version(version).path.exists():
            shutil.move(self.ws.version(version).path, aside / "artifacts")

    def take_back(self, version: str, name: str, candidate: Candidate) -> None:
        """A trial becomes the version, with its origin in the journal."""
        aside = self.ws.own / "trials" / version / name
        shutil.copy(aside / "script.py", self.ws.script(version))
        shutil.copytree(aside / "artifacts", self.ws.version(version).path)
        previous = version_id((version_number(version) or 0) - 1)
        planned = next_script.plan(self.ws, self.rules, previous, candidate.operation, base=candidate.base)
        self.journal.write("version_authored", **planned.origin(""))
