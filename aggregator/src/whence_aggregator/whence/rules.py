"""whence rules: what is judged, and why a rule is not in force; whence replay: a verdict again, from the log alone."""

from __future__ import annotations

import difflib
import json
import sys
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import click

from whence_aggregator.whence.client import Client
from whence_aggregator.whence.output import (
    GAPS,
    INCOMPLETE,
    UNKNOWN,
    ask,
    document_of,
    end,
    note,
    show,
    show_json,
    show_lines,
)
from whence_common.visible import printable

_COLUMNS = ("rule", "version", "verdict", "replayed_verdict", "same", "reason", "replayed_reason")
_RULE_COLUMNS = ("id", "kind", "severity", "version", "own", "state", "reason")
_STATES = ("in-force", "off", "failing")
_Command = TypeVar("_Command", bound=Callable[..., Any])
_KINDS = ("instance", "version", "application", "ami", "account")


def _filtered(command: _Command) -> _Command:
    """Add the filters of the list."""
    options = (
        click.option("--kind", type=click.Choice(_KINDS), help="Only rules about this kind of subject."),
        click.option("--severity", type=click.Choice(["1", "2", "3", "4"]), help="Only of this severity; 1 is worst."),
        click.option("--state", type=click.Choice(_STATES), help="Only rules in this state; by default all."),
        click.option("--own", is_flag=True, help="Only rules of your own."),
        click.option("--json", "as_json", is_flag=True, help="Print JSON."),
    )
    for option in reversed(options):
        command = option(command)
    return command


@click.group(invoke_without_command=True)
@_filtered
@click.pass_context
def rules(context: click.Context, /, own: bool, as_json: bool, **wanted: str | None) -> None:
    """List the rules, also those that are not in force, with the reason. `show` shows one.

    Exits 1 if a listed rule of your own could not be evaluated last: its verdicts are unknown.
    """
    if context.invoked_subcommand is not None:
        if own or as_json or any(wanted.values()):
            raise click.UsageError(f"options stand after {context.invoked_subcommand}")
        return
    _list(context.obj, wanted, own=own, as_json=as_json)


@rules.command(name="list")
@_filtered
@click.pass_obj
def list_rules(client: Client, /, own: bool, as_json: bool, **wanted: str | None) -> None:
    """List the rules, as `whence rules` does."""
    _list(client, wanted, own=own, as_json=as_json)


@rules.command(name="show")
@click.argument("rule")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def show_rule(client: Client, rule: str, as_json: bool) -> None:
    """Show one rule: what it checks, why, what to do about it, and its examples.

    Exits 1 if it is a rule of your own that could not be evaluated last, and 4 if there is no such rule.
    """
    every = document_of(client, "/v1/rules", "rules")["rules"]
    one = next((each for each in every if each["id"] == rule), None)
    if one is None:
        close = difflib.get_close_matches(rule, [each["id"] for each in every], n=1)
        hint = f"did you mean {close[0]}?" if close else "whence rules lists all"
        end(f"there is no rule {printable(rule[:60])}: {hint}", UNKNOWN)
    if as_json:
        show_json(one)
    else:
        names = ("id", "title", "kind", "severity", "audit_relevant", "version", "link", "own", "digest")
        lines = [(name, one[name]) for name in names if one.get(name) is not None]
        show_lines([*lines, ("state", _state(one)), ("reason", _reason(one)), ("rationale", one["rationale"]),
                    ("remedy", one["remedy"])])  # fmt: skip
        examples = [{**each, "given": json.dumps(each["given"], ensure_ascii=False)} for each in one["examples"]]
        show(one, examples, ("outcome", "given"), as_json=False)
    sys.exit(GAPS if one["failing"] else 0)


def _list(client: Client, wanted: Mapping[str, str | None], *, own: bool, as_json: bool) -> None:
    every = document_of(client, "/v1/rules", "rules")["rules"]
    found = [one for one in every if (one["own"] or not own) and _matches(one, wanted)]
    rows = [{**one, "state": _state(one), "reason": _reason(one)} for one in found]
    show({"rules": found}, rows, _RULE_COLUMNS, as_json=as_json)
    sys.exit(GAPS if any(one["failing"] for one in found) else 0)


def _matches(one: Mapping[str, Any], wanted: Mapping[str, str | None]) -> bool:
    is_ = {"kind": one["kind"], "severity": str(one["severity"]), "state": _state(one)}
    return all(value in (None, is_[name]) for name, value in wanted.items())


def _state(one: Mapping[str, Any]) -> str:
    if not one["in_force"]:
        return "off"
    return "failing" if one["failing"] else "in-force"


def _reason(one: Mapping[str, Any]) -> str:
    """Return why a rule is not in force, or could not be evaluated."""
    return one["reason"] or one["failing"] or ""


@click.command()
@click.argument("verdict", type=click.IntRange(min=0))
@click.option("--json", "as_json", is_flag=True, help="Print the response as JSON.")
@click.pass_obj
def replay(client: Client, verdict: int, as_json: bool) -> None:
    """Judge again from the entries that VERDICT, the `ledger_index` of a verdict, names.

    Exits 0 if each rule has the same verdict, 1 if one has another, and 5, naming the entries, if retention removed
    what the verdict rests on.
    """
    found = ask(lambda: client.get(f"/v1/verdicts/{verdict}/replay"))
    show(found, found["verdicts"], _COLUMNS, as_json=as_json)
    if found["missing"]:
        note(f"removed from the log: entries {', '.join(map(str, found['missing']))}")
        sys.exit(INCOMPLETE)
    sys.exit(0 if found["same"] else GAPS)
