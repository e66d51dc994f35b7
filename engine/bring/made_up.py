"""Small data that are made up, so that a template can be tried at once without any of one's own."""

from __future__ import annotations

import csv
import io
import random
from pathlib import Path

from progtrain.engine.files import write_text

_SEED = 42
_GOOD = ("fresh", "bright", "helpful", "quick", "friendly", "clean", "quiet", "lovely", "solid", "generous")
_BAD = ("stale", "broken", "slow", "rude", "dirty", "noisy", "awful", "flimsy", "mean", "late")
_THINGS = ("the soup", "the room", "our guide", "this lamp", "the parcel", "the garden", "my chair", "that song")


def write(template: str, folder: Path) -> Path:
    """What `--data` would name: a CSV file, or a folder of pictures. Its target is the last column."""
    draw = random.Random(_SEED)
    if template == "image":
        return _pictures(folder / "made_up_shapes", draw)
    rows, name = (_texts(draw), "made_up_reviews.csv") if template == "text" else (_table(draw), "made_up_plants.csv")
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows(rows)
    write_text(folder / name, out.getvalue())
    return folder / name


def _table(draw: random.Random) -> list[list[object]]:
    rows: list[list[object]] = [["height_cm", "leaves", "soil", "light_hours", "plant"]]
    for _ in range(400):
        kind = draw.choice(("fern", "clover", "thistle"))
        height = draw.gauss({"fern": 45, "clover": 18, "thistle": 60}[kind], 14)
        leaves = round(abs(draw.gauss({"fern": 14, "clover": 9, "thistle": 11}[kind], 4)))
        soil = draw.choice(("damp", "damp", "dry") if kind == "fern" else ("damp", "dry", "dry", "stony"))
        light = "" if draw.random() < 0.05 else round(draw.gauss({"fern": 4, "clover": 7, "thistle": 8}[kind], 2), 1)
        rows.append([round(height, 1), leaves, soil, light, kind])
    return rows


def _texts(draw: random.Random) -> list[list[object]]:
    rows: list[list[object]] = [["review", "opinion"]]
    for _ in range(400):
        good = draw.random() < 0.5
        mostly, seldom = (_GOOD, _BAD) if good else (_BAD, _GOOD)
        words = [draw.choice(mostly if draw.random() < 0.75 else seldom) for _ in range(3)]
        text = f"{draw.choice(_THINGS).capitalize()} was {words[0]} and {words[1]}, {draw.choice(_THINGS)} {words[2]}."
        rows.append([text, "good" if good else "bad"])
    return rows


def _pictures(folder: Path, draw: random.Random) -> Path:
    from PIL import Image, ImageDraw

    for shape in ("circle", "square", "triangle"):
        (folder / shape).mkdir(parents=True, exist_ok=True)
        for number in range(100):
            ground = draw.randrange(60, 200)
            image = Image.new("RGB", (32, 32), (ground, ground, ground))
            size = draw.randrange(8, 18)
            x, y = draw.randrange(32 - size), draw.randrange(32 - size)
            colour = tuple(draw.randrange(256) for _ in range(3))
            pen = ImageDraw.Draw(image)
            if shape == "circle":
                pen.ellipse((x, y, x + size, y + size), fill=colour)
            elif shape == "square":
                pen.rectangle((x, y, x + size, y + size), fill=colour)
            else:
                pen.polygon(((x, y + size), (x + size, y + size), (x + size // 2, y)), fill=colour)
            image.save(folder / shape / f"{number:03d}.png")
    return folder
