"""whence apps: list, search and show applications, their history, and hand them over to another team."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import click

from whence_aggregator.whence.client import Client, segment
from whence_aggregator.whence.output import UNKNOWN, ask, end, listed, listing, note, out, show_json, show_list
from whence_common.identifiers import is_application_id
from whence_common.visible import printable, visible_json

_CHANGES = ("recorded_at", "recorded_by", "field", "from", "to", "ledger_index")


class _Apps(click.Group):
    """A group for which `whence apps` means `list`, and `whence apps APPLICATION` means `show`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        before = args[:1] == ["--json"]
        named = next(iter(args[before:]), "-")
        if named not in self.commands and "--help" not in args:
            args = ["list" if named.startswith("-") else "show", *args]
        return super().parse_args(ctx, args)


@click.group(cls=_Apps)
def apps() -> None:
    """List the applications in the registry, show one, or hand it over to another team.

    Without a command, all applications are listed, or the one that is named is shown.
    """


@apps.command("list")
@click.option("--search", "q", help="Only applications with these words in id, name, subtitle or description; by rank.")
@click.option("--team", help="Only applications of this team.")
@click.option("--active/--inactive", default=None, help="Only applications that are active, or that are not.")
@click.option("--at", help="The applications at this time, 2026-11-22T12:00:00Z.")
@listing
@click.pass_obj
def list_(
    client: Client, /, active: bool | None, limit: int, everything: bool, as_json: bool, **filters: str | None
) -> None:
    """List applications."""
    wanted = {**filters, "active": None if active is None else str(active).lower()}
    found = listed(client, "/v1/applications", "applications", wanted, None if everything else limit)
    show_list(found, "applications", ("id", "team_id", "name", "active", "scm_url"), as_json=as_json)


@apps.command("show")
@click.argument("application_id")
@click.option("--at", help="The application at this time, 2026-11-22T12:00:00Z.")
@click.option("--json", "as_json", is_flag=True, help="Print the response as JSON.")
@click.pass_obj
def show_one(client: Client, application_id: str, at: str | None, as_json: bool) -> None:
    """Show an application, its repositories and its ticket trackers, and whether it is offered to a team."""
    path = _path(application_id)
    shown = ask(lambda: client.get(path, at=at))
    if as_json:
        show_json(shown)
        return
    width = max(map(len, shown), default=0)
    for name, value in shown.items():
        out(f"{name:<{width}}  {_text(value)}".rstrip() + "\n")
    offered = ask(lambda: client.get(f"{path}/handover", at=at))["open"]
    if offered is not None:
        note(f"{_offered(application_id, offered)}, which may accept it (whence apps accept {application_id})")


@apps.command()
@click.argument("application_id")
@click.option("--at", help="The history up to this time, 2026-11-22T12:00:00Z.")
@listing
@click.pass_obj
def history(client: Client, application_id: str, at: str | None, limit: int, everything: bool, as_json: bool) -> None:
    """Show which fields of an application changed, when, and by whom; newest first.

    --limit counts revisions, each of which may have several changes.
    """
    path = f"{_path(application_id)}/history"
    found = listed(client, path, "revisions", {"at": at}, None if everything else limit)
    if not as_json:
        found.pages = _changes(found.pages)
    show_list(found, "revisions", _CHANGES, as_json=as_json)


@apps.command()
@click.argument("application_id")
@click.argument("team")
@click.option("--note", "text", default="", help="A note for the receiving team.")
@click.option("--json", "as_json", is_flag=True, help="Print the response as JSON.")
@click.pass_obj
def offer(client: Client, application_id: str, team: str, text: str, as_json: bool) -> None:
    """Offer an application to TEAM, which must accept it.

    If you may write for both teams, it is handed over at once.
    """
    path = f"{_path(application_id)}/handover"
    _done(application_id, ask(lambda: client.post(path, {"team_id": team, "note": text})), as_json)


def _answer(name: str, text: str) -> click.Command:
    """Return the command that answers the open offer of an application."""

    @click.command(name, help=text)
    @click.argument("application_id")
    @click.option("--offer", "number", type=click.IntRange(min=0), help="Only this offer; by default the open one.")
    @click.option("--json", "as_json", is_flag=True, help="Print the response as JSON.")
    @click.pass_obj
    def answer(client: Client, application_id: str, number: int | None, as_json: bool) -> None:
        path = f"{_path(application_id)}/handover"
        if number is None:
            opened = ask(lambda: client.get(path))["open"]
            if opened is None:
                end(f"not found: no offer of {application_id} is open", UNKNOWN)
            number = opened["offer"]
            note(_offered(application_id, opened))
        _done(application_id, ask(lambda: client.post(f"{path}/{name}", {"offer": number})), as_json)

    return answer


apps.add_command(_answer("accept", "Accept the open offer of an application, for the receiving team."))
apps.add_command(_answer("decline", "Decline the open offer of an application, for the receiving team."))
apps.add_command(_answer("withdraw", "Withdraw the open offer of an application, for the owner."))


def _offered(application_id: str, opened: Mapping[str, Any]) -> str:
    return f"offer {opened['offer']}: team {opened['from_team']} offers {application_id} to team {opened['to_team']}"


def _path(application_id: str) -> str:
    if not is_application_id(application_id):
        end(f"not found: {application_id!r} is not an application id", UNKNOWN)
    return f"/v1/applications/{segment(application_id)}"


def _done(application_id: str, document: Mapping[str, Any], as_json: bool) -> None:
    if as_json:
        show_json(document)
        return
    number = f" (offer {document['offer']})" if "offer" in document else ""
    out(f"{application_id}: {document['state']}{number}; it belongs to team {printable(document['team_id'])}\n")


def _changes(pages: Iterator[Sequence[Mapping[str, Any]]]) -> Iterator[Sequence[Mapping[str, Any]]]:
    """Yield a row for each change of each revision."""
    for page in pages:
        yield [
            {
                **revision,
                **change,
                "from": _text(change["from"]),
                "to": _text(change["to"]),
                "recorded_by": _made_by(revision),
            }
            for revision in page
            for change in revision["changes"]
        ]


def _made_by(revision: Mapping[str, Any]) -> str:
    """Return who made the changes of a revision. Those of removed revisions before it are among them."""
    by, removed = str(revision["recorded_by"]), revision.get("removed_before", 0)
    return f"{by}, or by {removed} removed revision{'s' if removed > 1 else ''}" if removed else by


def _text(value: object) -> str:
    """Return a value as it is shown: a list as JSON."""
    if value is None:
        return ""
    return visible_json(value) if isinstance(value, list | dict) else printable(value)
