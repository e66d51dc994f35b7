"""Evaluates one version on the validation data: its best checkpoint, every sample, the metrics that the rules name.

    python 03_eval.py --version v001
    python 03_eval.py --version v001 --checkpoint last.ckpt
    python 03_eval.py --external NAME      # a model from elsewhere: Models/external/NAME/inference_sample.py

This file is yours: read it, change it, run it alone. What it works with lies beside it in progtrain_eval/, and is
yours too. It writes eval_score.json, infer_samples/ and _eval/ beside the checkpoint. Scores of two versions are
comparable while this file, progtrain_eval/, the data and the seed stay the same.

Model and samples come from the first of `SOURCES` that the training script has:

1. `load_split(split)`, which gives [(sample_id, raw, target), ...] or (raws, targets): raw samples in, finished answers
   out. With it count load_model(checkpoint_path) or the script's LightningModule, preprocess(raw) -> Tensor,
   postprocess(output) -> prediction, per_sample_loss(output, target) and CLASS_NAMES, where they exist.
2. `load_model(checkpoint_path)` with a function val_dataloader().
3. `Trainer.fit` of Lightning or `Trainer.train` of transformers: the script is run up to that call, nothing is trained,
   and the model and the validation data that it has built itself are evaluated, by its own validation_step.
4. its log, metrics.csv: the numbers of one epoch, that of best.ckpt if it tells, else the best by the primary metric.
   They are marked as reported by the script and not measured.
"""

from __future__ import annotations

import argparse
import functools
import hashlib
import json
import math
import os
import random
import re
import statistics
import sys
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import torch
from progtrain_eval.answers import all_answers, judge_answers, median_latency
from progtrain_eval.apart import answers_of, parted
from progtrain_eval.by_lightning import arguments_of_fit, lightning_data, take_lightning
from progtrain_eval.by_transformers import take_transformers
from progtrain_eval.common import (
    CODE,
    ROOT,
    EvalError,
    calling,
    evaluator_sha256,
    read_json,
    readable,
    sha256,
    timestamp,
    write,
)
from progtrain_eval.external import ExternalModel
from progtrain_eval.judge import Judge
from progtrain_eval.logged import REPORTED, reported
from progtrain_eval.plain import packed, unpacked
from progtrain_eval.running import Run
from progtrain_eval.samples import LOADERS, Samples, from_loader, load_samples
from progtrain_eval.scripts import constant, import_file, offered
from progtrain_eval.seen import Score
from progtrain_eval.steps import Steps
from progtrain_eval.trained import Answer
from progtrain_eval.unanswered import ANSWERED, complete, mark_unknown, no_scores, shares
from progtrain_eval.written import Shown, per_sample_csv, write_samples
from torch.utils.data import DataLoader

BATCH = 64  # for the metrics of load_split's samples; the latency is measured one sample at a time
LATENCY_SAMPLES, WARM_UP = 50, 5
SINGLES = 2000  # at most so many samples go through validation_step one by one: the same ones for every version
LIMIT = 600  # seconds that a model from elsewhere has to start, and for each answer


# ---- what is measured, and on which samples


def wanted_metrics(rules: Any) -> dict[str, bool | None]:
    """Name -> whether higher is better, where the rules say so. The loss is always there."""
    config = rules.get("eval_config") or {}
    wanted: dict[str, bool | None] = {"loss": None}
    for metric in [*(config.get("metrics") or []), config.get("primary_metric")]:
        if isinstance(metric, dict):
            wanted[str(metric.get("name"))] = metric.get("higher_is_better")
        elif metric:
            wanted.setdefault(str(metric), None)
    return wanted


def drawn(ids: list[str], count: int, seed: int) -> list[str]:
    """Samples to show, or to go one by one: by their ids and the seed, hence the same ones for every version."""
    return random.Random(seed).sample(sorted(ids), min(count, len(ids)))


# ---- from the command line to the files


def main() -> int:
    parser = argparse.ArgumentParser(description="Evaluates one version, or an external model.")
    parser.add_argument("--version", help="for example v001")
    parser.add_argument("--split", default="valid", choices=["valid", "test", "train"], help="others with --output")
    parser.add_argument(
        "--checkpoint", default="best.ckpt", metavar="FILE", help="another file of the version's folder"
    )
    parser.add_argument("--external", metavar="NAME", help="a folder of Models/external/")
    parser.add_argument("--output", type=Path, metavar="DIR", help="where to write, instead of beside the checkpoint")
    args = parser.parse_args()
    if not args.version and not args.external:
        parser.error("say which: --version v001, or --external NAME")
    args.output = args.output.resolve() if args.output else None
    os.chdir(ROOT)  # scripts find their data from the workspace, wherever this was started
    try:
        with calling(f"evaluating {args.external or args.version}"):
            evaluate(args)
    except EvalError as error:
        print(f"03_eval.py: {error}", file=sys.stderr)
        return 1
    return 0


class Job:
    """What is asked for, and what the rules say of it."""

    def __init__(self, args: argparse.Namespace) -> None:
        self.rules = read_json(ROOT / "user_defined_rules.json")
        config, self.seed = self.rules.get("eval_config") or {}, int(self.rules.get("seed", 42))
        if args.split != "valid" and not (args.output and (args.split == "train" or config.get("final_test"))):
            test = "the test split is for the final report alone (eval_config.final_test), with --output"
            raise EvalError(test if args.split == "test" else "scores of the train split need a folder: --output DIR")
        self.path, self.split = find_script(args), args.split
        self.name, self.external = args.external or args.version, bool(args.external)
        self.home = ROOT / "Models" / ("external" if args.external else "Artifacts") / self.name
        self.checkpoint = self.home if args.external else self.home / args.checkpoint
        if Path(args.checkpoint).name != args.checkpoint:
            raise EvalError("--checkpoint names a file of the version's folder, without its path")
        self.folder = args.output or self.home
        listed = [m.get("name") if isinstance(m, dict) else m for m in config.get("metrics") or []]
        self.primary = str(config.get("primary_metric") or next(iter(listed), "loss"))
        self.shown = int(config.get("infer_samples", 10))
        self.arguments = [str(word) for word in self.rules.get("training_args") or []]

    def find_data(self, script: Any) -> None:
        """Needs the script, where it has been imported, else its text."""
        dataset = self.rules.get("dataset_config") or {}
        found = getattr(script, "DATASET_ID", None) if script is not None else constant(self.path, "DATASET_ID")
        found = found or dataset.get("dataset_id") or dataset.get("prepdata_version")
        if not found:
            raise EvalError(
                "no dataset_id: neither DATASET_ID in the script nor dataset_config.dataset_id in the rules"
            )
        self.dataset_id = str(found)
        self.data = ROOT / "dataset" / "prepdata" / self.dataset_id
        self.stats = read_json(self.data / "stats.json")


@dataclass
class Evaluation:
    judge: Judge
    scores: list[Score]
    latency: float | None
    device: str = "cpu"
    settings: dict[str, Any] = field(default_factory=dict)
    shown: dict[str, Shown] = field(default_factory=dict)
    data_sha256: str = ""
    reported: bool = False
    #: what a model from elsewhere was taken for
    external_as: str = ""
    #: whether what predicts could reach them
    targets: str = "within reach: validation_step is given both"
    #: fingerprint of the samples' inputs; empty: nobody can tell
    inputs: str = ""


def evaluate(args: argparse.Namespace) -> None:
    job = Job(args)
    torch.manual_seed(job.seed)
    sources = (by_external,) if job.external else SOURCES
    e = next(found for source in sources if (found := source(job)) is not None)
    if ANSWERED in wanted_metrics(job.rules) and not job.external and not e.reported:
        e.scores.append(Score(ANSWERED, 1.0, True, "a checkpoint answers every sample"))
    if e.judge.not_finite:
        print(f"warning: {e.judge.not_finite} answers are not finite numbers: metrics of them are null")
    told = "not measured" if e.latency is None else f"{e.latency:.3f} ms"
    print("\n".join(f"  {s.name} {s.value:.6g}" for s in e.scores) + f"\n  latency {told}", flush=True)
    write_results(job, e)


def script_of(truth: Any) -> Any:
    """What the script says of itself, and its loss, where it has one."""
    facts = truth("facts")
    script = SimpleNamespace(**{name: unpacked(value) for name, value in facts.items() if name != "per_sample_loss"})
    if facts["per_sample_loss"]:
        script.per_sample_loss = lambda scores, target: truth("loss", packed(scores), packed(target))
    return script


def truths(split: str) -> list[str]:
    """Where targets lie: the split, and what earlier evaluations have written of it."""
    places = (f"dataset/prepdata/*/{split}", "Models/*/*/_eval", "Models/*/*/infer_samples", ".progtrain")
    return [str(path) for place in places for path in sorted(ROOT.glob(place))]


def judge_for(job: Job, script: Any = None) -> Judge:
    """The script where it has been imported, else its text says what the data set and its classes are called."""
    job.find_data(script)
    names = getattr(script, "CLASS_NAMES", None) if script is not None else constant(job.path, "CLASS_NAMES")
    source = job.path.read_text(encoding="utf-8", errors="replace")
    return Judge(wanted_metrics(job.rules), job.stats, names, source)


def tell_count(job: Job, count: int) -> None:
    print(f"{job.name}: {count} samples of {job.dataset_id}, split {job.split}", flush=True)


def find_script(args: argparse.Namespace) -> Path:
    """The version's script; the newest one where an external model needs samples."""
    scripts = sorted(ROOT.glob("02_train_v*.py"), key=lambda path: (len(path.name), path.name))
    path = ROOT / f"02_train_{args.version}.py"
    if args.external and not args.version:
        path = [ROOT / "02_train_baseline.py", *scripts][-1]
    if not path.is_file():
        known = ", ".join(script.stem.removeprefix("02_train_") for script in scripts)
        raise EvalError(f"{path.name} does not exist; versions here: {known or 'none'}")
    return path


# ---- where model and samples come from: each source gives None where the script does not have it


def by_load_split(job: Job) -> Evaluation | None:
    return by_contract(job) if "load_split" in offered(job.path) else None


def by_loader(job: Job) -> Evaluation | None:
    names = offered(job.path)
    return by_contract(job) if "load_model" in names and names & set(LOADERS) else None


def by_contract(job: Job) -> Evaluation:
    """Asks one process for the samples and another, which gets no targets, for the answers."""
    whole = "load_split" in offered(job.path)
    with parted((job.path, job.split, job.seed), truths(job.split) if whole else ()) as (truth, answering):
        script = script_of(truth)
        ids, targets, names = unpacked(truth("samples"))
        judge = judge_for(job, script)
        judge.names = judge.names or names
        tell_count(job, len(ids))
        how = (BATCH, (WARM_UP, LATENCY_SAMPLES))
        found, (latency, device, settings), kept = answers_of(truth, answering, ids, job.checkpoint, how)
        answers = [Answer(*one) for one in found]
        seen = judge_answers(judge, answers, Samples(ids, ids, targets), script)
        if judge.unknown:
            raise EvalError(next(iter(judge.unknown.values())))
        chosen = set(drawn(ids, job.shown, job.seed))
        places = [n for n, i in enumerate(ids) if i in chosen]
        raws, inputs = unpacked(truth("shown", places)), truth("fingerprint")
    shown = {ids[n]: (raw, seen[n], answers[n].scores) for n, raw in zip(places, raws)}
    kept = kept if whole else "within reach: val_dataloader() gives inputs and targets"
    if kept.startswith("within reach: it "):
        print(f"warning: the targets were {kept}")
    return Evaluation(judge, judge.scores(), latency, device, settings, shown, targets=kept, inputs=inputs)


def by_training(job: Job) -> Evaluation | None:
    """What the script gives to its Trainer, by its own validation_step."""
    judge, models = judge_for(job), []
    steps = Steps(judge, functools.partial(drawn, seed=job.seed), SINGLES, job.shown)

    def take(trainer: Any, *given: Any, **named: Any) -> None:
        how = take_lightning if hasattr(trainer, "validate_loop") else take_transformers
        with calling(f"evaluating what {job.path.name} gives to {'fit' if how is take_lightning else 'train'}()"):
            models.append(how(steps, job.checkpoint, job.split, trainer, *given, **named))

    if not Run(job.path, job.arguments, take)():
        return None
    if steps.problem:
        print(f"warning: validation_step takes no sample alone, so there is no loss of each sample: {steps.problem}")
    scores = steps.finish(judge.wanted)
    latency = statistics.median(steps.times[WARM_UP : WARM_UP + LATENCY_SAMPLES] or steps.times or [math.nan])
    settings, device = dict(getattr(models[0], "hparams", {})), str(next(iter(models[0].parameters())).device)
    tell_count(job, len(judge.rows))
    return Evaluation(judge, scores, latency, device, settings, steps.shown, steps.hash.hexdigest())


def by_log(job: Job) -> Evaluation:
    judge = judge_for(job)
    if job.checkpoint.name != "best.ckpt":
        raise EvalError(f"{job.checkpoint.name} cannot be evaluated: the log tells of the best epoch alone")
    scores = reported(job.home, judge.wanted, job.primary)
    print(f"note: {job.path.name} runs no Trainer and offers no load_split(split): the scores are {REPORTED}")
    tell_count(job, 0)
    return Evaluation(judge, scores, None, reported=True)


SOURCES = (by_load_split, by_loader, by_training, by_log)


def by_external(job: Job) -> Evaluation:
    """A model from elsewhere, on the samples of the version's script, or of the newest one."""
    script = import_file(job.path) if "load_split" in offered(job.path) else None
    samples = samples_for_external(job) if script is None else load_samples(script, job.split)
    judge = judge_for(job, script)
    judge.names = judge.names or samples.names
    tell_count(job, len(samples.ids))
    with calling(f"inference with {job.name}"), closing(ExternalModel(job.home, judge.names, LIMIT)) as model:
        e = evaluate_samples(model, samples, script, judge, job)
    e.external_as = model.taken_as
    print(f"  taken for: {e.external_as}", flush=True)
    return e


def samples_for_external(job: Job) -> Samples:
    """Of the loader that the script gives to fit()."""
    found: list[Any] = []

    def take(trainer: Any, model: Any = None, *given: Any, **named: Any) -> None:
        if hasattr(trainer, "validate_loop"):
            model.trainer = trainer
            found.append(lightning_data(job.split, model, arguments_of_fit(given, named))[1])
        else:
            found.append(DataLoader(trainer.eval_dataset))

    if not Run(job.path, job.arguments, take)():
        raise EvalError(f"{job.path.name} offers neither load_split(split) nor a Trainer with validation data")
    return from_loader(found[0])


def evaluate_samples(
    model: ExternalModel, samples: Samples, script: ModuleType | None, judge: Judge, job: Job
) -> Evaluation:
    to_show = set(drawn(samples.ids, job.shown, job.seed))
    with torch.inference_mode():
        answers = all_answers(model, samples.raws, BATCH, some=job.external)
        latency = median_latency(model, samples.raws, WARM_UP, LATENCY_SAMPLES)
        if job.external:
            mark_unknown(answers, samples.targets, judge.names)
        seen = judge_answers(judge, answers, samples, script)
    if judge.unknown:
        raise EvalError(next(iter(judge.unknown.values())))
    scores = judge.scores() if judge.rows else no_scores(judge)
    if job.external:
        scores = complete(judge, samples, answers, scores, f"external:{job.name}")
    told = zip(samples.ids, samples.raws, seen, answers)
    shown = {i: (raw, one, answer.scores) for i, raw, one, answer in told if i in to_show}
    return Evaluation(judge, scores, latency, str(model.device), model.settings, shown)


# ---- what is written


def write_results(job: Job, e: Evaluation) -> None:
    folder, count, split = job.folder, len(e.judge.rows), job.split
    inputs = {"data": job.data / split, "checkpoint": job.checkpoint, "script": job.path}
    protocol: dict[str, Any] = {"evaluator_sha256": evaluator_sha256(CODE)}
    protocol |= {f"{what}_sha256": sha256(where) for what, where in inputs.items()}
    if not inputs["data"].is_dir():  # it lies elsewhere: what was evaluated stands for it
        protocol["data_sha256"] = e.data_sha256
    protocol |= {"seed": job.seed, "split": split, "num_samples": count, "created_at": timestamp()}
    protocol |= {"class_names": e.judge.names, "task": e.judge.task or "not known", "reported": e.reported}
    protocol["sources"] = {s.name: s.source for s in e.scores}
    protocol["served_by"] = shares(e.judge)
    if not job.external and not e.reported:
        protocol |= {"targets": e.targets, "inputs_sha256": e.inputs}
        truth = sorted(f"{row.sample_id}\0{row.truth}\n" for row in e.judge.rows)
        protocol["samples_sha256"] = hashlib.sha256("".join(truth).encode("utf-8", "surrogatepass")).hexdigest()
    if e.external_as:
        protocol["external_as"] = e.external_as
    about = {"version": job.name, "dataset_id": job.dataset_id, "split": split, "seed": job.seed}
    about["conditions"] = {"batch": 1, "device": e.device, "torch": torch.__version__}
    about["config"] = {"script": job.path.name, "task": e.judge.task, **e.settings}
    sounds = re.search(r"audio|sound|speech", json.dumps(job.stats), re.IGNORECASE)
    about["sample_rate"] = int(job.stats.get("sample_rate", 16000)) if sounds else None
    if not e.reported:
        ids = drawn([row.sample_id for row in e.judge.rows], len(e.shown), job.seed)
        write_samples(folder, e.judge, {i: e.shown[i] for i in ids}, about)
        write(folder / "_eval" / "per_sample.csv", per_sample_csv(e.judge))
    write(folder / "_eval" / "protocol.json", protocol)
    # last: where it lies, the rest is whole
    metrics = [{"name": s.name, "value": s.value, "higher_is_better": s.higher_is_better} for s in e.scores]
    whole = {"dataset_id": job.dataset_id, "created_at": timestamp(), "num_samples": count}
    kept = readable(folder / "eval_score.json")  # what others have noted there besides
    write(folder / "eval_score.json", {**kept, **whole, "metrics": metrics, "latency_ms": e.latency})
    print(f"written: {folder}", flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
