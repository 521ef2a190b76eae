"""Wiring of `prepare`: the files that the replicas of one log and its witness share, made before the first start.

Settings name secrets by their files, where containers get them; no settings contain a secret.
"""

from __future__ import annotations

import os
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import yaml

from whence_aggregator.adapters.log_files import load_signers
from whence_aggregator.callers.tokens import new_token
from whence_aggregator.settings.server import log_origin, parse_settings
from whence_aggregator.settings.witness import parse_witness_settings
from whence_common.note import WITNESS, Signer
from whence_common.settings_file import SettingsInvalid

_SECRET_BYTES = 32
_TOKEN_DAYS = 3650
_PASSWORDS = ("database.password", "database-owner.password")


@dataclass(frozen=True, slots=True, kw_only=True)
class Installation:
    """What is prepared: the settings that differ between installations."""

    audience: str
    accounts: list[str]
    witness: str
    """The name of the witness."""
    witness_url: str
    replicas: list[str]
    """URLs of the replicas."""
    database: str
    """DSN without a password."""
    proxies: list[str]
    """Networks of the proxies in front, CIDR."""
    secrets_directory: str
    """Where containers find the secrets."""


def prepare(directory: Path, wanted: Installation, *, now: datetime) -> list[Path]:
    """Create `secrets` and `settings` in a directory; return the files. Raises SettingsInvalid or OSError.

    Nothing is replaced: a second log key would begin a second log.
    """
    origin = _judged(wanted)
    private, shown = directory / "secrets", directory / "settings"
    for one in (private, shown):
        if one.exists():
            raise SettingsInvalid("prepared", f"{one} exists: nothing was changed", fix="name an empty directory")
    for one in (private, shown):
        one.mkdir(mode=0o700)
    log_key = load_signers(private / "log.key", name=origin)[0].verifier
    witness_key = load_signers(private / "witness.key", name=wanted.witness, type_=WITNESS)[0].verifier
    token, line = new_token("replica", [], admin=False, made=now, until=now + timedelta(days=_TOKEN_DAYS))
    contents = {
        private / "heartbeat.secret": secrets.token_bytes(_SECRET_BYTES),
        private / "replica.token": f"{token}\n".encode(),
        **{private / name: f"{secrets.token_urlsafe(_SECRET_BYTES)}\n".encode() for name in _PASSWORDS},
        shown / "tokens": f"{line.to_line()}\n".encode(),
        shown / "aggregator.yaml": _written(_settings(wanted, witness_key=str(witness_key))),
        shown / "witness.yaml": _written(_witness_settings(wanted, str(log_key))),
    }
    for path, content in contents.items():
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(content)
    return sorted([*contents, private / "log.key", private / "witness.key"])


def _judged(wanted: Installation) -> str:
    """Return the log's name. Raises SettingsInvalid if the settings would be invalid; their keys are no one's."""
    first = parse_settings(_written(_settings(wanted, witness_key=None)), name="aggregator.yaml")
    _check_database(wanted.database)
    log_key = Signer(log_origin(first), bytes(_SECRET_BYTES)).verifier
    parse_witness_settings(_written(_witness_settings(wanted, str(log_key))), name="witness.yaml")
    witness_key = Signer(wanted.witness, bytes(_SECRET_BYTES), WITNESS).verifier
    parse_settings(_written(_settings(wanted, witness_key=str(witness_key))), name="aggregator.yaml")
    return log_origin(first)


def _check_database(dsn: str) -> None:
    """Raise SettingsInvalid for a DSN that several replicas cannot use, or that has a password, which is not shown."""
    place = urlsplit(dsn)
    named = {key for key, _ in parse_qsl(place.query, keep_blank_values=True)}
    if place.scheme not in ("postgresql", "postgres"):
        raise SettingsInvalid(
            "database-shared",
            "replicas share a database",
            fix="name one of PostgreSQL: postgresql://ROLE@HOST/DATABASE",
        )
    if place.password is not None or named & {"password", "password_file"}:
        raise SettingsInvalid(
            "database-password", "the database's DSN has a password, and settings contain none",
            fix="leave it out, and write it to secrets/database.password afterwards",
        )  # fmt: skip


def _settings(wanted: Installation, *, witness_key: str | None) -> dict[str, Any]:
    separator = "&" if "?" in wanted.database else "?"
    return {
        "audience": wanted.audience,
        "accounts": wanted.accounts,
        "database": f"{wanted.database}{separator}password_file={wanted.secrets_directory}/database.password",
        "listen_address": "0.0.0.0",  # noqa: S104 - within a container, behind the proxy
        "insecure_listen": True,
        "trusted_proxies": wanted.proxies,
        "log_key_file": f"{wanted.secrets_directory}/log.key",
        "heartbeat_secret_file": f"{wanted.secrets_directory}/heartbeat.secret",
        "witnesses": [{"url": wanted.witness_url, "key": witness_key}] if witness_key is not None else [],
        "replicas": {"urls": wanted.replicas, "token_file": f"{wanted.secrets_directory}/replica.token"},
    }


def _witness_settings(wanted: Installation, log_key: str) -> dict[str, Any]:
    return {
        "name": wanted.witness,
        "log_keys": [log_key],
        "key_file": f"{wanted.secrets_directory}/witness.key",
        "listen_address": "0.0.0.0",  # noqa: S104 - within a container
        "insecure_listen": True,
    }


def _written(document: dict[str, Any]) -> bytes:
    return yaml.safe_dump(document, sort_keys=False, width=120).encode()
