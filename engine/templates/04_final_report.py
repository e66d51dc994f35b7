"""Ranks all versions and external models under one protocol, and says why the best are the best.

    python 04_final_report.py [--output DIR]

This file is yours: read it, change it, run it alone. What it shares with 03_eval.py lies
beside it in progtrain_eval/. It reads Models/Artifacts/v*/ and Models/external/*/, and writes leaderboard.csv,
final-analysis.md and a copy of the best trained version into Models/Report/{date}/.
Scores whose evaluator, data, seed or checkpoint are not the present ones are made again with 03_eval.py; those that
do not say how they were made are taken as they are, with a warning.
"""

from __future__ import annotations

import argparse
import csv
import io
import itertools
import json
import math
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from progtrain_eval.common import evaluator_sha256, sha256
from progtrain_eval.names import canonical

ROOT = Path(__file__).resolve().parent
ARTIFACTS = ROOT / "Models" / "Artifacts"
EXTERNAL = ROOT / "Models" / "external"
REPORTS = ROOT / "Models" / "Report"
EVALUATOR = ROOT / "03_eval.py"
#: Remembers that the test data were looked at: they can judge once only.
FINAL_TEST = REPORTS / "final_test.json"
#: What each version came to with other seeds.
REPEATS = ROOT / ".progtrain" / "repeats"
#: In the report's folder, where the loop made the report: what the best one's lead is worth.
CONFIRMED = "confirmed.json"
#: Reasons there that another evaluation takes away.
SCORED_AGAIN = ("was scored by another", "was scored before", "has another")
NOT_MEASURED = "seed noise not measured"
CHOSEN_FROM = 3


class ReportError(Exception):
    """What the user can fix: shown as one line."""


@dataclass
class Entry:
    """One row of the leaderboard."""

    id: str
    folder: Path
    trained: bool
    dataset_id: str = ""
    created_at: str = ""
    latency_ms: float | None = None
    num_samples: int = 0
    #: name -> value; a repeated name got `__2`, `__3`; None where it is not a number
    metrics: dict[str, float | None] = field(default_factory=dict)
    directions: dict[str, bool] = field(default_factory=dict)
    #: what answered -> share of the samples, where the evaluation says so
    served_by: dict[str, float] = field(default_factory=dict)
    #: why the loop compares it with no other version
    left_out: str = ""

    @property
    def mixed(self) -> bool:
        """More than one path answered: it is shown, and not ranked."""
        return len(self.served_by) > 1

    @property
    def unranked(self) -> bool:
        return self.mixed or bool(self.left_out)

    @property
    def kind(self) -> str:
        """What a reader of its rank should know."""
        told = [] if self.trained else ["external"]
        told += [f"mixed, not ranked: {served(self)}"] if self.mixed else []
        told += [f"not ranked: {self.left_out}"] if self.left_out else []
        answered = self.metrics.get("answered")
        told += [f"answered {percent(answered)}"] if answered is not None and answered < 1 and not self.mixed else []
        return f" ({', '.join(told)})" if told else ""

    @property
    def artifact(self) -> Path:
        return self.folder / ("best.ckpt" if self.trained else "inference_sample.py")


@dataclass(frozen=True)
class Rules:
    primary: str
    #: None: as the scores say
    higher_is_better: bool | None
    seed: int
    final_test: bool


@dataclass
class Notes:
    """What the reader must know beside the ranking."""

    warnings: list[str] = field(default_factory=list)
    #: version -> why its score was made again
    again: dict[str, str] = field(default_factory=dict)
    #: versions whose score was made elsewhere
    unproven: list[str] = field(default_factory=list)

    def warn(self, text: str) -> None:
        self.warnings.append(text)
        print(f"warning: {text}", flush=True)


# ---- reading


def read_json(path: Path) -> Any:
    """None when it is missing or torn."""
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError):
        return None


def read_rules() -> Rules:
    path = ROOT / "user_defined_rules.json"
    data = read_json(path)
    if data is None and path.exists():
        raise ReportError(f"{path.name} is not valid JSON")
    data = data or {}
    config = data.get("eval_config") or {}
    names = [m.get("name") if isinstance(m, dict) else m for m in config.get("metrics") or []]
    primary = str(config.get("primary_metric") or (names[0] if names else "loss"))
    told = [m for m in config.get("metrics") or [] if isinstance(m, dict) and m.get("name") == primary]
    better = told[0].get("higher_is_better") if told else None
    return Rules(primary, better, int(data.get("seed", 42)), bool(config.get("final_test")))


def find_entries(notes: Notes) -> list[Entry]:
    found = [p for p in ARTIFACTS.glob("v*") if re.fullmatch(r"v\d{3,}", p.name) and p.is_dir()]
    entries = []
    for folder in sorted(found, key=lambda p: int(p.name[1:])):
        if (folder / "best.ckpt").is_file():
            entries.append(Entry(folder.name, folder, trained=True))
        else:
            notes.warn(f"{folder.name} has no best.ckpt and is left out")
    for folder in sorted(p for p in EXTERNAL.glob("*") if p.is_dir() and not p.name.startswith(".")):
        if (folder / "inference_sample.py").is_file():
            entries.append(Entry(folder.name, folder, trained=False))
        else:
            notes.warn(f"Models/external/{folder.name} has no inference_sample.py and is left out")
    if not any(entry.trained for entry in entries):
        raise ReportError("there is no version to report on: no Models/Artifacts/v*/best.ckpt")
    return entries


# ---- one protocol for all


def why_again(entry: Entry, seed: int) -> str:
    """Why a score cannot be taken as it is; "" when it can."""
    score = read_json(entry.folder / "eval_score.json")
    protocol_path = entry.folder / "_eval" / "protocol.json"
    protocol = read_json(protocol_path)
    if not isinstance(score, dict):
        return "it had no readable score"
    if not isinstance(protocol, dict):
        # without the file it was made elsewhere, and is the user's: it is taken as it is, and said so
        return "how it was made cannot be read" if protocol_path.exists() else ""
    data = ROOT / "dataset" / "prepdata" / str(score.get("dataset_id")) / "valid"
    now = {
        "evaluator": evaluator_sha256(ROOT) if EVALUATOR.is_file() else protocol.get("evaluator_sha256"),
        # an evaluator of the user's own may take its hash in another way: then the files' times tell
        "data": protocol.get("data_sha256") if untouched_since(data, protocol) else sha256(data),
        "checkpoint": sha256(entry.artifact if entry.trained else entry.folder),
    }
    changed = [what for what, value in now.items() if protocol.get(f"{what}_sha256") != value]
    changed += ["seed"] if protocol.get("seed") != seed else []
    changed += ["split"] if protocol.get("split") != "valid" else []
    return f"made with another {' and '.join(changed)}" if changed else ""


def untouched_since(data: Path, protocol: dict[str, Any]) -> bool:
    """Whether no file of the split is newer than the evaluation. Data that lie elsewhere have only its own hash."""
    try:
        made = datetime.fromisoformat(str(protocol.get("created_at"))).timestamp()
    except ValueError:
        return False
    return all(path.stat().st_mtime <= made for path in [data, *data.rglob("*")]) if data.is_dir() else True


def run_evaluator(*arguments: str) -> str:
    """Runs 03_eval.py; the reason when it fails, "" when it did not."""
    if not EVALUATOR.is_file():
        return "there is no 03_eval.py"
    command = [sys.executable, str(EVALUATOR), *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, errors="replace", check=False)
    said = (done.stderr.strip() or done.stdout.strip()).splitlines()
    return "" if done.returncode == 0 else (said[-1] if said else f"it ended with {done.returncode}")


def unify(entries: Sequence[Entry], rules: Rules, notes: Notes) -> None:
    """Scores are taken where the protocol is the present one, and made again where it is not."""
    tell_of_splits(entries, notes)
    for entry in entries:
        reason = why_again(entry, rules.seed)
        if reason:
            print(f"{entry.id}: evaluating again, {reason}", flush=True)
            failed = run_evaluator("--version" if entry.trained else "--external", entry.id)
            notes.again[entry.id] = reason
            left = why_again(entry, rules.seed)
            if failed:
                notes.warn(f"{entry.id} could not be evaluated again, so it has no score: {failed}")
                continue
            if left:
                notes.warn(f"{entry.id}: nothing shows that its score is comparable: {left}")
        read_score(entry, notes)
        if entry.metrics and not (entry.folder / "_eval" / "protocol.json").exists():
            notes.unproven.append(entry.id)
            notes.warn(f"{entry.id}: its score does not say how it was made: nothing shows that it is comparable")


def leave_out(entries: Sequence[Entry], folder: Path | None, notes: Notes) -> None:
    """What the loop says of versions that cannot be compared; how one was scored is mended where it is scored again."""
    told = read_json(folder / CONFIRMED) if folder is not None else None
    reasons = told.get("not_ranked") if isinstance(told, dict) else None
    for entry in entries:
        why = str((reasons if isinstance(reasons, dict) else {}).get(entry.id) or "") if entry.trained else ""
        if why and not (entry.id in notes.again and why.startswith(SCORED_AGAIN)):
            entry.left_out = why
            notes.warn(f"{entry.id} {why}: it is not ranked")


def tell_of_splits(entries: Sequence[Entry], notes: Notes) -> None:
    """A split that a script draws itself has to be the same in all versions; load_split is the same anyway."""
    seen: dict[str, list[str]] = {}
    for entry in entries:
        split = (read_json(entry.folder / "spec.json") or {}).get("split") if entry.trained else None
        script = ROOT / f"02_train_{entry.id}.py"
        offers = script.is_file() and "load_split" in script.read_text(encoding="utf-8", errors="replace")
        if isinstance(split, dict) and not offers:
            seen.setdefault(str(split.get("sha256")), []).append(entry.id)
    if len(seen) > 1:
        groups = "; ".join(", ".join(names) for names in seen.values())
        notes.warn(
            f"versions were validated on different samples, so their ranks say little across these groups: {groups}"
        )


def read_score(entry: Entry, notes: Notes) -> None:
    score = read_json(entry.folder / "eval_score.json")
    if not isinstance(score, dict) or not isinstance(score.get("metrics"), list):
        notes.warn(f"{entry.id}: eval_score.json holds no metrics")
        return
    entry.dataset_id = str(score.get("dataset_id", ""))
    entry.created_at = str(score.get("created_at", ""))
    entry.latency_ms = number(score.get("latency_ms"))
    entry.num_samples = int(number(score.get("num_samples")) or 0)
    for metric in filter(lambda m: isinstance(m, dict), score["metrics"]):
        name, count = str(metric.get("name")), 1
        while name in entry.metrics:
            count += 1
            name = f"{metric.get('name')}__{count}"
        entry.metrics[name] = number(metric.get("value"))
        entry.directions[name] = bool(metric.get("higher_is_better"))
    protocol = read_json(entry.folder / "_eval" / "protocol.json")
    told = protocol.get("served_by") if isinstance(protocol, dict) else None
    shares = {str(path): number(share) for path, share in (told if isinstance(told, dict) else {}).items()}
    entry.served_by = {path: share for path, share in shares.items() if share}


def served(entry: Entry) -> str:
    """`router 90 %, fallback 10 %`, and what has no answer."""
    parts = [f"{path} {percent(share)}" for path, share in sorted(entry.served_by.items(), key=lambda one: -one[1])]
    without = 1 - sum(entry.served_by.values())
    return ", ".join([*parts, *([f"no answer {percent(without)}"] if without > 1e-9 else [])])


def percent(share: float) -> str:
    """Never 0 % of something, nor 100 % of less than all."""
    rounded = f"{100 * share:.0f}"
    return f"{100 * share:.1f} %" if rounded in ("0", "100") and 0 < share < 1 else f"{rounded} %"


def number(value: Any) -> float | None:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    return float(value) if is_number else None


# ---- ranking


def primary_name(entry: Entry, wanted: str) -> str | None:
    alike = [name for name in entry.metrics if canonical(name) == canonical(wanted)]
    return wanted if wanted in alike else next(iter(alike), None)


def primary_value(entry: Entry, wanted: str) -> float | None:
    return entry.metrics.get(primary_name(entry, wanted) or "")


def rank(entries: Sequence[Entry], rules: Rules, higher: bool, notes: Notes) -> list[Entry]:
    """Best first; without a number last, and what has no rank after them; ties go to the lower version, trained before
    external."""

    def key(entry: Entry) -> tuple[bool, bool, float, bool, int, str]:
        value = primary_value(entry, rules.primary)
        signed = 0.0 if value is None else (-value if higher else value)
        number = int(entry.id[1:]) if entry.trained else 0
        return entry.unranked, value is None, signed, not entry.trained, number, entry.id

    for entry in entries:
        if entry.mixed:
            notes.warn(f"{entry.id} is mixed and not ranked, since its numbers are of no one model: {served(entry)}")
        if entry.metrics and primary_name(entry, rules.primary) is None:
            notes.warn(f"{entry.id} has no metric {rules.primary!r} and ranks last")
        elif entry.metrics and primary_value(entry, rules.primary) is None:
            notes.warn(f"{entry.id}: {rules.primary} is not a number, so it ranks last")
    return sorted(entries, key=key)


# ---- writing


def write_text(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.write_text(text, encoding="utf-8", newline="")
    temporary.replace(path)


def new_folder() -> Path:
    """Models/Report/YYYY-MM-DD_HH-MM; a second one in the same minute gets `-2`."""
    stem = datetime.now().strftime("%Y-%m-%d_%H-%M")
    for count in itertools.count(1):
        folder = REPORTS / (stem if count == 1 else f"{stem}-{count}")
        with suppress(FileExistsError):
            folder.mkdir(parents=True)
            break
    return folder


def copy_best(best: Entry, folder: Path) -> None:
    target = folder / "Artifacts" / best.id
    target.mkdir(parents=True, exist_ok=True)
    for name in ("best.ckpt", "spec.json"):
        if (best.folder / name).is_file():
            # without its mode, which a stick may not have
            shutil.copyfile(best.folder / name, target / name)
    if (best.folder / "additional_assets").is_dir():
        shutil.copytree(best.folder / "additional_assets", target / "additional_assets", dirs_exist_ok=True)


def metric_names(entries: Sequence[Entry]) -> list[str]:
    return list(dict.fromkeys(name for entry in entries for name in entry.metrics))


def write_leaderboard(ranked: Sequence[Entry], best: Entry | None, folder: Path) -> None:
    names = metric_names(ranked)
    out = io.StringIO()
    table = csv.writer(out, lineterminator="\n")
    columns = ["version_id", "dataset_id", "created_at", "latency_ms", "artifact_relpath"]
    unranked = ["not_ranked"] if any(entry.unranked for entry in ranked) else []
    table.writerow([*columns, *(f"metric__{name}" for name in names), *unranked])
    for entry in ranked:
        artifact = folder / "Artifacts" / entry.id / "best.ckpt" if entry is best else entry.artifact
        numbers = [entry.latency_ms, *(entry.metrics.get(name) for name in names)]
        latency, *values = ["" if value is None else repr(value) for value in numbers]
        where = Path(os.path.relpath(artifact, folder)).as_posix()
        why = [f"mixed: {served(entry)}" if entry.mixed else entry.left_out] if unranked else []
        table.writerow([entry.id, entry.dataset_id, entry.created_at, latency, where, *values, *why])
    write_text(folder / "leaderboard.csv", out.getvalue())


# ---- the analysis


def shown(value: float | None, sign: str = "") -> str:
    """Four digits that count at least: 0.9611, 0.0003120, 2900.12, 3.100e-05."""
    size = abs(value or 0.0)
    if value is None or size >= 10_000:
        return "–" if value is None else f"{value:{sign}.0f}"
    if size >= 100 or 0 < size < 1e-4:
        return f"{value:{sign}.2f}" if size >= 100 else f"{value:{sign}.3e}"
    return f"{value:{sign}.{3 - math.floor(math.log10(size)) if 0 < size < 0.1 else 4}f}"


def leaderboard_lines(ranked: Sequence[Entry]) -> list[str]:
    names = metric_names(ranked)
    lines = [f"| rank | version | {' | '.join(names)} | latency ms |", "|---" * (len(names) + 3) + "|"]
    for place, entry in enumerate(ranked, start=1):
        values = " | ".join(shown(entry.metrics.get(name)) for name in names)
        rank = "–" if entry.unranked else place
        lines.append(f"| {rank} | {entry.id}{entry.kind} | {values} | {shown(entry.latency_ms)} |")
    return lines


def header_of(entry: Entry) -> dict[str, str]:
    """`base`, `action` and `why` from the comment block at the top of a version's script; empty without one."""
    script = ROOT / f"02_train_{entry.id}.py"
    text = script.read_text(encoding="utf-8", errors="replace") if script.is_file() else ""
    block = re.search(r"^# -* *progtrain: \S+, made from (\S+).*\n((?:#(?! -).*\n)*)", text, re.M)
    if not block:
        return {}
    lines = re.sub(r"\n#  +", " ", block[2]).splitlines()
    parts = (re.match(r"# (action|why): (.*)", line) for line in lines)
    return {"base": block[1], **{part[1]: part[2].strip() for part in parts if part}}


def section(path: Path, heading: str) -> str:
    """First paragraph below a heading of a Markdown file, on one line."""
    text = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
    match = re.search(rf"^#+ *{heading}\b[^\n]*\n+(.*?)(?=\n\s*\n|\n#|\Z)", text, re.M | re.S | re.I)
    text = " ".join(match[1].split()) if match else ""
    return "" if text.startswith(("|", "```", "#")) else text


def why_high(entry: Entry, entries: Sequence[Entry], rules: Rules) -> list[str]:
    """From its script's header, its base's action and its own analysis."""
    value = primary_value(entry, rules.primary)
    if not entry.trained:
        return [f"- An external model: nothing is known here of its training. {rules.primary} {shown(value)}."]
    header = header_of(entry)
    told = {"What the analysis found": section(entry.folder / "result-analysis.md", "Summary")}
    lines = [f"- The starting point, without a change. {rules.primary} {shown(value)}."]
    if header and header["base"] != "baseline":
        base = next((e for e in entries if e.trained and e.id == header["base"]), None)
        before = primary_value(base, rules.primary) if base else None
        change = "" if value is None or before is None else f" ({shown(value - before, '+')})"
        moved = f"{rules.primary} {shown(before)} → {shown(value)}{change}"
        lines = [f"- Made from {header['base']} by one change: {header.get('action', 'not said')}. {moved}."]
        # the action stands with the version that was reviewed, whichever one it was then applied to
        action = ARTIFACTS / f"v{int(entry.id[1:]) - 1:03d}" / "action-extract.md"
        told = {
            "Why it was tried": section(action, "Goal") or header.get("why", ""),
            "What was expected": section(action, "Expected impact"),
            **told,
        }
    return lines + [f"- {what}: {text}" for what, text in told.items() if text]


def disagreement_lines(ranked: Sequence[Entry], rules: Rules) -> list[str]:
    ranked = [entry for entry in ranked if not entry.unranked]
    if not ranked:
        return ["- Nothing is ranked."]
    winner = ranked[0]
    lines = []
    for name in metric_names(ranked):
        better = next(entry.directions[name] for entry in ranked if name in entry.directions)
        held = [(v, e) for e in ranked if (v := e.metrics.get(name)) is not None]
        if not held or name in ("answered", primary_name(winner, rules.primary)):
            continue
        top = max(v for v, _ in held) if better else min(v for v, _ in held)
        leaders = [e.id for v, e in held if v == top]
        if winner.id not in leaders:
            mine = shown(winner.metrics.get(name))
            lines.append(f"- {name} puts {', '.join(leaders)} first ({shown(top)}; {winner.id}: {mine}).")
    return lines or [f"- All metrics put {winner.id} first, alone or with others."]


def result_lines(ranked: Sequence[Entry], best: Entry | None, rules: Rules, higher: bool) -> list[str]:
    if best is None:
        return [f"No version has a value for {rules.primary}: there is no best one, and nothing was copied."]
    first, value = ranked[0], shown(primary_value(ranked[0], rules.primary))
    lines = [f"**{first.id}** ranks first with {rules.primary} {value} ({'higher' if higher else 'lower'} is better)."]
    if first is not best:
        own = shown(primary_value(best, rules.primary))
        lines.append("It is an external model and keeps its rank.")
        lines.append(f"The best trained version is **{best.id}** ({rules.primary} {own}): it is the one copied.")
    return [*lines, f"Its checkpoint lies in `Artifacts/{best.id}/`."]


def protocol_lines(ranked: Sequence[Entry], rules: Rules, notes: Notes) -> list[str]:
    count = max(entry.num_samples for entry in ranked)
    kept = [entry.id for entry in ranked if entry.id not in notes.again and entry.id not in notes.unproven]
    return [
        f"One evaluator (03_eval.py), one validation split of {count} samples, seed {rules.seed}.",
        "",
        f"- Taken as they were, since evaluator, data and seed agree: {', '.join(kept) or 'none'}.",
        *[f"- Taken as it was, though it does not say how it was made: {name}." for name in notes.unproven],
        *[f"- Evaluated again for this report: {name}: {why}." for name, why in notes.again.items()],
        *([] if notes.again else ["- Evaluated again for this report: none."]),
    ]


# ---- how sure it is


def spreads(ranked: Sequence[Entry], rules: Rules) -> list[tuple[Entry, dict[str, float]]]:
    """Of versions that were trained with several seeds: n, mean and sd of the primary metric over their runs."""
    found = []
    for entry in filter(lambda e: e.trained, ranked):
        told = read_json(REPEATS / entry.id / "repeats.json")
        held = told.get("spread") if isinstance(told, dict) else None
        for name, numbers in (held if isinstance(held, dict) else {}).items():
            if canonical(name) == canonical(rules.primary) and isinstance(numbers, dict):
                values = {key: number(numbers.get(key)) for key in ("n", "mean", "sd", "min", "max")}
                known = {key: value for key, value in values.items() if value is not None}
                found += [(entry, known)] if len(known) == len(values) else []
    return found


def comparisons(folder: Path, best: Entry | None) -> list[dict[str, Any]] | None:
    """The best version against the first and the second best; None where nobody compared them."""
    told = read_json(folder / CONFIRMED)
    if not isinstance(told, dict) or best is None or told.get("best") != best.id:
        return None
    return [one for one in told.get("against") or [] if isinstance(one, dict)]


def headline(folder: Path, best: Entry | None) -> list[str]:
    """Whether the lead is more than chance, where that is known."""
    against = comparisons(folder, best)
    if not against:
        return []
    if all(one.get("verdict") == "better" and one.get("measured") for one in against):
        return ["Its lead over the first and the second best version is confirmed, over samples and seeds."]
    return ["Its lead is **not confirmed**: see “How sure the first place is”."]


def in_words(one: dict[str, Any], best: Entry, role: str) -> str:
    what = f"{best.id} against {one.get('version')}{role}"
    if one.get("why_not"):
        return f"- {what}: **not confirmed**, they cannot be compared: {one['why_not']}."
    delta, low, high = (number(one.get(key)) for key in ("delta", "low", "high"))
    measured = bool(one.get("measured"))
    over = "samples and seeds" if measured else "samples alone"
    told = f"{one.get('metric')} {shown(delta, '+')}, 95 % interval over {over} {shown(low, '+')} to {shown(high, '+')}"
    if one.get("verdict") != "better":
        return f"- {what}: **not confirmed**, {one.get('verdict')}: {told}; {one.get('seed_noise')}."
    if not measured:
        return f"- {what}: better by the samples, **not confirmed** by other seeds: {told}; {NOT_MEASURED}."
    return f"- {what}: **confirmed**: {told}; {one.get('seed_noise')}."


def noise_lines(ranked: Sequence[Entry], best: Entry | None, rules: Rules, folder: Path) -> list[str]:
    """Whether another seed, or other samples, might have ranked them otherwise."""
    found = spreads(ranked, rules)
    lines = [f"| version | runs | mean {rules.primary} | sd | lowest | highest |", "|---|---|---|---|---|---|"]
    for entry, told in found:
        values = " | ".join(shown(told[key]) for key in ("mean", "sd", "min", "max"))
        lines.append(f"| {entry.id} | {told['n']:.0f} | {values} |")
    lines = [*lines, ""] if found else [f"No version was trained with a second seed: {NOT_MEASURED}.", ""]
    if best is None:
        return lines[:-1]
    trained = [entry for entry in ranked if entry.trained and not entry.unranked]
    first = min(trained, key=lambda entry: int(entry.id[1:]))
    against = comparisons(folder, best)
    if against is None:
        others = " ".join(dict.fromkeys([best.id, first.id, *[entry.id for entry in trained[1:2]]]))
        lines.append(f"- Whether the order is more than chance: `progtrain compare {others}` tells.")
    elif not against:
        lines.append("- There is no second version to compare with.")
    for one in against or []:
        lines.append(in_words(one, best, ", the first" if one.get("version") == first.id else ", the second best"))
    if best.id not in [entry.id for entry, _ in found]:
        lines.append(f"- `progtrain repeat {best.id}` trains it with other seeds.")
    return lines


def final_test_lines(best: Entry | None, rules: Rules, notes: Notes) -> list[str]:
    """The best version on the test split, once ever: a second look would make it a validation split."""
    told = read_json(FINAL_TEST)
    if isinstance(told, dict):
        metrics = ", ".join(f"{m['name']} {shown(number(m['value']))}" for m in told["metrics"])
        return [f"The test split was used once, on {told['created_at']}, for {told['version']}: {metrics}.", ""] + (
            [] if best and told["version"] == best.id else ["It is not used again for another version."]
        )
    if not rules.final_test or best is None:
        return []
    if not (ROOT / "dataset" / "prepdata" / best.dataset_id / "test").is_dir():
        notes.warn("final_test is set, but there is no test split")
        return []
    with tempfile.TemporaryDirectory() as place:
        failed = run_evaluator("--version", best.id, "--split", "test", "--output", place)
        score = read_json(Path(place) / "eval_score.json")
    if failed or not isinstance(score, dict):
        notes.warn(f"{best.id} could not be scored on the test split: {failed}")
        return []
    write_text(FINAL_TEST, json.dumps({"version": best.id, **score}, indent=2, ensure_ascii=False) + "\n")
    return final_test_lines(best, rules, notes)


def analysis(
    ranked: Sequence[Entry], best: Entry | None, rules: Rules, higher: bool, notes: Notes, folder: Path
) -> str:
    test = final_test_lines(best, rules, notes)
    trained = sum(entry.trained for entry in ranked)
    lines = ["# Final analysis", "", *result_lines(ranked, best, rules, higher), *headline(folder, best), ""]
    lines += ["## Leaderboard", "", *leaderboard_lines(ranked), ""]
    lines += ["## Why the first ranked high", ""]
    for place, entry in enumerate(ranked[:CHOSEN_FROM], start=1):
        if primary_value(entry, rules.primary) is not None and not entry.unranked:
            lines += [f"### {place}. {entry.id}", "", *why_high(entry, ranked, rules), ""]
    lines += ["## Where the metrics disagree", "", *disagreement_lines(ranked, rules), ""]
    lines += ["## How sure the first place is", "", *noise_lines(ranked, best, rules, folder), ""]
    lines += ["## How the scores were made", "", *protocol_lines(ranked, rules, notes), ""]
    lines += [
        "## What the ranking cannot say",
        "",
        "Validation both chose and ranked: the same samples picked each version's checkpoint and actions and "
        f"then ranked {trained} versions, so the best value is likely a little better than new data will show.",
        "",
    ]
    lines += ["## Final test", "", *test, ""] if test else []
    lines += ["## Warnings", "", *([f"- {text}" for text in notes.warnings] or ["- none"]), ""]
    return "\n".join(lines)


def report(output: Path | None) -> Path:
    rules, notes = read_rules(), Notes()
    entries = find_entries(notes)
    unify(entries, rules, notes)
    leave_out(entries, output, notes)
    told = [e.directions[name] for e in entries if (name := primary_name(e, rules.primary)) is not None]
    higher = rules.higher_is_better if rules.higher_is_better is not None else not told or told[0]
    ranked = rank(entries, rules, higher, notes)
    scored = [e for e in ranked if e.trained and not e.unranked and primary_value(e, rules.primary) is not None]
    best = scored[0] if scored else None
    if output is not None:
        output.mkdir(parents=True, exist_ok=True)
    folder = output or new_folder()
    if best is not None:
        copy_best(best, folder)
    # the leaderboard comes last: where it lies, the report is whole
    write_text(folder / "final-analysis.md", analysis(ranked, best, rules, higher, notes, folder))
    write_leaderboard(ranked, best, folder)
    print("\n".join(leaderboard_lines(ranked)))
    print(f"written: {folder}", flush=True)
    return folder


def main() -> int:
    parser = argparse.ArgumentParser(description="Ranks all versions and external models.")
    parser.add_argument("--output", type=Path, metavar="DIR", help="where to write; default Models/Report/{now}")
    args = parser.parse_args()
    try:
        report(args.output.resolve() if args.output else None)
    except ReportError as error:
        print(f"04_final_report.py: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
