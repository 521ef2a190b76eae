"""whence credentials: the generations of an application's credentials, who holds them, and what is wrong."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import click

from whence_aggregator.whence.ages import age
from whence_aggregator.whence.client import Client, segment
from whence_aggregator.whence.output import (
    GAPS,
    USAGE,
    PagedList,
    ask,
    end,
    listed,
    listing,
    note,
    show,
    show_json,
    show_lines,
    show_list,
)

_LISTED = ("application_id", "team_id", "provider", "credentials", "state", "client", "password", "problem")
_GENERATIONS = ("kind", "generation", "phase", "age", "buckets", "readers")
_SHORT_CHARACTERS = 8
_ASKED = {
    "renew": "Rotate the credentials of {} now? The old ones stay valid until their readers hold the new ones.",
    "revoke": "Replace the credentials of {} now? The old ones end without waiting for their readers.",
}


@click.command()
@click.argument("application", required=False)
@click.argument("action", required=False, type=click.Choice(["renew", "revoke"]))
@click.option("--team", help="List only applications of this team.")
@click.option("--problems", is_flag=True, help="List only applications with problems.")
@click.option("--yes", is_flag=True, help="With renew and revoke: do not ask.")
@listing
@click.pass_obj
def credentials(
    client: Client, /, application: str | None, action: str | None, team: str | None, problems: bool, yes: bool,
    limit: int, everything: bool, as_json: bool,
) -> None:  # fmt: skip
    """List applications whose credentials are minted, those with problems first; or show those of APPLICATION.

    `renew` rotates them now, and the old ones stay valid until their readers hold the new ones. `revoke` ends the old
    ones as soon as the new ones are in the buckets. Secrets are never shown. Exits 1 if anything is wrong.
    """
    if application is None:
        _list(client, team, None if everything else limit, only_problems=problems, as_json=as_json)
    if team is not None or problems:
        end("--team and --problems are for the list, without an application", USAGE)
    path = f"/v1/credentials/{segment(application or '')}"
    if action is None:
        shown = ask(lambda: client.get(path))
    else:
        _confirm(_ASKED[action].format(application), is_sure=yes)
        shown = ask(lambda: client.post(f"{path}/{action}", {}))
        note(f"whence: {action} is recorded; whence credentials {application} shows how far it is")
    if as_json:
        show_json(shown)
    else:
        _show(shown)
    sys.exit(GAPS if shown["problems"] and action is None else 0)


def _confirm(question: str, *, is_sure: bool) -> None:
    if is_sure:
        return
    if not sys.stdin.isatty():
        end("there is no terminal to ask at: add --yes", USAGE)
    click.confirm(question, abort=True, err=True)


def _list(client: Client, team: str | None, most: int | None, *, only_problems: bool, as_json: bool) -> None:
    found = _problems_first(client, team, most, only_problems=only_problems)
    gaps: list[bool] = []
    pages = found.pages

    def watched() -> Iterator[Sequence[Mapping[str, Any]]]:
        for page in pages:
            gaps.extend(bool(one["problems"]) for one in page)
            yield page if as_json else [_row(one) for one in page]

    found.pages = watched()
    show_list(found, "applications", _LISTED, as_json=as_json)
    sys.exit(GAPS if any(gaps) else 0)


def _problems_first(client: Client, team: str | None, most: int | None, *, only_problems: bool) -> PagedList:
    """Return the list in two parts; the second begins where the first ends."""

    def part(problems: str, left: int | None) -> PagedList:
        return listed(client, "/v1/credentials", "applications", {"team": team, "problems": problems}, left)

    failing = part("true", most)
    if only_problems:
        return failing
    whole = PagedList(first=failing.first, pages=iter(()))

    def pages() -> Iterator[Sequence[Mapping[str, Any]]]:
        for rows in failing.pages:
            whole.rows += len(rows)
            whole.following = failing.following
            yield rows
        if failing.following is not None:
            return
        left = None if most is None else most - whole.rows
        rest = part("false", None if left is None else max(left, 1))
        for rows in rest.pages:
            if left == 0:
                whole.following = rows[0]["application_id"] if rows else None
                return
            whole.rows += len(rows)
            whole.following = rest.following
            yield rows

    whole.pages = pages()
    return whole


def _row(one: Mapping[str, Any]) -> dict[str, object]:
    problems = one["problems"]
    return {
        **one,
        "credentials": ",".join(one["credentials"]),
        "client": one["last_client_rotation"] if "client" in one["credentials"] else "",
        "password": one["last_password_rotation"] if "user" in one["credentials"] else "",
        "problem": problems[0]["problem"] if problems else "",
    }


def _show(shown: Mapping[str, Any]) -> None:
    as_of, total = shown["as_of"], shown["instances_total"]
    show_lines(
        [
            ("application", f"{shown['application_id']} of {shown['team_id']} ({shown['state']})"),
            ("provider", f"{shown['provider']}, {'' if shown['is_synced'] else 'not yet '}synced"),
            ("username", shown["username"]),
            ("client id", shown["client_id"] or "none yet"),
            *(("bucket", bucket) for bucket in shown["buckets"]),
            *_waiting(shown),
            *(("problem", _problem(one)) for one in shown["problems"]),
            *(("changed", line) for line in _changes(shown)),
            *(("orphan?", f"{one['kind']} {one['ended_at']}: {one['fix']}") for one in shown["possible_orphans"]),
            *(("behind", line) for line in _behind(shown)),
            ("as of", as_of),
        ]
    )
    rows = [_generation(one, len(shown["buckets"]), total, as_of) for one in shown["generations"]]
    show(shown, rows, _GENERATIONS, as_json=False)


def _changes(shown: Mapping[str, Any]) -> Iterator[str]:
    """Yield a line for each change, with the members that differ from the one before, where that is shown."""
    changes = shown["changes"]
    for place, one in enumerate(changes):
        written, what = one["written"], "" if one["by"] else one["reason"] or ""
        known = next((before["written"] for before in changes[place + 1 :] if before["written"]), None)
        if written and known:
            what = "; ".join(f"{name} is {_text(value)}" for name, value in written.items() if value != known.get(name))
        elif written:
            what = f"buckets {_text(written['buckets'])}, scopes {_text(written['scopes'])}"
        yield f"{one['at']} {one['step']} by {one['by'] or 'mint'}{f': {what}' if what else ''}"


def _text(value: object) -> str:
    return ", ".join(map(str, value)) or "none" if isinstance(value, list) else str(value) or "none"


def _waiting(shown: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    if shown["renewal_at"] and not _is_renewed(shown):
        yield "renewal", f"{shown['renewal_at']} {shown['renewal_reason']}"
    if shown["missing_since"]:
        yield "missing", f"from Kio since {shown['missing_since']}: it will be deleted"
    if shown["deleted_at"]:
        yield "deleting", f"since {shown['deleted_at']}: {shown['deleted_reason']}"


def _is_renewed(shown: Mapping[str, Any]) -> bool:
    """Return whether all current generations were made since the renewal was requested."""
    current = {
        one["kind"] for one in shown["generations"] if one["is_current"] and one["intended_at"] >= shown["renewal_at"]
    }
    return current >= set(shown["credentials"])


def _problem(one: Mapping[str, Any]) -> str:
    times = "once" if one["attempts"] == 1 else f"{one['attempts']} times"
    tried = f"{one['step']}, {times} since {one['since']}, again {one['retry_at']}"
    return f"{tried}: {one['code']}: {one['problem']}"


def _behind(shown: Mapping[str, Any]) -> Iterator[str]:
    """Yield a line for each shown instance that does not hold a current generation."""
    current = {one["kind"]: one["generation"] for one in shown["generations"] if one["is_current"]}
    for instance in shown["instances"]:
        for kind, generation in current.items():
            held = instance["generations"][kind]
            if held not in (None, generation):
                silent = "" if instance["is_heard"] else ", and is silent"
                what = f"generation {held[:_SHORT_CHARACTERS]}" if held else "none"
                yield f"{instance['instance_id']} in {instance['account_id']} holds {kind} {what}{silent}"


def _generation(one: Mapping[str, Any], buckets: int, instances: int, as_of: str) -> dict[str, object]:
    held = sum(place["version_id"] is not None for place in one["buckets"])
    unknown = f", {one['readers_unknown']} unknown" if one["readers_unknown"] else ""
    then = one["ended_at"] or one["committed_at"] or one["intended_at"]
    return {
        "kind": one["kind"],
        "generation": one["generation"][:_SHORT_CHARACTERS],
        "phase": f"{one['phase']}{', current' if one['is_current'] else ''}",
        "age": age(then, as_of),
        "buckets": f"{held} of {buckets}" if one["phase"] != "ended" else "",
        "readers": f"{one['readers']} of {instances}{unknown}",
    }
