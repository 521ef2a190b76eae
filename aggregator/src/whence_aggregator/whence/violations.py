"""whence violation, acknowledge, exempt, unexempt: one violation with its life, and the steps that people take."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn

import click

from whence_aggregator.violations.shown import to_csv
from whence_aggregator.whence.client import Client, segment
from whence_aggregator.whence.covered import end_covered
from whence_aggregator.whence.output import (
    GAPS,
    USAGE,
    PagedList,
    ask,
    end,
    note,
    out,
    show,
    show_json,
    show_lines,
    show_list,
)
from whence_aggregator.whence.picture import doer_text
from whence_common.visible import printable

BULK_MAX = 100
"""Violations that one command acknowledges."""
COLUMNS = (
    "id", "state", "severity", "rule", "subject", "team", "members", "not_confirmed", "since", "last_seen",
    "reopened", "reason",
)  # fmt: skip
_INSTANCE_COLUMNS = (
    "instance_id", "account_id", "region", "verdict", "since", "caused_by", "event", "event_at", "event_id",
)  # fmt: skip
_AS_JSON = click.option("--json", "as_json", is_flag=True, help="Print the response as JSON.")
_YES = click.option("--yes", is_flag=True, help="Do not ask after the list was shown.")


def show_grouped(found: PagedList, *, as_json: bool, as_csv: bool) -> NoReturn:
    """Print violations with their life. Exits 5 if a source was not read, else 1 if there are any."""
    if as_csv:
        out(to_csv([row for page in found.pages for row in page]))
        note(found.note())
    else:
        if not as_json:
            pages = found.pages
            found.pages = ([_flat(one) for one in page] for page in pages)
        show_list(found, "violations", COLUMNS, as_json=as_json)
    end_covered(found.first.get("coverage"), gaps=bool(found.rows))


@click.group()
def violation() -> None:
    """Show one violation."""


@violation.command("show")
@click.argument("name", metavar="ID")
@click.option("--at", help="As it was recorded at this time, 2026-11-22T12:00:00Z.")
@click.option("--known-at", help="Without the steps that were recorded after this time; by default now.")
@_AS_JSON
@click.pass_obj
def show_violation(client: Client, /, name: str, as_json: bool, **times: str | None) -> None:
    """Show a violation: its state, its owner, its instances, and every step. Exits 1 unless it is fixed.

    If it is exempted, its exemption too; `whence exemptions` lists all that are in force.
    """
    found = _read(client, name, **times)
    if as_json:
        show_json(found)
    else:
        names = (
            "id", "state", "rule", "severity", "title", "reason", "team", "application_id", "account_id", "first_seen",
            "since", "last_seen", "not_confirmed_since", "members", "not_confirmed", "reopened", "remedy",
        )  # fmt: skip
        lines = [(one, found.get(one)) for one in names if found.get(one) is not None]
        show_lines([*lines, *_exempted(found.get("exemption"))])
        steps = ("at", "step", "by", "comment", *(["recorded_by_then"] if times["at"] else []))
        show(found, found["steps"], steps, as_json=False)
        instances = [{**one, **_cause(one.get("caused_by"))} for one in found["instances"] or ()]
        show(found, instances, _INSTANCE_COLUMNS, as_json=False)
        for one in found["folded"] or ():
            note(f"{one['rule']} of {one['instances']} instances follows from it")
    sys.exit(0 if found["state"] == "fixed" else GAPS)


@click.command()
@click.argument("names", nargs=-1, required=True, metavar="ID…")
@click.option("--comment", required=True, help="What is done about it; it is recorded with your name.")
@_YES
@_AS_JSON
@click.pass_obj
def acknowledge(client: Client, names: tuple[str, ...], comment: str, yes: bool, as_json: bool) -> None:
    """Acknowledge violations of your team, at most 100. The list is shown first. It ends when the fault is fixed.

    Each is printed as it is done. If one is refused, the rest is left, and named on stderr.
    """
    _check_count(names, "acknowledged")
    if len(names) > 1 or not yes:
        found = [_read(client, name) for name in names]
        _confirmed(found, f"Acknowledge {len(found)}?", yes)
    _each(names, "acknowledged", lambda name: _acknowledged(client, name, comment), as_json)


@click.command()
@click.argument("name", metavar="ID")
@click.option("--reason", required=True, help="Why; it is recorded with your name.")
@click.option("--until", required=True, help="When it ends by itself, 2026-12-24T12:00:00Z; at most 366 days from now.")
@click.option("--application", help="All violations of the rule by this application.")
@click.option("--version", help="With --application: only by this version.")
@click.option("--account", help="All violations of the rule in this account.")
@click.option("--ami", help="The violation of the rule by this AMI.")
@click.option("--team", help="All violations of the rule that this team owns.")
@_YES
@_AS_JSON
@click.pass_obj
def exempt(
    client: Client, /, name: str, reason: str, until: str, yes: bool, as_json: bool, **scope: str | None
) -> None:  # fmt: skip
    """Exempt a violation until a time, or with a scope all violations of its rule in it. The list is shown first."""
    body: dict[str, Any] = {"reason": reason, "until": until}
    if wanted := {key: value for key, value in scope.items() if value is not None}:
        body["scope"] = wanted
    preview = ask(lambda: client.post(_path(name, "exempt"), {**body, "dry_run": True}))
    _confirmed(preview["violations"], f"Exempt {preview['covers']} until {printable(until)}?", yes)
    done = ask(lambda: client.post(_path(name, "exempt"), {**body, "covers": preview["covers"]}))
    if as_json:
        show_json(done)
        return
    exemption = printable(done["exemption"]["id"])
    out(f"{exemption}: {done['covers']} exempted; undo it with: whence unexempt {exemption}\n")


@click.command()
@click.argument("names", nargs=-1, required=True, metavar="ID…")
@_YES
@_AS_JSON
@click.pass_obj
def unexempt(client: Client, names: tuple[str, ...], yes: bool, as_json: bool) -> None:
    """Undo exemptions by their ids, or what was done last about violations: their exemption, else acknowledgement.

    At most 100; of several, the list is shown first. Each is printed as it is done. If one is refused, the rest is
    left, and named on stderr. `whence exemptions` lists the exemptions in force.
    """
    _check_count(names, "undone")
    if len(names) > 1:
        for name in names:
            note(_line(_read(client, name)) if name.startswith("v-") else f"  {printable(name)}")
        _agreed(f"Undo {len(names)}?", yes)
    _each(names, "undone", lambda name: _undone(client, name), as_json, alone=len(names) == 1)


def _check_count(names: Sequence[str], what: str) -> None:
    if len(names) > BULK_MAX:
        end(f"{len(names)} are named: at most {BULK_MAX} are {what} at once", USAGE)


def _exempted(exemption: Mapping[str, Any] | None) -> list[tuple[str, object]]:
    """Return by which exemption a violation is exempted, and when that ends by itself."""
    return [("exemption", exemption["id"]), ("exempt_until", exemption["until"])] if exemption is not None else []


def _cause(cause: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the columns about the event that touched an instance last before its fault."""
    if cause is None:
        return {"caused_by": "not read"}
    value = cause["value"]
    if value is None:
        return {"caused_by": f"not known: {cause['reason']}"}
    named = doer_text(value["by"]) + (f" (but {cause['reason']})" if cause["reason"] else "")
    return {"caused_by": named, "event": value["event"], "event_at": value["at"], "event_id": value["event_id"]}


def _read(client: Client, name: str, **times: str | None) -> dict[str, Any]:
    found: dict[str, Any] = ask(lambda: client.get(f"/v1/violations/{segment(name)}", **times))
    return found


def _acknowledged(client: Client, name: str, comment: str) -> dict[str, Any]:
    found: dict[str, Any] = ask(lambda: client.post(_path(name, "acknowledge"), {"comment": comment}))
    return found


def _undone(client: Client, name: str) -> dict[str, Any]:
    path = f"/v1/exemptions/{segment(name)}/undo" if name.startswith("e-") else _path(name, "undo")
    found: dict[str, Any] = ask(lambda: client.post(path, {}))
    return found


def _path(name: str, step: str) -> str:
    return f"/v1/violations/{segment(name)}/{step}"


def _confirmed(found: Sequence[Mapping[str, Any]], question: str, yes: bool) -> None:
    """Show what a step is about to move, and ask. Ends the command where nobody agrees."""
    for one in found:
        note(_line(one))
    _agreed(question, yes)


def _line(one: Mapping[str, Any]) -> str:
    return f"  {one['id']}  {one['state']}  {printable(one['rule'])}  {printable(one['subject']['id'])}"


def _agreed(question: str, yes: bool) -> None:
    """Ask whether to go on. Ends the command where nobody agrees."""
    if yes:
        return
    if not sys.stdin.isatty():
        end("nothing was done: stdin is not a terminal, so the question cannot be asked: use --yes", USAGE)
    if not click.confirm(question, err=True):
        end("nothing was changed", GAPS)


def _each(
    names: Sequence[str], what: str, take: Callable[[str], dict[str, Any]], as_json: bool, *, alone: bool = False
) -> None:
    """Take a step for each name and print what it moved at once, as JSON at the end; `alone`: not as a list.

    If one is refused, the command ends with the code of the refusal, and names those that were left.
    """
    done: list[dict[str, Any]] = []
    for place, name in enumerate(names):
        try:
            done.append(take(name))
        except SystemExit:
            if done and as_json:
                show_json(done)
            if len(names) > 1:
                note(f"not {what}: {', '.join(names[place:])}")
            raise
        if not as_json:
            for one in done[-1].get("violations", done[-1:]):
                out(f"{one['id']}: {one['state']}\n")
            sys.stdout.flush()
    if as_json:
        show_json(done[0] if alone else done)


def _flat(one: Mapping[str, Any]) -> dict[str, Any]:
    return {**one, "subject": one["subject"]["id"]}
