"""`python -m models.recipe`: experience → corpus → tokenizer → training → GGUF → evaluation.

Finished stages are not repeated. The experience, a table of real trainings, is part of the repository; `--collect`
makes it anew.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from tokenizers import Tokenizer

OUT = Path(__file__).parent / "out"
TARGET = Path(__file__).parent.parent / "progtrain-advisor.gguf"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m models.recipe", description=__doc__)
    parser.add_argument("--out", type=Path, default=OUT, help="where the stages leave their files")
    parser.add_argument("--target", type=Path, default=TARGET, help="the finished GGUF")
    parser.add_argument("--steps", type=int, help="fewer training steps, to try the recipe out")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--evaluate", type=int, default=200, help="held-out briefings to evaluate on")
    parser.add_argument("--collect", type=int, metavar="N", help="try changes out on N new tasks first (10 s each)")
    parser.add_argument("--first", type=int, default=10_000, help="seed of the first of these tasks")
    parser.add_argument(
        "--again", action="store_true", help="try what today's rules would, from states collected before"
    )
    parser.add_argument("--show", type=int, metavar="N", help="print N examples of the corpus and stop")
    arguments = parser.parse_args()
    if arguments.show:
        show(arguments.show)
        return
    if arguments.collect:
        make_experience(arguments.out / "collected", arguments.first, arguments.collect, again=arguments.again)
    tokenizer_file = arguments.out / "tokenizer.json"
    make_tokenizer(tokenizer_file)
    checkpoint = make_checkpoint(arguments.out / "run", tokenizer_file, arguments.steps, arguments.threads)
    make_gguf(checkpoint, tokenizer_file, arguments.target)
    if arguments.evaluate:
        judge(arguments.target, arguments.out / "evaluation.json", arguments.evaluate)


def show(count: int) -> None:
    from models.recipe import corpus

    for seed in range(count):
        example = corpus.example(seed)
        print(example.prompt, example.answer, sep="\n", end="\n\n")


def make_experience(folder: Path, first: int, count: int, *, again: bool) -> None:
    from benchmarks.lab.collect import collect, revisit
    from benchmarks.lab.pack import pack

    collect(folder, first, count)
    if again:
        revisit(folder, first, count)
    states, trials = pack(folder)
    print(f"experience: {trials} trials from {states} states")


def make_tokenizer(path: Path) -> None:
    if path.exists():
        print(f"tokenizer: {path} is there")
        return
    from models.recipe import tokenizer

    made = tokenizer.train(path)
    print(f"tokenizer: {made.get_vocab_size()} entries in {path}")


def make_checkpoint(folder: Path, tokenizer_file: Path, steps: int | None, threads: int) -> Path:
    """Goes on where it was interrupted."""
    from dataclasses import replace

    from models.recipe.train import Plan, train

    plan = replace(Plan(), threads=threads, **({"steps": steps} if steps else {}))
    print(f"training: {plan.steps} steps of {plan.batch} examples")
    return train(folder, Tokenizer.from_file(str(tokenizer_file)), plan)


def make_gguf(checkpoint: Path, tokenizer_file: Path, target: Path) -> None:
    from models.recipe.export import agreement, export
    from models.recipe.train import load

    model, _ = load(checkpoint)
    export(model, tokenizer_file, target)
    difference, same = agreement(model, Tokenizer.from_file(str(tokenizer_file)), target)
    count = sum(weight.numel() for weight in model.parameters())
    print(f"gguf: {target}, {target.stat().st_size:,} bytes, {count:,} parameters")
    print(f"llama.cpp against torch: logits differ by at most {difference:.3f}, {same:.1%} equal first choices")


def judge(target: Path, report: Path, count: int) -> None:
    from models.recipe.evaluate import evaluate

    found = evaluate(target, count)
    report.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    for name, value in found.items():
        print(f"{name:<55} {value:.3f}")


if __name__ == "__main__":
    main()
