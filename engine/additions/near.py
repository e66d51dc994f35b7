"""Which rows are nearly rows of another split: by the distance of numbers and pictures, and the words of texts."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from progtrain.engine.additions import vectors
from progtrain.engine.additions.tools.progtrain_additions_rows import Rows

if TYPE_CHECKING:
    import numpy as np

#: of the distances from a training row to the nearest other one: what is closer than this share of them is near
QUANTILE = 0.01
#: of the three-word sequences of a text that another one holds
CONTAINED = 0.9
_SEQUENCE = 3
#: a text of fewer sequences is compared as a whole only
_LEAST = 3
#: rows at once; training rows from which the limit is worked out
_ROWS, _OTHERS, _SAMPLED = 1024, 4096, 2000


class Limits(NamedTuple):
    """`distance`: None where rows are texts, or the training has too few rows to say."""

    distance: float | None

    def told(self) -> dict[str, Any]:
        return {"distance": self.distance, "quantile": QUANTILE, "contained": CONTAINED}


def limits(train: Rows, root: Path) -> Limits:
    """Of the training rows alone."""
    import numpy as np

    if vectors.texts(train) is not None or len(train) < 2:
        return Limits(None)
    numbers = vectors.of_numbers(train, train, root)
    if numbers is None:
        return Limits(None)
    some = np.random.default_rng(0).permutation(len(numbers))[:_SAMPLED]
    distances, _ = nearest(numbers[some], numbers, leave_out=some)
    return Limits(float(np.quantile(distances, QUANTILE)))


def found(rows: Rows, other: Rows, train: Rows, limit: Limits, root: Path) -> dict[int, tuple[int, str]]:
    """Place of a row -> place of the other row that it nearly is, and why."""
    said, theirs = vectors.texts(rows), vectors.texts(other)
    if said is not None and theirs is not None:
        return contained(said, theirs)
    if limit.distance is None:
        return {}
    numbers, others = (vectors.of_numbers(one, train, root) for one in (rows, other))
    if numbers is None or others is None:
        return {}
    distances, at = nearest(numbers, others)
    near = (distances <= limit.distance).nonzero()[0].tolist()
    shown = f"{limit.distance:.4g}, the 1 % quantile between training rows"
    return {one: (int(at[one]), f"distance {float(distances[one]):.4g}, at most {shown}") for one in near}


def nearest(
    rows: np.ndarray[Any, Any], others: np.ndarray[Any, Any], leave_out: np.ndarray[Any, Any] | None = None
) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Euclidean distance of each row to the nearest of `others`, and which that is. (n, d), (m, d) -> (n,), (n,).

    `leave_out`: of each row, one of the others that does not count.
    """
    import numpy as np

    best, at = np.full(len(rows), np.inf, dtype=np.float32), np.zeros(len(rows), dtype=np.int64)
    sizes = np.einsum("ij,ij->i", others, others) / 2
    for start in range(0, len(rows), _ROWS):
        block = slice(start, start + _ROWS)
        for first in range(0, len(others), _OTHERS):
            part = slice(first, first + _OTHERS)
            # half the square of the distance, less half that of the row's own size
            part_of = sizes[part] - rows[block] @ others[part].T
            if leave_out is not None:
                inside = leave_out[block] - first
                own = ((inside >= 0) & (inside < part_of.shape[1])).nonzero()[0]
                part_of[own, inside[own]] = np.inf
            here = part_of.argmin(axis=1)
            least = part_of[np.arange(len(here)), here]
            closer = least < best[block]
            best[block][closer], at[block][closer] = least[closer], here[closer] + first
    # once more without the rounding of large squares
    exact = np.empty(len(rows))
    for start in range(0, len(rows), _ROWS):
        block = slice(start, start + _ROWS)
        exact[block] = np.linalg.norm(rows[block].astype(np.float64) - others[at[block]], axis=1)
    return exact, at


def contained(texts: Sequence[str], others: Sequence[str]) -> dict[int, tuple[int, str]]:
    """Texts that hold nearly all three-word sequences of another: place -> place of the other, and why."""
    sets = [_sequences(other) for other in others]
    often = Counter(sequence for sequences in sets for sequence in sequences)
    # a text that holds nearly all of them holds one of the rarest, whichever it lacks: only those are looked up
    index: dict[int, list[int]] = defaultdict(list)
    for at, sequences in enumerate(sets):
        if len(sequences) >= _LEAST:
            lacking = len(sequences) - ceil(CONTAINED * len(sequences))
            for sequence in sorted(sequences, key=lambda one: (often[one], one))[: lacking + 1]:
                index[sequence].append(at)
    result = {}
    for at, text in enumerate(texts):
        own = _sequences(text)
        maybe = {other for sequence in own for other in index.get(sequence, ())}
        share, other = max(((len(own & sets[one]) / len(sets[one]), one) for one in maybe), default=(0.0, 0))
        if share >= CONTAINED:
            result[at] = (other, f"it holds {share:.0%} of that text's sequences of {_SEQUENCE} words")
    return result


def _sequences(text: str) -> set[int]:
    words = vectors.tokens(text)
    return {hash(tuple(words[at : at + _SEQUENCE])) for at in range(len(words) - _SEQUENCE + 1)}
