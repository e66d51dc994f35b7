"""What a section may look like, as a hand-written GBNF grammar.

It keeps a model to plain sentences without digits, one a line, a few lines a section. Which keys exist is left out on
purpose: a model that is kept from a key it wants takes the next best, and says something wrong that looks right.
llama.cpp ends the process over a grammar that it cannot parse, so the texts here stay simple, and each grammar is
tried with texts to accept and to refuse before use.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from progtrain.advisor.llama.model import Grammar

#: With larger vocabularies the model writes freely and is checked afterwards.
LARGEST_VOCABULARY = 65_536
#: Ends a section: the next heading's mark.
END = "#"


#: Texts that every section's grammar must accept, and texts that it must refuse.
ACCEPT = ("The loss is flat.\n#", "@gap is large, (near @best_epoch).\n#")
REFUSE = ("\n", "# summary", "The loss is 0.9.\n", "It is <b>.\n", "At @ it.\n", "An @9.\n")


def section(lines: int) -> str:
    """One to `lines` lines of prose with `@key` references, then the end or the mark of the next heading."""
    more = ""
    for _ in range(lines - 1):
        more = f"(line {more})?" if more else "line?"
    return "\n".join(
        (
            f'root ::= line {more} "{END}"?',
            # some tokenizers begin every text with a space
            'line ::= " "? first body last? "\\n"',
            "first ::= letter | reference",
            "body ::= (letter | mark | reference)*",
            "letter ::= [A-Za-zÀ-ÖØ-öø-ÿ]",
            "mark ::= [ ,.;:!?()'%/+=→-]",
            'reference ::= "@" key after',
            "after ::= [ ,.;:!?()'%/]",
            'last ::= "@" key',
            "key ::= [a-z] [a-z_]*",
        )
    )


def follows(rules: Grammar, tokens: Iterable[int]) -> bool:
    """Whether the grammar lets this text be written from the start."""
    rules.restart()
    for token in tokens:
        if not rules.allows(token):
            return False
        rules.take(token)
    return True
