"""Rows of text as tokens, with those of the question masked: what a training by `progtrain_peft.py` learns."""

from __future__ import annotations

import progtrain_rows as rows

MASKED = -100


def encode(row, tokenizer, s):
    """The tokens of a row and the same as labels, those of the question masked."""
    if "text" in row:
        ids = tokenizer(row["text"])["input_ids"] + end_of(tokenizer)
        return [(ids[at : at + s.max_length],) * 2 for at in range(0, len(ids), s.max_length)]
    messages = rows.asked(row, s.prompt, s.system_prompt)
    if tokenizer.chat_template:
        before = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
        said = {"role": "assistant", "content": rows.answer(row)}
        whole = tokenizer.apply_chat_template([*messages, said], tokenize=False)
        # some templates write an answer otherwise than after their own prompt for it: what both share is not learned
        shared = next((at for at, pair in enumerate(zip(before, whole)) if pair[0] != pair[1]), len(before))
        question, answer = whole[:shared], whole[shared:]
        ids = tokenizer(question, add_special_tokens=False)["input_ids"]
        learned = tokenizer(answer, add_special_tokens=False)["input_ids"]
    else:
        ids = tokenizer(rows.as_text(messages))["input_ids"]
        if ids and ids[-1] == tokenizer.eos_token_id:
            ids = ids[:-1]
        learned = tokenizer(rows.answer(row), add_special_tokens=False)["input_ids"] + end_of(tokenizer)
    learned = learned[: s.max_length - 1]
    # of a question that is too long the end stays: the answer follows it
    ids = ids[max(0, len(ids) + len(learned) - s.max_length) :]
    return [(ids + learned, [MASKED] * len(ids) + learned)]


def end_of(tokenizer):
    return [tokenizer.eos_token_id] if tokenizer.eos_token_id is not None else []


def load_split(path, tokenizer, s):
    columns = (s.data["input"], s.data["output"]) if s.data.get("input") else None
    encoded = [sample for row in rows.read_all(path, columns) for sample in encode(row, tokenizer, s)]
    # the first token is predicted from nothing
    kept = [sample for sample in encoded if any(label != MASKED for label in sample[1][1:])]
    if not kept:
        raise SystemExit(f"{path}: no row has an answer to learn")
    return kept


def batch_of(samples, tokenizer, device):
    import torch

    width = max(len(ids) for ids, _ in samples)
    pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id or 0
    made = {
        "input_ids": [ids + [pad] * (width - len(ids)) for ids, _ in samples],
        "attention_mask": [[1] * len(ids) + [0] * (width - len(ids)) for ids, _ in samples],
        "labels": [labels + [MASKED] * (width - len(labels)) for _, labels in samples],
    }
    return {name: torch.tensor(values, device=device) for name, values in made.items()}


def targets_in(samples):
    return sum(label != MASKED for _, labels in samples for label in labels[1:])
