"""The steps of the current version, and how far its training is."""

from __future__ import annotations

import math
from datetime import datetime
from typing import TYPE_CHECKING

from rich.text import Text
from textual.widget import Widget

from progtrain.engine.status.snapshot import STEP_NAMES, StepView
from progtrain.tui.look import words
from progtrain.tui.look.colours import BAD, GOOD, NEEDS_YOU, NOW, QUIET
from progtrain.tui.look.sanitize import clean_line
from progtrain.tui.model import Model

if TYPE_CHECKING:
    from progtrain.engine.status.snapshot import Progress, Snapshot

_STYLE = {"done": GOOD, "running": f"bold {NOW}", "waiting": f"bold {NEEDS_YOU}", "failed": f"bold {BAD}"}
_WIDE = 104
_SHORT = {"initialize": "init", "evaluate": "eval", "analyze": "analyse", "extract": "action"}


class StepStrip(Widget):
    """Two lines: the steps; progress, or what to do."""

    DEFAULT_CSS = "StepStrip { height: 2; }"

    def __init__(self, *, signs: words.Signs) -> None:
        super().__init__(id="steps")
        self._signs = signs
        self._snapshot: Snapshot | None = None
        self._since: datetime | None = None

    def show(self, model: Model) -> None:
        if model.snapshot is not self._snapshot:
            self._snapshot, self._since = model.snapshot, model.since
            self.refresh()

    def render(self) -> Text:
        width = max(20, self.content_size.width)
        if self._snapshot is None:
            return Text("")
        first = self.step_line(self._snapshot, width)
        second = self.progress_line(self._snapshot, width)
        first.truncate(width, overflow="ellipsis")
        second.truncate(width, overflow="ellipsis")
        return first.append("\n").append_text(second)

    def step_line(self, snapshot: Snapshot, width: int) -> Text:
        line = Text(no_wrap=True)
        line.append(f" {snapshot.version or 'v001'} of {snapshot.max_versions} ", style="bold")
        for step in snapshot.steps or [StepView(i, name, "pending") for i, name in enumerate(STEP_NAMES)]:
            line.append(" " if width < _WIDE else "  ").append_text(self._step(step, width))
        return line

    def _step(self, step: StepView, width: int) -> Text:
        sign, name, timed = words.step_sign(step.state, self._signs), clean_line(step.name), step.seconds is not None
        if width >= _WIDE:
            text = f"{sign} {step.number} {name}"
            timed = timed and (step.state == "running" or width >= 150)
        elif step.state in {"running", "waiting", "failed"}:
            text = f"{sign}{step.number} {_SHORT.get(name, name)}"
        else:
            text, timed = f"{sign}{step.number}", False
        return Text(f"{text} {words.clock(step.seconds)}" if timed else text, style=_STYLE.get(step.state, QUIET))

    def progress_line(self, snapshot: Snapshot, width: int) -> Text:
        if snapshot.progress is not None and snapshot.status in {"training", "stopping", "repeating"}:
            # "v001, repeat 2 of 3": its seed is no news while it is trained
            which = clean_line(snapshot.reason).split(", seed")[0] if snapshot.status == "repeating" else ""
            return self._progress(snapshot.progress, width, which)
        return Text(f" {what_to_do(snapshot, self._since)}", style=_TONE.get(snapshot.status, QUIET), no_wrap=True)

    def _progress(self, progress: Progress, width: int, which: str) -> Text:
        parts = [which] if which else []
        if progress.epoch is not None:
            parts.append(f"epoch {progress.epoch}{f'/{progress.epochs}' if progress.epochs else ''}")
        if progress.step is not None:
            of = f"/{words.big(progress.steps)}" if progress.steps else ""
            parts.append(f"step {words.big(progress.step)}{of}")
        tail = []
        rate, left = progress.samples_per_second, progress.seconds_left
        if rate is not None and rate > 0 and not which:
            tail.append(f"{words.big(rate)} samples/s")
        # while a clock is being set, there is no true answer
        if left is not None and 0 <= left < math.inf:
            tail.append(f"left {words.clock(left)}")
        line = Text(f" {'  '.join(parts)}  ", no_wrap=True)
        if progress.step is not None and progress.steps:
            share = progress.step / progress.steps
            room = width - line.cell_len - sum(len(t) + 2 for t in tail) - 8
            if room >= 8:
                line.append(words.bar(share, min(room, 48), self._signs), style=NOW)
            line.append(f" {share:4.0%}  ")
        return line.append("  ".join(tail), style=QUIET)


_TONE = {
    "waiting": f"bold {NEEDS_YOU}",
    "failed": BAD,
    "not ready": BAD,
    "runner gone": NEEDS_YOU,
    "orphan training": NEEDS_YOU,
    "not started": NOW,
    "finished": GOOD,
}


def what_to_do(snapshot: Snapshot, since: datetime | None = None) -> str:
    """One line for each state: what happens, and what the user can do."""
    age = snapshot.since_seconds
    # below 0 a clock was set: nothing true can be said
    lasting = f" for {words.clock(age)}" if age is not None and age >= 0 else ""
    at = f" at {since:%H:%M}" if since else ""
    reason = clean_line(snapshot.reason)
    match snapshot.status:
        case "not ready":
            return "fix it; it is looked at again every second"
        case "not started":
            return f"enter starts the loop: audit, train, evaluate, review, up to {snapshot.max_versions} versions"
        case "waiting":
            title = clean_line(snapshot.review.title) if snapshot.review else "your decision is needed"
            return f"{title}: press enter or r"
        case "drafting":
            return f"the advisor drafts analysis and action{lasting}: r reads along"
        case "repairing":
            return f"repairing{lasting}, then the same version runs again"
        case "stopping":
            return "stopping after this batch; what is finished is kept"
        case "stopped":
            return f"stopped{at}{f', {reason}' if reason else ''}: enter goes on where it stood"
        case "failed":
            return f"failed{at}; s tries again once it is fixed"
        case "finished":
            best = next((v.version for v in snapshot.versions if v.is_best), None)
            return f"finished{f': best is {best}' if best else ''}. 6 shows the report, 2 the leaderboard"
        case "runner gone" | "orphan training" if "progtrain repeat" in snapshot.fix:
            seen = "no runner, it goes on" if snapshot.status == "orphan training" else "the runner is gone"
            return f"{seen}: {clean_line(snapshot.fix)}"
        case "runner gone":
            heard = f", last heard of{at}" if at else ""
            return f"the runner is gone{heard}: enter resumes, nothing is lost"
        case "training" | "evaluating" | "repeating" if reason:
            # on a cluster: why it does not run yet
            return f"{words.headline(snapshot)}: {reason}"
        case "orphan training":
            return "its training goes on without a runner: enter takes it over"
        case _:
            return f"{words.headline(snapshot)}{lasting}"
