"""(f) Experiments of many runs, on a cluster whose programs are simulated: looks, status, memory, the index."""

from __future__ import annotations

import json
import math
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import yaml

from benchmarks.common import alternate, seconds, told, verdict
from benchmarks.terminal import Terminal, app_command
from progtrain.engine.experiment import folder as folders
from progtrain.engine.experiment.carry import Carrier
from progtrain.engine.experiment.logbook import Logbook
from progtrain.engine.experiment.opening import opened
from progtrain.engine.experiment.results import Row
from progtrain.engine.experiment.stages import scaffold
from progtrain.engine.files import read_json
from progtrain.engine.jobs.slurm import Slurm
from progtrain.engine.workspace import JobFolder, Workspace
from tests.jobs.cluster import Cluster, missing, until

RUNS, MANY = 300, 5000
ROUNDS = 11
_PROGTRAIN = str(Path(sys.executable).with_name("progtrain"))
_POLL = 30.0
#: of the index: experiments, and runs in each
_EXPERIMENTS, _EACH = 400, 50
_KEYS = 50
#: given to a real Slurm
_SLURM_RUNS = 8

_SBATCH = """#!/bin/sh
[ "$1" = --test-only ] && exit 0
read number < {0}/last
number=$((number + 1))
echo $number > {0}/last
echo "$number $PWD" >> {0}/submitted
echo $number
"""
_SQUEUE = "#!/bin/sh\necho asked >> {0}/asked\ncat {0}/queue\n"


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="progtrain-bench-") as folder:
        os.environ |= {"XDG_CACHE_HOME": f"{folder}/cache", "XDG_STATE_HOME": f"{folder}/state"}
        ws = Workspace(Path(folder) / "lab")
        few = carried_out(Workspace(Path(folder) / "few"), RUNS // 10)
        some = carried_out(ws, RUNS)
        compared(few, some)
        _status(ws, RUNS)
        _keys(ws, RUNS)
        _index(Path(folder) / "many")
        _overhead(Path(folder) / "real")


def many() -> None:
    """5,000 runs: some minutes."""
    with tempfile.TemporaryDirectory(prefix="progtrain-bench-") as folder:
        ws = Workspace(Path(folder) / "lab")
        compared(carried_out(ws, MANY // 10), carried_out(ws, MANY))


# a cluster that takes every job, and ends all of them when it is told to


class Simulated:
    """Programs on PATH that are called like Slurm's."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        programs = folder / "bin"
        programs.mkdir(parents=True)
        (folder / "last").write_text("0\n")
        for name in ("submitted", "queue", "asked"):
            (folder / name).touch()
        for name, text in {"sbatch": _SBATCH, "squeue": _SQUEUE, "scancel": "#!/bin/sh\n"}.items():
            (programs / name).write_text(text.format(folder))
            (programs / name).chmod(0o755)
        os.environ["PATH"] = f"{programs}:{os.environ['PATH']}"
        self._ended = 0

    @property
    def asked(self) -> int:
        return len((self._folder / "asked").read_text().splitlines())

    def list_jobs(self) -> None:
        """Puts what was submitted since the jobs ended into the queue."""
        widths = (20, 128, 24, 80, 8, 12, 200)
        rows = [(number, "", "PENDING", "Priority", "0", "0", "") for number, _ in self._jobs()]
        lines = ["".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
        (self._folder / "queue").write_text("\n".join([*lines, ""]))

    def end_jobs(self) -> None:
        """As their guards would tell it, with what training and evaluation write."""
        at = datetime.now(UTC)
        told = {"status": "ended", "host": "n1", "pid": 1, "create_time": 1.0, "node": "n1", "exit_code": 0}
        told |= {"started_at": (at - timedelta(seconds=60)).isoformat(), "ended_at": at.isoformat()}
        jobs = self._jobs()
        for number, folder in jobs:
            job = JobFolder(Path(folder))
            environment = read_json(job.job)["environment"]
            output, made = environment.get("PROGTRAIN_OUTPUT"), Path(environment["PROGTRAIN_ARTIFACTS"])
            if output:
                score = {"metrics": {"accuracy": 0.5}, "num_samples": 4}
                (Path(output) / "eval_score.json").write_text(json.dumps(score))
            else:
                made.mkdir(parents=True, exist_ok=True)
                (made / "best.json").write_text("{}")
            job.state.write_text(json.dumps({**told, "job": number}))
        self._ended += len(jobs)
        self.list_jobs()

    def _jobs(self) -> list[list[str]]:
        lines = (self._folder / "submitted").read_text().splitlines()
        return [line.split(" ", 1) for line in lines[self._ended :]]


def make_plan(ws: Workspace, name: str, count: int) -> None:
    """`count` runs with one evaluation each; `count` is a multiple of ten."""
    ws.root.mkdir(exist_ok=True)
    for script in ("train.py", "evaluate.py"):
        (ws.root / script).write_text("# runs nowhere: its cluster is simulated\n")
    plan = {
        "experiment": {"name": name, "question": "Does rank matter?"},
        "tools": {"training": "command", "evaluation": ["command"]},
        "base": {"command": ["python", "train.py", "{rank=4}", "{rate=0.5}", "{artifacts}"]},
        "variables": {"rank": list(range(1, count // 10 + 1)), "rate": [at / 10 for at in range(1, 11)]},
        "resources": {"executor": "slurm", "poll": int(_POLL), "max_queued": count, "time": 10},
        "evaluation": {"tasks": [{"name": "caps", "command": ["python", "evaluate.py", "{checkpoint}", "{output}"]}]},
    }
    folder = folders.folder(ws, name)
    folder.path.mkdir(parents=True)
    folder.plan.write_text(yaml.safe_dump(plan, sort_keys=False))


def carried_out(ws: Workspace, count: int) -> dict[str, float]:
    """What a runner's work on so many runs took: seconds of each kind of turn, and bytes of memory at most."""
    name = f"of{count}"
    make_plan(ws, name, count)
    command = [sys.executable, "-m", "benchmarks.experiments", str(ws.root), name]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found | {"runs": count}


def compared(few: dict[str, float], many: dict[str, float]) -> None:
    names = {
        "scaffold": "scaffold",
        "submit": "submit trainings",
        "quiet": "look at all of them in the queue",
        "take": "take in that all have ended",
        "evaluate": "submit evaluations",
        "last": "take in that all have ended",
        "done": "look at all of them done",
    }
    for key, label in names.items():
        print(f"{label:46} {few['runs']:.0f} runs {few[key]:8.3f} s, {many['runs']:.0f} runs {many[key]:8.3f} s")
        verdict("  a run's share has grown by the factor", many[key] / few[key] / (many["runs"] / few["runs"]), 1.5)
    verdict("memory of the runner", many["memory"] / 2**20, 300, " MiB")
    verdict("questions to Slurm a look", many["asked"] / many["looks"], 1)


def _runner(ws: Workspace, name: str) -> None:
    """In a process of its own: the work of a runner, with a clock that jumps to the next look."""
    cluster = Simulated(Path(tempfile.mkdtemp(dir=ws.root.parent)))
    at = [0.0]
    executor = Slurm(_POLL, clock=lambda: at[0])
    found: dict[str, float] = {}

    def measured(key: str, begun: float) -> None:
        found[key] = time.perf_counter() - begun

    begun = time.perf_counter()
    experiment = opened(ws, name)
    scaffold.run(experiment, executor)
    measured("scaffold", begun)
    carrier = Carrier(experiment, executor, Logbook(experiment.folder, "run"))
    carrier.refuse_unready()
    for begins, ends in (("submit", "take"), ("evaluate", "last")):
        _until_quiet(carrier, begins, found)
        cluster.list_jobs()
        quiet = []
        for _ in range(3):
            at[0] += 4 * _POLL
            asked, begun = cluster.asked, time.perf_counter()
            carrier.turn()
            quiet.append(time.perf_counter() - begun)
            found["looks"] = found.get("looks", 0) + 1
            found["asked"] = found.get("asked", 0) + cluster.asked - asked
        found.setdefault("quiet", statistics.median(quiet))
        cluster.end_jobs()
        begun = time.perf_counter()
        carrier.turn()
        measured(ends, begun)
    _until_quiet(carrier, "rest", found)
    begun = time.perf_counter()
    carrier.turn()
    measured("done", begun)
    assert all(held.phase == "done" for held in carrier.states), carrier.states[0]
    found["memory"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps(found))


def _until_quiet(carrier: Carrier, key: str, found: dict[str, float]) -> None:
    begun = time.perf_counter()
    while carrier.turn()[0]:
        pass
    found[key] = time.perf_counter() - begun


def _status(ws: Workspace, count: int) -> None:
    for words in (("status", f"of{count}"), ("list",)):
        command = [_PROGTRAIN, "-C", str(ws.root), "experiment", *words]
        empty, full = alternate(
            ROUNDS,
            lambda: seconds([sys.executable, "-c", "pass"], ws.root),
            lambda command=command: seconds(command, ws.root),  # type: ignore[misc]
        )
        told("an empty Python", empty)
        told(f"progtrain experiment {words[0]}, {count} runs", full)
        over = statistics.median(full) - statistics.median(empty)
        if words[0] == "status":
            verdict("over an empty Python, medians", over, 0.3, " s")


def _keys(ws: Workspace, count: int) -> None:
    """In the table of an experiment: the cursor goes down."""
    for script in ("01_data_pipeline.py", "02_train_baseline.py", "02_train_v001.py"):
        (ws.root / script).write_text("print('nothing')\n")
    with Terminal(app_command(ws.root)) as terminal:
        terminal.settle(2.5)
        terminal.send("7")
        # the only experiment is opened by itself
        terminal.seconds_until(lambda text: "rank1_rate0.1" in text, 30.0)
        terminal.settle(2.5)
        times = []
        for _ in range(_KEYS):
            terminal.drain(0.1)
            terminal.send("j")
            times.append(terminal.seconds_until(lambda text: "rank" in text, 10.0) * 1000)
        verdict(f"app, {count} runs: key to frame, median", statistics.median(times), 50, " ms")
        verdict("  99th percentile", sorted(times)[math.ceil(0.99 * len(times)) - 1], 50, " ms")


def _overhead(root: Path) -> None:
    """What a run takes longer than the same script given to sbatch, on a real Slurm."""
    if why := missing():
        print(f"no Slurm here ({why}): not measured what a run takes over sbatch of its script")
        return
    ws = Workspace(root / "lab")
    ws.root.mkdir(parents=True)
    (ws.root / "train.py").write_text("import sys; open(sys.argv[1] + '/best.json', 'w').write('{}')\n")
    with Cluster(root / "cluster") as cluster:
        os.environ |= {"PATH": cluster.environment["PATH"], "SLURM_CONF": str(cluster.conf)}
        bare, ours = alternate(3, lambda: _bare(ws, cluster), lambda: _ours(ws))
    told(f"sbatch of {_SLURM_RUNS} scripts, until all have ended", bare)
    told(f"an experiment of {_SLURM_RUNS} runs, scaffolded and carried out", ours)
    over = (statistics.median(ours) - statistics.median(bare)) / _SLURM_RUNS
    verdict("  a run over sbatch of its script, medians", over, 1, " s")


def _bare(ws: Workspace, cluster: Cluster) -> float:
    out = Path(tempfile.mkdtemp(dir=ws.root))
    begun = time.perf_counter()
    command = f"{sys.executable} {ws.root / 'train.py'}"
    for number in range(_SLURM_RUNS):
        (out / str(number)).mkdir()
        cluster.run("sbatch", "--cpus-per-task=1", "--output=/dev/null", f"--wrap={command} {out / str(number)}")
    until(lambda: len(list(out.glob("*/best.json"))) == _SLURM_RUNS, "they did not end", 120)
    return time.perf_counter() - begun


def _ours(ws: Workspace) -> float:
    name = f"at{time.monotonic_ns()}"
    folder = folders.folder(ws, name)
    plan = {
        "experiment": {"name": name, "question": "?"},
        "tools": {"training": "command", "evaluation": []},
        "base": {"command": ["python", "train.py", "{artifacts}", "{rank=4}"]},
        "variables": {"rank": list(range(1, _SLURM_RUNS + 1))},
        "resources": {"executor": "slurm", "time": 10, "cpus": 1},
    }
    folder.path.mkdir(parents=True)
    folder.plan.write_text(yaml.safe_dump(plan, sort_keys=False))
    command = [_PROGTRAIN, "-C", str(ws.root), "experiment"]
    return sum(seconds([*command, verb, name], ws.root, dict(os.environ)) for verb in ("scaffold", "run"))


def _index(root: Path) -> None:
    make_results(root)
    ws = Workspace(root)
    # its import is no part of the search
    from progtrain.engine.experiment import query

    begun = time.perf_counter()
    query.search("rank>8", ws, limit=50)
    print(f"{f'index of {_EXPERIMENTS * _EACH:,} runs: made in':46} {time.perf_counter() - begun:8.3f} s")
    for asked in ("rank>8 metric:accuracy>.8 capital", "rank>8", "capital", "metric:loss<.5 lr=1e-5 state:done"):
        took = []
        for _ in range(5):
            begun = time.perf_counter()
            query.search(asked, ws, limit=50)
            took.append(time.perf_counter() - begun)
        verdict(f"  searched for {asked}, median", statistics.median(took), 0.2, " s")


def make_results(root: Path) -> None:
    """Of experiments that were carried out long ago."""
    words = ["capital", "rank", "rate", "warmup", "schedule", "dropout", "width", "depth", "batch", "adapter", "merge"]
    for number in range(_EXPERIMENTS):
        folder = folders.folder(Workspace(root), f"exp{number}")
        folder.path.mkdir(parents=True)
        question = " ".join(words[(number + at) % len(words)] for at in (0, 3, 5))
        plan = {"experiment": {"name": folder.name, "question": f"{question}?"}}
        folder.plan.write_text(yaml.safe_dump(plan | {"base": {"script": "02_train_v001.py"}}))
        folder.results.write_text("".join(f"{_row(folder.name, at)}\n" for at in range(_EACH)))


def _row(experiment: str, at: int) -> str:
    share = (at * 37 % 100) / 100
    settings = {"rank": 4 << at % 4, "learning_rate": (1e-5, 1e-4)[at % 2], "epochs": 3, "optimizer": "adamw"}
    measured = [("accuracy", share, True), ("loss", 1 - share, False)]
    row = {
        "run": f"run{at}",
        "point": f"run{at}",
        "task": "caps",
        "epoch": "best",
        "parameters": {"rank": settings["rank"], "learning_rate": settings["learning_rate"]},
        "metrics": [{"name": name, "value": value, "higher_is_better": up} for name, value, up in measured],
    }
    return Row.model_validate(
        {"experiment": experiment, "state": "done", "settings": settings, **row}
    ).model_dump_json()


if __name__ == "__main__":
    _runner(Workspace(Path(sys.argv[1])), sys.argv[2])
