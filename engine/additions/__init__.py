"""Rows that versions train with besides their training split: made from training rows, checked, kept as they are.

The prepared data never change. An addition is a folder of its own, `dataset/additions/<dataset_id>/a001/`, and a
version names those that it trains with. What others need of this room:

    plan.read(action, seed=42) -> Plan
        an action's focus, augment, replay and seed, checked
    make.choose(ws, version, plan, *, dataset_id, run, already=()) -> Choice
        parents, counts, focus and suspects, before a row is made
    make.build(ws, version, plan, *, dataset_id, python, clock, into, run=None, already=()) -> Addition
        makes and checks it in the folder `into` (a draft's); not in use yet
    folder.put(ws, into) -> Addition
        takes it over: copied, read-only, under the name in its manifest. Where another has that name by now:
        `InputError`, to be built anew
    make.make(ws, version, plan, *, dataset_id, python, clock, already=()) -> Addition
        both at once
    folder.names(ws, dataset_id) -> ["a001", ...]
    folder.read(ws, dataset_id, name) -> Addition
        `.name`, `.folder` (AdditionFolder), `.manifest`, `.checks`, len(); `InputError` where a file is not as it was
        written
    folder.read_folder(path) -> Addition
        the same of a draft
    folder.sha256_of(ws, dataset_id, name) -> str
        for `additions_sha256` of a spec
    checks.again(ws, dataset_id, name, path=None) -> Report
        `.refused`, and of these `.dropped` (exact, near) and `.problems` (what stops it)
    hard.by_training(ws, version, rows, run), hard.out_of_fold(rows, root, regression) -> Hard
    suspects.listed(hard, rows) -> [{id, label, likely, of_label, of_likely}, ...]
    prepared_data.split_sha256(ws, dataset_id, "train") -> str | None

`run` is how `03_eval.py --split train` is run: words in, (exit code, output) out. `hard.plainly(ws, python)` is a plain
child process; the loop has its own. Where a check stops the making, or nothing can be made: `InputError`; where a
script of the user's fails: `StepFailed`.

For scripts: `a001/train/<file>` is the addition's file under the name that it has in train/. A `load_split(split)`
which reads `DATA / split / FILE` therefore reads the rows of an addition too:

    load_split(f"../../additions/{DATASET_ID}/{name}/train")

`checks.json` of an addition has `refused` (rows that were dropped, each with the id of the validation or test row),
`suspects_left_out`, `limits`, `compared_with`, `hashes` and `files`.
"""
