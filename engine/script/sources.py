"""What a version is made of: its script, and the other files that its settings stand in."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path


class Sources(str):
    """The text of a script, with that of the config files that it reads and of the user's own modules.

    Whoever asks no further has a script in hand. Names and texts are those without a version: `config.yaml` stands
    for the copy `config_v003.yaml` too, in `files` and where the script names it (`version_files` turns them into each
    other).
    """

    #: path in the workspace -> text
    files: Mapping[str, str]

    def __new__(cls, text: str, files: Mapping[str, str] | None = None) -> Sources:
        made = super().__new__(cls, text)
        made.files = dict(files or {})
        return made

    def __eq__(self, other: object) -> bool:
        return isinstance(other, str) and str(self) == str(other) and self.files == files_of(other)

    def __hash__(self) -> int:
        return hash((str(self), *sorted(self.files.items()))) if self.files else super().__hash__()


def files_of(source: str) -> Mapping[str, str]:
    return source.files if isinstance(source, Sources) else {}


def with_script(source: str, text: str) -> str:
    """The same files with another script."""
    return Sources(text, source.files) if isinstance(source, Sources) else text


def with_file(source: str, name: str, text: str) -> Sources:
    """The same script with another text of one of its files."""
    return Sources(str(source), {**files_of(source), name: text})


def joined(root: Path, texts: Mapping[Path, str]) -> Sources:
    """Files of a version under their paths in `root`, the script first, as one value."""
    script, *others = texts
    return Sources(texts[script], {path.relative_to(root).as_posix(): texts[path] for path in others})


def parted(root: Path, script: Path, source: str) -> dict[Path, str]:
    """The other way round."""
    return {script: str(source), **{root / name: text for name, text in files_of(source).items()}}
