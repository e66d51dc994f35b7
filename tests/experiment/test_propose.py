"""Experiments on offer: what each rests on, what it would cost, and that its plan is one."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from progtrain.advisor.prose import rules_draft
from progtrain.engine.analysis import documents
from progtrain.engine.clock import now
from progtrain.engine.control import marks
from progtrain.engine.drafting import next_script
from progtrain.engine.errors import InputError
from progtrain.engine.experiment import folder as folders
from progtrain.engine.experiment import propose, results
from progtrain.engine.experiment.folder import ExperimentFolder
from progtrain.engine.experiment.propose import Proposal
from progtrain.engine.experiment.stages import design
from progtrain.engine.files import append_line, write_text
from progtrain.engine.rules import rules
from progtrain.engine.workspace import Workspace
from tests.analysis.conftest import Lab, classified
from tests.cli.commands import as_json, progtrain
from tests.cli.test_json import check
from tests.experiment.simulated import add, outcomes

HIGHER = {"operation": "set", "setting": "learning_rate", "from": 0.02, "to": 0.06}
Make = Callable[..., Workspace]


@pytest.fixture
def versions(plain: Workspace) -> Make:
    """Two versions, the second made from the first by one action: `versions(0.8, 0.9)` says how good they are."""

    def make(*accuracies: float, **replaced: str) -> Workspace:
        text = (plain.root / "02_train_baseline.py").read_text().replace('"baseline"', '"v001"')
        for old, new in replaced.items():
            text = text.replace(f"\n{old} ", f"\n{new}\n{old} ", 1)
        plain.script("v001").write_text(text)
        for number, accuracy in enumerate(accuracies, start=1):
            version = f"v{number:03d}"
            if number > 1:
                made = next_script.plan(plain, rules.load(plain), f"v{number - 1:03d}", HIGHER)
                for path, content in made.files.items():
                    path.write_text(content)
                append_line(plain.journal, {"event": "version_authored", **made.origin("")})
            lab = Lab(plain)
            lab.curves(lab.decay(20), version=version)
            lab.samples(classified(accuracy), version)
            lab.score({"accuracy": accuracy, "loss": 0.3}, version)
            insight, _ = propose.latest(plain, rules.load(plain))
            assert insight is not None
            write_text(plain.insight(version), insight.to_json())
        return plain

    return make


def offered(ws: Workspace) -> dict[str, Proposal]:
    return {one[0].id: one for one in propose.proposals(ws)[0]}


def left_out(ws: Workspace) -> str:
    return "\n".join(propose.proposals(ws)[1])


def runs(proposal: Proposal) -> list[str]:
    return [run.name for run in proposal[1].runs]


def test_a_verdict_within_noise_is_decided_by_training_both_with_seeds(versions: Make) -> None:
    ws = versions(0.8, 0.805)
    found, out, _ = propose.proposals(ws)
    first = found[0]
    assert first[0].id == "repeat_best_with_seeds" and first[0].rank == 1
    assert first[0].why == "whether v002 is better than v001 by more than what the seed does"
    assert first[0].reasons[0].startswith("for: v002 against v001 is within noise: accuracy +0.0050, 95 % interval")
    assert set(first[0].evidence) >= {"verdict_previous", "delta_low"}
    assert runs(first) == [f"{point}_seed{seed}" for point in ("v001", "v002") for seed in (42, 43, 44)]
    plan = yaml.safe_load(first[1].text)
    assert plan["base"] == {"script": "02_train_v001.py"} and plan["repeats"] == 3
    assert plan["runs"]["add"] == [{"name": "v001", "type": "control"}, {"name": "v002", "action": HIGHER}]
    # the same question under another name is asked once
    assert "ablate_last_action: all its runs are those of repeat_best_with_seeds" in out


def test_a_clear_win_is_asked_for_its_seed_noise_and_for_what_made_it(versions: Make) -> None:
    found = offered(versions(0.6, 0.9))
    assert runs(found["repeat_best_with_seeds"]) == ["base_seed42", "base_seed43", "base_seed44"]
    assert "it leads v001 by +0.3000 in accuracy" in found["repeat_best_with_seeds"][0].reasons[0]
    ablation = found["ablate_last_action"]
    assert len(runs(ablation)) == 6 and ablation[0].score < 0.5
    assert found["candidates_side_by_side"][1].experiment.plan.runs.add[0].type == "control"


def test_rates_are_tried_on_the_side_that_the_evidence_speaks_for(versions: Make) -> None:
    ws = versions(0.5)
    sweep = offered(ws)["sweep_learning_rate"]
    grid = sweep[1].experiment.plan.variables["learning_rate"]
    assert 0.02 in grid and grid == sorted(grid) and len(grid) >= 2
    assert sweep[1].experiment.plan.base.script == "02_train_v001.py"
    lab = Lab(ws)
    ws.insight("v001").unlink()
    lab.curves([1.0, 8.0, float("nan"), float("nan")], version="v001")
    down = offered(ws)["sweep_learning_rate"]
    assert max(down[1].experiment.plan.variables["learning_rate"]) == 0.02
    assert "for: divergence" in down[0].reasons[0] and down[0].score > sweep[0].score


def test_locks_hold(versions: Make, edit_rules: Callable[..., None]) -> None:
    ws = versions(0.8, 0.805)
    edit_rules(ws, training_config={"batch_size": 16, "learning_rate": 0.06, "seed": 42})
    found, out, _ = propose.proposals(ws)
    assert not {"sweep_learning_rate", "repeat_best_with_seeds", "ablate_last_action"} & {one[0].id for one in found}
    said = "\n".join(out)
    # of two seeds: once
    assert "repeat_best_with_seeds: seed 43 is not allowed: locked by the rules" in said and "seed 44" not in said
    assert "ablate_last_action: learning_rate 0.02 → 0.06 is not allowed: locked by the rules: learning_rate" in said
    assert "learning_rate 0.002 is not allowed: locked by the rules" in said and str(ws.root) not in said


def test_what_was_planned_is_not_offered_again(versions: Make) -> None:
    ws = versions(0.8, 0.805)
    first = offered(ws)["repeat_best_with_seeds"]
    design.write(propose.renamed(ws, first[1], "both"))
    # its question and resources may be others
    path = folders.folder(ws, "both").plan
    path.write_text(path.read_text().replace("kind: candidates", "kind: candidates, hypothesis: none"))
    assert "repeat_best_with_seeds" not in offered(ws)
    assert "repeat_best_with_seeds: all its runs are those of both" in left_out(ws)
    with pytest.raises(InputError, match="there is a plan already"):
        propose.renamed(ws, first[1], "both")


def test_a_version_that_was_edited_is_not_taken_for_its_base_with_the_action(versions: Make) -> None:
    ws = versions(0.8, 0.805)
    script = ws.script("v002")
    script.write_text(script.read_text().replace("EPOCHS = 6", "EPOCHS = 7"))
    assert len(runs(offered(ws)["repeat_best_with_seeds"])) == 3
    assert "v002 is more than v001 with its action" in left_out(ws)


@pytest.mark.parametrize(("line", "is_offered"), [("TRAIN_FRACTION = 0.8", True), ("LIMIT_TRAIN_BATCHES = 0.8", False)])
def test_shares_of_the_data_need_a_setting_for_exactly_that(versions: Make, line: str, is_offered: bool) -> None:
    ws = versions(0.8)
    text = ws.script("v001").read_text()
    used = text.replace("\nEPOCHS ", f"\n{line}\nEPOCHS ", 1).replace(
        "    random.seed(SEED)\n", f"    random.seed(SEED)\n    print({line.split()[0]})\n"
    )
    ws.script("v001").write_text(used)
    found = offered(ws)
    assert ("rank_by_data" in found) == is_offered
    if is_offered:
        assert found["rank_by_data"][1].experiment.plan.variables == {"train_fraction": [0.2, 0.4, 0.8]}


def test_cost_is_that_of_the_loop_of_experiments_or_not_known(versions: Make) -> None:
    ws = versions(0.8, 0.805)
    unknown = offered(ws)["repeat_best_with_seeds"][1]
    assert propose.cost(unknown) == "time not known: nothing like it was trained here yet"
    ws.version("v001").spec.write_text(json.dumps({"settings": {"epochs": 6, "batch_size": 16}}))
    marks.write(ws, "v001", "train", [], clock=now, seconds=600.0)
    known = offered(ws)["repeat_best_with_seeds"][1]
    assert propose.cost(known) == "at most 1.5 hours in all (1 run of the loop: 10 min)" or known.hours == 1.5
    assert "estimates" in yaml.safe_load(known.text)


def test_analysis_says_what_would_decide(versions: Make, edit_rules: Callable[..., None]) -> None:
    ws = versions(0.8, 0.805)
    insight, records = propose.latest(ws, rules.load(ws))
    assert insight is not None
    said = propose.would_decide(ws, rules.load(ws), insight, records)
    assert said == (
        "`progtrain experiment propose` (repeats: 3) would decide it: v002 and v001 with 3 seeds each, "
        "time not known: nothing like it was trained here yet"
    )
    told = insight.model_copy(update={"undecided": said})
    assert f"- {said}\n" in documents.render_analysis("v002", told, rules_draft.draft(told.briefing()))
    # where it could not be done, or has been planned, nothing is said
    edit_rules(ws, training_config={"batch_size": 16, "seed": 42})
    assert propose.would_decide(ws, rules.load(ws), insight, records) == ""


def test_nothing_is_said_where_a_verdict_is_clear(versions: Make) -> None:
    ws = versions(0.6, 0.9)
    insight, records = propose.latest(ws, rules.load(ws))
    assert insight is not None and propose.would_decide(ws, rules.load(ws), insight, records) == ""


def ended(folder: ExperimentFolder, accuracies: dict[int, float], **more: Any) -> None:
    """Results of `planned()`'s two by two runs, by rank."""
    for rank in (8, 16):
        for rate in (0.1, 0.2):
            name = f"rank{rank}_rate{rate}"
            right = outcomes(accuracies[rank] + rate / 100, 300, rank, of_seed=0.0)
            add(folder, name, right, parameters={"rank": rank, "rate": rate}, **more)
    add(folder, "base", outcomes(0.5, 300, 3), type="control", **more)


def test_the_best_point_of_an_experiment_is_repeated_beside_the_next(
    lab: Workspace, planned: Callable[..., ExperimentFolder]
) -> None:
    seeded = {"command": ["python", "train.py", "{rank=4}", "{rate=0.5}", "{artifacts}", "{seed=42}"]}
    folder = planned(resources={"cpus": 2}, base=seeded)
    with pytest.raises(InputError, match="nothing to propose"):
        propose.proposals(lab)
    ended(folder, {8: 0.80, 16: 0.81})
    found, _, insight = propose.proposals(lab)
    assert insight is None and [one[0].id for one in found] == ["repeat_best_with_seeds_of_cap"]
    again = found[0]
    plan = again[1].experiment.plan
    assert len(runs(again)) == 6 and plan.repeats == 3 and plan.resources.cpus == 2
    assert plan.base.command and [task.name for task in plan.tasks] == ["caps"]
    assert len(again[1].cells) == 6
    assert again[0].reasons[1].endswith("was trained with one seed")
    # the hour that each took, and a quarter more
    assert again[1].hours == 7.5
    design.write(again[1])
    found, out, _ = propose.proposals(lab)
    assert (found, out) == ([], ["repeat_best_with_seeds_of_cap: all its runs are those of repeat-cap"])


def test_what_takes_no_seed_is_not_repeated(lab: Workspace, planned: Callable[..., ExperimentFolder]) -> None:
    ended(planned(), {8: 0.80, 16: 0.81})
    found, out, _ = propose.proposals(lab)
    assert (found, out) == ([], ["repeat_best_with_seeds_of_cap: nothing in the command asks for seed"])


def test_what_has_not_ended_says_nothing(lab: Workspace, planned: Callable[..., ExperimentFolder]) -> None:
    folder = planned()
    ended(folder, {8: 0.8, 16: 0.8})
    lines = folder.results.read_text().splitlines()
    folder.results.write_text("\n".join(lines[:-1]) + "\n")
    assert len(results.read(folder)) == 4
    with pytest.raises(InputError, match="nothing to propose"):
        propose.proposals(lab)


def test_the_command_lists_them_and_writes_one(versions: Make, tmp_path: Path) -> None:
    ws = versions(0.8, 0.805)
    told = as_json(ws, "experiment", "propose", "--json")
    assert told["author"].startswith("progtrain-advisor") or told["notes"]
    ids = [one["id"] for one in told["proposals"]]
    assert {"repeat_best_with_seeds", "sweep_learning_rate", "candidates_side_by_side"} <= set(ids)
    assert "proposals[].reasons[]" in check(told)
    wrong = progtrain(ws, "experiment", "propose", "--write", "sweep_learning_rat")
    assert wrong.returncode == 2 and "did you mean sweep_learning_rate?" in wrong.stderr
    done = progtrain(ws, "experiment", "propose", "--write", "sweep_learning_rate", "--name", "rates")
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("edit it, or progtrain experiment scaffold rates goes on\n")
    assert progtrain(ws, "experiment", "design", "rates").stdout.endswith("the plan holds\n")


def test_without_a_model_the_rules_rank(versions: Make, edit_rules: Callable[..., None]) -> None:
    ws = versions(0.8, 0.805)
    edit_rules(ws, advisor_config={"model": "missing.gguf"})
    said = progtrain(ws, "experiment", "propose").stdout
    assert said.startswith("1. repeat_best_with_seeds: train v002 and v001")
    assert "ranked by rules only; missing.gguf: the model file does not exist" in said
    assert said.splitlines()[-1].startswith("progtrain experiment propose --write repeat_best_with_seeds ")
