"""A loop that stands still: snapshots made by hand, and an engine that remembers what it was asked."""

from __future__ import annotations

import json
import math
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

from textual.pilot import Pilot

from progtrain.advisor.interface import Candidate
from progtrain.engine.drafting.preview import Check
from progtrain.engine.errors import InputError
from progtrain.engine.experiment.folder import ExperimentFolder
from progtrain.engine.schema import Decision, Review
from progtrain.engine.status.snapshot import STEP_NAMES, Progress, Snapshot, StepView, VersionView
from progtrain.engine.workspace import Workspace
from progtrain.tui.app import ProgtrainApp
from progtrain.tui.host import RulesCheck

DIFF = """--- 02_train_v003.py
+++ 02_train_v004.py
@@ -40,3 +40,4 @@ def configure_optimizers
     def configure_optimizers(self):
-        return torch.optim.Adam(self.parameters(), lr=LEARNING_RATE)
+        return torch.optim.AdamW(self.parameters(), lr=LEARNING_RATE,
+                                 weight_decay=1e-3)
"""


class FakeView:
    """Gives whatever `now` is; an exception is raised."""

    def __init__(self, now: Snapshot | Exception) -> None:
        self.now = now

    def snapshot(self) -> Snapshot:
        if isinstance(self.now, Exception):
            raise self.now
        return self.now


class FakeEngine:
    def __init__(self) -> None:
        self.asked: list[tuple[str, Any]] = []
        self.refuse: str | None = None

    def start(self, dataset_id: str | None = None) -> None:
        self._ask("start", dataset_id)

    def stop(self) -> None:
        self._ask("stop", None)

    def answer(self, decision: Decision) -> None:
        self._ask("answer", decision)

    def _ask(self, what: str, value: Any) -> None:
        if self.refuse:
            raise InputError(self.refuse, file="rules.json", fix="fix it")
        self.asked.append((what, value))

    def preview(self, version: str, action_text: str) -> Check:
        if "forbidden" in action_text:
            return Check(problems=("epochs is locked by the rules",))
        return Check(diff=DIFF.replace("1e-3", "5e-3"), target="02_train_v004.py", checks=("compiles", "rules hold"))

    def preview_candidate(self, version: str, candidate: str) -> Check:
        return Check(diff=DIFF.replace("AdamW", candidate), target="02_train_v004.py", checks=("compiles",))

    def experiment(self, verb: str, name: str, runs: Sequence[str] = (), **given: Any) -> str:
        self._ask(verb, (name, tuple(runs), given))
        return f"{name}: {verb} is done"

    def write_records(self, version: str | None) -> str | None:
        self._ask("write_records", version)
        return version

    def export(self, tool: str) -> str:
        self._ask("export", tool)
        return f"2 of 2 versions written to Models/exports/{tool}"

    def check_plan(self, name: str, text: str) -> Check:
        return Check(checks=("valid: 2 runs, 2 evaluations",))

    def check_rules(self, rules: str | None, instruction: str | None) -> RulesCheck:
        try:
            data = json.loads(rules or "{}")
        except ValueError as error:
            return RulesCheck(problem=f"user_defined_rules.json: not valid JSON: {error}")
        locks = tuple((key, json.dumps(value)) for key, value in data.get("training_config", {}).items())
        lines = tuple(
            (line, "locks the optimizer" if "optimizer" in line else None) for line in (instruction or "").splitlines()
        )
        return RulesCheck("", locks, lines, (), () if instruction else ("no user_instruction.md",))


def steps(now: str | None, state: str = "running") -> tuple[StepView, ...]:
    place = STEP_NAMES.index(now) if now else len(STEP_NAMES)
    return tuple(
        StepView(i, name, "done" if i < place else state if i == place else "pending", 41.0 if i <= place else None)  # type: ignore[arg-type]
        for i, name in enumerate(STEP_NAMES)
    )


def versions(count: int = 3) -> tuple[VersionView, ...]:
    values = [0.9444, 0.9472, 0.9611, 0.9500, 0.9580]
    found = []
    for n in range(1, count + 1):
        value = values[(n - 1) % len(values)]
        previous = values[(n - 2) % len(values)] if n > 1 else None
        delta = None if previous is None else value - previous
        verdict = (
            None if delta is None else "within noise" if abs(delta) < 0.005 else "better" if delta > 0 else "worse"
        )
        found.append(
            VersionView(
                version=f"v{n:03d}",
                state="done",
                value=value,
                metrics={"accuracy": value, "loss": 1 - value},
                delta_previous=delta,
                delta_best=delta,
                verdict_previous=verdict,
                verdict_best=verdict,
                action="baseline" if n == 1 else f"learning_rate 0.00{n} → 0.001",
                reason="" if n == 1 else "because the gap grew 0.08 after epoch 5",
                base=None if n == 1 else f"v{n - 1:03d}",
                is_best=n == 3,
                latency_ms=0.41,
                train_seconds=41.0,
            )
        )
    return tuple(found)


def review(**changes: Any) -> Review:
    cards = [
        ("add_weight_decay", "weight_decay 0 → 1e-3", 1, 0.41, "low"),
        ("dropout_up", "dropout 0.1 → 0.2", 3, 0.22, "low"),
        ("learning_rate_down", "learning_rate 0.001 → 0.0003", 2, 0.15, "medium"),
        ("back_to_v002", "use_sgd_momentum on v002", 4, None, "high"),
    ]
    data: dict[str, Any] = {
        "question": "v003-review-1-abc",
        "kind": "review",
        "version": "v003",
        "title": "v003 is drafted: your decision",
        "diff": DIFF,
        "target": "02_train_v004.py",
        "answers": ["accept", "choose", "edit", "redraft", "stop"],
        "chosen": "add_weight_decay",
        "candidates": [
            Candidate(
                id=i,
                change=c,
                why="the gap between training and validation grows",
                reasons=["gap 0.13 is large"],
                risk=risk,
                rank=rank,
                probability=p,  # type: ignore[arg-type]
            )
            for i, c, rank, p, risk in cards
        ],
        "author": "progtrain-advisor 3M (f16)",
        "checks": ["compiles", "one change, as declared", "rules hold"],
        "not_enforced": ["prefer small models"],
    }
    return Review.model_validate(data | changes)


def snapshot(root: Path, status: str = "training", **changes: Any) -> Snapshot:
    """A loop at its fourth version, in the given state."""
    base = Snapshot(
        root=root,
        status=status,  # type: ignore[arg-type]
        version="v004",
        step="train",
        since_seconds=41.0,
        dataset_id="digits_v1",
        primary_metric="accuracy",
        running=status in {"training", "evaluating", "drafting", "repairing", "stopping"},
        steps=steps("train"),
        versions=(*versions(3), VersionView("v004", "training", action="weight_decay 0 → 1e-3", base="v003")),
        locks=(("epochs", "12"), ("batch_size", "64")),
    )
    if status == "training":
        base = base._replace(
            progress=Progress(epoch=7, epochs=12, step=1204, steps=2064, samples_per_second=1310, seconds_left=29),
        )
    if status == "waiting":
        base = base._replace(version="v003", review=review(), steps=steps("extract", "waiting"), versions=versions(3))
    if status == "finished":
        base = base._replace(version="v003", steps=steps(None), versions=versions(3))
    if status in {"not started", "not ready"}:
        base = base._replace(version=None, step=None, steps=(), versions=())
    return base._replace(**changes)


def fill(ws: Workspace, names: tuple[str, ...] = ("v001", "v002", "v003", "v004")) -> None:
    """Files of a few versions: scripts, curves, samples, drafts, a log, a report."""
    ws.baseline_script.write_text("LEARNING_RATE = 0.001\n")
    ws.rules.write_text(json.dumps({"training_config": {"epochs": 12, "batch_size": 64}}, indent=2))
    ws.instruction.write_text("keep the optimizer\nprefer small models\n")
    for n, name in enumerate(names, start=1):
        ws.script(name).write_text(f'VERSION = "{name}"\nLEARNING_RATE = 0.00{n}\nEPOCHS = 12\n')
        write_curves(ws, name, n)
        write_samples(ws, name, n)
    drafts = ws.drafts("v003")
    drafts.path.mkdir(parents=True, exist_ok=True)
    drafts.analysis.write_text("## Summary\n\nAccuracy rose to 0.9611.\n\n## Evidence\n\n- 8 is taken for 1\n")
    drafts.action.write_text(
        "## Selected Action (only 1)\n\n### Goal\n\nA smaller gap.\n\n### Change\n\nweight decay\n"
    )
    drafts.review.write_text(review().model_dump_json())
    job = ws.job("v004-train-1")
    job.path.mkdir(parents=True, exist_ok=True)
    job.log.write_text("".join(f"Epoch {i}: val_loss {1 / (i + 1):.4f}\n" for i in range(60)))
    ws.insight("v003").parent.mkdir(parents=True, exist_ok=True)
    fact = {
        "key": "gap",
        "display": "0.133",
        "meaning": "validation minus training loss",
        "source": "metrics.csv epoch 9",
    }
    ws.insight("v003").write_text(json.dumps({"facts": [fact]}))
    report = ws.reports / "2026-11-20_17-45"
    report.mkdir(parents=True)
    (report / "final-analysis.md").write_text("# Final analysis\n\nv003 is the best.\n")
    (report / "leaderboard.csv").write_text("version_id,metric__accuracy\nv003,0.9611\n")
    ws.journal.write_text(
        '{"at": "2026-11-20T17:40:00.000+00:00", "event": "loop_started", "dataset_id": "digits_v1",'
        ' "max_versions": 4}\n'
        '{"at": "2026-11-20T17:41:00.000+00:00", "event": "step_done", "version": "v001", "step": "train",'
        ' "seconds": 41.0, "command": "python 02_train_v001.py"}\n'
    )


def write_experiment(ws: Workspace, name: str = "cap") -> ExperimentFolder:
    """Two runs and a control that nobody has scaffolded, and results as if they had been run."""
    folder = ExperimentFolder(ws.experiments / name)
    folder.path.mkdir(parents=True)
    folder.plan.write_text(
        f"experiment: {{name: {name}, question: Does rank matter?}}\n"
        "tools: {training: command, evaluation: [command]}\n"
        "base: {command: [python, train.py, '{rank=4}', '{artifacts}']}\n"
        "variables: {rank: [8, 16]}\n"
        "runs: {add: [{name: base, type: control}]}\n"
        "evaluation: {tasks: [{name: caps, command: [python, evaluate.py, '{checkpoint}', '{output}']}]}\n"
    )
    for run, rank, value in (("base", None, 0.5), ("rank8", 8, 0.7), ("rank16", 16, 0.8)):
        about = {"experiment": name, "run": run, "point": run, "state": "done", "task": "caps", "epoch": "best"}
        about |= {"type": "trained" if rank else "control", "parameters": {"rank": rank} if rank else {}, "seconds": 60}
        metric = {"name": "accuracy", "value": value, "higher_is_better": True}
        with folder.results.open("a") as file:
            file.write(json.dumps(about | {"metrics": [metric]}) + "\n")
    return folder


def write_curves(ws: Workspace, name: str, seed: int = 1, rows: int = 400) -> None:
    folder = ws.version(name).logs / "version_0"
    folder.mkdir(parents=True, exist_ok=True)
    lines = ["epoch,step,train_loss,val_loss,val_acc,lr-Adam"]
    for step in range(rows):
        epoch = step * 12 // rows
        lines.append(f"{epoch},{step},{1.2 * math.exp(-step / 80) + 0.05 + 0.02 * math.sin(step * seed):.5f},,,0.001")
        if step % (rows // 12) == rows // 12 - 1:
            lines.append(
                f"{epoch},{step},,{1.1 * math.exp(-epoch / 3) + 0.1 + 0.004 * epoch:.5f},{0.6 + epoch * 0.03:.4f},"
            )
    (folder / "metrics.csv").write_text("\n".join(lines) + "\n")


def write_samples(ws: Workspace, name: str, seed: int) -> None:
    from PIL import Image

    folder = ws.version(name).evaluation
    folder.mkdir(parents=True, exist_ok=True)
    lines = ["sample_id,truth,prediction,correct,loss,confidence"]
    for i in range(60):
        wrong = i % 11 == seed
        lines.append(
            f"valid-{i:03d},{i % 10},{(i + 1) % 10 if wrong else i % 10},{int(not wrong)},{0.01 * i + wrong},0.9{i % 9}"
        )
    (folder / "per_sample.csv").write_text("\n".join(lines) + "\n")
    kept = ws.version(name).infer_samples / "0001"
    kept.mkdir(parents=True, exist_ok=True)
    image = Image.new("RGB", (8, 8))
    image.putdata([(x * 32, y * 32, 128) for y in range(8) for x in range(8)])
    image.save(kept / "input.png")
    (kept / "output.json").write_text('{"prediction": 3, "scores": [0.1, 0.9]}')
    (kept / "meta.json").write_text('{"sample_id": "valid-001", "seed": 42}')


def make_app(ws: Workspace, now: Snapshot | Exception | FakeView, **options: Any) -> ProgtrainApp:
    view = now if isinstance(now, FakeView) else FakeView(now)
    return ProgtrainApp(
        ws.root, snapshot=view.snapshot, engine=options.pop("engine", FakeEngine()), every=0.3, **options
    )


async def settle(pilot: Pilot[None], until: Callable[[], bool] = lambda: True, seconds: float = 60.0) -> None:
    """Waits until the threads have told what they know and `until` holds."""
    app = pilot.app
    assert isinstance(app, ProgtrainApp)
    for _ in range(int(seconds / 0.05)):
        await pilot.pause(0.05)
        if (app.model.snapshot is not None or app.model.problem) and until():
            await pilot.pause()
            return
    raise AssertionError("nothing came within the time")


LoopState = Callable[[Pilot[None]], Awaitable[None]]
