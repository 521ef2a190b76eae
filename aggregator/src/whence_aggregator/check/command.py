"""The command: read the settings, check the program's start, print all problems; optionally as another user."""

from __future__ import annotations

import asyncio
import os
import pwd
import sys
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from whence_aggregator.check.programs import Surroundings, check_mint, check_registry, check_serve, check_witness
from whence_aggregator.settings.server import read_settings
from whence_aggregator.settings.witness import read_witness_settings
from whence_common.clock import utc_now
from whence_common.problems import Problem, has_errors
from whence_common.settings_file import SETTINGS_BYTES_MAX, Document, SettingsInvalid

GOOD, NO_PERMISSION, SETTINGS_WRONG = 0, 77, 78
SETTINGS_FILE = "/etc/whence/aggregator.yaml"
WITNESS_FILE = "/etc/whence/witness.yaml"
_SAMPLES = {SETTINGS_FILE: "aggregator", WITNESS_FILE: "witness"}


class CannotBecome(Exception):
    """The user does not exist, or this process may not switch to it."""


@dataclass(frozen=True, slots=True)
class _Program:
    settings_file: str
    read: Callable[..., Document[Any]]
    check: Callable[[Document[Any], Surroundings], Coroutine[Any, Any, Sequence[Problem]]]


_PROGRAMS: Mapping[str, _Program] = {
    "serve": _Program(SETTINGS_FILE, read_settings, check_serve),
    "registry": _Program(SETTINGS_FILE, read_settings, check_registry),
    "mint": _Program(SETTINGS_FILE, read_settings, check_mint),
    "witness": _Program(WITNESS_FILE, read_witness_settings, check_witness),
}
PROGRAMS = tuple(_PROGRAMS)


def check(program: str, *, config: str | None, as_user: str | None, environment: Mapping[str, str]) -> int:
    """Check one program; return 0 without errors, 77 if the user cannot be switched, 78 with errors."""
    of = _PROGRAMS[program]
    try:
        if as_user is not None:
            become(as_user)
    except CannotBecome as exc:
        print(f"whence-aggregator: {exc}", file=sys.stderr)
        return NO_PERMISSION
    document = open_settings(config or of.settings_file, of.read, environment)
    if document is None:
        return SETTINGS_WRONG
    around = Surroundings(database_location=environment.get("WHENCE_DATABASE"), now=utc_now)
    problems = asyncio.run(of.check(document, around))
    if problems:
        print(document.render(problems), file=sys.stderr)
    if os.geteuid() == 0:
        print(
            "whence-aggregator: checked as root; to check as the service's user, see the README (Check)",
            file=sys.stderr,
        )
    errors = sum(one.severity == "error" for one in problems)
    counted = f"{errors} errors, {len(problems) - errors} warnings"
    print(f"{document.name}: {counted}" if problems else f"{document.name}: good")
    return SETTINGS_WRONG if has_errors(problems) else GOOD


def open_settings(
    path: str, read: Callable[..., Document[Any]], environment: Mapping[str, str]
) -> Document[Any] | None:
    """Return the settings; None after printing every error."""
    try:
        return load_settings(path, read, environment)
    except FileNotFoundError:
        sample = _SAMPLES.get(path)
        fix = f"copy /etc/whence/{sample}.sample.yaml to it and edit it" if sample else "pass another file by --config"
        message = f"there are no settings: {path} does not exist ({fix})"
    except PermissionError:
        message = f"{path} cannot be read by this user (chmod 0644 it: it contains no secrets)"
    except OSError as exc:
        message = f"{path} cannot be read: {exc.strerror}"
    except SettingsInvalid as exc:
        message = exc.diagnostics()
    print(f"whence-aggregator: {message}", file=sys.stderr)
    return None


def load_settings(path: str, read: Callable[..., Document[Any]], environment: Mapping[str, str]) -> Document[Any]:
    """Return the settings in a file. Raises OSError or SettingsInvalid."""
    with Path(path).open("rb") as stream:
        content = stream.read(SETTINGS_BYTES_MAX + 1)
    return read(content, name=path, credentials_directory=environment.get("CREDENTIALS_DIRECTORY"))


def become(name: str) -> None:
    """Switch this process to a user, by name or number, permanently. Raises CannotBecome."""
    if os.geteuid() != 0:
        raise CannotBecome("--as-user needs root: use sudo")
    try:
        entry = pwd.getpwuid(int(name)) if name.isascii() and name.isdigit() else pwd.getpwnam(name)
    except (KeyError, OverflowError) as exc:
        raise CannotBecome(
            f"there is no user {name!r}; the user of a unit with DynamicUser=yes exists only while it runs: "
            "use systemd-run as in the README (Check)"
        ) from exc
    os.initgroups(entry.pw_name, entry.pw_gid)
    os.setresgid(entry.pw_gid, entry.pw_gid, entry.pw_gid)
    os.setresuid(entry.pw_uid, entry.pw_uid, entry.pw_uid)
