"""What something else decides while the script runs is no action: it could not have an effect."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from progtrain.engine.analysis.advise import at_run_time
from progtrain.engine.analysis.gather import gather
from progtrain.engine.analysis.types import Limits
from progtrain.engine.script.sources import Sources

if TYPE_CHECKING:
    from tests.analysis.conftest import Lab

RATES = {"learning_rate_up", "learning_rate_down"}
FIT = "    trainer.fit(Net(), loader, loader)\n"
OPTIMIZER = "        return torch.optim.Adam(self.parameters(), lr=self.hparams.learning_rate)\n"


def kept(lab: Lab, **record: Any) -> None:
    path = lab.ws.record("v001")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(record))


def offered(lab: Lab, limits: Limits, source: str | None = None) -> tuple[set[str], tuple[str, ...]]:
    lab.version(source=source)
    insight = gather(lab.ws, "v001", limits, lab.records)
    return {candidate.id for candidate in insight.candidates}, insight.not_offered


def searching(lab: Lab, line: str) -> str:
    source = lab.script()
    assert source.count(FIT) == 1
    return source.replace(FIT, f"    {line}\n{FIT}")


def scheduled(lab: Lab, code: str) -> str:
    source = lab.script()
    assert source.count(OPTIMIZER) == 1
    made = OPTIMIZER.replace("return", "optimizer =") + f"        scheduler = torch.optim.lr_scheduler.{code}\n"
    return source.replace(OPTIMIZER, made + '        return {"optimizer": optimizer, "lr_scheduler": scheduler}\n')


def test_a_usual_training_decides_nothing_by_itself(lab: Lab, limits: Limits) -> None:
    ids, told = offered(lab, limits)
    assert ids >= RATES | {"batch_size_up", "epochs_up"} and told == ()


@pytest.mark.parametrize(
    ("line", "gone", "by"),
    [
        ("Tuner(trainer).lr_find(Net(), loader)", RATES, "lr_find"),
        ("trainer.callbacks.append(LearningRateFinder(num_training_steps=20))", RATES, "LearningRateFinder"),
        ("Tuner(trainer).scale_batch_size(Net())", {"batch_size_up", "batch_size_down"}, "scale_batch_size"),
        ("trainer.callbacks.append(BatchSizeFinder())", {"batch_size_up", "batch_size_down"}, "BatchSizeFinder"),
    ],
)
def test_what_a_search_sets_is_not_offered_and_the_review_says_why(
    lab: Lab, limits: Limits, line: str, gone: set[str], by: str
) -> None:
    ids, told = offered(lab, limits, searching(lab, line))
    assert not ids & gone
    assert "epochs_up" in ids
    assert len(told) == 1 and f"{by} decides it" in told[0]


@pytest.mark.parametrize(
    "line",
    [
        "Tuner(trainer).lr_find(Net(), loader, update_attr=False)",
        "if False:\n        Tuner(trainer).lr_find(Net(), loader)",
        "if FIND_RATE:\n        Tuner(trainer).lr_find(Net(), loader)",
    ],
)
def test_a_search_that_sets_nothing_leaves_the_rate_to_the_script(lab: Lab, limits: Limits, line: str) -> None:
    source = searching(lab, line).replace("SEED = 42", "SEED = 42\nFIND_RATE = False")
    ids, told = offered(lab, limits, source)
    assert ids >= RATES and told == ()


def test_a_search_that_the_training_told_of_counts_too(lab: Lab, limits: Limits) -> None:
    kept(lab, callbacks=["lightning.pytorch.callbacks.lr_finder.LearningRateFinder"], decided_at_run_time=["bs"])
    ids, told = offered(lab, limits)
    assert not ids & (RATES | {"batch_size_up", "batch_size_down"})
    assert len(told) == 2


def test_a_one_cycle_schedule_rules_the_rate_and_its_peak_is_what_moves(lab: Lab, limits: Limits) -> None:
    lab.version(source=scheduled(lab, "OneCycleLR(optimizer, max_lr=0.02, total_steps=200)"))
    insight = gather(lab.ws, "v001", limits, lab.records)
    moves = {c.id: c.operation["setting"] for c in insight.candidates if c.id in RATES}
    assert moves == dict.fromkeys(RATES, "max_learning_rate")
    assert "OneCycleLR with its max_lr decides it" in insight.not_offered[0]


def test_the_peak_stays_where_the_rate_is_locked(lab: Lab) -> None:
    limits = Limits("accuracy", True, locked=frozenset({"learning_rate"}))
    ids, _ = offered(lab, limits, scheduled(lab, "OneCycleLR(optimizer, max_lr=0.02, total_steps=200)"))
    assert not ids & RATES


@pytest.mark.parametrize(
    "peak", ["LEARNING_RATE", "10 * self.hparams.learning_rate", 'self.hparams["learning_rate"]', "PEAK"]
)
def test_a_peak_made_from_the_learning_rate_leaves_it_its_effect(lab: Lab, limits: Limits, peak: str) -> None:
    source = scheduled(lab, f"OneCycleLR(optimizer, max_lr={peak}, total_steps=200)")
    source = source.replace("HIDDEN_SIZE = 32", "HIDDEN_SIZE = 32\nPEAK = 5 * LEARNING_RATE")
    ids, told = offered(lab, limits, source)
    assert ids >= RATES and told == ()


@pytest.mark.parametrize(("used", "ruled"), [("CosineAnnealingLR", False), ("OneCycleLR", True)])
def test_of_several_schedules_the_one_counts_that_the_training_used(
    lab: Lab, limits: Limits, used: str, ruled: bool
) -> None:
    source = scheduled(lab, "CosineAnnealingLR(optimizer, 20)")
    other = "        if ONE_CYCLE:\n            scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.02, 200)\n"
    source = source.replace('        return {"opt', other + '        return {"opt')
    kept(lab, optimizers=[{}], schedulers=[{"class": f"torch.optim.lr_scheduler.{used}"}])
    assert ("learning_rate" in at_run_time.decided(source, json.loads(lab.ws.record("v001").read_text()))) is ruled
    ids, _ = offered(lab, limits, source)
    assert (ids >= RATES) is not ruled


@pytest.mark.parametrize("by", ["early stopping", "max_steps", "the script"])
def test_more_epochs_are_not_offered_where_others_end_the_training(lab: Lab, limits: Limits, by: str) -> None:
    kept(lab, ended={"by": by, "epochs": 12}, trainer={"max_epochs": 20}, schedulers=[])
    ids, told = offered(lab, limits)
    assert "epochs_up" not in ids
    assert len(told) == 1 and "after 12 of 20" in told[0]


@pytest.mark.parametrize(
    "record",
    [
        {"ended": {"by": "max_epochs", "epochs": 20}, "trainer": {"max_epochs": 20}},
        {"ended": {"by": "stop request", "epochs": 3}, "trainer": {"max_epochs": 20}},
        # a schedule that is as long as the training is another one with more epochs
        {
            "ended": {"by": "early stopping", "epochs": 12},
            "trainer": {"max_epochs": 20},
            "schedulers": [{"class": "torch.optim.lr_scheduler.CosineAnnealingLR"}],
        },
        {"ended": "nonsense", "trainer": None, "schedulers": 3, "callbacks": [None]},
    ],
)
def test_more_epochs_are_offered_where_they_can_have_an_effect(
    lab: Lab, limits: Limits, record: dict[str, Any]
) -> None:
    kept(lab, **record)
    ids, told = offered(lab, limits)
    assert "epochs_up" in ids and told == ()


def test_undoing_a_change_of_a_rate_that_a_search_sets_is_not_offered(lab: Lab, limits: Limits) -> None:
    first = searching(lab, "Tuner(trainer).lr_find(Net(), loader)")
    lab.version("v001", source=first)
    operation = {"operation": "set", "setting": "learning_rate", "from": 0.01, "to": 0.003}
    second = first.replace("LEARNING_RATE = 0.01", "LEARNING_RATE = 0.003").replace('"v001"', '"v002"')
    lab.version("v002", source=second, base="v001", operation=operation, verdict_previous="worse")
    insight = gather(lab.ws, "v002", limits, lab.records)
    assert "undo_v002" not in {candidate.id for candidate in insight.candidates}


def test_a_script_that_is_no_python_decides_nothing() -> None:
    assert at_run_time.decided("def (", {}) == {} and at_run_time.told("def (", {}) == ()


PARSED = """
import argparse
parser = argparse.ArgumentParser()
parser.add_argument("-e", "--epochs", type=int, default=10)
parser.add_argument("--lr", type=float, default=0.1)
"""


@pytest.mark.parametrize(
    ("arguments", "keys"),
    [
        (("--epochs", "3"), {"epochs"}),
        (("-e", "3"), {"epochs"}),
        (("--trainer.max_epochs=3", "data.batch_size=8"), {"epochs", "batch_size"}),
        (("--lr=-1", "file.yaml"), {"learning_rate"}),
        (("fit",), set()),
    ],
)
def test_what_is_given_as_an_argument_is_not_offered(arguments: tuple[str, ...], keys: set[str]) -> None:
    assert at_run_time.decided(PARSED, {}, arguments).keys() == keys
    operation = {"operation": "set", "setting": "epochs", "from": 10, "to": 30}
    why = at_run_time.without_effect(operation, frozenset({"epochs"}), PARSED, {}, arguments)
    assert (why is not None) == ("epochs" in keys)


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ('build(CFG["optim"]["lr"])', {"momentum": "a.yaml:optim.momentum"}),
        ("build(CFG.optim.lr, CFG.optim.momentum)", {}),
        ('build(**CFG["optim"])', {}),
        ("def build(**more):\n    other(CFG.optim.lr, **more)", {"momentum": "a.yaml:optim.momentum"}),
        ("LightningCLI()", {}),
        ("MOMENTUM = 0.9\nbuild(CFG.optim.lr)", {}),
    ],
)
def test_a_value_of_a_config_file_that_no_code_asks_for_is_no_action(code: str, found: dict[str, str]) -> None:
    source = Sources(f"{code}\n", {"a.yaml": "optim:\n  lr: 0.1\n  momentum: 0.0\n"})
    assert at_run_time.unread(source) == found
    operation = {"operation": "set", "setting": "momentum", "to": 0.9}
    why = at_run_time.without_effect(operation, frozenset({"momentum", "optimizer"}), source, {})
    assert why == ("no code asks for it" if found else None)
    told = at_run_time.told(source, {})
    assert told == (("momentum: no action, no code asks for a.yaml:optim.momentum",) if found else ())
