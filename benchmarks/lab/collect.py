"""What changes really bring: from many states, several candidates each, trained and measured on held-out samples.

A state is a version with its past; for each candidate that is tried from it there is one row: the error on validation
and on held-out samples before and after, and the verdict of the paired comparison on the held-out ones. The past is
made by going on with one of the tried candidates, the best, the rules' first, or any. The same seed gives the same
state as long as engine and packages are the same.
"""

from __future__ import annotations

import gzip
import json
import math
import random
import shutil
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.lab.bench import Bench, Score, gain
from benchmarks.lab.scripts import random_start, write_workspace
from benchmarks.lab.tasks import make_task
from benchmarks.lab.warm import WarmPython
from progtrain.advisor.interface import Candidate
from progtrain.engine.analysis.types import Insight
from progtrain.engine.errors import InputError

#: of the candidates: so many from the top of the rules' ranking, and so many of the others
FIRST, OTHERS = 5, 4
#: how many versions a past may have
DEPTHS = (1, 1, 2, 2, 3, 4)


def collect(folder: Path, first: int, count: int, *, nice: int = 10, stop: Path | None = None) -> None:
    """One file a task, `<seed>.json.gz`; what is there already is not done again. Ends early where `stop` appears.

    The workspaces stay beside it, without the trials, so that the engine can be asked again what it makes of them.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "workspaces").mkdir(exist_ok=True)
    with WarmPython(nice=nice) as warm:
        for seed in range(first, first + count):
            target = folder / f"{seed}.json.gz"
            if target.exists():
                continue
            if stop and stop.exists():
                return
            root = folder / "workspaces" / str(seed)
            shutil.rmtree(root, ignore_errors=True)
            states = explore(root, seed, warm)
            _tidy(root)
            fresh = target.with_suffix(".new")
            fresh.write_bytes(gzip.compress(json.dumps(states).encode(), mtime=0))
            fresh.replace(target)
            print(f"{seed}: {len(states)} states, {sum(len(s['trials']) for s in states)} trials", flush=True)


def revisit(folder: Path, first: int, count: int, *, nice: int = 10) -> None:
    """What today's rules put among the first and nobody had tried yet is tried from the states that were collected.

    For when the engine offers other changes, or other sizes of them, than it did then.
    """
    with WarmPython(nice=nice) as warm:
        for seed in range(first, first + count):
            target = folder / f"{seed}.json.gz"
            states = json.loads(gzip.decompress(target.read_bytes())) if target.exists() else []
            for state in states:
                with tempfile.TemporaryDirectory(prefix="progtrain-lab-") as place:
                    root = Path(place) / "workspace"
                    shutil.copytree(folder / "workspaces" / str(seed), root)
                    make_task(seed).write(root)
                    state["trials"] += _tried_again(root, state, warm)
            if states:
                target.write_bytes(gzip.compress(json.dumps(states).encode(), mtime=0))
                print(f"{seed}: {sum(len(s['trials']) for s in states)} trials", flush=True)


def _tried_again(root: Path, state: dict[str, Any], warm: WarmPython) -> list[dict[str, Any]]:
    bench, version = Bench(root, warm), state["version"]
    made = bench.ws.versions()
    for later in made[made.index(version) + 1 :]:
        bench.ws.script(later).unlink()
        shutil.rmtree(bench.ws.version(later).path, ignore_errors=True)
    insight = bench.look(version)
    known = {(trial["id"], trial["change"]) for trial in state["trials"]}
    scores = {v: (Score(math.nan, valid), Score(math.nan, held)) for v, (valid, held) in state["errors"].items()}
    fresh = [c for c in insight.candidates[:FIRST] if (c.id, c.change) not in known]
    rows = [_trial(bench, version, candidate, scores, insight.best) for candidate in fresh]
    return [row for row in rows if row is not None]


def _tidy(root: Path) -> None:
    shutil.rmtree(root / ".progtrain" / "trials", ignore_errors=True)
    for heavy in [*root.rglob("*.ckpt"), *root.rglob("test/data.npz")]:
        heavy.unlink()


def explore(root: Path, seed: int, warm: WarmPython) -> list[dict[str, Any]]:
    """The states of one task with their trials."""
    task = make_task(seed)
    start, rules = random_start(task, seed)
    root.mkdir()
    write_workspace(root, task, start, **rules)
    about = {
        "seed": seed,
        "family": task.family,
        "classes": task.classes,
        "faults": list(task.faults),
        "metric": rules["metric"],
        "plain": start.plain,
    }
    rng = random.Random(seed)
    try:
        bench = Bench(root, warm)
        return _walk(bench, about, rng, rng.choice(DEPTHS))
    except InputError as error:
        print(f"{seed}: left out: {error}", flush=True)
        return []


def _walk(bench: Bench, about: dict[str, Any], rng: random.Random, depth: int) -> list[dict[str, Any]]:
    version, states = "v001", []
    if not bench.train(version):
        return []
    scores: dict[str, tuple[Score, Score]] = {}
    here = bench.both(version)
    if here is None:
        return []
    scores[version] = here
    for step in range(depth):
        insight = bench.look(version)
        trials = _try_out(bench, version, insight, scores, rng)
        if not trials:
            break
        states.append(
            {
                **about,
                "version": version,
                "best": insight.best,
                "errors": {v: [valid.error, held.error] for v, (valid, held) in scores.items()},
                "briefing": insight.briefing().model_dump(mode="json"),
                "trials": trials,
            }
        )
        if step + 1 == depth:
            break
        alive = [t for t in trials if t["valid"] is not None]
        if not alive:
            break
        going = _go_on_with(alive, rng)
        candidate = insight.candidate(going["id"])
        assert candidate is not None
        following = going["made"]
        bench.take_back(following, going["id"], candidate)
        scores[following] = (Score(going["valid_metric"], going["valid"]), Score(going["held_metric"], going["held"]))
        shutil.rmtree(bench.ws.own / "trials")
        version = following
    return states


def _go_on_with(trials: list[dict[str, Any]], rng: random.Random) -> dict[str, Any]:
    way = rng.random()
    if way < 0.45:
        return min(trials, key=lambda t: t["valid"])
    return trials[0] if way < 0.65 else rng.choice(trials)


def _try_out(
    bench: Bench,
    version: str,
    insight: Insight,
    scores: dict[str, tuple[Score, Score]],
    rng: random.Random,
) -> list[dict[str, Any]]:
    ranked = list(insight.candidates)
    others = ranked[FIRST:]
    chosen = ranked[:FIRST] + rng.sample(others, min(OTHERS, len(others)))
    rows = [_trial(bench, version, candidate, scores, insight.best) for candidate in chosen]
    return [row for row in rows if row is not None]


def _trial(
    bench: Bench, version: str, candidate: Candidate, scores: dict[str, tuple[Score, Score]], best: str
) -> dict[str, Any] | None:
    """None where the candidate cannot be applied. A training that fails is a row like any other."""
    try:
        made = bench.author(version, candidate)
    except InputError:
        return None
    both = bench.both(made) if bench.train(made) else None
    base = candidate.base or version
    row: dict[str, Any] = {
        "id": candidate.id,
        "change": candidate.change,
        "rank": candidate.rank,
        "score": candidate.score,
        "base": base,
        "made": made,
        "seconds": round(bench.seconds, 3),
        "valid": None,
        "held": None,
        "verdict": "failed",
        "gain": -3.0,
    }
    if both:
        valid, held = both
        row |= {"valid": valid.error, "held": held.error, "valid_metric": valid.metric, "held_metric": held.metric}
        row["verdict"] = bench.held_out_verdict(made, bench.ws.version(base).path / "held_out")
        # what counts is the best of all versions: the same measure for whatever is done from here
        row["gain"] = round(gain(scores[best][1].error, held.error), 5)
    bench.put_away(made, candidate.id)
    return row
