"""Options that several subcommands have."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

_Command = TypeVar("_Command", bound=Callable[..., Any])
AT_ONCE_DEFAULT = 8
AT_ONCE_MAX = 64

config = click.option(
    "--config", "-c", type=click.Path(path_type=Path), envvar="WHENCE_ACCOUNTS_CONFIG", default=Path("accounts.yaml"),
    show_default=True, help="The configuration.",
)  # fmt: skip
max_procs = click.option(
    "--max-procs", "-P", type=click.IntRange(1, AT_ONCE_MAX), default=AT_ONCE_DEFAULT, show_default=True, metavar="N",
    help="How many accounts are read or written at once.",
)  # fmt: skip
as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def allowing(command: _Command) -> _Command:
    """Add the options that allow changes to what is not our own, and deletions."""
    for option in (
        click.option(
            "--delete", multiple=True, metavar="ADDRESS",
            help="Delete resources that hold data or are not our own, if the configuration does not state them; a shell"
            " pattern of addresses, such as 'eu-west-1/bucket/old-*'. May be repeated.",
        ),
        click.option(
            "--adopt", multiple=True, metavar="ADDRESS",
            help="Change resources that exist without our tag; a shell pattern of addresses, such as 'role/*'. May be"
            " repeated.",
        ),
    ):  # fmt: skip
        command = option(command)
    return command
