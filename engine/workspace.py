"""Every path of a workspace. Nobody else joins file names."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

_VERSION = re.compile(r"v(\d{3,})")
_SCRIPT = re.compile(r"02_train_(v\d{3,})\.py")
_LOG_DIR = re.compile(r"version_(\d+)")


def version_id(number: int) -> str:
    """`3` -> `"v003"`."""
    return f"v{number:03d}"


@cache
def version_number(text: str) -> int | None:
    """`"v003"` -> `3`; None for anything that is not a version id in its canonical form."""
    match = _VERSION.fullmatch(text)
    return int(match[1]) if match and version_id(int(match[1])) == text else None


@dataclass(frozen=True)
class VersionFolder:
    """`Models/Artifacts/v003/`: what came of one training."""

    path: Path

    @property
    def spec(self) -> Path:
        return self.path / "spec.json"

    @property
    def best_checkpoint(self) -> Path:
        return self.path / "best.ckpt"

    @property
    def last_checkpoint(self) -> Path:
        return self.path / "last.ckpt"

    @property
    def additional_assets(self) -> Path:
        return self.path / "additional_assets"

    @property
    def eval_score(self) -> Path:
        return self.path / "eval_score.json"

    @property
    def infer_samples(self) -> Path:
        return self.path / "infer_samples"

    @property
    def logs(self) -> Path:
        return self.path / "logs"

    def log_dirs(self) -> list[Path]:
        """`logs/version_#/`, numerically sorted."""
        if not self.logs.is_dir():
            return []
        numbered = [(int(m[1]), p) for p in self.logs.iterdir() if (m := _LOG_DIR.fullmatch(p.name))]
        return [path for _, path in sorted(numbered)]

    @property
    def evaluation(self) -> Path:
        return self.path / "_eval"

    @property
    def per_sample(self) -> Path:
        return self.evaluation / "per_sample.csv"

    @property
    def protocol(self) -> Path:
        """How the evaluation was done: hashes of evaluator, data, checkpoint and the seed."""
        return self.evaluation / "protocol.json"

    @property
    def analysis(self) -> Path:
        return self.path / "result-analysis.md"

    @property
    def action(self) -> Path:
        return self.path / "action-extract.md"

    @property
    def tests(self) -> Path:
        return self.path / "_tests"

    @property
    def retry_report(self) -> Path:
        return self.tests / "train_retry_report.md"

    @property
    def baseline_smoke_report(self) -> Path:
        return self.tests / "baseline_smoke_test_report.md"

    @property
    def baseline_patch_report(self) -> Path:
        return self.tests / "baseline_patch_report.md"


@dataclass(frozen=True)
class DraftFolder:
    """`.progtrain/drafts/v003/`: what the advisor wrote and nobody has accepted yet."""

    path: Path

    @property
    def briefing(self) -> Path:
        return self.path / "briefing.json"

    @property
    def draft(self) -> Path:
        return self.path / "draft.json"

    @property
    def events(self) -> Path:
        """The advisor's stream, as JSON lines, while it drafts."""
        return self.path / "events.jsonl"

    @property
    def log(self) -> Path:
        return self.path / "advisor.log"

    @property
    def proposal(self) -> Path:
        """What the advisor wrote when it was asked for code, and what came of it."""
        return self.path / "proposal.json"

    @property
    def analysis(self) -> Path:
        return self.path / "result-analysis.md"

    @property
    def action(self) -> Path:
        return self.path / "action-extract.md"

    def round(self, number: int) -> DraftFolder:
        """An earlier round of the same draft, kept."""
        return DraftFolder(self.path / "rounds" / str(number))

    @property
    def review(self) -> Path:
        """The question as it stands before the user: chosen candidate, base, checks, diff."""
        return self.path / "review.json"


@dataclass(frozen=True)
class JobFolder:
    """`.progtrain/jobs/v003-train-1/`: one child process and its guard."""

    path: Path

    @property
    def job(self) -> Path:
        return self.path / "job.json"

    @property
    def state(self) -> Path:
        return self.path / "state.json"

    @property
    def log(self) -> Path:
        return self.path / "output.log"

    @property
    def guard_log(self) -> Path:
        return self.path / "guard.log"

    @property
    def cancel(self) -> Path:
        """Its existence asks the guard to stop the tree."""
        return self.path / "cancel"


@dataclass(frozen=True)
class Workspace:
    """The user's project folder."""

    root: Path

    # what the user brings

    @property
    def rules(self) -> Path:
        return self.root / "user_defined_rules.json"

    @property
    def instruction(self) -> Path:
        return self.root / "user_instruction.md"

    @property
    def pipeline_script(self) -> Path:
        return self.root / "01_data_pipeline.py"

    @property
    def baseline_script(self) -> Path:
        return self.root / "02_train_baseline.py"

    @property
    def eval_script(self) -> Path:
        return self.root / "03_eval.py"

    @property
    def report_script(self) -> Path:
        return self.root / "04_final_report.py"

    def script(self, version: str) -> Path:
        return self.root / f"02_train_{version}.py"

    def versions(self) -> list[str]:
        """Ids of the versions that have a script, numerically sorted."""
        found = (match[1] for path in self.root.glob("02_train_v*.py") if (match := _SCRIPT.fullmatch(path.name)))
        return sorted((v for v in found if version_number(v)), key=lambda v: version_number(v) or 0)

    def data(self, dataset_id: str) -> Path:
        return self.root / "dataset" / "prepdata" / dataset_id

    def stats(self, dataset_id: str) -> Path:
        return self.data(dataset_id) / "stats.json"

    def split(self, dataset_id: str, name: str) -> Path:
        return self.data(dataset_id) / name

    # what comes of it

    @cached_property
    def artifacts(self) -> Path:
        return self.root / "Models/Artifacts"

    def version(self, version: str) -> VersionFolder:
        """Also for the baseline: `version("baseline")`."""
        return VersionFolder(self.artifacts / version)

    @property
    def external(self) -> Path:
        return self.root / "Models" / "external"

    @property
    def reports(self) -> Path:
        return self.root / "Models" / "Report"

    # the engine's own

    @cached_property
    def own(self) -> Path:
        return self.root / ".progtrain"

    @property
    def journal(self) -> Path:
        return self.own / "journal.jsonl"

    @property
    def state(self) -> Path:
        return self.own / "state.json"

    @property
    def lock(self) -> Path:
        return self.own / "runner.lock"

    @property
    def runner_log(self) -> Path:
        return self.own / "runner.log"

    @property
    def inbox(self) -> Path:
        return self.own / "inbox"

    def decision(self, question: str) -> Path:
        return self.inbox / f"{question}.json"

    @property
    def stop_request(self) -> Path:
        return self.inbox / "stop.json"

    def drafts(self, version: str) -> DraftFolder:
        return DraftFolder(self.own / "drafts" / version)

    def insight(self, version: str) -> Path:
        """Facts, diagnosis, comparisons and candidates of a version, as JSON."""
        return self.own / f"insight/{version}.json"

    def mark(self, version: str, step: str) -> Path:
        return self.own / f"marks/{version}/{step}.json"

    def attempt(self, version: str, number: int) -> Path:
        return self.own / "attempts" / version / str(number)

    @property
    def jobs(self) -> Path:
        return self.own / "jobs"

    def job(self, name: str) -> JobFolder:
        return JobFolder(self.jobs / name)

    def live(self, version: str) -> Path:
        return self.own / "live" / f"{version}.jsonl"

    def live_stop(self, version: str) -> Path:
        return self.own / "live" / f"{version}.stop"

    def relative(self, path: Path) -> str:
        """For messages: a path as the user would type it in the workspace."""
        return path.relative_to(self.root).as_posix() if path.is_relative_to(self.root) else str(path)
