"""Samples as people can look at them and listen to them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor


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
