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


def inside(folder: str, name: str) -> cached_property[Path]:
    """What lies under `name` in a folder that is an attribute of the same class."""
    return cached_property(lambda owner: getattr(owner, folder) / name)


def next_version(version: str) -> str:
    """`"v003"` -> `"v004"`."""
    return version_id((version_number(version) or 0) + 1)


@dataclass(frozen=True)
class Folder:
    path: Path


class VersionFolder(Folder):
    """`Models/Artifacts/v003/`: what came of one training."""

    spec = inside("path", "spec.json")
    best_checkpoint = inside("path", "best.ckpt")
    last_checkpoint = inside("path", "last.ckpt")
    additional_assets = inside("path", "additional_assets")
    eval_score = inside("path", "eval_score.json")
    infer_samples = inside("path", "infer_samples")
    logs = inside("path", "logs")
    evaluation = inside("path", "_eval")
    per_sample = inside("path", "_eval/per_sample.csv")
    #: how the evaluation was done: hashes of evaluator, data, checkpoint and the seed
    protocol = inside("path", "_eval/protocol.json")
    analysis = inside("path", "result-analysis.md")
    action = inside("path", "action-extract.md")
    #: its failures in groups, and the same for programs: `progtrain playbook` writes them
    playbook = inside("path", "failure-playbook.md")
    failure_cases = inside("path", "failure_cases.json")
    tests = inside("path", "_tests")
    retry_report = inside("path", "_tests/train_retry_report.md")
    baseline_smoke_report = inside("path", "_tests/baseline_smoke_test_report.md")
    baseline_patch_report = inside("path", "_tests/baseline_patch_report.md")

    def log_dirs(self) -> list[Path]:
        """`logs/version_#/`, numerically sorted."""
        if not self.logs.is_dir():
            return []
        numbered = [(int(m[1]), p) for p in self.logs.iterdir() if (m := _LOG_DIR.fullmatch(p.name))]
        return [path for _, path in sorted(numbered)]


class DraftFolder(Folder):
    """`.progtrain/drafts/v003/`: what the advisor wrote and nobody has accepted yet."""

    briefing = inside("path", "briefing.json")
    draft = inside("path", "draft.json")
    #: the advisor's stream, as JSON lines, while it drafts
    events = inside("path", "events.jsonl")
    log = inside("path", "advisor.log")
    #: what the advisor wrote when it was asked for code, and what came of it
    proposal = inside("path", "proposal.json")
    analysis = inside("path", "result-analysis.md")
    action = inside("path", "action-extract.md")
    #: the rows of a drafted data action, and what they were made from
    addition = inside("path", "addition")
    addition_request = inside("path", "addition.json")
    #: the question as it stands before the user: chosen candidate, base, checks, diff
    review = inside("path", "review.json")

    def round(self, number: int) -> DraftFolder:
        """An earlier round of the same draft, kept."""
        return DraftFolder(self.path / "rounds" / str(number))


class JobFolder(Folder):
    """`.progtrain/jobs/v003-train-1/`: one child process and its guard."""

    job = inside("path", "job.json")
    state = inside("path", "state.json")
    log = inside("path", "output.log")
    guard_log = inside("path", "guard.log")
    #: its existence asks the guard to stop the tree
    cancel = inside("path", "cancel")
    #: touched every ten seconds by the guard: other machines go by its age
    beat = inside("path", "beat")
    #: by which guard: it writes that first
    claimed = inside("path", "claimed")
    #: its result has been taken, and never is again
    taken = inside("path", "taken")
    #: names the attempt that takes this one's place: the guard ends itself
    fence = inside("path", "fence")
    #: on a cluster: what was about to be submitted, and what came of it
    intent = inside("path", "intent.json")
    submitted = inside("path", "submit.json")
    batch = inside("path", "batch.sh")
    #: how the runner of a loop saw it last
    seen = inside("path", "seen.json")

    def restarted(self, count: int) -> JobFolder:
        """Where a cluster that starts the job again, under the same id, keeps that start."""
        return self if count == 0 else JobFolder(self.path.with_name(f"{self.path.name}.r{count}"))


class RepeatFolder(Folder):
    """`.progtrain/repeats/v003/r1/`: a version's script trained and evaluated again, with another seed."""

    #: with which seed, of which script: written when all is there that it is run with
    begun = inside("path", "run.json")
    #: written last
    result = inside("path", "result.json")
    per_sample = inside("path", "per_sample.csv")
    protocol = inside("path", "protocol.json")
    #: where the script finds what it would find in the user's workspace
    workspace = inside("path", "workspace")


@dataclass(frozen=True)
class Workspace:
    """The user's project folder."""

    root: Path

    # what the user brings

    rules = inside("root", "user_defined_rules.json")
    instruction = inside("root", "user_instruction.md")
    pipeline_script = inside("root", "01_data_pipeline.py")
    baseline_script = inside("root", "02_train_baseline.py")
    eval_script = inside("root", "03_eval.py")
    #: what `03_eval.py` and `04_final_report.py` work with
    eval_modules = inside("root", "progtrain_eval")
    report_script = inside("root", "04_final_report.py")

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

    def additions(self, dataset_id: str) -> Path:
        return self.root / "dataset" / "additions" / dataset_id

    def addition(self, dataset_id: str, name: str) -> Path:
        """What lies there `engine.additions.folder` knows."""
        return self.additions(dataset_id) / name

    #: the user's own way to change a row: `augment(raw, target, rng)`
    augment_script = inside("root", "05_augment.py")
    #: and to read and write rows in a format of their own: `read_rows(folder)`, `write_rows(rows, folder)`
    rows_script = inside("root", "05_rows.py")

    # what comes of it

    artifacts = inside("root", "Models/Artifacts")
    external = inside("root", "Models/external")
    #: what is known from elsewhere, and is neither ranked nor built on
    evidence = inside("root", "Models/evidence")
    reports = inside("root", "Models/Report")
    #: versions as other tools read them, a folder for each tool
    exports = inside("root", "Models/exports")
    #: what other MCP servers said, a folder each
    mcp_evidence = inside("root", "Models/evidence/mcp")
    #: what was done, version by version: `progtrain log` writes both
    workflow_log = inside("reports", "workflow-log.md")
    workflow_table = inside("reports", "workflow.csv")

    def version(self, version: str) -> VersionFolder:
        """Also for the baseline: `version("baseline")`. The same object each time: its paths are joined once."""
        if version not in self._folders:
            self._folders[version] = VersionFolder(self.artifacts / version)
        return self._folders[version]

    @cached_property
    def _folders(self) -> dict[str, VersionFolder]:
        return {}

    def published(self, version: str) -> Path:
        """Ready for a hub, where no other folder is named."""
        return self.root / "Models/published" / version

    def imported_run(self, name: str) -> Path:
        """A run that another tool kept; beside it `curves.csv`."""
        return self.evidence / name / "run.json"

    experiments = inside("root", "experiments")

    # the engine's own

    own = inside("root", ".progtrain")
    journal = inside("own", "journal.jsonl")
    lock = inside("own", "runner.lock")
    #: the interpreter that was named before a loop began
    named_python = inside("own", "python")
    runner_log = inside("own", "runner.log")
    #: what a runner made of the user's instruction
    understood = inside("own", "understood.json")
    #: what is known of files by their sizes and times
    digests = inside("own", "digests.json")
    inbox = inside("own", "inbox")
    stop_request = inside("inbox", "stop.json")
    jobs = inside("own", "jobs")

    #: where additions are made, and what was measured on the training split for them
    making = inside("own", "additions")

    def train_scores(self, version: str) -> VersionFolder:
        """An evaluation of the version on the split that it was trained with."""
        return VersionFolder(self.making / f"{version}-on-train")

    def decision(self, question: str) -> Path:
        return self.inbox / f"{question}.json"

    def drafts(self, version: str) -> DraftFolder:
        return DraftFolder(self.own / "drafts" / version)

    @property
    def proposals(self) -> DraftFolder:
        """What the advisor was asked about experiments."""
        return DraftFolder(self.own / "proposals")

    def insight(self, version: str) -> Path:
        """Facts, diagnosis, comparisons and candidates of a version, as JSON."""
        return self.own / f"insight/{version}.json"

    def mark(self, version: str, step: str) -> Path:
        return self.own / f"marks/{version}/{step}.json"

    def attempt(self, version: str, number: int) -> Path:
        return self.own / "attempts" / version / str(number)

    def repeats(self, version: str) -> Path:
        """What other seeds of a version's script came to, a folder each."""
        return self.own / "repeats" / version

    def repeats_table(self, version: str) -> Path:
        """Written beside them, for people and tools."""
        return self.own / f"repeats/{version}/repeats.json"

    def repeat(self, version: str, name: str) -> RepeatFolder:
        return RepeatFolder(self.repeats(version) / name)

    def watched(self, job: str) -> Path:
        """How all was before a script began that must change none of it."""
        return self.own / "watched" / f"{job}.json"

    def set_aside(self, version: str) -> Path:
        """What an evaluation had written that was done anew."""
        return self.own / "set_aside" / version

    def job(self, name: str) -> JobFolder:
        return JobFolder(self.jobs / name)

    def campaign_lock(self, name: str) -> Path:
        return self.own / "campaigns" / f"{name}.lock"

    def campaign_log(self, name: str) -> Path:
        """What its process says."""
        return self.own / "campaigns" / f"{name}.log"

    def live(self, version: str) -> Path:
        return self.own / "live" / f"{version}.jsonl"

    def live_stop(self, version: str) -> Path:
        return self.own / "live" / f"{version}.stop"

    def resume(self, version: str) -> Path:
        """A copy of the checkpoint that an attempt which was cut short left, and of the best one."""
        return self.own / "resume" / version

    def going_on(self, version: str) -> Path:
        """What a training saved that was asked to stop, for the next start."""
        return self.record(version).with_name("going_on.ckpt")

    def record(self, version: str) -> Path:
        """What the hooks in a training tell of it; beside it its curve and, where nothing else has them, weights."""
        return self.own / "live" / version / "record.json"

    def curve(self, version: str) -> Path:
        return self.record(version).with_name("curve.csv")

    def saves(self, version: str) -> Path:
        return self.record(version).with_name("saves.jsonl")

    def split_record(self, version: str) -> Path:
        """Which samples a split made within the script held out."""
        return self.own / f"live/{version}/split.json"

    def weights(self, version: str) -> Path:
        return self.record(version).with_name("weights")

    def relative(self, path: Path) -> str:
        """For messages: a path as the user would type it in the workspace."""
        return path.relative_to(self.root).as_posix() if path.is_relative_to(self.root) else str(path)
