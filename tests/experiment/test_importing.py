"""Plans in cruijff_kit's form become plans of ours."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from progtrain.engine.errors import InputError
from progtrain.engine.experiment import expand, importing
from progtrain.engine.experiment.folder import ExperimentFolder
from progtrain.engine.experiment.workers import base
from progtrain.engine.workspace import Workspace
from progtrain.engine.yaml_text import as_yaml
from tests.experiment.test_torchtune import CONFIG
from tests.experiment.tools import complaints, experiment


def summary() -> dict[str, Any]:
    """As its release 0.3.4 writes it."""
    runs = [
        {
            "name": f"Llama_rank{rank}",
            "type": "fine-tuned",
            "model": "Llama",
            "parameters": {"lora_rank": rank},
            "compute": {"time": time, "gpus": 1, "mem": "80G"},
        }
        for rank, time in ((4, "0:15:00"), (16, "1:05:00"))
    ]
    return {
        "experiment": {
            "name": "cap_rank",
            "project": "caps",
            "question": "Does rank matter?",
            "hypothesis": "no",
            "dir": "/scratch/out/cap_rank",
        },
        "tools": {"preparation": "torchtune", "evaluation": "inspect-ai"},
        "variables": {"lora_rank": [4, 16]},
        "controls": {
            "system_prompt": "",
            "prompt": "Capitalize: {input}\n",
            "dataset_type": "chat_completion",
            "epochs": 2,
            "batch_size": 4,
            "lr": "1e-5",
        },
        "models": {"base": [{"name": "Llama", "path": "/models/llama", "size_gb": 2.5}]},
        "data": {"training": {"path": "/data/words.json", "label": "words", "format": "json", "size_kb": 5}},
        "runs": [*runs, {"name": "Llama_base", "type": "control", "model": "Llama", "parameters": {}}],
        "evaluation": {
            "scorers": [{"name": "match"}],
            "tasks": [{"name": "caps", "script": "/tasks/caps.py", "description": "capital letters"}],
            "matrix": [
                {"run": "Llama_rank4", "tasks": ["caps"], "epochs": [0, 1], "vis_label": "rank 4"},
                {"run": "Llama_base", "tasks": ["caps"], "epochs": None},
            ],
        },
    }


def imported(ws: Workspace, content: dict[str, Any]) -> tuple[Any, list[str]]:
    file = ws.root / "experiment_summary.yaml"
    file.write_text(yaml.safe_dump(content, sort_keys=False))
    plan, text, notes = importing.imported(ws, file)
    assert text.startswith("# Imported from experiment_summary.yaml")
    return plan, notes


def test_what_means_the_same_is_taken_over(ws: Workspace) -> None:
    plan, notes = imported(ws, summary())
    folder = ExperimentFolder(ws.experiments / "cap_rank")
    runs = expand.runs(plan, folder)
    assert [(run.name, run.type, dict(run.parameters)) for run in runs] == [
        ("Llama_rank4", "trained", {"rank": 4}),
        ("Llama_rank16", "trained", {"rank": 16}),
        ("Llama_base", "control", {}),
    ]
    assert runs[0].settings["learning_rate"] == 1e-5 and runs[0].settings["prompt"] == "Capitalize: {input}\n"
    assert [f"{cell.run}/{cell.name}" for cell in expand.cells(plan, runs, folder)] == [
        "Llama_rank4/caps_epoch0",
        "Llama_rank4/caps_epoch1",
        "Llama_base/caps_best",
    ]
    assert (plan.base.model, plan.base.data) == ({"path": "/models/llama"}, {"train": "/data/words.json"})
    asked = plan.resources
    assert (asked.executor, asked.time, asked.gpus, asked.memory) == ("slurm", "1:05:00", 1, "80G")
    assert plan.tasks[0].scorers == ["match"]
    assert "the runs ask for other time each: all are given 1:05:00" in notes
    assert "controls.dataset_type stands in the config itself, and is left out" in notes


def test_torchtune_stays_torchtune_with_the_config_of_its_first_run(ws: Workspace, tmp_path: Path) -> None:
    content = _changed("experiment.dir", str(tmp_path / "out"))
    content["experiment"]["name"] = "cap"
    content["controls"] |= {"packed": True, "clip_grad_norm": 1.0, "max_seq_len": 64}
    plan, notes = imported(ws, content)
    # nothing of theirs lies there
    assert (plan.tools.training, plan.base.recipe) == ("torchtune", "finetune.yaml")
    assert any("`tune cp NAME finetune.yaml` copies one" in note for note in notes)
    config = tmp_path / "out/Llama_rank4/finetune.yaml"
    config.parent.mkdir(parents=True)
    config.write_text(CONFIG.replace("packed: False", "packed: False, prompt: ''"))
    plan, notes = imported(ws, content)
    assert plan.base.recipe == str(config) and not any("tune cp" in note for note in notes)
    # each setting that is taken over is one of such a config
    whole = experiment(ws, as_yaml(plan.model_dump(mode="json", exclude_defaults=True)))
    found = complaints(base.training("torchtune"), whole)
    assert not any("has no key" in problem or "does not fit" in problem for problem in found), found


def test_where_no_tool_is_named_the_runs_train_by_peft(ws: Workspace) -> None:
    content = _changed("controls.packed", True)
    plan, notes = imported(ws, content | {"tools": {"evaluation": "inspect-ai"}})
    assert (plan.tools.training, plan.base.recipe) == ("peft", "lora")
    assert "controls.packed is torchtune's own, and is left out" in notes


def test_keys_of_older_releases_are_named_with_their_new_names(ws: Workspace) -> None:
    content = summary()
    content["experiment"]["directory"] = content["experiment"].pop("dir")
    content["evaluation"]["scorer"] = content["evaluation"].pop("scorers")
    content["evaluation"]["system_prompt"] = ""
    content["output"] = {"base_directory": "/scratch", "checkpoint_pattern": "x", "wandb_project": "caps"}
    plan, notes = imported(ws, content)
    assert plan.tasks[0].scorers == ["match"]
    assert {note for note in notes if note.endswith(" now")} == {
        "experiment.directory is experiment.dir now",
        "output is experiment.dir and experiment.project now",
        "evaluation.scorer is evaluation.scorers now",
        "evaluation.system_prompt is controls.system_prompt now",
    }


def _changed(path: str, value: Any) -> dict[str, Any]:
    content = summary()
    *way, last = path.split(".")
    held: Any = content
    for step in way:
        held = held[int(step)] if isinstance(held, list) else held[step]
    held[last] = value
    return content


@pytest.mark.parametrize(
    ("path", "value", "place", "fix"),
    [
        ("controls.learning_rat", 1e-5, "key controls.learning_rat", "did you mean learning_rate?"),
        ("runs.0.parameters.lora_rnk", 4, "key runs[0].parameters.lora_rnk", "did you mean lora_rank?"),
        ("experiment.hypotesis", "", "key experiment.hypotesis", "did you mean hypothesis?"),
        ("evaluatio", {}, "key evaluatio", "did you mean evaluation?"),
        ("evaluation.tasks.0.scorer", "match", "key evaluation.tasks*.scorer", "it is evaluation.scorers now"),
        ("runs.0.type", "finetuned", "key runs[0].type", "write fine-tuned"),
        ("runs.0.model", "Other", "key runs", "make an experiment for each model"),
        ("runs.0.parameters.dataset_path", "x", "key runs[0].dataset_path", "make an experiment for each set of data"),
        ("evaluation.matrix.0.run", "Llama_rank5", "key evaluation.matrix[0].run", "did you mean Llama_rank4?"),
    ],
)
def test_what_is_not_understood_is_refused_with_what_was_meant(
    ws: Workspace, path: str, value: Any, place: str, fix: str
) -> None:
    with pytest.raises(InputError) as caught:
        imported(ws, _changed(path, value))
    assert (caught.value.place, caught.value.fix) == (place, fix)
    assert Path(caught.value.file or "").name == "experiment_summary.yaml"


def test_an_experiment_that_is_there_is_not_written_over(ws: Workspace) -> None:
    folder = ExperimentFolder(ws.experiments / "cap_rank")
    folder.path.mkdir(parents=True)
    folder.plan.write_text("mine")
    with pytest.raises(InputError, match="there is an experiment cap_rank already"):
        imported(ws, summary())
