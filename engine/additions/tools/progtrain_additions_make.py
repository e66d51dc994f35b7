"""Makes the rows of an addition from training rows alone: `python progtrain_additions_make.py REQUEST.json OUT`.

It is started in a folder that holds the training split and neither validation nor test data. Writes OUT/rows.* and
OUT/made.json. Runs in the user's interpreter (Python 3.9, numpy); standard error has one line where it fails.
"""

from __future__ import annotations

import copy
import importlib.util
import json
import sys
from pathlib import Path

import numpy as np
import progtrain_additions_change as change
import progtrain_additions_rows as table

OWN = "own"


def main(request_file, out):
    with open(request_file, encoding="utf-8") as file:
        request = json.load(file)
    root = Path(request["root"])
    train = table.read(root / request["train"], request["stats"], root=root)
    maker = Maker(request, train, root, Path(out))
    for at, name in enumerate(request["replay"]):
        maker.add("replay", "copy", train.place[name], at)
    names = sorted(request["operations"])
    for at, name in enumerate(request["augment"]):
        maker.add("augment", names[at % len(names)], train.place[name], at)
    maker.finish()


class Maker:
    """Rows of the addition, one after the other; all chance comes from one generator."""

    def __init__(self, request, train, root, out):
        self.request, self.train, self.root, self.out = request, train, root, out
        self.rng = np.random.default_rng(request["seed"])
        self.made = []
        self.columns = {name: [] for name in train.columns}
        self.labels = []
        self.whole_ids = bool(train.id_name) and all(one.isdigit() for one in train.ids)
        self.numbers = Numbers(train, request["stats"])
        self.hook = own_function(root / request["hook"]) if OWN in request["operations"] else None

    def add(self, kind, operation, parent, at):
        train = self.train
        name = self.new_id()
        row = {key: train.columns[key][parent] for key in train.columns}
        if operation != "copy":
            row = self.changed(operation, row, train.labels[parent], name)
        if train.format == "folders":
            name = "{}/{}{}".format(train.labels[parent], name, row["file"].suffix)
        elif train.id_name:
            row[train.id_name] = int(name) if isinstance(row[train.id_name], (int, np.integer)) else name
        for key, value in row.items():
            self.columns[key].append(value)
        self.labels.append(train.labels[parent])
        entry = {"id": name, "kind": kind, "parent": train.ids[parent], "parent_split": "train"}
        self.made.append({**entry, "operation": operation, "label": train.labels[parent]})

    def new_id(self):
        """New, and a number where those of the training are."""
        number = int(self.request["addition"][1:])
        if self.whole_ids:
            return str(1000000000 + 1000000 * number + len(self.made))
        return "{}-{:05d}".format(self.request["addition"], len(self.made))

    def changed(self, operation, row, label, name):
        parameters, row = self.request["operations"][operation], dict(row)
        if operation == OWN:
            return self.by_hook(row, label, name)
        if operation == "jitter":
            return self.numbers.jittered(row, label, self.rng, parameters["amount"])
        for key, kind in self.train.kinds.items():
            if kind == "picture":
                value = table.picture(self.root / row[key])
                row[key] = self.picture(change.picture(operation, value, self.rng, 0, 255, parameters), name, row[key])
            elif kind == "array" and table.is_picture(np.shape(row[key])):
                low, high = self.numbers.ranges[key]
                row[key] = change.picture(operation, row[key], self.rng, low, high, parameters)
        return row

    def by_hook(self, row, label, name):
        """`augment(raw, target, rng)` of the user's gets the input as the file has it, of several columns a dict."""
        inputs = {key: self.raw(row[key], kind) for key, kind in self.train.kinds.items()}
        one = len(inputs) == 1
        given = copy.deepcopy(next(iter(inputs.values())) if one else inputs)
        answer = self.hook(given, label, self.rng)
        answer = {next(iter(inputs)): answer} if one else answer
        if not isinstance(answer, dict) or set(answer) != set(inputs):
            came = "a dict of " + ", ".join(map(str, answer)) if isinstance(answer, dict) else type(answer).__name__
            self.refuse_hook(came, "a dict of " + ", ".join(inputs))
        for key, value in answer.items():
            self.see_shape(key, value, inputs[key])
            row[key] = self.cell(key, value, name, row[key])
        return row

    def see_shape(self, key, value, given):
        kind = self.train.kinds[key]
        if kind not in ("array", "picture"):
            return
        try:
            shape = np.shape(value)
        except ValueError:  # lists of several lengths
            shape = None
        came = "{} as {}".format(key, "lists of several lengths" if shape is None else "shape {}".format(shape))
        if kind == "array" and shape != np.shape(given):
            self.refuse_hook(came, "shape {}".format(np.shape(given)))
        if kind == "picture" and (shape is None or not (len(shape) == 2 or (len(shape) == 3 and shape[2] in (3, 4)))):
            self.refuse_hook(came, "(height, width) or (height, width, 3)")

    def refuse_hook(self, came, wanted):
        raise SystemExit("augment() of {} gives {}: wanted is {}".format(self.request["hook"], came, wanted))

    def raw(self, value, kind):
        if kind == "picture":
            return table.picture(self.root / value)
        if kind == "text":
            return table.text_of(value)
        if kind == "number" and self.train.format == "csv":
            return table.number(value)
        return value

    def cell(self, key, value, name, before):
        if self.train.kinds[key] == "picture":
            return self.picture(np.asarray(value), name, before)
        if self.train.format == "folders":
            path = self.out / "made" / (name + ".txt")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(str(value), encoding="utf-8")
            return path
        if self.train.format == "csv":
            return self.numbers.written(key, value) if self.train.kinds[key] == "number" else str(value)
        return value.tolist() if self.train.format == "jsonl" and hasattr(value, "tolist") else value

    def picture(self, pixels, name, before):
        """Written beside the rows; a table names it by its path in the workspace."""
        from PIL import Image

        folder = self.out / ("made" if self.train.format == "folders" else "pictures")
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / (name + ".png")
        Image.fromarray(np.asarray(pixels, dtype=np.uint8)).save(path)
        return path if self.train.format == "folders" else "{}/pictures/{}".format(self.request["place"], path.name)

    def finish(self):
        columns = self.columns
        if self.train.format == "npz":
            columns = {key: self.stacked(key, values) for key, values in columns.items()}
        rows = table.Rows(
            self.train.format,
            self.train.file,
            [entry["id"] for entry in self.made],
            self.labels,
            columns,
            self.train.id_name,
            self.train.label_name,
            self.train.kinds,
            self.train.delimiter,
        )
        table.write(rows, self.out)
        for path in sorted((self.out / "made").glob("*")):
            path.unlink()
        if (self.out / "made").is_dir():
            (self.out / "made").rmdir()
        with open(self.out / "made.json", "w", encoding="utf-8") as file:
            json.dump(self.made, file, default=str)

    def stacked(self, key, values):
        kind = self.train.columns[key].dtype.kind
        if key == self.train.id_name and kind in "iu":
            return np.array(values, dtype=self.train.columns[key].dtype)
        # texts are as long as they need to be; numbers that are of another type now are told by the check
        return np.array(values) if kind in "US" else np.stack(values) if values else self.train.columns[key][:0]


class Numbers:
    """What the training says of its numbers: range, spread in each class, and how they are written."""

    def __init__(self, train, stats):
        self.train, self.ranges, self.values, self.decimals = train, {}, {}, {}
        classes = train.labels if all(isinstance(one, (str, int)) for one in train.labels) else [0] * len(train)
        regression = "regress" in str(stats.get("task_type", stats.get("task", "")))
        self.classes = np.array([0] * len(train) if regression else [str(one) for one in classes])
        self.spreads = {}
        for key, kind in train.kinds.items():
            if kind == "array" and train.columns[key].dtype.kind in "biuf":
                self.values[key] = train.columns[key]
            elif kind == "number":
                self.values[key] = np.array([float(table.number(one)) for one in train.columns[key]])
                self.decimals[key] = max((decimals(one) for one in train.columns[key]), default=0)
        for key, values in self.values.items():
            self.ranges[key] = (float(np.nanmin(values)), float(np.nanmax(values)))

    def of_class(self, key, label):
        """Spread, smallest and largest within the class."""
        label = self.classes[0] if str(label) not in set(self.classes) else str(label)
        if (key, label) not in self.spreads:
            own = np.asarray(self.values[key][self.classes == label], dtype=np.float64)
            self.spreads[key, label] = (np.nanstd(own, axis=0), np.nanmin(own, axis=0), np.nanmax(own, axis=0))
        return self.spreads[key, label]

    def jittered(self, row, label, rng, amount):
        for key in self.values:
            before = row[key] if key not in self.decimals else float(table.number(row[key]))
            after = change.jitter(before, *self.of_class(key, label), rng, amount)
            if key not in self.decimals:
                row[key] = change.like(after, np.asarray(before), -np.inf, np.inf)
            elif after == after:  # what was missing stays so
                row[key] = self.written(key, float(after), row[key])
        return row

    def written(self, key, value, before=""):
        """A number as its column has them: whole ones stay whole."""
        if not isinstance(value, (int, float, np.number)):
            return str(value)
        if value != value:
            return "nan"
        if self.train.format == "jsonl":
            return round(value) if isinstance(before, int) else value
        places = self.decimals[key]
        whole = places == 0 and not (isinstance(value, float) and before == "" and value != round(value))
        return (
            str(round(value))
            if whole
            else repr(float(value))
            if places == 0
            else format(value, "." + str(places) + "f")
        )


def decimals(cell):
    """Digits behind the point, as it is written."""
    text = str(cell).strip().lower()
    if "e" in text:
        return 12
    return len(text.partition(".")[2])


def own_function(path):
    spec = importlib.util.spec_from_file_location("progtrain_own_augment", str(path))
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module.augment


if __name__ == "__main__":
    try:
        main(*sys.argv[1:3])
    except table.FormatError as error:
        sys.exit(str(error))
