"""The subcommands schema, explain and import."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import click

from whence_aggregator.accounts.account import ConfiguredAccount, Target
from whence_aggregator.accounts.configuration.access import AccountAccess
from whence_aggregator.accounts.configuration.explain import explain as explain_key
from whence_aggregator.accounts.configuration.explain import render, render_all
from whence_aggregator.accounts.configuration.read import read_configuration
from whence_aggregator.accounts.configuration.schema import json_schema
from whence_aggregator.accounts.configuration.write import convert, to_document, with_comments
from whence_aggregator.accounts.importing import Imported, import_account
from whence_aggregator.accounts.planning import verify
from whence_aggregator.accounts.steps.table import STEPS
from whence_aggregator.accounts_command.ending import CONVERGED, ERROR, ProgramEnd, say, show
from whence_aggregator.accounts_command.files import read_bounded
from whence_aggregator.accounts_command.running import opened_aws
from whence_common.visible import printable


@click.command()
def schema() -> None:
    """Print the JSON Schema of the configuration, for editors."""
    show(json.dumps(json_schema(), indent=2))


@click.command()
@click.argument("key", required=False)
def explain(key: str | None) -> None:
    """Explain a KEY of the configuration, such as roles.*.drop; without one, list all keys."""
    show(render_all() if key is None else render(explain_key(key)))


@click.command("import")
@click.argument("name")
@click.option("--id", "account_id", metavar="ID", required=True, help="The account's id, 12 digits.")
@click.option("--region", "regions", multiple=True, required=True, metavar="REGION", help="May be repeated.")
@click.option("--role", metavar="NAME", help="Role to assume in the account; by default your own credentials.")
@click.option("--external-id", metavar="ID", help="External id that the role requires.")
@click.option("--profile", metavar="NAME", help="Profile of the AWS configuration.")
def import_(
    name: str, account_id: str, regions: tuple[str, ...], role: str | None, external_id: str | None,
    profile: str | None,
) -> None:  # fmt: skip
    """Print a configuration that states what stands in the account NAME. Makes no write call.

    A plan of it has no changes where nothing has the tag of whence-accounts yet. What it states becomes your own only
    with --adopt. What no configuration states is named in comments and on standard error, with the reason.
    """
    access = AccountAccess(role=role, external_id=external_id, profile=profile)
    head: dict[str, object] = {"id": account_id, "regions": list(regions), "access": _stated(access)}
    account = _checked(name, head)
    imported = asyncio.run(_import(account.target))
    text = to_document({}, {name: {**head, **imported.section}})
    show(with_comments(text, [(one.key, printable(one.text)) for one in imported.notes]).rstrip())
    for one in imported.unread:
        say(f"whence-accounts: not imported: {printable(one)}")
    for note in imported.notes:
        say(f"whence-accounts: not stated: {printable(note.text)}")
    read_configuration(text.encode(), name="the imported configuration")
    raise ProgramEnd(ERROR if imported.unread else CONVERGED)


@click.command("convert")
@click.argument("file", type=click.Path(path_type=Path))
def convert_(file: Path) -> None:
    """Print a FILE of Seven Seconds' version 10 as a configuration of version 11, which states the same."""
    show(convert(read_bounded(file), name=str(file)).rstrip())


async def _import(target: Target) -> Imported:
    async with opened_aws() as providers:
        await verify(target, providers)
        return await import_account(target, STEPS, providers)


def _checked(name: str, head: dict[str, object]) -> ConfiguredAccount:
    """Return the account of the options. Raises SettingsInvalid."""
    text = to_document({}, {name: {**head, "alias": None}})
    (account,) = read_configuration(text.encode(), name="the options").accounts()
    return account


def _stated(access: AccountAccess) -> dict[str, str | None]:
    return {
        "role": access.role,
        **{key: value for key, value in (("external_id", access.external_id), ("profile", access.profile)) if value},
    }
