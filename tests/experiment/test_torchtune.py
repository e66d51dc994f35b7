"""The worker that trains by torchtune: its real recipe on a tiny model, in an interpreter of its own."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
from pathlib import Path

import pytest

from progtrain.engine.experiment.workers import base
from progtrain.engine.workspace import Workspace
from progtrain.engine.yaml_text import read_mapping
from tests.experiment.tools import (
    OTHER_PYTHON,
    TUNE_PYTHON,
    carry_out,
    complaints,
    ended_well,
    experiment,
    lock,
    needs_peft,
    needs_tune,
    piece,
    runs,
    scaffold,
)

WORKER = base.training("torchtune")
CONFIG = """
output_dir: ./out
model: {_component_: tiny_tune.tiny_lora, lora_attn_modules: [q_proj, v_proj], apply_lora_to_mlp: False,
  apply_lora_to_output: False, lora_rank: 8, lora_alpha: 16, lora_dropout: 0.0}
tokenizer: {_component_: torchtune.models.llama3.llama3_tokenizer, path: ./models/tiny/tokenizer.model,
  special_tokens_path: ./models/tiny/special_tokens.json, max_seq_len: 64}
checkpointer: {_component_: torchtune.training.FullModelHFCheckpointer, checkpoint_dir: ./models/tiny,
  checkpoint_files: [model.safetensors], recipe_checkpoint: null, output_dir: ./out, model_type: LLAMA3}
resume_from_checkpoint: False
save_adapter_weights_only: False
dataset: {_component_: torchtune.datasets.instruct_dataset, source: json, data_files: ./data.json, split: train,
  packed: False}
seed: 14
shuffle: True
batch_size: 4
optimizer: {_component_: tiny_tune.Breaking, weight_decay: 0.01, lr: 1e-3}
lr_scheduler: {_component_: torchtune.training.lr_schedulers.get_cosine_schedule_with_warmup, num_warmup_steps: 2}
loss: {_component_: torchtune.modules.loss.CEWithChunkedOutputLoss}
epochs: 2
max_steps_per_epoch: null
gradient_accumulation_steps: 1
clip_grad_norm: null
compile: False
metric_logger: {_component_: torchtune.training.metric_logging.DiskLogger, log_dir: ./out/logs}
log_every_n_steps: 1
log_peak_memory_stats: False
device: cpu
dtype: fp32
enable_activation_checkpointing: False
enable_activation_offloading: False
profiler: {_component_: torchtune.training.setup_torch_profiler, enabled: False}
"""
PLAN = """
experiment: {name: cap}
tools: {training: torchtune, evaluation: []}
base: {recipe: lora.yaml, model: {path: models/tiny}, data: {train: data/rows.json}}
variables: {rank: [2, 4]}
controls: {learning_rate: 1e-2}
runs: {add: [{name: plain, type: control}]}
"""


@pytest.fixture
def prepared(ws: Workspace) -> Workspace:
    (ws.root / "data").mkdir()
    rows = [{"input": f"upper: word{i}", "output": f"Word{i}"} for i in range(20)]
    (ws.root / "data/rows.json").write_text(json.dumps(rows))
    (ws.root / "lora.yaml").write_text(CONFIG)
    (ws.root / "models/tiny").mkdir(parents=True)
    shutil.copy(Path(__file__).with_name("tiny_tune.py"), ws.root)
    return ws


def add_model(ws: Workspace, tiny: Path) -> None:
    """With a tokenizer of the kind that torchtune reads: each byte is a token."""
    there = ws.root / "models/tiny"
    shutil.copytree(tiny, there, dirs_exist_ok=True)
    lines = [f"{base64.b64encode(bytes([n])).decode()} {n}" for n in range(256)]
    (there / "tokenizer.model").write_text("\n".join(lines) + "\n")
    special = "begin_of_text end_of_text finetune_right_pad_id step_id start_header_id end_header_id eom_id eot_id"
    names = [*special.split(), "python_tag", "image", "video"]
    added = [{"content": f"<|{name}|>", "id": 256 + n} for n, name in enumerate(names)]
    (there / "special_tokens.json").write_text(json.dumps({"added_tokens": added}))
    (ws.root / "vocabulary.txt").write_text(str(json.loads((there / "config.json").read_text())["vocab_size"]))


@needs_tune
@needs_peft
@pytest.mark.slow
def test_a_recipe_fails_and_is_run_to_its_end(prepared: Workspace, tiny: Path) -> None:
    add_model(prepared, tiny)
    whole = experiment(prepared, PLAN, str(TUNE_PYTHON))
    assert complaints(WORKER, whole) == []
    assert not WORKER.trains(runs(whole)["plain"])
    run = piece(whole, "rank4")
    scaffold(WORKER, run)
    (prepared.root / "break").touch()
    ended, _, output = carry_out(WORKER, run)
    assert ended.failure is not None and ended.failure.cause == "out of memory", output
    assert WORKER.smaller(run) == {"batch_size": 2, "gradient_accumulation_steps": 2}
    # this recipe would start its schedule over: it begins anew
    assert (run.folder.artifacts / "recipe_state/recipe_state.pt").is_file() and not WORKER.can_resume(run)
    (prepared.root / "break").unlink()
    ended, _, output = carry_out(WORKER, run, 2)
    assert ended.failure is None, output
    made = run.folder.artifacts
    assert (made / "best").resolve() == (made / "last").resolve() == made / "epoch_1"
    steps = [line.split(",")[0] for line in (made / "metrics.csv").read_text().splitlines()[1:]]
    assert steps == [str(n) for n in range(1, 11)]
    assert (run.folder.attempts / "train-1.artifacts/epoch_0").is_dir()
    # as transformers load it
    code = "import sys, transformers as t; print(t.AutoModelForCausalLM.from_pretrained(sys.argv[1]).config.model_type)"
    loaded = subprocess.run([OTHER_PYTHON, "-c", code, made / "best"], capture_output=True, text=True, check=True)
    assert loaded.stdout.strip() == "llama"


def test_a_run_has_the_config_with_its_settings_and_a_folder_of_its_own(prepared: Workspace) -> None:
    run = piece(experiment(prepared, PLAN), "rank4")
    scaffold(WORKER, run)
    config = read_mapping(run.folder.recipe.read_text(), run.folder.recipe)
    assert config["model"]["lora_rank"] == 4 and config["optimizer"]["lr"] == 0.01
    assert config["optimizer"]["weight_decay"] == 0.01
    assert config["output_dir"] == config["checkpointer"]["output_dir"] == str(run.folder.artifacts)
    assert config["checkpointer"]["checkpoint_dir"] == str(prepared.root / "models/tiny")
    assert config["dataset"]["data_files"] == str(prepared.root / "data/rows.json")
    command = WORKER.request(run, run.folder.attempt("train", 1)).command
    assert command[1:5] == ["-m", "torchtune._cli.tune", "run", "lora_finetune_single_device"]


def test_a_run_that_does_not_have_what_the_rules_lock_is_refused_and_fails(prepared: Workspace) -> None:
    whole = lock(experiment(prepared, PLAN), batch_size=8)
    said = "batch_size is 4 where the plan says nothing, and the rules say 8"
    assert sum(said in problem for problem in complaints(WORKER, whole)) == 1
    run = piece(lock(whole, batch_size=4), "rank4")
    scaffold(WORKER, run)
    (run.folder.artifacts / "epoch_0").mkdir(parents=True)
    assert ended_well(WORKER, run).failure is None
    # somebody has edited it since
    run.folder.recipe.write_text(run.folder.recipe.read_text().replace("batch_size: 4", "batch_size: 2"))
    failure = ended_well(WORKER, run).failure
    assert failure is not None and "batch_size was 2 in the run, the rules say 4" in failure.error_summary
    assert WORKER.smaller(run) is None


def test_whole_models_and_several_gpus_have_recipes_of_their_own(prepared: Workspace) -> None:
    text = PLAN.replace("runs:", "resources: {gpus: 2}\nruns:")
    (prepared.root / "lora.yaml").write_text(CONFIG.replace("tiny_tune.tiny_lora", "tiny_tune.tiny"))
    run = piece(experiment(prepared, text), "rank4")
    command = WORKER.request(run, run.folder.attempt("train", 1)).command
    assert command[4:6] == ["--nproc_per_node=2", "full_finetune_distributed"]
    state = run.folder.artifacts / "recipe_state/recipe_state.pt"
    state.parent.mkdir()
    state.touch()
    assert WORKER.can_resume(run)
    request = WORKER.request(run, run.folder.attempt("train", 2), resume=True)
    assert request.command[-1] == "resume_from_checkpoint=True" and state.is_file()


def test_the_whole_model_is_what_is_loaded_and_adapters_alone_are_told_their_model(tmp_path: Path) -> None:
    from progtrain.engine.experiment.workers.torchtune import _loadable

    for name in ("adapter_config.json", "adapter_model.safetensors", "model-00001-of-00001.safetensors"):
        (tmp_path / name).write_text("{}")
    _loadable(tmp_path, "/below")
    assert (tmp_path / "adapter/adapter_config.json").is_file() and not (tmp_path / "adapter_config.json").exists()
    alone = tmp_path / "adapter"
    _loadable(alone, "/below")
    assert json.loads((alone / "adapter_config.json").read_text()) == {"base_model_name_or_path": "/below"}


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (("rank: [2, 4]", "lora_rnak: [2]"), "lora.yaml has no key lora_rnak\n  fix: did you mean model.lora_rank?"),
        (("rank: [2, 4]", "output_dir: [a]"), "each run has output_dir for itself"),
        (("rank: [2, 4]", "rank: [2, big]"), "model.lora_rank is 8 in the config, so 'big' does not fit"),
        (("learning_rate: 1e-2", "learning_rate: 1e-2, optimizer.lr: 1"), "are one key"),
        (("recipe: lora.yaml", "recipe: lroa.yaml"), "there is no config lroa.yaml"),
        (("data/rows.json", "data/none.json"), "there is no such file or folder"),
        (("runs:", "resources: {gpus: 2}\nruns:"), "this interpreter does not have"),
    ],
)
def test_what_a_plan_gets_wrong_is_told_before_anything_runs(
    prepared: Workspace, changed: tuple[str, str], said: str
) -> None:
    assert changed[0] in PLAN
    found = complaints(WORKER, experiment(prepared, PLAN.replace(*changed)))
    assert any(said in problem for problem in found), found
