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


def _in(folder: str, name: str) -> cached_property[Path]:
    """What lies under `name` in a folder that is an attribute of the same class."""
    return cached_property(lambda owner: getattr(owner, folder) / name)


def next_version(version: str) -> str:
    """`"v003"` -> `"v004"`."""
    return version_id((version_number(version) or 0) + 1)


@dataclass(frozen=True)
class _Folder:
    path: Path


class VersionFolder(_Folder):
    """`Models/Artifacts/v003/`: what came of one training."""

    spec = _in("path", "spec.json")
    best_checkpoint = _in("path", "best.ckpt")
    last_checkpoint = _in("path", "last.ckpt")
    additional_assets = _in("path", "additional_assets")
    eval_score = _in("path", "eval_score.json")
    infer_samples = _in("path", "infer_samples")
    logs = _in("path", "logs")
    evaluation = _in("path", "_eval")
    per_sample = _in("path", "_eval/per_sample.csv")
    #: how the evaluation was done: hashes of evaluator, data, checkpoint and the seed
    protocol = _in("path", "_eval/protocol.json")
    analysis = _in("path", "result-analysis.md")
    action = _in("path", "action-extract.md")
    tests = _in("path", "_tests")
    retry_report = _in("path", "_tests/train_retry_report.md")
    baseline_smoke_report = _in("path", "_tests/baseline_smoke_test_report.md")
    baseline_patch_report = _in("path", "_tests/baseline_patch_report.md")

    def log_dirs(self) -> list[Path]:
        """`logs/version_#/`, numerically sorted."""
        if not self.logs.is_dir():
            return []
        numbered = [(int(m[1]), p) for p in self.logs.iterdir() if (m := _LOG_DIR.fullmatch(p.name))]
        return [path for _, path in sorted(numbered)]


class DraftFolder(_Folder):
    """`.progtrain/drafts/v003/`: what the advisor wrote and nobody has accepted yet."""

    briefing = _in("path", "briefing.json")
    draft = _in("path", "draft.json")
    #: the advisor's stream, as JSON lines, while it drafts
    events = _in("path", "events.jsonl")
    log = _in("path", "advisor.log")
    #: what the advisor wrote when it was asked for code, and what came of it
    proposal = _in("path", "proposal.json")
    analysis = _in("path", "result-analysis.md")
    action = _in("path", "action-extract.md")
    #: the question as it stands before the user: chosen candidate, base, checks, diff
    review = _in("path", "review.json")

    def round(self, number: int) -> DraftFolder:
        """An earlier round of the same draft, kept."""
        return DraftFolder(self.path / "rounds" / str(number))


class JobFolder(_Folder):
    """`.progtrain/jobs/v003-train-1/`: one child process and its guard."""

    job = _in("path", "job.json")
    state = _in("path", "state.json")
    log = _in("path", "output.log")
    guard_log = _in("path", "guard.log")
    #: its existence asks the guard to stop the tree
    cancel = _in("path", "cancel")
    #: touched every ten seconds by the guard: other machines go by its age
    beat = _in("path", "beat")
    #: names the attempt that takes this one's place: the guard ends itself
    fence = _in("path", "fence")
    #: on a cluster: what was about to be submitted, and what came of it
    intent = _in("path", "intent.json")
    submitted = _in("path", "submit.json")
    batch = _in("path", "batch.sh")

    def restarted(self, count: int) -> JobFolder:
        """Where a cluster that starts the job again, under the same id, keeps that start."""
        return self if count == 0 else JobFolder(self.path.with_name(f"{self.path.name}.r{count}"))


@dataclass(frozen=True)
class Workspace:
    """The user's project folder."""

    root: Path

    # what the user brings

    rules = _in("root", "user_defined_rules.json")
    instruction = _in("root", "user_instruction.md")
    pipeline_script = _in("root", "01_data_pipeline.py")
    baseline_script = _in("root", "02_train_baseline.py")
    eval_script = _in("root", "03_eval.py")
    #: what `03_eval.py` and `04_final_report.py` work with
    eval_modules = _in("root", "progtrain_eval")
    report_script = _in("root", "04_final_report.py")

    def script(self, version: str) -> Path:
        return self.root / f"02_train_{version}.py"

    def module_copies(self, version: str) -> Path:
        """A version's own copies of the user's modules, where an action changed one."""
        return self.root / f"02_train_{version}_src"

    def versions(self) -> list[str]:
        """Ids of the versions that have a script, numerically sorted."""
        found = (match[1] for path in self.root.glob("02_train_v*.py") if (match := _SCRIPT.fullmatch(path.name)))
        return sorted((v for v in found if version_number(v)), key=lambda v: version_number(v) or 0)

    def data(self, dataset_id: str) -> Path:
        return self.root / "dataset" / "prepdata" / dataset_id

    def stats(self, dataset_id: str) -> Path:
        return self.data(dataset_id) / "stats.json"

    def source(self, dataset_id: str) -> Path:
        """Where data lie that stay in their own place: `progtrain adopt` writes it."""
        return self.data(dataset_id) / "source.json"

    def split(self, dataset_id: str, name: str) -> Path:
        return self.data(dataset_id) / name

    # what comes of it

    artifacts = _in("root", "Models/Artifacts")
    external = _in("root", "Models/external")
    reports = _in("root", "Models/Report")

    def version(self, version: str) -> VersionFolder:
        """Also for the baseline: `version("baseline")`."""
        return VersionFolder(self.artifacts / version)

    # the engine's own

    own = _in("root", ".progtrain")
    journal = _in("own", "journal.jsonl")
    lock = _in("own", "runner.lock")
    #: the interpreter that was named before a loop began
    named_python = _in("own", "python")
    runner_log = _in("own", "runner.log")
    inbox = _in("own", "inbox")
    stop_request = _in("inbox", "stop.json")
    jobs = _in("own", "jobs")

    def decision(self, question: str) -> Path:
        return self.inbox / f"{question}.json"

    def drafts(self, version: str) -> DraftFolder:
        return DraftFolder(self.own / "drafts" / version)

    def insight(self, version: str) -> Path:
        """Facts, diagnosis, comparisons and candidates of a version, as JSON."""
        return self.own / f"insight/{version}.json"

    def mark(self, version: str, step: str) -> Path:
        return self.own / f"marks/{version}/{step}.json"

    def attempt(self, version: str, number: int) -> Path:
        return self.own / "attempts" / version / str(number)

    def job(self, name: str) -> JobFolder:
        return JobFolder(self.jobs / name)

    def live(self, version: str) -> Path:
        return self.own / "live" / f"{version}.jsonl"

    def live_stop(self, version: str) -> Path:
        return self.own / "live" / f"{version}.stop"

    def record(self, version: str) -> Path:
        """What the hooks in a training tell of it; beside it its curve and, where nothing else has them, weights."""
        return self.own / "live" / version / "record.json"

    def curve(self, version: str) -> Path:
        return self.record(version).with_name("curve.csv")

    def saves(self, version: str) -> Path:
        return self.record(version).with_name("saves.jsonl")

    def split_record(self, version: str) -> Path:
        """Which samples a split made within the script held out."""
        return self.record(version).with_name("split.json")

    def weights(self, version: str) -> Path:
        return self.record(version).with_name("weights")

    def relative(self, path: Path) -> str:
        """For messages: a path as the user would type it in the workspace."""
        return path.relative_to(self.root).as_posix() if path.is_relative_to(self.root) else str(path)
