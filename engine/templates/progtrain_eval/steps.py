"""What is said in validation steps: first of whole batches, then of samples one by one."""

from __future__ import annotations

import hashlib
import math
import re
import statistics
from array import array
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, SequentialSampler, Subset

from .batches import batch_size, loss_in, of_kind, single, tensors, tree
from .common import EvalError
from .judge import Judge
from .logged import find_name, loss_name
from .measures import is_better
from .names import taken_apart
from .outputs import Outputs, can_compare, target_in
from .samples import like
from .seen import Score, Seen
from .tasks import CLASSES

#: The name of the loss that a step returns.
RETURNED = "its result"


class Steps:
    """Collects what validation steps say: first of whole batches, then of the samples one by one."""

    def __init__(self, judge: Judge, draw: Callable[[list[str], int], list[str]], singles: int, shown: int) -> None:
        """`draw(ids, count)` draws the samples that go one by one (`singles`) and those that are shown."""
        self.judge, self.draw_from, self.most_singles, self.shown_count = judge, draw, singles, shown
        self.counts: dict[int, int] = {}
        self.numbers: dict[int, list[int]] = {}  # loader -> the samples of its data set that go one by one
        self.logged: dict[str, float] = {}  # of the whole set, by the module's own names
        self.loss_sum = self.loss_weight = 0.0  # of what steps return
        self.singles: dict[str, dict[str, float]] = {}
        self.times: list[float] = []
        self.shown: dict[str, tuple[Any, Seen, Any]] = {}  # sample id -> input, what was seen of it alone, scores
        self.hash = hashlib.sha256()
        self.problem = ""

    def id_of(self, loader: int, number: int) -> str:
        return f"{number:06d}" if loader == 0 else f"{loader}-{number:06d}"

    def ids_of(self, batch: Any, loader: int) -> list[str]:
        size, begin = batch_size(batch), self.counts.get(loader, 0)
        self.counts[loader] = begin + size
        numbers = self.numbers.get(loader, range(begin + size))
        return [self.id_of(loader, number) for number in numbers[begin : begin + size]]

    def batch(self, batch: Any, said: Any, outputs: Outputs, loader: int) -> None:
        ids = self.ids_of(batch, loader)
        size = len(ids)
        loss = loss_in(said)
        if loss is not None:
            self.loss_sum, self.loss_weight = self.loss_sum + loss * size, self.loss_weight + size
        scores, inputs = outputs.of(size, said)
        target = target_in(batch, said, inputs, scores)
        for tensor in tensors(target):
            self.hash.update(tensor.detach().cpu().contiguous().float().numpy().tobytes())
        self.judge.see(ids, self.seen(scores, target, size))

    def seen(self, scores: Any, target: Any, size: int) -> Seen:
        losses, finite = torch.full((size,), math.nan), torch.ones(size, dtype=torch.bool)
        numbers = isinstance(scores, Tensor) and isinstance(target, Tensor) and can_compare(scores, target)
        if numbers and self.judge.task in ("", *CLASSES, "regression"):
            return self.judge.judged(scores.detach().float().cpu(), target.detach().cpu().double())
        if isinstance(scores, list) and isinstance(target, (list, tuple)) and self.judge.task in ("", "detection"):
            self.judge.task = "detection"
            plain = [
                tree(lambda v: v.detach().cpu() if isinstance(v, Tensor) else v, list(p)) for p in (scores, target)
            ]
            return Seen(plain[1], plain[0], None, losses, finite)
        self.judge.task = self.judge.task or "not known"
        return Seen([""] * size, [""] * size, None, losses, finite)

    def keep_logged(self, logged: Mapping[str, float]) -> None:
        """Where the same is logged for several loaders, their mean over all samples comes first."""
        parts: dict[str, dict[int, float]] = {}
        for name, value in logged.items():
            found = re.fullmatch(r"(.+)/dataloader_idx_(\d+)", name)
            if found:
                parts.setdefault(found[1], {})[int(found[2])] = value
        means = {
            name: sum(value * self.counts.get(loader, 0) for loader, value in values.items())
            / max(sum(self.counts.get(loader, 0) for loader in values), 1)
            for name, values in parts.items()
        }
        self.logged = {**means, **logged}

    def draw(self) -> None:
        """Which samples go through the step one by one, and which of them are shown. By their ids alone."""
        ids = [row.sample_id for row in self.judge.rows]
        self.to_show = set(self.draw_from(ids, self.shown_count))
        self.chosen = {*self.draw_from(ids, self.most_singles), *self.to_show}
        self.counts = {}

    def few(self, loader: Any, place: int = 0) -> Any:
        """Only the samples that go one by one, so that the others are not read a second time; all, if it is no list."""
        usual = isinstance(loader, DataLoader) and isinstance(loader.sampler, SequentialSampler) and loader.batch_size
        if not usual or len(loader.dataset) <= self.most_singles:
            return loader
        self.numbers[place] = [n for n in range(len(loader.dataset)) if self.id_of(place, n) in self.chosen]
        return like(loader, Subset(loader.dataset, self.numbers[place]))

    def one_by_one(self, batch: Any, loader: int, outputs: Outputs, step: Callable[..., Any]) -> None:
        ids = self.ids_of(batch, loader)
        for row, sample_id in enumerate(ids):
            if not self.problem and sample_id in self.chosen:
                self.alone(sample_id, single(batch, row, len(ids)), outputs, step)

    def alone(self, sample_id: str, one: Any, outputs: Outputs, step: Callable[..., Any]) -> None:
        outputs.calls.clear()
        logged: dict[str, float] = {}
        try:
            said = step(one, logged)
        except (RuntimeError, TypeError, ValueError, IndexError) as error:
            self.problem = " ".join(f"{type(error).__name__}: {error}".split())[:200]
            return
        loss = loss_in(said)
        self.singles[sample_id] = logged if loss is None else {RETURNED: loss, **logged}
        self.times.append(outputs.seconds * 1000)
        if sample_id in self.to_show:
            scores, inputs = outputs.of(1, said)
            seen = self.seen(scores, target_in(one, said, inputs, scores), 1)
            # words where there are some, else the numbers that the model was given
            words = next(iter(of_kind(str, one)), None)
            given = inputs[0][0].detach().cpu() if inputs and inputs[0].dim() else None
            self.shown[sample_id] = (words or given, seen, scores)

    def finish(self, wanted: Mapping[str, bool | None]) -> list[Score]:
        """The scores, each from the first that knows it: the module's log under that very name, torchmetrics on outputs
        and targets, the module's log under another prefix. Values of single samples are put into the rows.
        """
        if not self.judge.rows:
            raise EvalError("the validation data hold no sample")
        own = loss_name(self.logged)
        loss = self.logged[own] if own else self.loss_sum / self.loss_weight if self.loss_weight else None
        for row in self.judge.rows:
            told = self.singles.get(row.sample_id, {})
            row.loss = told.get(own or RETURNED, row.loss if loss is None else math.nan)
        by_judge = {score.name: score for score in self.judge.scores(loss)}
        if math.isnan(by_judge["loss"].value) and not self.judge.not_finite and loss is None:
            raise EvalError("validation_step neither logs nor returns a loss, and its outputs tell none: log one")
        by_judge["loss"].source = "plain loss of the task" if loss is None else f"validation_step: {own or RETURNED}"
        found = [by_judge["loss"]]
        for metric, better in wanted.items():
            named = metric if metric in self.logged else None
            if named is None and metric in by_judge:
                if loss is not None and taken_apart(metric)[0] == "perplexity" and math.isnan(by_judge[metric].value):
                    by_judge[metric].value = math.exp(min(loss, 700))
                if metric != "loss":
                    found.append(by_judge[metric])
                    self.tell_other_way(metric, by_judge[metric].value)
                continue
            named = named or find_name(metric, self.logged)
            if named is None:
                problem = self.judge.unknown.get(metric, f"no metric {metric!r}")
                raise EvalError(f"{problem}; validation_step logs: {', '.join(self.logged) or 'nothing'}")
            found.append(Score(metric, self.logged[named], is_better(metric, better), f"validation_step: {named}"))
            self.keep_parts(metric, named)
        return found

    def tell_other_way(self, metric: str, value: float) -> None:
        """Says so where the script works out another number under the same name."""
        named = find_name(metric, self.logged)
        theirs = self.logged[named] if named else math.nan
        if (
            math.isfinite(theirs)
            and math.isfinite(value)
            and not math.isclose(theirs, value, rel_tol=1e-2, abs_tol=1e-3)
        ):
            told = f"{metric} is {value:.4g} by torchmetrics, {named} {theirs:.4g} by the script itself"
            key, mean, _ = taken_apart(metric)
            one = self.judge.of_class_one(key) if mean in (None, "macro") else math.nan
            if math.isclose(one, theirs, rel_tol=1e-3, abs_tol=1e-4):
                named = f"name binary_{key} in the rules to rank by that"
                print(f"warning: {told}: ours is the mean of both classes, theirs that of class 1 alone; {named}")
                return
            print(f"warning: {told} (another mean over the classes?); the rules may rank by {named}")

    def keep_parts(self, metric: str, named: str) -> None:
        """Values of single samples whose mean is the metric's value, which can then be compared in pairs."""
        values = {i: logged[named] for i, logged in self.singles.items() if math.isfinite(logged.get(named, math.nan))}
        if len(values) != len(self.judge.rows):
            return
        if math.isclose(statistics.fmean(values.values()), self.logged[named], rel_tol=1e-3, abs_tol=1e-4):
            self.judge.parts[metric] = array("d", [values[row.sample_id] for row in self.judge.rows])
