"""The briefing for an instruct model that was not trained on ours: every fact with its value and meaning, the rules of
the game, and one example of an answer.
"""

from __future__ import annotations

from progtrain.advisor.interface import Briefing, Candidate, Fact, Finding, Tried
from progtrain.advisor.prose.prompts import by_rank, clean, strength_word

#: What a model answers that is asked for code and would leave it alone.
NOTHING = "NO CHANGE"

INSTRUCTIONS = """\
You are a senior machine-learning engineer. You get the facts about one training run and a list of options. \
Explain the result and choose the one option that is most likely to help the next run.

Rules:
- Never write a number yourself. Write the key of a fact, such as @gap or @best_epoch; its value is filled in later.
- Use only keys from FACTS. Say "rose", "fell", "better" or "worse" only where the facts show it.
- Short, plain sentences, one a line. No lists, no Markdown.
- Answer in these sections, each under its heading:
# summary: what came out, and the main reason
# deltas: how the metrics changed against earlier versions
# evidence: which facts support the diagnosis
# hypotheses: what may be the cause
# focus: what deserves attention next, a few words a line
# choice: the id of one option, nothing else
# goal: what the chosen change is meant to achieve
# impact: what should change if it works
# risk: what could go wrong
# verification: how to tell whether it worked"""

#: The same for a context that has no room for it.
SHORT_INSTRUCTIONS = """\
You are a machine-learning engineer. Explain the training run and choose one option. \
Short plain sentences, one a line. No numbers: write the key of a fact, such as @gap. Use these headings:
# summary
# deltas
# evidence
# hypotheses
# focus
# choice: the id of one option
# goal
# impact
# risk
# verification"""

EXAMPLE = Briefing(
    version="v002",
    facts=(
        Fact(key="version", display="v002", meaning="this version"),
        Fact(key="previous", display="v001", meaning="the version before it"),
        Fact(key="metric", display="accuracy", meaning="the primary metric"),
        Fact(key="value", display="0.912", value=0.912, meaning="its value in this version"),
        Fact(
            key="delta_previous",
            display="+0.021",
            value=0.021,
            bucket="improved",
            meaning="change of the primary metric",
        ),
        Fact(key="rise", display="18 %", value=0.18, bucket="moderate", meaning="how far the validation loss rose"),
        Fact(key="best_epoch", display="6", value=6, bucket="early", meaning="epoch with the lowest validation loss"),
        Fact(key="epochs", display="20", value=20, meaning="epochs trained"),
    ),
    findings=(
        Finding(id="overfitting", strength=0.8, text="Validation loss rose by @rise.", evidence=("rise", "best_epoch")),
    ),
    options=(
        Candidate(id="add_dropout", change="add dropout", why="It counters overfitting.", risk="low", rank=1),
        Candidate(id="epochs_up", change="train longer", why="It helps where training ends early.", risk="low", rank=2),
    ),
)
_EXAMPLE_ANSWER = """\
# summary
@version improved on @previous: @metric rose to @value (@delta_previous).
The model overfits: validation loss is lowest in epoch @best_epoch of @epochs.
# deltas
@metric rose by @delta_previous against @previous.
# evidence
After epoch @best_epoch the validation loss rises by @rise.
# hypotheses
Regularisation is too weak for this amount of training data.
# focus
Regularisation of the hidden layers
# choice
add_dropout
# goal
Hold back memorising, so that validation loss no longer rises by @rise.
# impact
Validation loss should stay low after epoch @best_epoch.
# risk
Too much of it would show as a higher training loss.
# verification
Compare with @version on the same validation samples.
"""


def messages(briefing: Briefing, *, example: bool = True, short: bool = False) -> list[dict[str, str]]:
    """The conversation up to the answer. What never changes comes first, so that a prefix can be reused.

    `short` says the same in half the words.
    """
    if short:
        question = render_short(briefing)
        return [{"role": "system", "content": SHORT_INSTRUCTIONS}, {"role": "user", "content": question}]
    shown = [
        {"role": "user", "content": render_full(EXAMPLE)},
        {"role": "assistant", "content": _EXAMPLE_ANSWER.strip()},
    ]
    return [
        {"role": "system", "content": INSTRUCTIONS},
        *(shown if example else ()),
        {"role": "user", "content": render_full(briefing)},
    ]


def render_full(briefing: Briefing) -> str:
    """The briefing for a model that was not trained on ours: facts with values and meanings."""
    parts = [
        ("FACTS", [_full_fact(fact) for fact in briefing.facts]),
        ("DIAGNOSIS", [f"{f.id} ({strength_word(f.strength)}): {clean(f.text)}" for f in briefing.findings]),
        ("OPTIONS", [f"{o.id}: {clean(o.change)} (risk {o.risk}). {clean(o.why)}" for o in by_rank(briefing)]),
        ("TRIED", [_tried(t) for t in briefing.tried]),
        ("LOCKED BY THE USER", [clean(line) for line in briefing.limits]),
        ("THE USER'S INSTRUCTION", [clean(line) for line in briefing.instruction]),
        ("THE USER'S HINT", [clean(line) for line in briefing.hints[-2:]]),
    ]
    return "\n\n".join(f"{title}\n" + "\n".join(lines) for title, lines in parts if lines)


def render_short(briefing: Briefing) -> str:
    """The briefing without meanings and reasons."""
    parts = [
        ("FACTS", [f"@{f.key} {clean(f.display, 40)}" + (f" {f.bucket}" if f.bucket else "") for f in briefing.facts]),
        ("DIAGNOSIS", [f"{f.id} ({strength_word(f.strength)})" for f in briefing.findings]),
        ("OPTIONS", [f"{o.id}: {clean(o.change, 60)}" for o in by_rank(briefing)]),
        ("TRIED", [f"{clean(t.action, 40)}: {clean(t.verdict, 20)}" for t in briefing.tried[-3:]]),
        ("THE USER'S HINT", [clean(line) for line in briefing.hints[-1:]]),
    ]
    return "\n".join(f"{title}\n" + "\n".join(lines) for title, lines in parts if lines)


def _tried(tried: Tried) -> str:
    against = f" (the user's choice, against the advice to try {clean(tried.instead_of)})" if tried.instead_of else ""
    return f"{tried.version}: {clean(tried.action)}: {clean(tried.verdict)}{against}"


def _full_fact(fact: Fact) -> str:
    bucket = f" ({fact.bucket})" if fact.bucket else ""
    return f"@{fact.key} = {clean(fact.display, 80)}{bucket}: {clean(fact.meaning, 120)}"
