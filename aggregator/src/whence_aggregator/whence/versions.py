"""whence versions and whence approve: which image a version is, who approved it, and approving exactly that image."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

import click

from whence_aggregator.whence.client import Client, segment
from whence_aggregator.whence.output import (
    GAPS,
    UNKNOWN,
    USAGE,
    ask,
    end,
    listed,
    listing,
    note,
    out,
    show_json,
    show_list,
)
from whence_common.identifiers import is_application_id, is_application_version
from whence_common.visible import printable

_CODE_CHANGE = "CODE_CHANGE"
_TYPES = ("SPECIFICATION", _CODE_CHANGE, "TEST", "DEPLOY")


class _ListsByDefault(click.Group):
    """A group whose first word may be left out: `versions APP` is `versions list APP`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        named = not args or args[0] in self.commands or args[0] in ctx.help_option_names
        return super().parse_args(ctx, args if named else ["list", *args])


@click.group(cls=_ListsByDefault)
def versions() -> None:
    """List the versions of an application, or show one with its approvals: versions APP, versions show APP VERSION."""


@versions.command("list")
@click.argument("application_id")
@click.option("--at", help="As it was at this time, 2026-11-22T12:00:00Z.")
@listing
@click.pass_obj
def list_versions(
    client: Client, application_id: str, at: str | None, limit: int, everything: bool, as_json: bool
) -> None:
    """List the versions of an application by name, with the image that each is."""
    _check(application_id)
    path = f"/v1/applications/{segment(application_id)}/versions"
    found = listed(client, path, "versions", {"at": at}, None if everything else limit)
    if not as_json:
        pages = found.pages
        found.pages = ([{**one, "approved": _approved(one)} for one in page] for page in pages)
    show_list(found, "versions", ("id", "digest", "digest_source", "artifact", "approved"), as_json=as_json)


@versions.command("show")
@click.argument("application_id")
@click.argument("version")
@click.option("--at", help="As it was at this time, 2026-11-22T12:00:00Z.")
@click.option("--json", "as_json", is_flag=True, help="Print the response as JSON.")
@click.pass_obj
def show_version(client: Client, application_id: str, version: str, at: str | None, as_json: bool) -> None:
    """Show a version: its digests, what its image was built from, and its approvals, superseded ones too."""
    found = _read(client, application_id, version, at)
    if as_json:
        show_json(found)
        return
    _print(found)


@click.command()
@click.argument("application_id")
@click.argument("version")
@click.option(
    "--type", "types", multiple=True, metavar="TYPE",
    help="What is approved: SPECIFICATION, CODE_CHANGE, TEST, DEPLOY or a type of your organisation; may be repeated."
    " By default each of the four is asked for, on a terminal.",
)  # fmt: skip
@click.option("--notes", help="A note that is kept with the approval.")
@click.option("--yes", is_flag=True, help="Do not ask for confirmation; --type must be given.")
@click.option("--json", "as_json", is_flag=True, help="Print the approvals as JSON.")
@click.pass_obj
def approve(
    client: Client, application_id: str, version: str, types: tuple[str, ...], notes: str | None, yes: bool,
    as_json: bool,
) -> None:  # fmt: skip
    """Approve the image that VERSION is now, after showing it. A repeated approval changes nothing."""
    if yes and not types:
        end("--yes needs --type: name what is approved, for example --type CODE_CHANGE", USAGE)
    if not yes and not sys.stdin.isatty():
        end("nobody can be asked, as stdin is not a terminal: use --type and --yes", USAGE)
    found = _read(client, application_id, version, None)
    digest = found["digest"]
    if not yes or not as_json:
        _print(found)
    if digest is None:
        end(f"nothing to approve: {found['reason']}", GAPS)
    if yes and found["reason"]:
        end(f"not approved with --yes: {found['reason']}; push the image, or approve it on a terminal", GAPS)
    if _CODE_CHANGE in (types or _TYPES):
        _warn_author(found.get("code_change"))
    wanted = [one for one in types or _TYPES if yes or click.confirm(f"Approve {printable(one)} of {digest}?")]
    if not wanted:
        end("nothing was approved", GAPS)
    path = f"/apps/{segment(application_id)}/versions/{segment(version)}/approvals"
    given = [_give(client, path, one, notes, digest) for one in wanted]
    if as_json:
        show_json(given)
        return
    for one in given:
        line = f"{one['approval_type']} by {one['user_id']} at {one['approved_at']}, ledger {one['ledger_index']}"
        out(f"approved  {printable(line)}\n")


def _warn_author(told: Mapping[str, Any] | None) -> None:
    """State on stderr that the caller's approval of the code will not count, or may not: it is stored all the same."""
    if told is None or told["counts"] == "yes":
        return
    will = "will not count" if told["counts"] == "no" else "may not count"
    said = f"your approval of {_CODE_CHANGE} {will}: {told['reason']}"
    note(printable(f"{said} ({told['note']})" if told["note"] and told["note"] != told["reason"] else said))


def _give(client: Client, path: str, approval_type: str, notes: str | None, digest: str) -> dict[str, Any]:
    """Send one approval; return it, as it was given first."""
    asked = {"approval_type": approval_type, "notes": notes, "digest": digest}
    given: dict[str, Any] = ask(lambda: client.post(path, asked))
    return given


def _check(application_id: str, version: str | None = None) -> None:
    if not is_application_id(application_id):
        end(f"not found: {application_id!r} is not an application id", UNKNOWN)
    if version is not None and not is_application_version(version):
        end(f"not found: {version!r} is not a version", UNKNOWN)


def _read(client: Client, application_id: str, version: str, at: str | None) -> dict[str, Any]:
    _check(application_id, version)
    path = f"/v1/applications/{segment(application_id)}/versions/{segment(version)}"
    found: dict[str, Any] = ask(lambda: client.get(path, at=at))
    return found


def _print(found: Mapping[str, Any]) -> None:
    """Print what exactly a version is: the image, where it comes from, and who approved it."""
    lines = [
        ("version", f"{found['application_id']} {found['id']}"),
        ("artifact", found["artifact"]),
        ("digest", found["digest"] or "unknown"),
        *(("commit", _commit(one)) for one in found["commits"]),
        *(("tickets", ", ".join(one["tickets"])) for one in found["commits"] if one["tickets"]),
        *(("seen", _seen(one)) for one in found["digests"]),
        *(("approved", _approval(one)) for one in found["approvals"]),
        *(("was approved", f"{_approval(one)}, of {one['digest']}") for one in found["superseded"]),
    ]
    if not found["commits"] and found["digest"] is not None:
        lines.insert(3, ("commit", "unknown: it is not known what the image was built from"))
    for name, value in lines:
        out(f"{name:<12}  {printable(value)}".rstrip() + "\n")
    if found["reason"]:
        note(str(found["reason"]))


def _commit(one: Mapping[str, Any]) -> str:
    read = f"{one['subject']} ({one['author']})" if one["subject"] else "not read"
    return f"{one['commit']} of {one['repository']}: {read}"


def _seen(one: Mapping[str, Any]) -> str:
    how = {"push": "pushed for team", "statement": "running in account", "stated": "stated by"}
    source = str(one["source"])
    return f"{one['digest']} {how.get(source, source)} {one['said_by']}, ledger {one['ledger_index']}"


def _approval(one: Mapping[str, Any]) -> str:
    notes = f": {one['notes']}" if one["notes"] else ""
    return f"{one['approval_type']} by {one['user_id']} at {one['approved_at']}, ledger {one['ledger_index']}{notes}"


def _approved(one: Mapping[str, Any]) -> str:
    return ", ".join(f"{given['approval_type']}: {given['user_id']}" for given in one["approvals"])
