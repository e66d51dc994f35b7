"""What a version is made of: its script, and the other files that its settings stand in."""

from __future__ import annotations

from collections.abc import Iterable, Mapping


class Sources(str):
    """The text of a script, with that of the config files that it reads and of the user's own modules.

    Whoever asks no further has a script in hand. Names and texts are those without a version: `config.yaml` stands
    for the copy `config_v003.yaml` too, in `files` and where the script names it (`version_files` turns them into each
    other).
    """

    #: path in the workspace -> text
    files: Mapping[str, str]
    #: what the words on the command line decide: `lr`, `model.hidden`
    given: frozenset[str]

    def __new__(cls, text: str, files: Mapping[str, str] | None = None, given: Iterable[str] = ()) -> Sources:
        made = super().__new__(cls, text)
        made.files = dict(files or {})
        made.given = frozenset(given)
        return made

    def _parts(self) -> tuple[str, Mapping[str, str], frozenset[str]]:
        return str(self), self.files, self.given

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Sources):
            return self._parts() == other._parts()
        return isinstance(other, str) and not self.files and not self.given and str(self) == other

    def __hash__(self) -> int:
        if not self.files and not self.given:
            return super().__hash__()
        return hash((str(self), tuple(sorted(self.files.items())), self.given))


def files_of(source: str) -> Mapping[str, str]:
    return source.files if isinstance(source, Sources) else {}


def given_to(source: str) -> frozenset[str]:
    return source.given if isinstance(source, Sources) else frozenset()


def with_script(source: str, text: str) -> str:
    """The same files with another script."""
    return Sources(text, source.files, source.given) if isinstance(source, Sources) else text


def with_file(source: str, name: str, text: str) -> Sources:
    """The same script with another text of one of its files."""
    return Sources(str(source), {**files_of(source), name: text}, given_to(source))
