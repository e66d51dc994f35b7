"""Evaluates one version on the validation data: its best checkpoint, every sample, the metrics that the rules name.

    python 03_eval.py --version v001
    python 03_eval.py --external NAME      # a model from elsewhere: Models/external/NAME/inference_sample.py

This file is yours: read it, change it, run it alone. It writes eval_score.json, infer_samples/ and _eval/ beside
the checkpoint. Scores of two versions are comparable while this file, the data and the seed stay the same.

Model and samples come from the first of these that the training script has:

1. `load_split(split)`, which gives [(sample_id, raw, target), ...] or (raws, targets): raw samples in, finished answers
   out. With it count load_model(checkpoint_path) or the script's LightningModule, preprocess(raw) -> Tensor,
   postprocess(output) -> prediction, per_sample_loss(output, target) and CLASS_NAMES, where they exist.
2. `Trainer.fit` of Lightning or `Trainer.train` of transformers: the script is run up to that call, nothing is trained,
   and the model and the validation data that it has built itself are evaluated, by its own validation_step.
3. `load_model(checkpoint_path)` with a function val_dataloader().
4. its log, metrics.csv: the numbers of the best epoch, marked as reported by the script and not measured.
"""

from __future__ import annotations

import argparse
import ast
import builtins
import csv
import difflib
import functools
import hashlib
import importlib.util
import inspect
import io
import json
import math
import os
import pickle
import random
import re
import runpy
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import DataLoader, RandomSampler, SequentialSampler, Subset, default_collate

ROOT = Path(__file__).resolve().parent
BATCH = 64  # for the metrics of load_split's samples; the latency is measured one sample at a time
LATENCY_SAMPLES, WARM_UP = 50, 5
SINGLES = 2000  # at most so many samples go through validation_step one by one: the same ones for every version
TRAINERS = {
    "lightning.pytorch.trainer.trainer": "fit",
    "pytorch_lightning.trainer.trainer": "fit",
    "transformers.trainer": "train",
}
TARGETS = ("label", "labels", "target", "targets", "y", "mask", "masks")
LIMIT = 600  # seconds that a model from elsewhere has to start, and for each answer
TO_WRITE = "`def predict(raw)` that returns a label, a class's index, or scores"
ADDS = ("add_argument", "option", "argument")
INLETS = ("--input", "--text", "--image", "--audio", "--file", "--path", "--data", "-i")
OUTLETS = ("--output", "--out", "-o")
SAYS = ("prediction", "label", "class", "pred", "class_name", "class_id", "index")
SCORES = ("logits", "scores", "probabilities", "probs")
PREFIXES = ("", "make_", "get_", "build_")  # of a function that makes a loader
REPORTED = "reported by the script, not measured"


# ---- from the command line to the files


class EvalError(Exception):
    """What the user can fix: shown as one line."""


@contextmanager
def calling(what: str) -> Iterator[None]:
    """Turns whatever the user's code raises into one line that says where it happened."""
    try:
        yield
    except EvalError:
        raise
    except (Exception, SystemExit) as error:
        frames = [(Path(f.filename), f.lineno) for f in traceback.extract_tb(error.__traceback__)]
        own = [f for f in frames if f[0].is_relative_to(ROOT) and f[0].name != Path(__file__).name]
        own = [f for f in own if "site-packages" not in f[0].parts]
        place = f" ({own[-1][0].name}, line {own[-1][1]})" if own else ""
        message = " ".join(str(error).split())[:300]
        raise EvalError(f"{what} failed{place}: {type(error).__name__}: {message}") from error


def main() -> int:
    parser = argparse.ArgumentParser(description="Evaluates one version, or an external model.")
    parser.add_argument("--version", help="for example v001")
    parser.add_argument("--split", default="valid", choices=["valid", "test"])
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
        if args.split == "test" and not (args.output and config.get("final_test")):
            raise EvalError("the test split is for the final report alone (eval_config.final_test), with --output")
        self.path, self.split = find_script(args), args.split
        self.name, self.external = args.external or args.version, bool(args.external)
        self.home = ROOT / "Models" / ("external" if args.external else "Artifacts") / self.name
        self.checkpoint = self.home if args.external else self.home / "best.ckpt"
        self.folder = args.output or self.home
        self.shown = int(config.get("infer_samples", 10))
        self.arguments = [str(word) for word in self.rules.get("training_args") or []]

    def find_data(self, script: ModuleType | None) -> None:
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
    #: sample id -> input, what was seen of it alone, scores
    shown: dict[str, tuple[Any, Seen, Any]] = field(default_factory=dict)
    data_sha256: str = ""
    reported: bool = False
    #: what a model from elsewhere was taken for
    external_as: str = ""


def evaluate(args: argparse.Namespace) -> None:
    job = Job(args)
    torch.manual_seed(job.seed)
    script, samples = None, None
    if "load_split" in offered(job.path):
        script = import_file(job.path)
        samples = load_samples(script, job.split)
    elif job.external:
        samples = samples_for_external(job)
    job.find_data(script)
    names = getattr(script, "CLASS_NAMES", None) if script is not None else constant(job.path, "CLASS_NAMES")
    source = job.path.read_text(encoding="utf-8", errors="replace")
    judge = Judge(wanted_metrics(job.rules), job.stats, names, source)
    if samples is None:
        e = by_running(job, judge)
    else:
        judge.names = judge.names or samples.names
    counted = f"{job.name}: {len(judge.rows if samples is None else samples.ids)} samples of {job.dataset_id}"
    print(f"{counted}, split {job.split}", flush=True)
    if samples is not None:
        e = (by_external if job.external else by_contract)(job, script, samples, judge)
    if judge.not_finite:
        print(f"warning: {judge.not_finite} answers are not finite numbers: metrics of them are null")
    told = "not measured" if e.latency is None else f"{e.latency:.3f} ms"
    print("\n".join(f"  {s.name} {s.value:.6g}" for s in e.scores) + f"\n  latency {told}", flush=True)
    write_results(job, e)


def by_contract(job: Job, script: ModuleType, samples: Samples, judge: Judge) -> Evaluation:
    with calling(f"inference with {job.name}"):
        return evaluate_samples(TrainedModel(script, job.checkpoint, samples), samples, script, judge, job)


def by_external(job: Job, script: ModuleType | None, samples: Samples, judge: Judge) -> Evaluation:
    with calling(f"inference with {job.name}"), closing(ExternalModel(job.home, judge.names)) as model:
        e = evaluate_samples(model, samples, script, judge, job)
    e.external_as = model.taken_as
    print(f"  taken for: {e.external_as}", flush=True)
    return e


def by_running(job: Job, judge: Judge) -> Evaluation:
    """A script without load_split: by its loader, its Trainer, or its log."""
    names = offered(job.path)
    if "load_model" in names and names & {f"{prefix}val_dataloader" for prefix in PREFIXES}:
        script = import_file(job.path)
        return by_contract(job, script, load_samples(script, job.split), judge)
    steps, models = Steps(judge, job.seed, job.shown), []

    def take(trainer: Any, *given: Any, **named: Any) -> None:
        how = take_lightning if hasattr(trainer, "validate_loop") else take_transformers
        with calling(f"evaluating what {job.path.name} gives to {'fit' if how is take_lightning else 'train'}()"):
            models.append(how(steps, job.checkpoint, job.split, trainer, *given, **named))

    if not Run(job.path, job.arguments, take)():
        scores = reported(job.home, judge.wanted)
        print(f"note: {job.path.name} runs no Trainer and offers no load_split(split): the scores are {REPORTED}")
        return Evaluation(judge, scores, None, reported=True)
    if steps.problem:
        print(f"warning: validation_step takes no sample alone, so there is no loss of each sample: {steps.problem}")
    scores = steps.finish(judge.wanted)
    latency = statistics.median(steps.times[WARM_UP : WARM_UP + LATENCY_SAMPLES] or steps.times or [math.nan])
    settings, device = dict(getattr(models[0], "hparams", {})), str(next(iter(models[0].parameters())).device)
    return Evaluation(judge, scores, latency, device, settings, steps.shown, steps.hash.hexdigest())


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


def constant(path: Path, name: str) -> Any:
    """A plain value at the top level of a script; None where there is none."""
    for node in ast.parse(path.read_bytes()).body:
        if isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == name for t in node.targets):
            try:
                return ast.literal_eval(node.value)
            except ValueError:
                return None
    return None


def offered(path: Path) -> set[str]:
    """The names that a script defines or imports at its top level, without running it."""
    try:
        body = ast.parse(path.read_bytes()).body
    except SyntaxError as error:
        raise EvalError(f"{path.name}, line {error.lineno}: no valid Python: {error.msg}") from error
    names = {node.name for node in body if isinstance(node, (ast.FunctionDef, ast.ClassDef))}
    imported = [a for node in body if isinstance(node, (ast.Import, ast.ImportFrom)) for a in node.names]
    targets = [t for node in body if isinstance(node, ast.Assign) for t in node.targets if isinstance(t, ast.Name)]
    return names | {a.asname or a.name for a in imported} | {t.id for t in targets}


def drawn(ids: list[str], seed: int, count: int) -> list[str]:
    return random.Random(seed).sample(sorted(ids), min(count, len(ids)))


# ---- what a script offers: load_split and what belongs to it


def import_file(path: Path) -> ModuleType:
    """Imports a script by its path; its main part does not run."""
    if not path.is_file():
        raise EvalError(f"{path.relative_to(ROOT)} does not exist")
    spec = importlib.util.spec_from_file_location(f"evaluated_{path.stem}", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    sys.path.insert(0, str(path.parent))
    sys.argv = [str(path)]  # a script that parses its arguments on import gets its defaults
    with calling(f"importing {path.name}"):
        spec.loader.exec_module(module)
    return module


@dataclass
class Samples:
    """The samples of a split; `collate` makes a batch of preprocessed inputs."""

    ids: list[str]
    raws: list[Any]
    targets: list[Any]
    collate: Callable[[list[Any]], Any] = default_collate
    #: False: they come from a DataLoader, ready for the model
    raw: bool = True
    names: list[str] | None = None


def load_samples(script: ModuleType, split: str) -> Samples:
    name = Path(str(script.__file__)).name
    with calling(f"reading the {split} samples of {name}"):
        if hasattr(script, "load_split"):
            samples = from_split(script.load_split(split))
        else:
            name_of = "val_dataloader" if split == "valid" else f"{split}_dataloader"
            names = [prefix + name_of for prefix in PREFIXES]
            make = next((getattr(script, n) for n in names if callable(getattr(script, n, None))), None)
            if make is None:
                raise EvalError(f"{name} offers neither load_split(split) nor {name_of}()")
            samples = from_loader(make())
    if not samples.ids:
        raise EvalError(f"{name} gives no samples for the split {split!r}")
    repeated, times = Counter(samples.ids).most_common(1)[0]
    if times > 1:
        raise EvalError(f"{name}: the sample id {repeated!r} comes {times} times in the split {split!r}")
    return samples


def from_split(result: Any) -> Samples:
    if isinstance(result, tuple) and len(result) == 2:
        raws, targets = (part.to_numpy() if hasattr(part, "to_numpy") else part for part in result)
        if len(raws) != len(targets):
            raise EvalError(f"load_split gives {len(raws)} samples and {len(targets)} targets")
        result = list(zip(raws, targets))
    rows = [row if len(row) == 3 else (f"{n:06d}", *row) for n, row in enumerate(result)]
    return Samples([str(row[0]) for row in rows], [row[1] for row in rows], [row[2] for row in rows])


def from_loader(loader: Any) -> Samples:
    """The items of a DataLoader's data set, one by one."""
    loader = loader[0] if isinstance(loader, (list, tuple)) else loader
    items = [split_item(loader.dataset[index]) for index in range(len(loader.dataset))]

    # a collate function takes whole items: any target will do
    def collate(inputs: list[Any]) -> Any:
        return loader.collate_fn([(x, items[0][1]) for x in inputs])[0]

    ids = [f"{index:06d}" for index in range(len(items))]
    own = default_collate if isinstance(loader.dataset[0], Mapping) else collate
    return Samples(ids, [x for x, _ in items], [target for _, target in items], own, False, class_names(loader))


def class_names(loader: Any) -> list[str] | None:
    """What the data set calls its classes (`classes`, as torchvision's do), or the one that it is a part of."""
    place = loader[0] if isinstance(loader, (list, tuple)) and loader else loader
    while (place := getattr(place, "dataset", None)) is not None:
        names = getattr(place, "classes", None)
        if isinstance(names, (list, tuple)) and names:
            return [str(name) for name in names]
    return None


def split_item(item: Any) -> tuple[Any, Any]:
    """Input and target of a dataset's item."""
    if not isinstance(item, Mapping):
        return item[0], item[1]
    key = next((k for k in TARGETS if k in item), None)
    if key is None:
        raise EvalError(f"no label or target among the keys of a sample: {', '.join(map(str, item))}")
    rest = {k: v for k, v in item.items() if k != key}
    return (next(iter(rest.values())) if len(rest) == 1 else rest), item[key]


def load_model(script: ModuleType, checkpoint: Path) -> Any:
    name, where = Path(str(script.__file__)).name, checkpoint.relative_to(ROOT)
    if not checkpoint.is_file():
        raise EvalError(f"{where} does not exist: run `python {name}` first")
    loaders = {cls.__name__: cls.load_from_checkpoint for cls in model_classes(script)}
    if hasattr(script, "load_model"):
        loaders = {"load_model()": lambda path, **_: script.load_model(path)}
    if not loaders:
        raise EvalError(f"{name} defines no LightningModule and offers no load_model(checkpoint_path)")
    # objects in a checkpoint were pickled while the script was the main program, and are looked up there
    main, sys.modules["__main__"] = sys.modules["__main__"], script
    problems = []
    try:
        for loader, load in loaders.items():
            try:
                with calling(f"loading it with {loader}"):
                    return load(checkpoint, map_location="cpu", weights_only=False).eval()
            except EvalError as error:
                problems.append(str(error))
    finally:
        sys.modules["__main__"] = main
    fix = "does __init__ call save_hyperparameters()? Else offer load_model(checkpoint_path)"
    raise EvalError(f"{where} does not fit the model of {name}: {'; '.join(problems)}; {fix}")


def model_classes(script: ModuleType) -> list[Any]:
    """The LightningModules of the script, without those that others inherit from."""
    found = [v for v in vars(script).values() if isinstance(v, type) and hasattr(v, "load_from_checkpoint")]
    found = [c for c in found if hasattr(c, "training_step") and "lightning" not in c.__module__.split(".")[0]]
    return [c for c in found if not any(c is not other and issubclass(other, c) for other in found)]


@dataclass
class Answer:
    """Of a model to one sample: scores (logits, probabilities, numbers), a finished prediction, or both."""

    scores: Any
    prediction: Any = None


class TrainedModel:
    """The best checkpoint of a version between the script's preprocess and postprocess."""

    def __init__(self, script: ModuleType, checkpoint: Path, samples: Samples) -> None:
        self.model, self.collate = load_model(script, checkpoint), samples.collate
        # a GPU only where the training used one
        trained_on = str(read_json(checkpoint.parent / "spec.json").get("device") or "")
        self.device = torch.device("cuda" if trained_on.startswith("cuda") and torch.cuda.is_available() else "cpu")
        self.lightning = hasattr(self.model, "transfer_batch_to_device")
        if self.lightning:
            self.model.to(self.device)
        self.settings = dict(getattr(self.model, "hparams", {}))
        self.preprocess = getattr(script, "preprocess", as_input) if samples.raw else lambda ready: ready
        self.postprocess: Callable[[Tensor], Any] = getattr(script, "postprocess", lambda scores: None)

    def answer(self, raws: Sequence[Any]) -> list[Answer]:
        batch = self.collate([self.preprocess(raw) for raw in raws])
        if self.lightning:
            batch = self.model.transfer_batch_to_device(batch, self.device, 0)
        if isinstance(batch, Mapping) and set(batch) <= set(inspect.signature(self.model.forward).parameters):
            output = self.model(**batch)
        else:
            several = isinstance(batch, list) and isinstance(batch[0], Tensor)
            output = self.model(*batch) if several else self.model(batch)
        scores = scores_in(output)
        if scores is None:
            raise EvalError("forward returns neither a tensor nor a tuple, dict or object with `logits`")
        if isinstance(scores, Tensor):
            scores = scores.float().cpu()
            # a forward that ends in squeeze() drops the dimension of a batch of one
            scores = list(scores) if scores.dim() and len(scores) == len(raws) else [scores]
        return [Answer(row, self.postprocess(row)) for row in scores]


def as_input(raw: Any) -> Any:
    """Where the script has no preprocess: text and dicts go in as they are, all else as a float32 tensor."""
    if isinstance(raw, (str, Mapping)):
        return raw
    return torch.as_tensor(raw if isinstance(raw, Tensor) else np.array(raw), dtype=torch.float32)


def scores_in(output: Any) -> Any:
    """What a model's output says: a tensor with a row a sample, or a list of dicts (boxes). None: neither."""
    if isinstance(output, Mapping):
        output = next((output[k] for k in ("logits", "scores", "preds", "predictions", "out") if k in output), None)
    output = getattr(output, "logits", output)
    if isinstance(output, (tuple, list)) and output and isinstance(output[0], (Tensor, Mapping)):
        output = output if isinstance(output[0], Mapping) else output[0]
    boxes = isinstance(output, (tuple, list)) and output and isinstance(output[0], Mapping)
    return list(output) if boxes else output if isinstance(output, Tensor) else None


def all_answers(model: TrainedModel | ExternalModel, raws: Sequence[Any]) -> list[Answer]:
    try:
        answers = [a for n in range(0, len(raws), BATCH) for a in model.answer(raws[n : n + BATCH])]
    except (RuntimeError, TypeError, ValueError):  # inputs of different shapes make no batch
        answers = []
    return answers if len(answers) == len(raws) else [model.answer([raw])[0] for raw in raws]


def median_latency(model: TrainedModel | ExternalModel, raws: list[Any]) -> float:
    """Milliseconds for one sample, pre- and postprocessing included."""
    times = []
    for raw in [*raws[:WARM_UP], *raws[:LATENCY_SAMPLES]]:
        start = time.perf_counter()
        model.answer([raw])
        times.append(getattr(model, "took", time.perf_counter() - start) * 1000)
    return statistics.median(times[len(raws[:WARM_UP]) :])


def evaluate_samples(
    model: TrainedModel | ExternalModel, samples: Samples, script: ModuleType | None, judge: Judge, job: Job
) -> Evaluation:
    to_show = set(drawn(samples.ids, job.seed, job.shown))
    with torch.inference_mode():
        answers = all_answers(model, samples.raws)
        latency = median_latency(model, samples.raws)
        seen = judge_answers(judge, answers, samples, script)
    if judge.unknown:
        raise EvalError(next(iter(judge.unknown.values())))
    told = zip(samples.ids, samples.raws, seen, answers)
    shown = {i: (raw, one, answer.scores) for i, raw, one, answer in told if i in to_show}
    return Evaluation(judge, judge.scores(), latency, str(model.device), model.settings, shown)


def judge_answers(judge: Judge, answers: list[Answer], samples: Samples, script: ModuleType | None) -> list[Seen]:
    """Judges finished answers: texts, boxes, or numbers, together where shapes agree. Returns a Seen a sample."""
    index = {name: number for number, name in enumerate(judge.names or [])}
    told = getattr(script, "per_sample_loss", None)
    losses = torch.full((len(answers),), math.nan, dtype=torch.float64)
    if told is not None:
        losses = torch.tensor([float(told(a.scores, t)) for a, t in zip(answers, samples.targets)], dtype=torch.float64)
    done, targets = [a.prediction for a in answers], samples.targets
    all_finite = torch.ones(len(done), dtype=torch.bool)
    if all(isinstance(value, str) for value in (*targets, *done)) and not set(targets) <= set(index):
        judge.task, together = "text", [Seen(list(targets), done, None, losses, all_finite)]
    elif isinstance(targets[0], Mapping):
        judge.task, together = "detection", [Seen(targets, [a.scores for a in answers], None, losses, all_finite)]
    else:
        together = judge_numbers(judge, answers, samples, index, losses)
    begin = 0
    for seen in together:
        judge.see(samples.ids[begin : begin + len(seen.losses)], seen)
        begin += len(seen.losses)
    return [one_of(seen, row) for seen in together for row in range(len(seen.losses))]


def judge_numbers(
    judge: Judge, answers: list[Answer], samples: Samples, index: Mapping[str, int], losses: Tensor
) -> list[Seen]:
    targets = [as_number(target, index, "target") for target in samples.targets]
    given = [None if a.prediction is None else as_number(a.prediction, index, "prediction") for a in answers]
    scores = [None if a.scores is None else torch.as_tensor(a.scores).double().squeeze() for a in answers]
    predictions = given if all(value is not None for value in given) else [None] * len(given)
    if any(value is None for value in scores):
        scores = [None] * len(scores)
    if scores[0] is None and predictions[0] is None:
        raise EvalError("some answers have scores, others a prediction only")
    columns = [scores, targets, predictions]
    same = [len({None if v is None else tuple(v.shape) for v in column}) == 1 for column in columns]
    sizes = [len(answers)] if all(same) else [1] * len(answers)
    found, begin = [], 0
    for size in sizes:
        part = [None if c[begin] is None else torch.stack(c[begin : begin + size]) for c in columns]  # type: ignore[arg-type]
        seen = judge.judged(part[0], part[1], part[2])
        own = losses[begin : begin + size]
        seen.losses = torch.where(own.isnan(), seen.losses, own)
        found.append(seen)
        begin += size
    return found


def as_number(value: Any, index: Mapping[str, int], what: str) -> Tensor:
    """A target or prediction as a tensor; names of classes become their indices."""
    if isinstance(value, str):
        if value not in index:
            known = ", ".join(index) or "there are none"
            raise EvalError(f"the {what} {value!r} is none of CLASS_NAMES ({known})")
        value = index[value]
    value = value.detach().cpu().numpy() if isinstance(value, Tensor) else value
    return torch.tensor(np.asarray(value, dtype=np.float64).squeeze())


def one_of(seen: Seen, row: int) -> Seen:
    columns = (seen.targets, seen.predictions, seen.probabilities, seen.losses, seen.finite)
    return Seen(*(None if column is None else column[row : row + 1] for column in columns))


# ---- the script itself, run up to its training


class Halt(BaseException):
    """Ends the training script where its training would begin. No `except Exception` of its own catches it."""


class Run:
    """The training script, run as its user runs it, until it calls fit() or train(); `take` gets the call."""

    def __init__(self, path: Path, arguments: list[str], take: Callable[..., None]) -> None:
        self.path, self.arguments, self.take = path, arguments, take
        self.patched: list[tuple[type, str, Any]] = []
        self.error: BaseException | None = None
        self.taken = False

    def __call__(self) -> bool:
        """False: it ends, or takes its first training step, without a Trainer. Raises `EvalError` for its errors."""
        importing, argv, path, cwd = builtins.__import__, sys.argv, list(sys.path), Path.cwd()

        def patching(*args: Any, **kwargs: Any) -> Any:
            module = importing(*args, **kwargs)
            self.patch()
            return module

        hook: Any = getattr(importlib.import_module("torch.optim.optimizer"), "register_optimizer_step_pre_hook", None)
        handle = hook(self.plain_step) if hook else None
        builtins.__import__ = patching
        sys.argv, sys.path[0] = [str(self.path), *self.arguments], str(self.path.parent)
        try:
            self.patch()
            with Untouched(ROOT), calling(f"running {self.path.name} up to its training"):
                try:
                    runpy.run_path(str(self.path), run_name="__main__")
                except Halt:
                    pass
                except SystemExit as ended:
                    if ended.code not in (None, 0) and not self.taken:
                        raise
        finally:
            builtins.__import__, sys.argv, sys.path[:] = importing, argv, path
            os.chdir(cwd)
            for owner, name, function in self.patched:
                setattr(owner, name, function)
            if handle is not None:
                handle.remove()
        if self.error is not None and not self.taken:
            raise self.error
        return self.taken

    def patch(self) -> None:
        for name, method in TRAINERS.items():
            owner = getattr(sys.modules.get(name), "Trainer", None)
            function = getattr(owner, method, None)
            if owner is not None and function is not None and not any(owner is done for done, _, _ in self.patched):
                self.patched.append((owner, method, function))
                setattr(owner, method, self.instead(function))

    def instead(self, function: Any) -> Any:
        @functools.wraps(function)
        def fit(trainer: Any, *args: Any, **kwargs: Any) -> None:
            if self.taken:
                raise Halt
            try:
                self.take(trainer, *args, **kwargs)
            except OtherModel as error:  # another fit() of the script may be the one
                self.error = error
                return
            except BaseException as error:
                self.error = error
                raise Halt from error
            self.taken = True
            raise Halt

        return fit

    def plain_step(self, *_: Any) -> None:
        raise Halt


class Untouched:
    """What the script writes, moves or deletes in the workspace on its way to fit() is put back afterwards."""

    #: path -> its copy; None: it was not there
    before: dict[Path, Path | None] = {}  # noqa: RUF012 - one at a time

    def __init__(self, root: Path) -> None:
        self.root, self.active = root, False
        self.kept = Path(tempfile.mkdtemp(prefix=".evaluating-", dir=root))
        self.before.clear()

    def __enter__(self) -> None:
        self.active = True
        sys.addaudithook(self.audit)

    def audit(self, event: str, args: tuple[Any, ...]) -> None:
        told = ("open", "os.remove", "os.rename", "os.mkdir", "os.truncate", "shutil.rmtree")
        if not self.active or event not in told:
            return
        if event == "open" and not (isinstance(args[2], int) and args[2] & (os.O_WRONLY | os.O_RDWR)):
            return
        self.active = False  # what is done here is not the script's doing
        try:
            for path in args[: 2 if event == "os.rename" else 1]:
                if isinstance(path, (str, bytes, os.PathLike)):
                    path = Path(os.fsdecode(path)).absolute()
                    if event != "os.mkdir" or not path.exists():
                        self.note(path, gone=event in ("os.remove", "shutil.rmtree"))
        finally:
            self.active = True

    def note(self, path: Path, *, gone: bool) -> None:
        """Keeps a file as it is: by a link where its name alone goes, else what is written would reach the link too."""
        if path in self.before or not path.is_relative_to(self.root) or path.is_relative_to(self.kept):
            return
        if path.is_dir():
            for file in path.rglob("*"):
                if file.is_file():
                    self.note(file, gone=gone)
            return
        copy = self.kept / f"{len(self.before)}"
        self.before[path] = copy if path.is_file() else None
        try:
            if path.is_file():
                os.link(path, copy) if gone else shutil.copy2(path, copy)
        except OSError:
            self.before.pop(path)

    def __exit__(self, *_: object) -> None:
        self.active = False
        for path, copy in sorted(self.before.items(), reverse=True):
            if copy is not None:
                path.parent.mkdir(parents=True, exist_ok=True)
                copy.replace(path)
            elif path.is_dir():
                with suppress(OSError):
                    path.rmdir()
            else:
                path.unlink(missing_ok=True)
        self.before.clear()
        shutil.rmtree(self.kept, ignore_errors=True)


class OtherModel(EvalError):
    """The checkpoint does not fit the model that this fit() is given."""


def put_weights(model: Any, checkpoint: Path) -> None:
    """Loads `best.ckpt` into the model that the script has built. Raises `OtherModel`."""
    where = checkpoint.relative_to(ROOT)
    # a script may clear its folder before it trains
    file = Untouched.before.get(checkpoint) or checkpoint
    if not file.is_file():
        raise EvalError(f"{where} does not exist: train it first")
    try:
        state = torch.load(file, map_location="cpu", weights_only=True)
    except Exception:  # noqa: BLE001 - objects of the script's own, in a checkpoint that this workspace trained
        with calling(f"reading {where}"):
            state = torch.load(file, map_location="cpu", weights_only=False)
    state = state if isinstance(state, Mapping) else {"state_dict": state.state_dict()}
    named = (state.get(name) for name in ("state_dict", "model_state_dict", "model"))
    weights = next((value for value in named if isinstance(value, Mapping)), state)
    wrappers = re.compile(r"(?:^|(?<=\.))(?:_orig_mod|module)\.")  # of torch.compile and DDP
    own = model.state_dict()
    if not set(weights) <= set(own):
        plain = {wrappers.sub("", key): key for key in own}
        weights = {plain.get(wrappers.sub("", key), key): value for key, value in weights.items()}
    if hasattr(model, "on_load_checkpoint") and "state_dict" in state:
        model.on_load_checkpoint(state)
    try:
        model.load_state_dict(weights, strict=getattr(model, "strict_loading", True))
    except RuntimeError as error:
        what = f"the model of 02_train_{checkpoint.parent.name}.py, {type(model).__name__}"
        raise OtherModel(f"{where} does not fit {what}: {' '.join(str(error).split())[:300]}") from error


def take_lightning(
    steps: Steps, checkpoint: Path, split: str, trainer: Any, model: Any, *args: Any, **kwargs: Any
) -> Any:
    """In the place of `Trainer.fit`: best.ckpt in the model that it is given, on the validation data that it is given.
    Returns the model.
    """
    model = getattr(model, "_orig_mod", model)  # of torch.compile
    evaluator, package = silent_trainer(trainer)
    model.trainer = evaluator
    data, loaders = lightning_data(split, model, arguments_of_fit(args, kwargs))
    steps.judge.names = steps.judge.names or class_names(loaders)
    model.configure_model()
    put_weights(model, checkpoint)
    for holder in (data, model):  # it is all done, and for fit(), as the script expects
        for name in ("prepare_data", "setup", "configure_model"):
            if hasattr(holder, name):
                setattr(holder, name, lambda *_, **__: None)
    if data is not None:
        data.val_dataloader = lambda: loaders
    base = importlib.import_module(package).LightningModule.validation_step
    real = model.validation_step if type(model).validation_step is not base else functools.partial(forward_alone, model)

    def validate() -> None:
        nonlocal loaders
        if hasattr(steps, "chosen"):
            several = isinstance(loaders, (list, tuple))
            loaders = [steps.few(part, n) for n, part in enumerate(loaders)] if several else steps.few(loaders)
        given = {"datamodule": data} if data is not None else {"dataloaders": loaders}
        evaluator.validate(model, verbose=False, **given)

    validate_twice(steps, model, real, validate)
    return model


def arguments_of_fit(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    return {**dict(zip(("train_dataloaders", "val_dataloaders", "datamodule", "ckpt_path"), args)), **kwargs}


def lightning_data(split: str, model: Any, given: Mapping[str, Any]) -> tuple[Any, Any]:
    """The DataModule, if there is one, and the loaders of a split, set up as fit() would."""
    data, loaders = given.get("datamodule"), given.get("val_dataloaders") if split == "valid" else None
    if data is None and hasattr(given.get("train_dataloaders"), "val_dataloader"):
        data = given["train_dataloaders"]
    for holder in (data, model):
        if holder is not None:
            holder.prepare_data()
            holder.setup("fit")
            if split == "test":
                holder.setup("test")
    name = "val_dataloader" if split == "valid" else "test_dataloader"
    for holder in (data, model):
        own = holder is not None and getattr(holder, name, None) is not None
        if loaders is None and own and "lightning" not in getattr(type(holder), name).__module__:
            loaders = getattr(holder, name)()
    if loaders is None or (isinstance(loaders, (list, tuple)) and not loaders):
        fix = f"offer {name}()"
        if split == "valid":
            fix = "give fit() val_dataloaders, or its DataModule a val_dataloader()"
        raise EvalError(f"the script has no data of the split {split!r}: {fix}")
    ordered = [in_order(loader) for loader in loaders] if isinstance(loaders, (list, tuple)) else in_order(loaders)
    return data, ordered


def in_order(loader: Any) -> Any:
    """The same samples in the order of the data set, all of them, whatever the script draws."""
    if not isinstance(loader, DataLoader) or loader.batch_sampler is None:
        return loader
    if not isinstance(loader.sampler, RandomSampler) and not loader.drop_last:
        return loader
    return like(loader, loader.dataset)


def like(loader: Any, dataset: Any) -> Any:
    """A loader of another data set in its order, else the same."""
    same = ("batch_size", "collate_fn", "num_workers", "pin_memory", "worker_init_fn")
    return DataLoader(dataset, **{name: getattr(loader, name) for name in same})


def silent_trainer(trainer: Any) -> tuple[Any, str]:
    """A Trainer on the same device and in the same precision that writes nothing, and the name of its package."""
    owner = next(m.Trainer for m in map(sys.modules.get, TRAINERS) if m is not None and isinstance(trainer, m.Trainer))
    package = owner.__module__.rpartition(".trainer.trainer")[0]
    made = owner(
        accelerator=trainer.strategy.root_device.type,
        devices=1,
        precision=trainer.precision,
        logger=importlib.import_module(f"{package}.loggers.logger").DummyLogger(),
        **dict.fromkeys(("enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False),
        inference_mode=getattr(trainer.validate_loop, "inference_mode", True),
    )
    return made, package


def validate_twice(steps: Steps, model: Any, real: Callable[..., Any], validate: Callable[[], Any]) -> None:
    """First the batches as they are, then their samples one by one, both through the module's own step."""
    outputs, logs = Outputs(model), {"log": model.log, "log_dict": model.log_dict}

    def whole(batch: Any, *more: Any) -> Any:
        outputs.calls.clear()
        said = real(batch, *more)
        steps.batch(batch, said, outputs, more[1] if len(more) > 1 else 0)
        return said

    def singles(batch: Any, *more: Any) -> None:
        def step(one: Any, logged: dict[str, float]) -> Any:
            model.log = lambda name, value, *_, **__: logged.update({name: number_of(value)})
            model.log_dict = lambda values, *_, **__: logged.update({n: number_of(v) for n, v in values.items()})
            return real(one, *more)

        steps.one_by_one(batch, more[1] if len(more) > 1 else 0, outputs, step)
        for name, function in logs.items():
            setattr(model, name, function)

    try:
        for step in (whole, singles):
            # Lightning looks at its parameters for the number of the loader
            model.validation_step = functools.wraps(real)(step) if hasattr(real, "__name__") else step
            validate()
            if step is whole:
                steps.logged = {name: number_of(value) for name, value in model.trainer.callback_metrics.items()}
                steps.draw()
    finally:
        outputs.remove()


def forward_alone(model: Any, batch: Any, *_: Any) -> None:
    """Where the module has no validation_step: the model's answer alone."""
    if isinstance(batch, Mapping):
        model(**{key: value for key, value in batch.items() if key not in TARGETS})
    else:
        model(batch[0] if isinstance(batch, (list, tuple)) else batch)


def take_transformers(steps: Steps, checkpoint: Path, split: str, trainer: Any, *_: Any, **__: Any) -> Any:
    """In the place of transformers' `Trainer.train`. Returns the model."""
    if trainer.eval_dataset is None or split != "valid":
        raise EvalError(f"the script has no data of the split {split!r}: give Trainer an eval_dataset")
    put_weights(trainer.model, checkpoint)
    trainer.callback_handler.callbacks = []
    outputs, real = Outputs(trainer.model), trainer.prediction_step
    # such models are asked at each place for the next one
    shift = bool(re.search(r"CausalLM|LMHead", type(trainer.model).__name__))

    def told(model: Any, inputs: Any) -> tuple[Any, dict[str, Any]]:
        outputs.calls.clear()
        answer = real(model, inputs, False)
        loss, logits, labels = answer
        logits, labels = (part[0] if isinstance(part, (tuple, list)) and part else part for part in (logits, labels))
        if shift and logits is not None and labels is not None:
            logits, labels = logits[:, :-1], labels[:, 1:]
        return answer, {"loss": loss, "logits": logits, "labels": labels}

    def whole(model: Any, inputs: Any, *_: Any, **__: Any) -> Any:
        answer, said = told(model, inputs)
        steps.batch(inputs, said, outputs, 0)
        return answer

    try:
        trainer.prediction_step = whole
        logged = trainer.evaluate()
        aside = r"_(?:runtime|per_second|time|mem\w*)$|^epoch$"
        steps.logged = {name: number_of(value) for name, value in logged.items() if not re.search(aside, name)}
        steps.draw()
        for batch in steps.few(trainer.get_eval_dataloader()):
            ready = trainer._prepare_inputs(batch)
            steps.one_by_one(ready, 0, outputs, lambda one, _: told(trainer.model, one)[1])
    finally:
        outputs.remove()
    return trainer.model


# ---- what is said in a validation step, and about what

#: The name of the loss that a step returns.
RETURNED = "its result"


class Steps:
    """Collects what validation steps say: first of whole batches, then of the samples one by one."""

    def __init__(self, judge: Judge, seed: int, shown: int) -> None:
        self.judge, self.seed, self.shown_count = judge, seed, shown
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

    def draw(self) -> None:
        """Which samples go through the step one by one, and which of them are shown. By id and seed alone."""
        ids = [row.sample_id for row in self.judge.rows]
        self.to_show = set(drawn(ids, self.seed, self.shown_count))
        self.chosen = {*drawn(ids, self.seed, SINGLES), *self.to_show}
        self.counts = {}

    def few(self, loader: Any, place: int = 0) -> Any:
        """Only the samples that go one by one, so that the others are not read a second time; all, if it is no list."""
        usual = isinstance(loader, DataLoader) and isinstance(loader.sampler, SequentialSampler) and loader.batch_size
        if not usual or len(loader.dataset) <= SINGLES:
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
                if loss is not None and metric_key(metric)[0] == "perplexity" and math.isnan(by_judge[metric].value):
                    by_judge[metric].value = math.exp(min(loss, 700))
                found += [by_judge[metric]] if metric != "loss" else []
                continue
            named = named or find_name(metric, self.logged)
            if named is None:
                problem = self.judge.unknown.get(metric, f"no metric {metric!r}")
                raise EvalError(f"{problem}; validation_step logs: {', '.join(self.logged) or 'nothing'}")
            found.append(Score(metric, self.logged[named], is_better(metric, better), f"validation_step: {named}"))
            self.keep_parts(metric, named)
        return found

    def keep_parts(self, metric: str, named: str) -> None:
        """Values of single samples whose mean is the metric's value, which can then be compared in pairs."""
        values = {i: logged[named] for i, logged in self.singles.items() if math.isfinite(logged.get(named, math.nan))}
        if len(values) != len(self.judge.rows):
            return
        if math.isclose(statistics.fmean(values.values()), self.logged[named], rel_tol=1e-3, abs_tol=1e-4):
            self.judge.parts[metric] = array("d", [values[row.sample_id] for row in self.judge.rows])


class Outputs:
    """What the model said within a validation step, seen by hooks on it and on its parts."""

    def __init__(self, model: Any) -> None:
        self.model = model
        self.calls: list[tuple[Any, list[Tensor], Any]] = []
        self.began = self.seconds = 0.0
        judges = ("torch.nn.modules.loss", "torchmetrics")
        parts = [part for part in model.children() if not type(part).__module__.startswith(judges)]
        self.hooks = [part.register_forward_pre_hook(self.before) for part in (model, *parts)]
        self.hooks += [part.register_forward_hook(self.after, with_kwargs=True) for part in (model, *parts)]

    def before(self, *_: Any) -> None:
        self.began = time.perf_counter()

    def after(self, part: Any, args: Any, kwargs: Any, output: Any) -> None:
        self.seconds = time.perf_counter() - self.began
        self.calls.append((part, tensors((args, kwargs)), output))

    def of(self, size: int, said: Any) -> tuple[Any, list[Tensor]]:
        """Scores with a row a sample, and what they come from: what the step returned, or the last call."""
        told = scores_in(said) if isinstance(said, Mapping) else None
        calls = [call for call in self.calls if call[0] is self.model] or self.calls
        inputs = calls[-1][1] if calls else []
        seen = [s for s in (told, *(scores_in(output) for _, _, output in reversed(calls))) if s is not None]
        seen = [scores for scores in seen if not isinstance(scores, Tensor) or scores.dim()]
        whole = next((scores for scores in seen if len(scores) == size), None)
        if whole is not None:
            return whole, inputs
        # a row for each place of each sample, one after the other
        flat = next((s for s in seen if isinstance(s, Tensor) and size and len(s) > size and len(s) % size == 0), None)
        return None if flat is None else flat.reshape(size, len(flat) // size, *flat.shape[1:]), inputs

    def remove(self) -> None:
        for hook in self.hooks:
            hook.remove()


def target_in(batch: Any, said: Any, inputs: list[Tensor], scores: Any) -> Any:
    """What the scores are to be compared with: what the step returned, a usual name in the batch, else the
    first part of the batch that the model was not given. A model whose output looks like its input restores it.
    """
    for place in (said, batch):
        named = {key: value for key, value in leaves(place) if key in TARGETS}
        if named:
            return next(named[key] for key in TARGETS if key in named)
    seen = {t.data_ptr() for t in inputs}
    parts = [part for _, part in leaves(batch)]
    rest = [part for part in parts if not any(t.data_ptr() in seen for t in tensors(part))]
    if not rest and len(parts) > 1:  # it was given all of it, as a decoder is
        rest = parts[1:]
    target = rest[0] if rest and len(rest) < len(parts) else None
    fits = isinstance(target, Tensor) and isinstance(scores, Tensor) and can_compare(scores, target)
    if not fits and isinstance(scores, Tensor) and inputs and inputs[0].shape == scores.shape and scores.dim() > 1:
        return inputs[0]
    return target


def can_compare(scores: Tensor, targets: Tensor) -> bool:
    scores, targets = squeezed(scores), squeezed(targets)
    if targets.is_floating_point() or scores.shape == targets.shape:
        return scores.shape == targets.shape or (targets.dim() == 1 and scores.dim() == 2)
    return lacks_one(scores, targets)


def batch_size(batch: Any) -> int:
    """Of its first tensor, or of its first list: (images, boxes) as `tuple(zip(*samples))` gives them."""
    parts = [part for _, part in leaves(batch)]
    first = next((part for part in parts if isinstance(part, Tensor) and part.dim()), None)
    if first is None and isinstance(batch, (tuple, Mapping)):
        first = next((part for part in parts if isinstance(part, (list, tuple))), None)
    if first is None and not (isinstance(batch, list) and batch and isinstance(batch[0], (tuple, Mapping))):
        first = next((part for part in tensors(batch) if part.dim()), None)
    return len(first) if first is not None else len(batch) if isinstance(batch, Sequence) else 0


def single(value: Any, row: int, size: int) -> Any:
    """A batch of one: row `row` of all that has `size` rows."""
    if isinstance(value, Tensor):
        return value[row : row + 1] if value.dim() and len(value) == size else value
    if isinstance(value, Mapping):
        return {key: single(item, row, size) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        of_samples = len(value) == size and not any(isinstance(v, Tensor) and v.dim() and len(v) == size for v in value)
        items = [value[row]] if of_samples else [single(item, row, size) for item in value]
        return type(value)(*items) if hasattr(value, "_fields") else type(value)(items)
    return value


def tree(function: Callable[[Any], Any], value: Any) -> Any:
    """The same nested dicts, lists and tuples with `function` applied to what is none of these."""
    if isinstance(value, Mapping):
        return {key: tree(function, item) for key, item in value.items()}
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*(tree(function, item) for item in value))
    if isinstance(value, (list, tuple)):
        return type(value)(tree(function, item) for item in value)
    return function(value)


def of_kind(kind: type, value: Any) -> list[Any]:
    found: list[Any] = []
    tree(lambda item: found.append(item) if isinstance(item, kind) else None, value)
    return found


def tensors(value: Any) -> list[Tensor]:
    return of_kind(Tensor, value)


def leaves(value: Any) -> Iterator[tuple[Any, Any]]:
    """The named parts of nested dicts, and of a tuple with such, or the parts of a list by their places."""
    if isinstance(value, (list, tuple, Mapping)):
        for key, part in value.items() if isinstance(value, Mapping) else enumerate(value):
            if isinstance(part, Mapping) and not isinstance(value, list) and key not in TARGETS:
                yield from leaves(part)
            else:
                yield key, part


def loss_in(said: Any) -> float | None:
    said = said.get("loss", said.get("val_loss")) if isinstance(said, Mapping) else said
    return float(said) if isinstance(said, Tensor) and said.numel() == 1 else None


def number_of(value: Any) -> float:
    """Of what a module logs: a number, a tensor, or a metric object, which has worked it out for this batch."""
    value = getattr(value, "_forward_cache", value)
    try:
        return float(value)
    except (TypeError, ValueError, RuntimeError):
        return math.nan


def without_prefix(name: str) -> str:
    """What a module's own name of a metric means: "val/acc", "valid_accuracy_epoch" and "Accuracy" are the same."""
    name = re.sub(r"[^a-z0-9]+", "_", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()).strip("_")
    name = re.sub(r"^(?:val|valid|validation|eval|dev)_|_epoch$|_dataloader_idx_\d+$", "", name)
    return "loss" if name == "loss" else "_".join(word for word in (metric_key(name)[1], metric_key(name)[0]) if word)


def find_name(metric: str, names: Iterable[str]) -> str | None:
    """The metric among names, under that very name or another prefix."""
    alike = (n for n in names if without_prefix(n) == without_prefix(metric) and not re.match(r"train|test", n))
    return metric if metric in names else next(alike, None)


def loss_name(logged: Mapping[str, float]) -> str | None:
    """The validation loss among what the module logs."""
    order = ("loss", "loss_total", "total_loss")  # before any other name with "loss" in it
    names = {without_prefix(name): name for name in reversed(list(logged)) if not re.match(r"train|test", name)}
    return next(
        (names[name] for name in order if name in names), next((n for p, n in names.items() if "loss" in p), None)
    )


# ---- the script's own log, where nothing can be measured


def reported(home: Path, wanted: Mapping[str, bool | None]) -> list[Score]:
    """The numbers of the best epoch in the newest metrics.csv. Raises `EvalError` where there is none."""
    nothing = (
        "nothing can be evaluated: the script runs no Trainer and offers neither load_split(split) nor "
        "val_dataloader() with load_model(checkpoint_path)"
    )
    fix = "offer load_split(split) and load_model(checkpoint_path)"
    logs = sorted(home.glob("logs/version_*/metrics.csv"), key=lambda p: int(p.parent.name.rpartition("_")[2]))
    if not logs:
        raise EvalError(f"{nothing}, and there is no logs/version_0/metrics.csv; {fix}")
    with logs[-1].open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    epochs: dict[str, dict[str, float]] = {}
    for number, row in enumerate(rows):
        cells = {str(k): number_of(v) for k, v in row.items() if k and isinstance(v, str) and v.strip()}
        epochs.setdefault(row.get("epoch") or str(number), {}).update(cells)
    names = {name: 0.0 for cells in epochs.values() for name in cells if re.match(r"val|eval|dev", name)}
    loss = loss_name(names)
    known = [cells for cells in epochs.values() if loss in cells and math.isfinite(cells[loss])] if loss else []
    if not known:
        raise EvalError(f"{nothing}, and {logs[-1].relative_to(ROOT)} has no validation loss; {fix}")
    best = min(known, key=lambda cells: cells[str(loss)])
    found = [Score("loss", best[str(loss)], False, f"{REPORTED}: {loss}")]
    for metric, better in wanted.items():
        if metric != "loss":
            named = find_name(metric, best)
            source = f"{REPORTED}: {named or 'not in its log'}"
            found.append(Score(metric, best.get(named, math.nan), is_better(metric, better), source))
    return found


# ---- a model from elsewhere: in a process of its own, by its own interpreter


class ExternalModel:
    """Models/external/NAME: a function, a class or a command line, asked in its own folder."""

    def __init__(self, folder: Path, names: list[str] | None) -> None:
        self.folder, self.script, self.names = folder, folder / "inference_sample.py", names or []
        self.device, self.settings, self.command = "not known", {}, []
        here = folder.relative_to(ROOT)
        if not self.script.is_file():
            beside = ", ".join(sorted(p.name for p in folder.glob("*.py"))) or "no other"
            raise EvalError(f"{here} has no inference_sample.py (there is: {beside}): write one with {TO_WRITE}")
        own = [folder / env / part for env in (".venv", "venv") for part in ("bin/python", "Scripts/python.exe")]
        self.python = next((str(p) for p in own if p.is_file()), sys.executable)
        self.by = "" if self.python == sys.executable else f", run by {Path(self.python).relative_to(folder)}"
        parts = (packed, unpacked, find_predictor, ask, find_way, serve)
        source = CHILD + "\n\n".join(inspect.getsource(part) for part in parts) + "\n\nserve()\n"
        self.said = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the model
        self.child = subprocess.Popen(
            [self.python, "-c", source, str(self.script)], cwd=folder, stderr=self.said, stdin=-1, stdout=-1,
            env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        )  # fmt: skip
        try:
            self.taken_as, problem = self.receive()
            if not self.taken_as:
                self.taken_as, self.command = self.command_line(problem), [self.python, self.script.name]
        except EvalError:
            self.close()
            raise

    def receive(self) -> tuple[Any, ...]:
        """The child's next message. Raises `EvalError` where it ends or takes too long."""
        pipe, late, began = self.child.stdout, threading.Timer(LIMIT, self.child.kill), time.monotonic()
        late.start()
        size = pipe.read(8)
        data = pipe.read(int.from_bytes(size, "big"))
        late.cancel()
        if data:
            return pickle.loads(data)
        if time.monotonic() - began >= LIMIT:
            raise EvalError(f"{self.script.relative_to(ROOT)} gave no answer within {LIMIT} s")
        self.said.seek(0)
        raise EvalError(f"{self.script.relative_to(ROOT)} ended: {last_line(self.said.read())}")

    def answer(self, raws: Sequence[Any]) -> list[Answer]:
        if self.command:
            return [self.read(self.run(raw)) for raw in raws]
        data = pickle.dumps(packed(list(raws)), 4)
        try:
            self.child.stdin.write(len(data).to_bytes(8, "big") + data)
            self.child.stdin.flush()
        except OSError:
            pass  # it has ended: receive() says how
        way, answers, *took = self.receive()
        if not way:
            raise ExternalError(f"{self.script.relative_to(ROOT)}: {answers}{self.fix(answers)}")
        self.taken_as, self.took = f"{self.taken_as.split(', ')[0]}, {way}{self.by}", took[0]
        return [self.read(unpacked(answer)) for answer in answers]

    def fix(self, problem: str) -> str:
        if "ModuleNotFoundError" not in problem or self.by:
            return ""
        needs = " -r requirements.txt" if (self.folder / "requirements.txt").is_file() else " ..."
        return f"; give it an environment of its own, in {self.folder.relative_to(ROOT)}: " \
            f"python -m venv .venv && .venv/bin/pip install{needs}"  # fmt: skip

    def command_line(self, problem: str) -> str:
        """Takes the file for a command line, by the arguments that its source adds. Returns what it is taken for."""
        tree = ast.parse(self.script.read_bytes()) if not problem.startswith("SyntaxError") else ast.parse("")
        calls = [n for n in ast.walk(tree) if isinstance(n, ast.Call) and getattr(n.func, "attr", "") in ADDS]
        said = [
            ([a.value for a in c.args if isinstance(a, ast.Constant) and isinstance(a.value, str)], c) for c in calls
        ]
        options = {n: any(k.arg == "required" for k in c.keywords) for names, c in said for n in names}
        needed = [n for n, required in options.items() if required or not n.startswith("-")]
        self.inlet = next((n for n in INLETS if n in options), needed[0] if len(needed) == 1 else None)
        self.outlet = next((n for n in OUTLETS if n in options), None)
        if not self.inlet:
            where = self.script.relative_to(ROOT)
            raise EvalError(f"{where}: {problem}{self.fix(problem)}" if problem else f"{where} offers no {TO_WRITE}")
        return f"a script with {self.inlet}{f' and {self.outlet}' if self.outlet else ''}, one sample a run{self.by}"

    def run(self, raw: Any) -> Any:
        """One run of the command line: JSON, .npy or a label, from the file it writes or the last line it prints."""
        with tempfile.TemporaryDirectory() as place:
            given: list[str] = [self.inlet] if self.inlet.startswith("-") else []
            given.append(write_input(Path(place), raw, self.script.read_text(encoding="utf-8", errors="replace")))
            file = Path(place) / "output.json"
            given += [self.outlet, str(file)] if self.outlet else []
            began = time.perf_counter()
            try:
                done = subprocess.run(
                    [*self.command, *given], cwd=self.folder, capture_output=True, timeout=LIMIT, stdin=-3
                )
            except subprocess.TimeoutExpired:
                raise EvalError(f"{self.script.relative_to(ROOT)} gave no answer within {LIMIT} s") from None
            self.took = time.perf_counter() - began
            if done.returncode:
                line = last_line(done.stderr)
                raise EvalError(f"{self.script.relative_to(ROOT)}, run with {self.inlet}: {line}{self.fix(line)}")
            data = file.read_bytes() if file.is_file() else (done.stdout.strip().splitlines() or [b""])[-1]
        if data.startswith(b"\x93NUMPY"):
            return np.load(io.BytesIO(data))
        text = data.decode("utf-8", "replace").strip()
        try:
            return json.loads(text)
        except ValueError:
            return text

    def read(self, output: Any) -> Answer:
        """Scores, a label in any case, an index, a number, a dict with these, or a pipeline's list of dicts."""
        output = output.tolist() if isinstance(output, np.ndarray) and output.dtype.kind in "iubUO" else output
        while isinstance(output, list) and len(output) == 1 and not isinstance(output[0], float):
            output = output[0]
        if isinstance(output, list) and output and isinstance(output[0], Mapping) and "label" in output[0]:
            output = {str(part["label"]): float(part.get("score", 0)) for part in output}
            if len(output) != len(self.names) or None in map(self.index, output):
                output = max(output, key=output.__getitem__)
        prediction = None
        if isinstance(output, Mapping) and "boxes" in output:
            return Answer({key: torch.as_tensor(value) for key, value in output.items()})
        if isinstance(output, Mapping):
            by_class = {self.index(str(key)): value for key, value in output.items()}
            prediction = next((output[k] for k in SAYS if k in output), None)
            scores = next((output[k] for k in SCORES if k in output), prediction)
            output = [by_class[n] for n in sorted(by_class)] if set(by_class) == set(range(len(self.names))) else scores
        if isinstance(output, (str, int)):
            prediction, output = output, None
        known = self.index(prediction) if isinstance(prediction, str) else None
        prediction = prediction if known is None else known
        if output is None and prediction is not None:
            return Answer(None, prediction)
        if output is None:
            raise EvalError(f"{self.script.relative_to(ROOT)}: {self.taken_as.split(', ')[0]} answers with nothing")
        return Answer(torch.as_tensor(np.asarray(output)).float(), prediction)

    def index(self, name: str) -> int | None:
        """Of a class by its name, in any case, or as transformers counts them."""
        plain = [known.strip().casefold() for known in self.names]
        if name in self.names:
            return self.names.index(name)
        if plain.count(name.strip().casefold()) == 1:
            return plain.index(name.strip().casefold())
        counted = re.fullmatch(r"LABEL_(\d+)", name)
        return int(counted[1]) if counted else None

    def close(self) -> None:
        self.child.kill()
        for pipe in (self.child.stdin, self.child.stdout, self.said):
            with suppress(OSError):
                pipe.close()
        self.child.wait()


class ExternalError(EvalError, ValueError):
    """A model from elsewhere does not take these samples together."""


def last_line(said: bytes) -> str:
    return (said.decode("utf-8", "replace").strip().splitlines() or ["it printed nothing"])[-1].strip()[:300]


def write_input(place: Path, raw: Any, source: str) -> str:
    """A sample as a file of the kind that fits it; a text itself for a script that reads no file. Returns the word."""
    raw = np.asarray(raw) if isinstance(raw, Tensor) else raw
    if isinstance(raw, str):
        if not re.search(r"open\(|read_text|read_bytes|Path\(|load\(", source):
            return raw
        (place / "input.txt").write_text(raw, encoding="utf-8")
        return str(place / "input.txt")
    picture = None if isinstance(raw, np.ndarray) and (raw.dtype != np.uint8 or "np.load" in source) else as_image(raw)
    if picture is not None:
        picture.save(place / "input.png")
        return str(place / "input.png")
    if isinstance(raw, np.ndarray) and "json.load" not in source:
        np.save(place / "input.npy", raw)
        return str(place / "input.npy")
    write(place / "input.json", raw)
    return str(place / "input.json")


CHILD = """from __future__ import annotations
import importlib, importlib.util, inspect, os, pickle, re, sys, time, traceback
from contextlib import suppress
"""


def serve() -> None:
    """The child: imports the file, then answers one request after the other. What the model prints goes to stderr."""
    inlet, outlet = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    path = sys.argv[1]
    sys.argv, sys.path[0] = [path], os.path.dirname(path)  # noqa: PTH120 - any Python runs this

    def send(*content: Any) -> None:
        data = pickle.dumps(content, 4)
        outlet.write(len(data).to_bytes(8, "big") + data)
        outlet.flush()

    def told(error: BaseException) -> str:
        lines = [line for name, line, _, _ in traceback.extract_tb(error.__traceback__) if name == path]
        place = f" (inference_sample.py, line {lines[-1]})" if lines else ""
        return f"{type(error).__name__}: {error}{place}"

    spec = importlib.util.spec_from_file_location("inference_sample", path)
    module: Any = importlib.util.module_from_spec(spec)  # type: ignore[arg-type]
    sys.modules["inference_sample"] = module
    call, name, way, problem = None, "", "", ""
    try:
        spec.loader.exec_module(module)  # type: ignore[union-attr]
    except (Exception, SystemExit) as error:  # noqa: BLE001 - a demo at its end may fail and harm nothing
        problem = told(error)
    try:
        call, name = find_predictor(module)
        if hasattr(module, "load"):
            module.load()
        send(name, problem)
    except (Exception, SystemExit) as error:  # noqa: BLE001
        send("", problem or told(error))
    while size := inlet.read(8):
        raws = unpacked(pickle.loads(inlet.read(int.from_bytes(size, "big"))))
        try:
            way = way or find_way(call, raws)
            began = time.perf_counter()
            answers = ask(call, raws, way)
            send(way, packed(answers), time.perf_counter() - began)
        except (Exception, SystemExit) as error:  # noqa: BLE001
            send("", problem or told(error))


def find_predictor(module: Any) -> Any:
    """What answers, and its name. None: there is no such thing."""
    names = ("predict", "infer", "inference")
    for name in names:
        if callable(getattr(module, name, None)):
            return getattr(module, name), f"{name}()"
    for cls in list(vars(module).values()):
        name = next((n for n in names if callable(getattr(cls, n, None))), None)
        if isinstance(cls, type) and cls.__module__ == module.__name__ and name:
            return getattr(cls(), name), f"{cls.__name__}().{name}()"
    return None, ""


def find_way(call: Any, raws: Any) -> str:
    """Whether it takes one sample or several, by what it calls its parameter and by trying. Raises its first error."""
    ways = ["one sample a call", "a list of samples a call", "an array of samples a call"]
    with suppress(TypeError, ValueError):
        first = next(iter(inspect.signature(call).parameters.values()))
        usual = r"^(?:texts|inputs|images|samples|sentences|batch|items|raws|xs|documents|audios)$"
        if re.search(usual, first.name) or re.search(r"list|sequence|iterable", str(first.annotation), re.IGNORECASE):
            ways = [*ways[1:], ways[0]]
    errors = []
    for way in ways:
        try:
            ask(call, raws, way)
        except Exception as error:  # noqa: BLE001 - it is the user's code
            errors.append(error)
        else:
            return way
    raise errors[0]


def ask(call: Any, raws: Any, way: str) -> Any:
    """An answer a sample. Raises what the model raises, and `ValueError` where answers are not what they have to be."""
    if way == "one sample a call":
        answers = [call(raw) for raw in raws]
        whole = [a for a in answers if isinstance(a, (list, tuple))]
        letters = all(isinstance(r, str) and len(a) == len(r) > 1 for r, a in zip(raws, whole))
        if any(len(a) > 1 and isinstance(a[0], str) for a in whole) or (whole and letters):
            raise ValueError("one sample gives several answers")
        return answers
    several = list(raws)
    if way == "an array of samples a call":
        package = "torch" if hasattr(raws[0], "detach") else "numpy"
        several = importlib.import_module(package).stack(several)
    answers = call(several)
    if hasattr(answers, "items") or not hasattr(answers, "__len__") or len(answers) != len(raws):
        raise ValueError(f"{len(raws)} samples do not give as many answers")
    return list(answers)


def packed(value: Any) -> Any:
    """Arrays, tensors and pictures as plain values, which an interpreter without these packages can unpickle."""
    if hasattr(value, "detach"):
        return {"__kind": "tensor", "of": packed(value.detach().cpu().numpy())}
    value = value.to_numpy() if hasattr(value, "to_numpy") else value
    if hasattr(value, "dtype") and hasattr(value, "tobytes"):
        if not value.shape or value.dtype.kind not in "biuf":
            return packed(value.tolist())
        return {"__kind": "array", "type": value.dtype.str, "shape": value.shape, "data": value.tobytes()}
    if hasattr(value, "tobytes") and hasattr(value, "mode"):
        return {"__kind": "image", "mode": value.mode, "size": value.size, "data": value.tobytes()}
    if hasattr(value, "items"):
        return {key if type(key) in (int, bool) else str(key): packed(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [packed(item) for item in value] if isinstance(value, list) else tuple(packed(item) for item in value)
    return value if value is None or type(value) in (bool, int, float, str, bytes) else str(value)


def unpacked(value: Any) -> Any:
    """What `packed` was given; nested lists for arrays where there is no numpy."""
    if isinstance(value, (list, tuple)):
        return type(value)(unpacked(item) for item in value)
    if not isinstance(value, dict):
        return value
    kind = value.get("__kind")
    if kind == "image":
        return importlib.import_module("PIL.Image").frombytes(value["mode"], value["size"], value["data"])
    if kind == "tensor":
        try:
            return importlib.import_module("torch").from_numpy(unpacked(value["of"]))
        except ImportError:
            return unpacked(value["of"])
    if kind == "array":
        try:
            flat = importlib.import_module("numpy").frombuffer(value["data"], value["type"])
            return flat.reshape(value["shape"]).copy()
        except ImportError:
            letters = {"f4": "f", "f8": "d", "i8": "q", "i4": "i", "i2": "h", "i1": "b", "u1": "B", "b1": "?"}
            return memoryview(value["data"]).cast(letters[value["type"][1:]], value["shape"]).tolist()
    return {key: unpacked(item) for key, item in value.items()}


# ---- right and wrong

#: Tasks whose targets are classes: one a sample, 0 or 1, several at once, one a pixel, one a place of a text.
CLASSES = ("classification", "binary", "multilabel", "segmentation", "tokens")
PLACES = ("segmentation", "tokens")


@dataclass
class Seen:
    """A batch as the metrics take it. Classes are indices, targets of -100 (or `ignored`) do not count."""

    targets: Any
    predictions: Any
    probabilities: Tensor | None  # None: the model tells none
    losses: Tensor  # (n,), nan where nobody can say
    finite: Tensor  # (n,), False: the model's answer is not a number


@dataclass
class Row:
    """Of one sample, in the table. Slots, since there may be many."""

    __slots__ = ("confidence", "correct", "loss", "prediction", "sample_id", "truth")
    sample_id: str
    truth: str
    prediction: str
    correct: bool | None
    loss: float
    confidence: float | None


class Judge:
    """Takes what a model said, batch by batch, and keeps of it a row a sample and what the metrics need."""

    def __init__(self, wanted: Mapping[str, bool | None], stats: Any, script_names: Any, source: str) -> None:
        names = script_names or stats.get("class_names") or stats.get("classes")
        names = [names[key] for key in sorted(names)] if isinstance(names, Mapping) else names
        self.names = [str(name) for name in names] if isinstance(names, (list, tuple)) else None
        self.stated, self.source, self.task = stated_task(stats), source, ""
        ignored = re.search(r"ignore_index\s*=\s*(-?\d+)", source)
        self.ignored = int(ignored[1]) if ignored else -100
        self.wanted = {name: better for name, better in wanted.items() if name != "loss"}
        self.rows: list[Row] = []
        self.parts: dict[str, array[float]] = {}  # metric -> what each row contributes
        self.metrics: dict[str, Metric] = {}
        self.unknown: dict[str, str] = {}  # metric -> why it cannot be worked out from outputs and targets
        self.classes = 0
        self.not_finite = 0
        self.two_places = False  # one score a pixel, for yes or no
        self.data_range: float | None = None

    def see(self, ids: list[str], seen: Seen) -> None:
        """Adds a batch. `self.task` has to be known by now."""
        for name, better in self.wanted.items():
            if name not in self.metrics and name not in self.unknown:
                try:
                    self.metrics[name] = Metric(name, better, self)
                except EvalError as error:
                    self.unknown[name] = str(error)
        for metric in self.metrics.values():
            metric.update(seen)
        for name, metric in self.metrics.items():
            values = metric.parts(seen)
            if values is not None:
                self.parts.setdefault(name, array("d")).extend(values.tolist())
        self.not_finite += int((~seen.finite).sum())
        losses, finite = seen.losses.tolist(), seen.finite.tolist()
        for n, sample_id in enumerate(ids):
            said = self.named(seen.predictions[n]) if finite[n] else "nan"
            sure = self.confidence(seen, n)
            self.rows.append(Row(sample_id, self.named(seen.targets[n]), said, self.correct(seen, n), losses[n], sure))

    def judged(self, scores: Tensor | None, targets: Tensor, predictions: Tensor | None = None) -> Seen:
        """Tensors of one batch, brought into the metrics' shapes. The first batch decides the task."""
        scores, targets, predictions = squeezed(scores), squeezed(targets), squeezed(predictions)
        self.task = self.task or find_task(self.stated, targets, scores, self.source)
        numbers = scores if scores is not None else predictions
        finite = numbers.reshape(len(numbers), -1).isfinite().all(dim=1)
        if self.task == "regression":
            said = predictions if predictions is not None else numbers.reshape(targets.shape)
            losses = (said - targets).square().reshape(len(targets), -1).mean(dim=1)
            self.data_range = self.data_range or span(targets)
            return Seen(targets, said, None, losses, finite & losses.isfinite())
        if self.task == "classification" and targets.dim() == 2:
            targets = targets.argmax(dim=1)
        by_class = scores is not None and scores.dim() > targets.dim()
        if self.task in PLACES:
            scores = classes_second(scores, targets) if by_class else scores
            self.two_places = scores is not None and not by_class
        probabilities, losses = self.compare(scores, targets.double())
        if predictions is None:
            sure = torch.nan_to_num(probabilities) if probabilities is not None else numbers
            predictions = sure.argmax(dim=1) if by_class else sure >= 0.5
        seen_classes = max(self.classes, int(targets.max()) + 1, int(predictions.max()) + 1)
        told = 2 if probabilities is None or probabilities.dim() == 1 else probabilities.shape[1]
        self.classes = seen_classes if probabilities is None or self.two_places else told
        return Seen(targets.long(), predictions.long(), probabilities, losses, finite)

    def compare(self, scores: Tensor | None, targets: Tensor) -> tuple[Tensor | None, Tensor]:
        """Probabilities and the plain loss of each sample: versions trained with other losses stay comparable."""
        if scores is None:
            return None, torch.full((len(targets),), math.nan, dtype=torch.float64)
        scores, counted = scores.double(), targets != self.ignored
        by_class = scores.dim() > targets.dim()
        told, found = scores.shape[1] if by_class else 2, int(targets[counted].max()) if bool(counted.any()) else 0
        if self.task != "multilabel" and found >= told:
            raise EvalError(f"a target is class {found}, but the model tells {told} classes apart")
        sure = bool(((scores >= 0) & (scores <= 1)).all())
        if by_class:
            sure &= bool(((scores.sum(dim=1) - 1).abs() < 1e-3).all())
            logits = scores.clamp_min(1e-12).log() if sure else scores
            losses = F.cross_entropy(logits, targets.long(), reduction="none", ignore_index=self.ignored)
        else:
            logits = torch.logit(scores, eps=1e-12) if sure else scores
            losses = F.binary_cross_entropy_with_logits(logits, targets, reduction="none") * counted
        places = counted.reshape(len(counted), -1).sum(dim=1).clamp_min(1)
        probabilities = logits.softmax(dim=1) if by_class else logits.sigmoid()
        return probabilities, losses.reshape(len(losses), -1).sum(dim=1) / places

    def correct(self, seen: Seen, row: int) -> bool | None:
        """None where there is more than right and wrong: numbers, pixels, texts of many places."""
        if self.task in ("classification", "binary", "multilabel"):
            return bool(seen.finite[row]) and bool((seen.predictions[row] == seen.targets[row]).all())
        return seen.predictions[row] == seen.targets[row] if self.task == "text" else None

    def confidence(self, seen: Seen, row: int) -> float | None:
        if seen.probabilities is None or self.task not in ("classification", "binary"):
            return None
        p = seen.probabilities[row]
        return float(p.max() if self.task == "classification" else torch.maximum(p, 1 - p))

    def named(self, value: Any) -> str:
        """A target or prediction for people: a class's name, the numbers, the text."""
        if isinstance(value, str):
            return value
        if isinstance(value, Mapping):
            return f"{len(value.get('labels', value.get('boxes', ())))} boxes"
        if self.task == "multilabel":
            return "|".join(self.class_name(i) for i in value.nonzero().flatten().tolist())
        numbers = value.reshape(-1).tolist()
        if len(numbers) > 64:
            return f"{len(numbers)} values, mean {statistics.fmean(numbers):.7g}"
        if self.task == "regression":
            return " ".join(f"{number:.7g}" for number in numbers)
        return " ".join(self.class_name(int(number)) for number in numbers if number != self.ignored)

    def class_name(self, index: int) -> str:
        return self.names[index] if self.names and 0 <= index < len(self.names) else str(index)

    def scores(self, loss: float | None = None) -> list[Score]:
        """The loss, and each metric that is wanted and known here."""
        losses = [row.loss for row in self.rows]
        mean = statistics.fmean(losses) if losses and loss is None else loss
        found = [Score("loss", math.nan if mean is None else mean, False, "validation loss of each sample")]
        for name, metric in self.metrics.items():
            found.append(Score(name, metric.value(self.not_finite), metric.better, "torchmetrics"))
        return found


def stated_task(stats: Any) -> str:
    """`task_type` in stats.json, whatever the words and wherever it stands; "" when it is not there."""
    if not isinstance(stats, Mapping):
        return ""
    said = next((str(stats[key]) for key in ("task_type", "task", "problem_type") if key in stats), "")
    word = re.sub(r"[^a-z]", "", said.lower())
    kinds = {"segment": "segmentation", "multilabel": "multilabel", "regress": "regression", "forecast": "regression"}
    kinds |= {"binary": "classes", "class": "classes"}
    found = next((kind for part, kind in kinds.items() if part in word), "")
    return found or next((deeper for value in stats.values() if (deeper := stated_task(value))), "")


def find_task(stated: str, targets: Tensor, scores: Tensor | None, source: str) -> str:
    """By shapes, values and the losses that the script names: targets (n, ...), scores (n, ...) or None where the model
    gives finished predictions.
    """
    whole = bool((targets == targets.round()).all())
    zero_or_one = bool(((targets == 0) | (targets == 1)).all())
    one_score = scores is not None and scores[0].numel() == 1
    by_bits = re.search(r"BCE|binary_cross_entropy|[Ff]ocal|[Dd]ice", source) is not None
    by_class = not by_bits and re.search(r"CrossEntropy|cross_entropy", source) is not None
    if stated in ("multilabel", "regression"):
        return stated
    if targets.dim() == 1:
        number = not stated and (not whole or (one_score and not zero_or_one))
        return "regression" if number else "binary" if one_score else "classification"
    if whole and (scores is None or lacks_one(scores, targets)) and (scores is not None or targets.dim() > 2):
        return "tokens" if targets.dim() == 2 else "segmentation"
    if targets.dim() > 2:
        return "segmentation" if zero_or_one and (by_bits or stated) else "regression"
    if is_one_hot(targets) and (by_class or stated == "classes"):
        return "classification"
    return "multilabel" if zero_or_one else "regression"


def is_one_hot(targets: Tensor) -> bool:
    zero_or_one = bool(((targets == 0) | (targets == 1)).all())
    return targets.dim() == 2 and targets.shape[1] > 1 and zero_or_one and bool((targets.sum(dim=1) == 1).all())


def lacks_one(scores: Tensor, targets: Tensor) -> bool:
    """Whether scores have one dimension more than targets, which is that of the classes: (n, C, ...) or (n, ..., C)."""
    rest = targets.shape[1:]
    return scores.dim() == targets.dim() + 1 and rest in (scores.shape[2:], scores.shape[1:-1])


def classes_second(scores: Tensor, targets: Tensor) -> Tensor:
    """(n, C, ...) of (n, ..., C): for texts the last dimension is that of the classes, for pictures the second."""
    last = scores.shape[1:-1] == targets.shape[1:]
    second = scores.shape[2:] == targets.shape[1:]
    return scores.movedim(-1, 1) if last and (not second or targets.dim() == 2) else scores


def squeezed(values: Any) -> Any:
    """Without dimensions of one, apart from that of the samples."""
    if values is None:
        return None
    values = values if values.dim() else values.reshape(1)
    return values.reshape(len(values), *(size for size in values.shape[1:] if size != 1))


def span(targets: Tensor) -> float:
    """Between the smallest and the largest value that such targets can have, by what is usual for images and sound."""
    low, high = float(targets.min()), float(targets.max())
    usual = [(0.0, 1.0), (-1.0, 1.0), (0.0, 255.0)]
    return next((b - a for a, b in usual if a <= low and high <= b), max(high - low, 1e-12))


# ---- metrics

#: Everyday names of torchmetrics' metrics, whose own names (cohen_kappa, hamming_distance ...) work as well.
ALIASES = {
    "acc": "accuracy", "f1": "f1_score", "sensitivity": "recall", "roc_auc": "auroc", "auc": "auroc",
    "ap": "average_precision", "mcc": "matthews_corrcoef", "kappa": "cohen_kappa", "ece": "calibration_error",
    "jaccard": "jaccard_index", "iou": "jaccard_index", "miou": "jaccard_index", "dice": "dice_score",
    "mae": "mean_absolute_error", "mse": "mean_squared_error", "rmse": "root_mean_squared_error", "r2": "r2_score",
    "mape": "mean_absolute_percentage_error", "pearson": "pearson_corrcoef", "spearman": "spearman_corrcoef",
    "cross_entropy": "loss", "log_loss": "loss", "nll": "loss", "logloss": "loss",
    "wer": "word_error_rate", "cer": "char_error_rate", "bleu": "bleu_score", "rouge": "rouge_score",
    "chrf": "chrf_score", "ter": "translation_edit_rate", "map": "mean_average_precision",
    "psnr": "peak_signal_noise_ratio", "ssim": "structural_similarity_index_measure",
    "snr": "signal_noise_ratio", "sdr": "signal_distortion_ratio", "si_snr": "scale_invariant_signal_noise_ratio",
    "si_sdr": "scale_invariant_signal_distortion_ratio",
}  # fmt: skip
#: Of the metrics for classes, those that read labels. The others read probabilities.
ON_LABELS = {
    "accuracy", "f1_score", "precision", "recall", "specificity", "jaccard_index", "hamming_distance",
    "cohen_kappa", "exact_match", "matthews_corrcoef", "dice_score", "mean_iou",
}  # fmt: skip
#: Words in the names of metrics of which less is better.
LOWER = ("error", "loss", "distance", "deviance", "divergence", "perplexity", "edit_rate")
IMAGE_AND_AUDIO = ("torchmetrics.image", "torchmetrics.audio")


@dataclass
class Score:
    name: str
    value: float
    higher_is_better: bool
    #: who says so
    source: str


class Metric:
    """One metric over all batches. Raises `EvalError` for a name that torchmetrics does not know for the task."""

    def __init__(self, name: str, better: bool | None, judge: Judge) -> None:
        self.name, self.task = name, judge.task
        self.key, self.average, self.top = metric_key(name)
        self.better = is_better(name, better)
        self.losses: list[float] = []
        self.exact: list[float] = []
        self.problem = ""
        self.metric: Any = None
        self.shaped = False
        self.from_loss = self.key == "loss" or (self.key == "perplexity" and judge.task != "regression")
        if self.from_loss or (self.key == "exact_match" and judge.task == "text"):
            return
        if judge.task == "not known":
            raise EvalError(f"the metric {name!r} needs outputs and targets that can be told apart in validation_step")
        if not known_metrics():
            raise EvalError(
                f"the metric {name!r} needs torchmetrics in the script's environment: pip install torchmetrics"
            )
        made = known_metrics().get(self.key.removeprefix("root_").replace("_", ""))
        takes = set() if made is None else parameters(made)
        fits = "task" in takes if judge.task in CLASSES else "task" not in takes
        if made is not None and {"input_format", "num_classes"} <= takes and judge.task in PLACES:
            fits = True
        if made is None or not fits:
            raise EvalError(unknown_metric(name, judge.task))
        default = "micro" if self.key == "accuracy" and self.average is None else "macro"
        places = judge.task in PLACES
        one_score = judge.task == "binary" or (places and judge.two_places)
        options = {
            "task": "binary" if one_score else "multilabel" if judge.task == "multilabel" else "multiclass",
            "num_classes": max(judge.classes, 2),
            "num_labels": judge.classes,
            "average": default if self.average in (None, "balanced") else self.average,
            "top_k": self.top,
            "squared": not self.key.startswith("root_"),
            "input_format": "index",
            "data_range": judge.data_range,
        }
        if places:
            options["ignore_index"] = judge.ignored
        try:
            self.metric = made(**{k: v for k, v in options.items() if k in takes and v is not None})
        except (ImportError, ModuleNotFoundError) as error:
            self.problem = " ".join(str(error).split())
        except (TypeError, ValueError) as error:
            raise EvalError(f"the metric {name!r} cannot be made: {' '.join(str(error).split())}") from error
        self.shaped = getattr(made, "__module__", "").startswith(IMAGE_AND_AUDIO)

    def update(self, seen: Seen) -> None:
        if self.from_loss:
            self.losses += seen.losses.tolist()
        elif self.metric is None and not self.problem:
            self.exact += [float(said == true) for said, true in zip(seen.predictions, seen.targets)]
        elif self.metric is not None and bool(seen.finite.all()):
            on_labels = self.task not in CLASSES or (self.key in ON_LABELS and self.top == 1)
            said = seen.predictions if on_labels else seen.probabilities
            truth = seen.targets
            if self.task == "regression" and truth.dim() > 2 and not self.shaped:
                said, truth = said.reshape(len(said), -1), truth.reshape(len(truth), -1)
            if self.task == "regression" and truth.dim() == 3 and self.shaped:  # grey images
                said, truth = said.unsqueeze(1), truth.unsqueeze(1)
            if self.key == "bleu_score" or self.key.startswith("sacre"):
                truth = [[text] for text in truth]
            if said is None:
                self.problem = "the model gives finished answers, no probabilities"
                return
            try:
                self.metric.update(said, truth)
            except (TypeError, ValueError, RuntimeError, ImportError) as error:
                self.problem = " ".join(str(error).split())

    def parts(self, seen: Seen) -> Tensor | None:
        """What each sample contributes: the mean is the value (of rmse, the square). None: it does not decompose."""
        if self.key == "exact_match" and self.task == "text":
            return torch.tensor([float(said == true) for said, true in zip(seen.predictions, seen.targets)])
        if self.key == "accuracy" and self.average is None and self.top == 1 and self.task in CLASSES:
            same = (seen.predictions == seen.targets).double().reshape(len(seen.targets), -1)
            return same.mean(dim=1)
        powers = {"mean_absolute_error": 1, "mean_squared_error": 2, "root_mean_squared_error": 2}
        if self.key in powers and self.task == "regression":
            apart = (seen.predictions - seen.targets).abs().reshape(len(seen.targets), -1)
            return apart.pow(powers[self.key]).mean(dim=1)
        return None

    def value(self, not_finite: int) -> float:
        if self.from_loss:
            mean = statistics.fmean(self.losses) if self.losses else math.nan
            return mean if self.key == "loss" else math.exp(min(mean, 700)) if math.isfinite(mean) else math.nan
        if self.exact:
            return statistics.fmean(self.exact)
        if not_finite:
            return math.nan
        if not self.problem:
            try:
                value = self.metric.compute()
                if isinstance(value, Mapping):  # rouge, boxes: the first that has the metric's own name
                    keys = ("map", "rougeL_fmeasure", *value)
                    value = next(value[key] for key in keys if key in value)
                return float(value)
            except (TypeError, ValueError, RuntimeError) as error:
                self.problem = " ".join(str(error).split())
        print(f"warning: {self.name} cannot be worked out: {self.problem}")
        return math.nan


def metric_key(name: str) -> tuple[str, str | None, int]:
    """torchmetrics' name of a metric as the rules spell it ("f1", "F1Score", "val_acc", "macro_f1", "top3_accuracy",
    "RMSE"), its average, and how many guesses count.
    """
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower().replace("-", "_").replace("/", "_").split("_")
    average = next((word for word in ("macro", "micro", "weighted", "balanced") if word in words), None)
    key = "_".join(word for word in words if word not in (average, "val", "valid", "validation", "eval"))
    top = re.search(r"top_?(\d+)", key)
    return "accuracy" if top else ALIASES.get(key, key), average, int(top[1]) if top else 1


@functools.lru_cache(maxsize=1)
def known_metrics() -> dict[str, Any]:
    """torchmetrics' classes by their names in small letters, without underscores."""
    try:
        import torchmetrics
    except ImportError:
        return {}
    found: dict[str, Any] = {}
    for part in (".classification", ".regression", ".segmentation", ".detection", ".text", ".image", ".audio", ""):
        try:
            module: Any = importlib.import_module(f"{torchmetrics.__name__}{part}")
        except ImportError:
            continue
        for name in dir(module):
            value = getattr(module, name)
            if isinstance(value, type) and (hasattr(value, "update") or "task" in parameters(value)):
                found.setdefault(name.lower(), value)
    return found


def parameters(made: Any) -> set[str]:
    return set(inspect.signature(made.__new__).parameters) | set(inspect.signature(made.__init__).parameters)


def is_better(name: str, better: bool | None) -> bool:
    """Whether more of a metric is better: what the rules say, else what its name means."""
    return not any(word in metric_key(name)[0] for word in LOWER) if better is None else better


def unknown_metric(name: str, task: str) -> str:
    near = difflib.get_close_matches(name.lower(), [*ALIASES, *ON_LABELS, *known_metrics()], n=3, cutoff=0.4)
    return f"no metric {name!r} for {task}; the nearest names: {', '.join(near or ALIASES)}"


# ---- what is written


def write_results(job: Job, e: Evaluation) -> None:
    folder, count, split = job.folder, len(e.judge.rows), job.split
    inputs = {"evaluator": Path(__file__), "data": job.data / split, "checkpoint": job.checkpoint, "script": job.path}
    protocol: dict[str, Any] = {f"{what}_sha256": sha256(where) for what, where in inputs.items()}
    if not inputs["data"].is_dir():  # it lies elsewhere: what was evaluated stands for it
        protocol["data_sha256"] = e.data_sha256
    protocol |= {"seed": job.seed, "split": split, "num_samples": count, "created_at": timestamp()}
    protocol |= {"class_names": e.judge.names, "task": e.judge.task or "not known", "reported": e.reported}
    protocol["sources"] = {s.name: s.source for s in e.scores}
    if e.external_as:
        protocol["external_as"] = e.external_as
    about = {"version": job.name, "dataset_id": job.dataset_id, "split": split, "seed": job.seed}
    about["conditions"] = {"batch": 1, "device": e.device, "torch": torch.__version__}
    about["config"] = {"script": job.path.name, "task": e.judge.task, **e.settings}
    sounds = re.search(r"audio|sound|speech", json.dumps(job.stats), re.IGNORECASE)
    about["sample_rate"] = int(job.stats.get("sample_rate", 16000)) if sounds else None
    if not e.reported:
        write_samples(folder, e, about)
        write(folder / "_eval" / "per_sample.csv", per_sample_csv(e))
    write(folder / "_eval" / "protocol.json", protocol)
    # last: where it lies, the rest is whole
    metrics = [{"name": s.name, "value": s.value, "higher_is_better": s.higher_is_better} for s in e.scores]
    whole = {"dataset_id": job.dataset_id, "created_at": timestamp(), "num_samples": count}
    write(folder / "eval_score.json", {**whole, "metrics": metrics, "latency_ms": e.latency})
    print(f"written: {folder}", flush=True)


def per_sample_csv(e: Evaluation) -> str:
    parts = e.judge.parts
    sure = ["confidence"] if any(row.confidence is not None for row in e.judge.rows) else []
    out = io.StringIO()
    table = csv.writer(out, lineterminator="\n")
    table.writerow(["sample_id", "truth", "prediction", "correct", "loss", *sure, *(f"part__{c}" for c in parts)])
    for n, row in enumerate(e.judge.rows):
        numbers = [row.loss, *(getattr(row, name) for name in sure), *(values[n] for values in parts.values())]
        cells = ["" if v is None or not math.isfinite(v) else repr(v) for v in numbers]
        correct = "" if row.correct is None else int(row.correct)
        table.writerow([row.sample_id, row.truth, row.prediction, correct, *cells])
    return out.getvalue()


def write_samples(folder: Path, e: Evaluation, about: Any) -> None:
    """Some samples to look at, drawn with the rules' seed: the same ones for every version."""
    fresh = folder / ".infer_samples.new"
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    rows = {row.sample_id: row for row in e.judge.rows}
    for place, sample_id in enumerate(drawn(list(rows), about["seed"], len(e.shown)), start=1):
        meta = {"sample_id": sample_id, **about}
        write_sample(fresh / f"{place:04d}", e.shown[sample_id], rows[sample_id], e, meta)
    shutil.rmtree(folder / "infer_samples", ignore_errors=True)
    fresh.replace(folder / "infer_samples")


def write_sample(place: Path, shown: tuple[Any, Seen, Any], row: Row, e: Evaluation, meta: Any) -> None:
    """One folder of infer_samples/: input, output, truth, and what became of it."""
    place.mkdir(parents=True)
    raw, seen, scores = shown
    correct, said, truth = row.correct, row.prediction, row.truth
    image, array = as_image(raw), np.asarray(raw) if isinstance(raw, (np.ndarray, Tensor)) else np.zeros(0)
    colour = {True: "green", False: "red", None: "gray"}[correct]
    sound = meta["sample_rate"] and image is None and array.size == max((0, *array.shape))
    if image is not None:
        image.save(place / "input.png")
        pictures = [image]
        if e.judge.task in ("segmentation", "regression"):
            made = [("gt.png", as_image(seen.targets[0])), ("output.png", as_image(seen.predictions[0]))]
            for name, picture in made:
                if picture is not None:
                    picture.save(place / name)
                    pictures.append(picture)
        side_by_side(pictures, colour).save(place / "viz.png")
    elif sound:
        draw_sound(place, array, meta["sample_rate"])
    elif array.ndim > 1:
        np.save(place / "input.npy", array)
    else:
        write(place / ("input.txt" if isinstance(raw, str) else "input.json"), raw)
    chances = seen.probabilities[0] if seen.probabilities is not None else None
    output = {"prediction": said, "confidence": row.confidence, "probabilities": chances, "scores": scores}
    small = {k: None if isinstance(v, Tensor) and v.numel() > 4096 else v for k, v in output.items()}
    write(place / "output.json", small)
    write(place / "gt.json", {"truth": truth})
    if e.judge.task == "text":
        write(place / "output.txt", f"{said}\n")
        write(place / "gt.txt", f"{truth}\n")
    write(place / "meta.json", {**meta, "correct": correct, "loss": row.loss})
    verdict = {True: "right", False: "wrong", None: "answer"}[correct]
    sure = "" if row.confidence is None else f" with confidence {row.confidence:.3f}"
    write(place / "summary.txt", f"{verdict}: {said}{sure}, truth {truth}, loss {row.loss:.4g}\n")


def as_image(raw: Any) -> Any:
    """A picture for people (PIL), or None: images, grey ones, and masks, stretched from black to white."""
    try:
        from PIL import Image
    except ImportError:
        return None
    if isinstance(raw, Path) and raw.suffix.lower() in Image.registered_extensions():
        with Image.open(raw) as picture:
            return picture.convert("RGB")
    if isinstance(raw, Image.Image):
        return raw
    pixels = np.asarray(raw) if isinstance(raw, (np.ndarray, Tensor)) else np.zeros(0)
    if pixels.ndim == 3 and pixels.shape[0] in (1, 3) and pixels.shape[2] not in (1, 3):
        pixels = pixels.transpose(1, 2, 0)
    pixels = pixels[..., 0] if pixels.ndim == 3 and pixels.shape[2] == 1 else pixels
    if pixels.ndim not in (2, 3) or min(pixels.shape[:2]) < 4 or (pixels.ndim == 3 and pixels.shape[2] != 3):
        return None
    if pixels.dtype != np.uint8:
        low, high = float(np.nanmin(pixels)), float(np.nanmax(pixels))
        pixels = np.nan_to_num((pixels - low) / ((high - low) or 1) * 255).astype(np.uint8)
    return Image.fromarray(np.ascontiguousarray(pixels))


def side_by_side(pictures: list[Any], colour: str) -> Any:
    """Pictures in a row, large enough to look at, in a frame."""
    from PIL import Image, ImageOps

    large = [ImageOps.contain(p.convert("RGB"), (160, 160), Image.Resampling.NEAREST) for p in pictures]
    row = Image.new("RGB", (sum(p.width + 4 for p in large) - 4, max(p.height for p in large)), "white")
    at = 0
    for picture in large:
        row.paste(picture, (at, 0))
        at += picture.width + 4
    return ImageOps.expand(row, 6, colour)


def draw_sound(place: Path, raw: Any, rate: int) -> None:
    """A waveform as WAV and as a picture."""
    import wave

    from PIL import Image, ImageDraw

    values = np.asarray(raw, dtype=np.float64).reshape(-1)
    loudest = max(1.0, float(np.abs(values).max()))
    with wave.open(str(place / "input.wav"), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes((values / loudest * 32767).astype("<i2").tobytes())
    picture = Image.new("RGB", (480, 120), "white")
    columns = np.array_split(values / loudest, picture.width)
    for x, part in enumerate(columns):
        if len(part):
            ImageDraw.Draw(picture).line((x, 60 - 58 * part.max(), x, 60 - 58 * part.min()), fill="navy")
    picture.save(place / "viz.png")


def read_json(path: Path) -> Any:
    """An empty dict when there is no such file."""
    try:
        value = json.loads(path.read_text(encoding="utf-8-sig")) if path.is_file() else {}
    except ValueError as error:
        raise EvalError(f"{path.name} is not valid JSON: {error}") from error
    if not isinstance(value, dict):
        raise EvalError(f"{path.name} holds no JSON object")
    return value


def write(path: Path, content: Any) -> None:
    """All of it or nothing; what is no text becomes JSON."""
    text = content if isinstance(content, str) else json.dumps(clean(content), indent=2, ensure_ascii=False) + "\n"
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)


def clean(value: Any) -> Any:
    """As JSON knows it: NaN becomes null, tensors and arrays lists, all that is foreign its text."""
    if isinstance(value, Mapping):
        return {str(key): clean(item) for key, item in value.items()}
    if isinstance(value, (Tensor, np.ndarray, np.generic)):
        return clean(value.tolist())
    if isinstance(value, (list, tuple)):
        return [clean(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, (str, int)) else str(value)


def timestamp() -> str:
    return datetime.now().astimezone().isoformat(timespec="seconds")


def sha256(path: Path) -> str:
    """Of a file, or of the names and contents of a folder, without what this script writes there."""
    digest = hashlib.sha256()
    if path.is_file():
        with path.open("rb") as content:
            while block := content.read(1 << 20):
                digest.update(block)
    for file in sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else ():
        name = file.relative_to(path).as_posix()
        if not name.startswith(("_eval/", "infer_samples/", "eval_score.json", "__pycache__/", ".venv/", "venv/")):
            digest.update(f"{name}\0{sha256(file)}\n".encode())
    return digest.hexdigest()


if __name__ == "__main__":
    raise SystemExit(main())
