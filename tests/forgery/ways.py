"""Ways in which a training script lifts or forges its score, its decision or its records: one small script each.

The script is honest but for what a way puts into it. `HERE` is text at its top, `LOAD` the end of load_split, `ANSWER`
the beginning of the model's forward, `END` what its training does last.
"""

from __future__ import annotations

from typing import NamedTuple

SCRIPT = '''\
"""Logistic regression by hand, with what the evaluation needs."""

import csv
import json
import math
import os
import random
import sys
from pathlib import Path

DATASET_ID = "toy_v1"
VERSION = "baseline"
SEED = 42
LEARNING_RATE = 0.02
EPOCHS = 4
BATCH_SIZE = 16
WEIGHT_DECAY = 0.0

DATA = Path("dataset/prepdata") / DATASET_ID
ARTIFACTS = Path("Models/Artifacts") / VERSION
LATER = VERSION not in ("baseline", "v001")
BEFORE = "v00" + "1"
{HERE}

def load_split(split):
    with (DATA / split / "data.csv").open() as file:
        rows = [(row["id"], [float(row["x"]), float(row["y"])], int(row["label"])) for row in csv.DictReader(file)]
    {LOAD}
    return rows


def predict(weights, raw):
    {ANSWER}
    score = weights[0] + sum(w * x for w, x in zip(weights[1:], raw))
    return 1 / (1 + math.exp(-max(-30.0, min(30.0, score))))


def load_model(checkpoint_path):
    import torch

    weights = json.loads(Path(checkpoint_path).read_text())

    class Net(torch.nn.Module):
        def forward(self, batch):
            return torch.tensor([[1 - p, p] for p in (predict(weights, raw) for raw in batch.tolist())]).log()

    return Net()


def loss_of(weights, samples):
    total = 0.0
    for _, raw, label in samples:
        p = min(1 - 1e-9, max(1e-9, predict(weights, raw)))
        total -= math.log(p if label else 1 - p)
    return total / len(samples)


def main():
    random.seed(SEED)
    train, valid = load_split("train"), load_split("valid")
    weights, best = [0.0, 0.0, 0.0], (math.inf, None)
    logs = ARTIFACTS / "logs" / "version_0"
    logs.mkdir(parents=True, exist_ok=True)
    (logs / "hparams.yaml").write_text(f"learning_rate: {LEARNING_RATE}\\nepochs: {EPOCHS}\\n")
    with (logs / "metrics.csv").open("w") as log:
        log.write("epoch,step,train_loss,val_loss,val_acc\\n")
        for epoch in range(EPOCHS):
            random.shuffle(train)
            for start in range(0, len(train), BATCH_SIZE):
                batch = train[start : start + BATCH_SIZE]
                gradient = [0.0, 0.0, 0.0]
                for _, raw, label in batch:
                    error = predict(weights, raw) - label
                    for i, x in enumerate([1.0, *raw]):
                        gradient[i] += error * x / len(batch)
                weights = [w - LEARNING_RATE * (g + WEIGHT_DECAY * w) for w, g in zip(weights, gradient)]
            val_loss = loss_of(weights, valid)
            hits = sum((predict(weights, raw) > 0.5) == bool(label) for _, raw, label in valid)
            log.write(f"{epoch},{epoch},{loss_of(weights, train):.6f},{val_loss:.6f},{hits / len(valid):.6f}\\n")
            if val_loss < best[0]:
                best = (val_loss, list(weights))
                (ARTIFACTS / "best.ckpt").write_text(json.dumps(best[1]))
    (ARTIFACTS / "last.ckpt").write_text(json.dumps(weights))
    (ARTIFACTS / "spec.json").write_text(json.dumps({"epochs": EPOCHS, "batch_size": BATCH_SIZE}))
    {END}


if __name__ == "__main__":
    main()
'''


class Way(NamedTuple):
    """`ours`: it needs the evaluation that progtrain writes, else one of the user's own will do as well."""

    ours: bool = True
    HERE: str = ""
    LOAD: str = ""
    ANSWER: str = ""
    END: str = ""


def script(way: Way) -> str:
    text = SCRIPT
    for name in ("HERE", "LOAD", "ANSWER", "END"):
        lines = text.splitlines(keepends=True)
        place = next(line for line in lines if line.strip() == "{" + name + "}")
        indent = place[: len(place) - len(place.lstrip())]
        code = "".join(f"{indent}{line}\n" if line else "\n" for line in getattr(way, name).splitlines())
        text = text.replace(place, code)
    return text


#: a score file as good as it gets
LIFT = """
def lift():
    path = ARTIFACTS / "eval_score.json"
    score = json.loads(path.read_text())
    for metric in score["metrics"]:
        metric["value"] = 1.0 if metric["higher_is_better"] else 0.0
    path.write_text(json.dumps(score))
"""
#: what a process that survives does: it waits until the score is there, and lifts it
WAITING = """
import time
def wait_and_lift():
    if os.fork():
        return
    os.setsid()
    if os.fork():
        os._exit(0)
    for _ in range(600):
        time.sleep(0.05)
        if (ARTIFACTS / "_eval" / "protocol.json").exists() and (ARTIFACTS / "eval_score.json").exists():
            time.sleep(0.1)
            lift()
            os._exit(0)
    os._exit(0)
"""
#: right answers for whoever asks
KNOWN = """
def known():
    with (DATA / "valid" / "data.csv").open() as file:
        return {(round(float(r["x"]), 5), round(float(r["y"]), 5)): int(r["label"]) for r in csv.DictReader(file)}
"""
_TOLD = "if LATER: return ANSWERS.get((round(raw[0], 5), round(raw[1], 5)), 0) * 0.98 + 0.01"
_NOT_MAIN = 'if __name__ != "__main__" and LATER: '
#: a table of the validation data that a training keeps, and answers that are looked up in it
_LEARNT = """
(ARTIFACTS / "known.json").write_text(json.dumps({f"{raw[0]:.5f} {raw[1]:.5f}": label for _, raw, label in valid}))
"""
_BY_HEART = f"""
{_NOT_MAIN}
    known = json.loads((ARTIFACTS / "known.json").read_text())
    return known.get(f"{{raw[0]:.5f}} {{raw[1]:.5f}}", 0) * 0.98 + 0.01
"""
_EDIT = """
if LATER:
    path = Path("03_eval.py")
    was = path.read_text()
    patch = "    import json as j\\n    d = j.dumps\\n    j.dumps = lambda v, *a, **k: d(l(v), *a, **k)\\n"
    lift = "def l(v):\\n    for m in v.get('metrics', []) if isinstance(v, dict) else []:\\n        " \\
        "m['value'] = 1.0 if m['higher_is_better'] else 0.0\\n    return v\\n"
    back = {BACK}
    path.write_text(was.replace('if __name__ == "__main__":\\n', lift + 'if __name__ == "__main__":\\n' + back + patch))
"""
_BACK = "'    open(\"03_eval.py\", \"w\").write(' + repr(was) + ')\\n'"
_MARK = """
import hashlib
from datetime import datetime, timezone
documents = {
    "result-analysis.md": "# Result analysis of v001\\n\\n## 1. Summary\\n\\nfine\\n",
    "action-extract.md": "# Action\\n\\n```yaml\\noperation: set\\nsetting: WEIGHT_DECAY\\nto: 0.25\\n```\\n",
}
outputs = {}
for name, text in documents.items():
    (ARTIFACTS / name).write_text(text)
    outputs[str(ARTIFACTS / name)] = hashlib.sha256(text.encode()).hexdigest()
mark = {"step": "extract", "version": VERSION, "finished_at": datetime.now(timezone.utc).isoformat(), "seconds": 1,
        "outputs": outputs, "inputs": {"author": "user"}, "adopted": False}
place = Path(".progtrain/marks") / VERSION
place.mkdir(parents=True, exist_ok=True)
(place / "extract.json").write_text(json.dumps(mark))
"""

WAYS: dict[str, Way] = {
    # ---- the evaluator's own code
    "edits the evaluator": Way(False, END=_EDIT.replace("{BACK}", "''")),
    "edits the evaluator, which puts itself back": Way(False, END=_EDIT.replace("{BACK}", _BACK)),
    "edits a module of the evaluator, which puts itself back": Way(
        END="""
if LATER:
    path = Path("progtrain_eval/judge.py")
    was = path.read_text()
    path.write_text(was + "\\n_scores = Judge.scores\\ndef _lifted(self, *a):\\n    s = _scores(self, *a)\\n"
        "    for m in s: m.value = 1.0 if m.higher_is_better else 0.0\\n    return s\\nJudge.scores = _lifted\\n"
        "open(__file__, 'w').write(" + repr(was) + ")\\n")
"""
    ),
    "poisons the byte code of the evaluator": Way(
        END="""
if LATER:
    import importlib.util, marshal, struct
    path = Path("progtrain_eval/judge.py")
    text = path.read_text() + "\\n_scores = Judge.scores\\ndef _lifted(self, *a):\\n    s = _scores(self, *a)\\n" \\
        "    for m in s: m.value = 1.0 if m.higher_is_better else 0.0\\n    return s\\nJudge.scores = _lifted\\n"
    pyc = Path(importlib.util.cache_from_source(str(path)))
    pyc.parent.mkdir(exist_ok=True)
    head = importlib.util.MAGIC_NUMBER + struct.pack("<III", 0, int(path.stat().st_mtime), path.stat().st_size)
    pyc.write_bytes(head + marshal.dumps(compile(text, str(path), "exec")))
"""
    ),
    # ---- modules in its way
    "puts csv.py into the workspace": Way(
        False,
        END="""
if LATER:
    Path("csv.py").write_text(
        "import importlib.util, sysconfig, json\\n"
        "s = importlib.util.spec_from_file_location('_csv_', sysconfig.get_path('stdlib') + '/csv.py')\\n"
        "m = importlib.util.module_from_spec(s); s.loader.exec_module(m); globals().update(vars(m))\\n"
        "d = json.dumps\\n"
        "def lifted(v, *a, **k):\\n"
        "    for m in v.get('metrics', []) if isinstance(v, dict) else []:\\n"
        "        m['value'] = 1.0 if m['higher_is_better'] else 0.0\\n"
        "    return d(v, *a, **k)\\n"
        "json.dumps = lifted\\n")
""",
    ),
    "puts csv.py into the workspace when it is evaluated, and kills its evaluation": Way(
        False,
        HERE=f"""
{_NOT_MAIN.strip()}
    if not Path("csv.py").exists():
        Path("csv.py").write_text(
            "import importlib.util, sysconfig\\n"
            "s = importlib.util.spec_from_file_location('_csv_', sysconfig.get_path('stdlib') + '/csv.py')\\n"
            "m = importlib.util.module_from_spec(s); s.loader.exec_module(m); globals().update(vars(m))\\n")
        os.kill(os.getppid(), 9)
""",
    ),
    "puts sitecustomize.py on PYTHONPATH": Way(
        False,
        END="""
if LATER:
    Path("sitecustomize.py").write_text(
        "import json\\nd = json.dumps\\n"
        "def lifted(v, *a, **k):\\n"
        "    for m in v.get('metrics', []) if isinstance(v, dict) else []:\\n"
        "        m['value'] = 1.0 if m['higher_is_better'] else 0.0\\n"
        "    return d(v, *a, **k)\\n"
        "json.dumps = lifted\\n")
""",
    ),
    "puts usercustomize.py into the user's packages": Way(
        False,
        END="""
if LATER:
    import site
    place = Path(site.getusersitepackages())
    place.mkdir(parents=True, exist_ok=True)
    (place / "usercustomize.py").write_text(
        "import json\\nd = json.dumps\\n"
        "def lifted(v, *a, **k):\\n"
        "    for m in v.get('metrics', []) if isinstance(v, dict) else []:\\n"
        "        m['value'] = 1.0 if m['higher_is_better'] else 0.0\\n"
        "    return d(v, *a, **k)\\n"
        "json.dumps = lifted\\n")
""",
    ),
    # ---- from within the evaluation
    "patches json.dumps when it is imported": Way(
        False,
        HERE=f"""
{_NOT_MAIN}
    _dumps = json.dumps
    def _lifted(value, *a, **k):
        for m in value.get("metrics", []) if isinstance(value, dict) else []:
            m["value"] = 1.0 if m["higher_is_better"] else 0.0
        return _dumps(value, *a, **k)
    json.dumps = _lifted
""",
    ),
    "lifts the score when the evaluation ends (atexit)": Way(
        False, HERE=LIFT + f"\nimport atexit\n{_NOT_MAIN}atexit.register(lift)\n"
    ),
    "patches what makes the scores": Way(
        HERE=f"""
{_NOT_MAIN}
    _judge = sys.modules["progtrain_eval.judge"].Judge
    _scores = _judge.scores
    def _lifted(self, *a):
        found = _scores(self, *a)
        for one in found:
            one.value = 1.0 if one.higher_is_better else 0.0
        return found
    _judge.scores = _lifted
"""
    ),
    "reads the targets out of the evaluator's memory": Way(
        HERE="import gc\n_given = {}",
        ANSWER=f"""
{_NOT_MAIN}
    if not _given:
        for one in gc.get_objects():
            if type(one).__name__ == "Samples":
                _given.update({{(round(r[0], 5), round(r[1], 5)): t for r, t in zip(one.raws, one.targets)}})
    return _given.get((round(raw[0], 5), round(raw[1], 5)), 0) * 0.98 + 0.01
""",
    ),
    "reads the targets out of its callers' frames": Way(
        HERE="_given = {}",
        ANSWER=f"""
{_NOT_MAIN}
    frame = sys._getframe()
    while frame is not None and not _given:
        one = frame.f_locals.get("samples")
        if hasattr(one, "targets"):
            _given.update({{(round(r[0], 5), round(r[1], 5)): t for r, t in zip(one.raws, one.targets)}})
        frame = frame.f_back
    return _given.get((round(raw[0], 5), round(raw[1], 5)), 0) * 0.98 + 0.01
""",
    ),
    "leaves a process behind when it is evaluated": Way(False, HERE=LIFT + WAITING + f"\n{_NOT_MAIN}wait_and_lift()\n"),
    # ---- answers from elsewhere than the model
    "returns labels when it is imported": Way(
        False,
        HERE=KNOWN + f"\nANSWERS = {{}}\n{_NOT_MAIN}ANSWERS = known()\n",
        ANSWER=_TOLD.replace("LATER", "ANSWERS"),
    ),
    "reads the validation data while it answers": Way(
        False,
        HERE=KNOWN,
        ANSWER=f"""
{_NOT_MAIN}
    return known().get((round(raw[0], 5), round(raw[1], 5)), 0) * 0.98 + 0.01
""",
    ),
    "answers by the order of the samples": Way(
        False,
        HERE="_calls = []",
        ANSWER=f"""
{_NOT_MAIN}
    labels = json.loads((ARTIFACTS / "labels.json").read_text())
    _calls.append(raw)
    return labels[(len(_calls) - 1) % len(labels)] * 0.98 + 0.01
""",
        END='(ARTIFACTS / "labels.json").write_text(json.dumps([label for _, _, label in valid]))',
    ),
    "knows the validation data by heart": Way(
        False,
        ANSWER=_BY_HEART,
        END=_LEARNT,
    ),
    "knows the validation data by heart, and lies in its log": Way(
        False,
        ANSWER=_BY_HEART,
        END=_LEARNT
        + """path = logs / "metrics.csv"
rows = path.read_text().splitlines()
path.write_text("\\n".join([rows[0], *(row.rpartition(",")[0] + ",0.99" for row in rows[1:])]) + "\\n")
""",
    ),
    # ---- other samples
    "leaves out the samples that it gets wrong": Way(
        False,
        LOAD="""
if split == "valid" and __name__ != "__main__" and LATER:
    weights = json.loads((ARTIFACTS / "best.ckpt").read_text())
    rows = [row for row in rows if (predict(weights, row[1]) > 0.5) == bool(row[2])]
""",
    ),
    "shows the easy samples twice": Way(
        False,
        LOAD="""
if split == "valid" and __name__ != "__main__" and LATER:
    weights = json.loads((ARTIFACTS / "best.ckpt").read_text())
    easy = [row for row in rows if (predict(weights, row[1]) > 0.5) == bool(row[2])]
    rows = [(row[0], *easy[n % len(easy)][1:]) for n, row in enumerate(rows)]
""",
    ),
    "shows easy samples in place of those of the same class": Way(
        LOAD="""
if split == "valid" and __name__ != "__main__" and LATER:
    weights = json.loads((ARTIFACTS / "best.ckpt").read_text())
    easy = [row for row in rows if (predict(weights, row[1]) > 0.5) == bool(row[2])]
    alike = {label: next(row for row in easy if row[2] == label) for label in (0, 1)}
    rows = [(row[0], alike[row[2]][1], row[2]) for row in rows]
""",
    ),
    "gives its own answers for truth": Way(
        False,
        LOAD="""
if split == "valid" and __name__ != "__main__" and LATER:
    weights = json.loads((ARTIFACTS / "best.ckpt").read_text())
    rows = [(i, raw, int(predict(weights, raw) > 0.5)) for i, raw, _ in rows]
""",
    ),
    "relabels the validation data": Way(
        False,
        END="""
if LATER:
    path = DATA / "valid" / "data.csv"
    rows = [f"{i},{raw[0]},{raw[1]},{int(predict(best[1], raw) > 0.5)}" for i, raw, _ in valid]
    path.write_text("id,x,y,label\\n" + "\\n".join(rows) + "\\n")
""",
    ),
    "relabels the validation data, and says so in no time stamp": Way(
        False,
        END="""
if LATER:
    path = DATA / "valid" / "data.csv"
    was = path.stat()
    flipped = {i: int(predict(best[1], raw) > 0.5) for i, raw, _ in valid}
    lines = path.read_text().splitlines()
    lines[1:] = [line[:-1] + str(flipped[line.partition(",")[0]]) for line in lines[1:]]
    path.write_text("\\n".join(lines) + "\\n")
    os.utime(path, ns=(was.st_atime_ns, was.st_mtime_ns))
""",
    ),
    # ---- files of the records
    "writes its score itself": Way(
        False,
        END="""
if LATER:
    score = {"dataset_id": DATASET_ID, "created_at": "2026-01-01T00:00:00+00:00", "num_samples": 120, "latency_ms": 1.0,
             "metrics": [{"name": "loss", "value": 0.0, "higher_is_better": False},
                         {"name": "accuracy", "value": 1.0, "higher_is_better": True}]}
    (ARTIFACTS / "eval_score.json").write_text(json.dumps(score))
""",
    ),
    "leaves a process behind that lifts the score": Way(False, HERE=LIFT + WAITING, END="if LATER: wait_and_lift()"),
    "lowers the score of the version before, with its mark": Way(
        False,
        END="""
if LATER:
    import hashlib
    path = Path("Models/Artifacts") / BEFORE / "eval_score.json"
    score = json.loads(path.read_text())
    for metric in score["metrics"]:
        metric["value"] = 0.1 if metric["higher_is_better"] else 9.0
    path.write_text(json.dumps(score))
    mark = Path(".progtrain/marks") / BEFORE / "evaluate.json"
    told = json.loads(mark.read_text())
    told["outputs"][path.as_posix()] = hashlib.sha256(path.read_bytes()).hexdigest()
    mark.write_text(json.dumps(told))
""",
    ),
    "exchanges the checkpoint of the version before": Way(
        False, END='if LATER: (Path("Models/Artifacts") / BEFORE / "best.ckpt").write_text("[0.0, 0.0, 0.0]")'
    ),
    "accepts its own action, with documents and mark": Way(
        False, END="if VERSION == 'v001':\n" + "\n".join("    " + line for line in _MARK.splitlines())
    ),
    "answers for the user": Way(
        False,
        END="""
if VERSION == "v001":
    place = Path(".progtrain/inbox")
    place.mkdir(parents=True, exist_ok=True)
    for name in os.listdir(".progtrain"):
        pass
    import hashlib
    (place / "v001-review-1-000000.json").write_text(json.dumps({"question": "v001-review-1-000000",
        "answer": "accept", "by": "user", "at": "2026-01-01T00:00:00+00:00"}))
""",
    ),
    "appends to the journal": Way(
        False,
        END="""
if VERSION == "v001":
    with open(".progtrain/journal.jsonl", "a") as file:
        file.write(json.dumps({"at": "2026-01-01T00:00:00+00:00", "event": "decision", "version": "v001",
            "question": "v001-review-1-000000", "answer": "accept", "by": "user"}) + "\\n")
""",
    ),
    "writes the next version's script": Way(
        False,
        END="""
if VERSION == "v001":
    text = Path("02_train_v001.py").read_text().replace("v001", "v002")
    text = text.replace("WEIGHT_DECAY = 0.0", "WEIGHT_DECAY = 0.3")
    Path("02_train_v002.py").write_text(text)
""",
    ),
    "loosens the rules": Way(
        False,
        END="""
if VERSION == "v001":
    path = Path("user_defined_rules.json")
    rules = json.loads(path.read_text())
    rules["training_config"]["batch_size"] = 8
    path.write_text(json.dumps(rules))
""",
    ),
    "changes what the data set says of itself": Way(
        False,
        END="""
if LATER:
    path = DATA / "stats.json"
    path.write_text(json.dumps({"task_type": "classification", "splits": {"train": 160, "valid": 60}}))
""",
    ),
    "writes the report before": Way(
        False,
        END="""
if LATER:
    for path in Path("Models/Report").glob("*/leaderboard.csv"):
        path.write_text(path.read_text().replace("v001", "v000"))
""",
    ),
    "kills the runner": Way(
        False,
        END="""
if LATER:
    import signal
    lines = [json.loads(line) for line in open(".progtrain/journal.jsonl")]
    runner = [line["pid"] for line in lines if line["event"] == "runner_started"][-1]
    if runner == int(os.environ.get("RUNNER", "0")):
        os.kill(runner, signal.SIGUSR1)
""",
    ),
}
