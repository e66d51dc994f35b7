"""The failure playbook: groups with their samples, since when, and what the rules allow against them."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable

import pytest

from progtrain.engine.errors import InputError
from progtrain.engine.files import sha256, write_json
from progtrain.engine.records.playbook import Group, playbook
from progtrain.engine.records.playbook_text import write_playbook
from progtrain.engine.rules.rules import load
from progtrain.engine.templates.progtrain_eval.common import evaluator_sha256
from progtrain.engine.workspace import Workspace

NAMES = ("sample_id", "truth", "prediction", "correct", "loss", "confidence")


def write(ws: Workspace, version: str, rows: list[tuple[object, ...]], names: tuple[str, ...] = NAMES) -> None:
    path = ws.version(version).per_sample
    with path.open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(names)
        table.writerows(rows)


def made(answers: str, surely: str = "") -> list[tuple[object, ...]]:
    """Twelve samples, half of class a; `answers` has a letter for each, `surely` ids of those with confidence 0.95."""
    rows: list[tuple[object, ...]] = []
    for number, (truth, said) in enumerate(zip("aaaaaabbbbbb", answers, strict=True)):
        one = f"s{number:02d}"
        sure = 0.95 if one in surely.split() else 0.6
        rows.append((one, truth, said, int(truth == said), 0.1 if truth == said else 1 + number / 10, sure))
    return rows


def groups(ws: Workspace, version: str = "v002") -> dict[str, Group]:
    return {group.name: group for group in playbook(ws, load(ws), version).groups}


def test_groups_have_their_samples_since_when_and_what_flipped(copied: Workspace) -> None:
    write(copied, "v001", made("bbaaaabbbbbb"))
    write(copied, "v002", made("bbbaaabbbbba", surely="s02"))
    found = groups(copied)
    assert list(found) == ["a taken for b", "class a", "class b", "confident and wrong"]
    pair = found["a taken for b"]
    assert (pair.samples, pair.examples, pair.share) == (3, ("s02", "s01", "s00"), 0.25)
    assert pair.mean_loss == pytest.approx(1.1)
    # two of the three were wrong before
    assert (pair.since, pair.flips) == ("v001", 1)
    assert (found["class b"].examples, found["class b"].since, found["class b"].flips) == (("s11",), "v002", 1)
    assert found["confident and wrong"].examples == ("s02",)


def test_the_version_before_is_not_asked_where_it_cannot_be_compared(copied: Workspace) -> None:
    write(copied, "v001", made("bbaaaabbbbbb"))
    write(copied, "v002", made("bbbaaabbbbba"))
    protocol = copied.version("v001").protocol
    protocol.write_text(json.dumps({**json.loads(protocol.read_text()), "seed": 7}))
    pair = groups(copied)["a taken for b"]
    assert (pair.since, pair.flips) == ("v002", None)


def test_ranges_of_a_target_are_those_with_more_loss_than_the_mean(copied: Workspace) -> None:
    rows: list[tuple[object, ...]] = [(f"s{n:02d}", float(n), n + 1.0, "", 4.0 if n >= 12 else 0.5) for n in range(16)]
    write(copied, "v002", rows, NAMES[:5])
    found = playbook(copied, load(copied), "v002")
    assert found.wrong is None
    (group,) = found.groups
    assert (group.name, group.samples, group.since, group.flips) == ("target 12 to 15", 4, None, None)


def test_what_has_no_answer_is_a_group_of_its_own(copied: Workspace) -> None:
    rows = [(*row, "") for row in made("aaaaaabbbbbb")]
    rows[3] = ("s03", "a", "", 0, "", "", "timed out")
    write(copied, "v002", rows, (*NAMES, "error"))
    found = groups(copied)
    assert found["unanswered"].examples == ("s03",)
    assert found["unanswered"].mean_loss is None


def test_suggested_is_what_rests_on_the_failure_and_the_rules_allow(
    copied: Workspace, edit_rules: Callable[..., None]
) -> None:
    write(copied, "v002", made("bbbaaabbbbba"))
    path = copied.insight("v002")
    insight = json.loads(path.read_text())
    card = next(card for card in insight["candidates"] if card["operation"].get("setting"))
    card["evidence"] = [*card["evidence"], "confused_pair"]
    path.write_text(json.dumps(insight))
    assert groups(copied)["a taken for b"].suggested == (card["id"],)
    assert groups(copied)["class b"].suggested == ("add_training_rows",)
    edit_rules(copied, training_config={card["operation"]["setting"]: card["operation"]["from"]})
    assert groups(copied)["a taken for b"].suggested == ()


def test_both_files_lie_beside_the_results_and_are_the_same_again(copied: Workspace) -> None:
    found = playbook(copied, load(copied), "v002")
    write_playbook(copied, found)
    folder = copied.version("v002")
    told = json.loads(folder.failure_cases.read_text())
    assert told["version"] == "v002"
    assert [group["name"] for group in told["groups"]] == [group.name for group in found.groups]
    before = folder.failure_cases.read_bytes(), folder.playbook.read_bytes()
    text = folder.playbook.read_text()
    for group in found.groups:
        assert f"## {group.name}\n" in text and all(f"`{one}`" in text for one in group.examples)
    write_playbook(copied, playbook(copied, load(copied), "v002"))
    assert (folder.failure_cases.read_bytes(), folder.playbook.read_bytes()) == before


def test_a_version_without_samples_is_refused(copied: Workspace) -> None:
    copied.version("v002").per_sample.unlink()
    with pytest.raises(InputError, match="does not exist"):
        playbook(copied, load(copied), "v002")


def _scored_on_train(ws: Workspace) -> None:
    """As 03_eval.py --split train leaves it: three rows of class 0 are taken for 1 as surely as those are."""
    folder, split = ws.train_scores("v002"), ws.split("toy_v1", "train")
    with (split / "data.csv").open() as file:
        rows = list(csv.DictReader(file))
    folder.per_sample.parent.mkdir(parents=True)
    doubtful = [row["id"] for row in rows if row["label"] == "0"][:3]
    with folder.per_sample.open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(NAMES)
        for row in rows:
            other = row["id"] in doubtful
            said = str(1 - int(row["label"])) if other else row["label"]
            table.writerow(
                [row["id"], row["label"], said, int(not other), 4.0 if other else 0.1, 0.99 if other else 0.9]
            )
    told = {"checkpoint_sha256": sha256(ws.version("v002").best_checkpoint), "data_sha256": sha256(split)}
    told |= {"evaluator_sha256": evaluator_sha256(ws.root), "split": "train"}
    write_json(folder.protocol, told)
    write_json(folder.eval_score, {"dataset_id": "toy_v1"})


def test_doubtful_labels_are_told_once_the_version_was_scored_on_its_training_rows(copied: Workspace) -> None:
    assert "doubtful labels in train" not in groups(copied)
    _scored_on_train(copied)
    group = groups(copied)["doubtful labels in train"]
    assert (group.kind, group.samples, group.share, group.since) == ("suspected label error", 3, 3 / 160, None)
    assert all(one.startswith("train-") for one in group.examples)
    # of another checkpoint it says nothing
    copied.version("v002").best_checkpoint.write_text("[0.1, 0.2, 0.3]")
    assert "doubtful labels in train" not in groups(copied)
