"""`progtrain review`: see and answer what the loop asks."""

from __future__ import annotations

from pathlib import Path

import click

from progtrain.engine.cli.common import candidates, chosen_version, json_option, versions, workspace
from progtrain.engine.cli.follow import events_from_now, until_end
from progtrain.engine.cli.output import print_json, say, table
from progtrain.engine.clock import now
from progtrain.engine.control import decisions, launch
from progtrain.engine.drafting import addition_text
from progtrain.engine.errors import DecisionNeeded, InputError
from progtrain.engine.files import read_text
from progtrain.engine.schema import Decision, Review
from progtrain.engine.status.view import WorkspaceView
from progtrain.engine.workspace import Workspace


@click.group("review", invoke_without_command=True)
@json_option
@click.pass_context
def command(ctx: click.Context, as_json: bool) -> None:
    """See and answer what the loop asks.

    Without a subcommand: show it.
    """
    if ctx.invoked_subcommand is None:
        _show(workspace(ctx), as_json)


@command.command("show")
@json_option
@click.pass_context
def show(ctx: click.Context, as_json: bool) -> None:
    """Show the open question: documents, candidates, diff."""
    _show(workspace(ctx), as_json)


@command.command("accept")
@click.option("--candidate", metavar="ID", shell_complete=candidates, help="This one instead of the proposed.")
@click.pass_context
def accept(ctx: click.Context, candidate: str | None) -> int:
    """Accept what is proposed, with your edits in the drafted files, and go on."""
    ws = workspace(ctx)
    review = _open(ws)
    if candidate is not None:
        _known(review, candidate)
    elif review.kind == "review":
        _refuse_what_cannot_be_done(ws, review)
    return _answer(ws, review, answer="accept", candidate=candidate)


@command.command("choose")
@click.argument("candidate", shell_complete=candidates)
@click.option("--base", metavar="vNNN", shell_complete=versions, help="Build on this version instead.")
@click.pass_context
def choose(ctx: click.Context, candidate: str, base: str | None) -> int:
    """Draft another candidate's action, and ask again."""
    ws = workspace(ctx)
    review = _open(ws)
    _known(review, candidate)
    if base is not None:
        base = chosen_version(ws, base)
    return _answer(ws, review, answer="choose", candidate=candidate, base=base)


@command.command("edit")
@click.option(
    "--analysis", type=click.Path(path_type=Path, exists=True, dir_okay=False), help="Take it from this file."
)
@click.option("--action", type=click.Path(path_type=Path, exists=True, dir_okay=False), help="Take it from this file.")
@click.pass_context
def edit(ctx: click.Context, analysis: Path | None, action: Path | None) -> int:
    """Edit the drafts in $EDITOR (or take them from files), and see what the engine would do with them."""
    ws = workspace(ctx)
    review = _open(ws)
    text = read_text(action) if action else None
    if analysis is None and action is None:
        text = click.edit(read_text(ws.drafts(review.version).action), extension=".md")
        if text is None:
            say("nothing was changed")
            return 0
    if text is not None:
        say(_what_it_does(ws, review, text, "edit again; nothing was taken over"))
    return _answer(ws, review, answer="edit", analysis=read_text(analysis) if analysis else None, action=text)


@command.command("redraft")
@click.option("--hint", help='What the advisor should think of, for example "classes 3 and 8".')
@click.pass_context
def redraft(ctx: click.Context, hint: str | None) -> int:
    """Have the advisor draft again."""
    ws = workspace(ctx)
    return _answer(ws, _open(ws), answer="redraft", hint=hint)


@command.command("hints")
@json_option
@click.pass_context
def hints(ctx: click.Context, as_json: bool) -> None:
    """The hints that count in this workspace, numbered, and what each takes out by itself."""
    from progtrain.engine.drafting.hints import veto

    found = decisions.hints(workspace(ctx))
    if as_json:
        print_json("hints", [{"number": n, "hint": hint} for n, hint in enumerate(found, start=1)])
        return
    for number, hint in enumerate(found, start=1):
        ruled_out = sorted(frozenset.union(*veto(hint)))
        say(f"{number}. {hint}" + (f"  (not offered: {', '.join(ruled_out)})" if ruled_out else ""))
    if not found:
        say("no hints: progtrain review redraft --hint TEXT gives one")


@command.command("forget")
@click.argument("hint")
@click.pass_context
def forget(ctx: click.Context, hint: str) -> None:
    """Take a hint back: its number or its text. It counts no more in the drafts to come."""
    ws = workspace(ctx)
    found = decisions.hints(ws)
    text = found[int(hint) - 1] if hint.isdigit() and 0 < int(hint) <= len(found) else hint
    if text not in found:
        raise InputError(f"there is no hint {hint!r}", fix="progtrain review hints lists them with their numbers")
    decisions.forget_hint(ws, text, now())
    say(f"taken back: {text}")


@command.command("skip")
@click.pass_context
def skip(ctx: click.Context) -> int:
    """Go on without the proposed repair."""
    ws = workspace(ctx)
    return _answer(ws, _open(ws), answer="skip")


@command.command("retry")
@click.pass_context
def retry(ctx: click.Context) -> int:
    """After the last failed attempt: train again, with the script as it is now."""
    ws = workspace(ctx)
    return _answer(ws, _open(ws), answer="retry")


def _asked(ws: Workspace) -> Review | None:
    """The open question. Raises `InputError` when there is one that cannot be read."""
    snapshot = WorkspaceView(ws.root, once=True).snapshot()
    if snapshot.review is None and snapshot.status == "waiting" and snapshot.fix:
        raise InputError(snapshot.reason, fix=snapshot.fix)
    return snapshot.review


def _open(ws: Workspace) -> Review:
    review = _asked(ws)
    if review is None:
        fix = "progtrain status shows where the loop stands"
        raise InputError("nothing is asked at present", file=ws.root, fix=fix)
    return review


def _known(review: Review, candidate: str) -> None:
    ids = [card.id for card in review.candidates]
    if candidate not in ids:
        raise InputError(f"there is no candidate {candidate!r}", fix=f"choose one of: {', '.join(ids) or 'none'}")


def _refuse_what_cannot_be_done(ws: Workspace, review: Review) -> None:
    """Here already, so that whoever edited the file sees line and fix at once."""
    path = ws.drafts(review.version).action
    if not path.is_file():
        raise InputError("the drafted action is gone", file=path, fix="progtrain review redraft makes another")
    _what_it_does(ws, review, read_text(path), "edit the draft, or choose another candidate")


def _what_it_does(ws: Workspace, review: Review, action: str, otherwise: str) -> str:
    """The diff of an action's text. Raises `InputError` with what is wrong with it."""
    from progtrain.engine.drafting.preview import preview

    found = preview(ws, review.version, action, None)
    for problem in found.problems:
        # most say themselves what fixes them, and one fix is enough
        raise InputError(problem, fix=None if "\n  fix: " in problem else otherwise)
    return found.diff


def _answer(ws: Workspace, review: Review, **fields: object) -> int:
    if fields["answer"] not in review.answers:
        fix = f"answer one of: {', '.join(review.answers)}"
        raise InputError(f"{fields['answer']} is no answer to this question", fix=fix)
    decision = Decision.model_validate({"question": review.question, "at": now(), **fields})
    events = events_from_now(ws)
    runner = launch.answer(ws, decision)
    if runner is None:
        say("answered; the loop at work takes it up")
        return 0
    code = until_end(ws, runner, events)
    return 0 if code == DecisionNeeded.exit_code else code


def _show(ws: Workspace, as_json: bool) -> None:
    review = _asked(ws)
    if review is None:
        if as_json:
            print_json("review", {"question": None})
        else:
            say("nothing is asked at present; progtrain status shows where the loop stands")
        return
    review = _as_it_is_now(ws, review)
    drafts = ws.drafts(review.version)
    paths = (drafts.analysis, drafts.action) if review.kind == "review" else ()
    documents = {path.name: read_text(path) for path in paths if path.is_file()}
    if as_json:
        print_json("review", {**review.model_dump(mode="json"), "documents": documents})
        return
    for name, text in documents.items():
        say(f"── {name} ── drafted by {review.author}", bold=True)
        say(text)
    _describe(review)
    if review.kind == "review":
        say(f"or edit {ws.relative(drafts.action)} and accept")


def _as_it_is_now(ws: Workspace, review: Review) -> Review:
    """With what accepting would do: the drafted action may have been edited since the question was asked."""
    path = ws.drafts(review.version).action
    if review.kind != "review" or not path.is_file():
        return review
    from progtrain.engine.drafting.preview import preview

    found = preview(ws, review.version, read_text(path), None)
    if found.diff == review.diff and list(found.problems) == review.problems:
        return review
    changed = {name: list(value) if isinstance(value, tuple) else value for name, value in found._asdict().items()}
    notes = [*review.notes, f"{path.name} or the rules were changed since the question was asked"]
    return review.model_copy(update={**changed, "notes": notes})


def _describe(review: Review) -> None:
    say(f"── {review.title}", bold=True)
    if review.text:
        say(review.text)
    if review.candidates:
        rows = [
            (
                "▶" if card.id == review.chosen else "",
                card.id,
                f"{card.rank}.",
                "–" if card.probability is None else f"{100 * card.probability:.0f} %",
                card.risk,
                card.change,
            )
            for card in review.candidates
        ]
        say("\n" + table(("", "candidate", "rules", "chance", "risk", "change"), rows, right=(2, 3)))
    if review.diff:
        say(f"\n── {review.target}", bold=True)
        say(review.diff)
    if review.addition:
        say("\n" + addition_text.markdown(review.addition))
    for label, lines in (("note", review.notes), ("problem", review.problems), ("not enforced", review.not_enforced)):
        for line in lines:
            say(f"{label}: {line}")
    if review.checks:
        say(f"checked: {'; '.join(review.checks)}")
    say(f"\nprogtrain review {' | '.join(answer for answer in review.answers if answer != 'stop')}", bold=True)
