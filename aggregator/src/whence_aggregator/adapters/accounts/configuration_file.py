"""The configuration of accounts as a file, read again when it has changed."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from whence_aggregator.accounts.account import Account
from whence_aggregator.accounts.configuration.read import read_configuration
from whence_common.errors import InputError

_FILE_BYTES_MAX = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadConfiguration:
    """The accounts of a configuration by id, and the digest of its bytes."""

    digest: str
    accounts: Mapping[str, Account]


class ConfigurationFile:
    """A file, whose accounts are known by their ids."""

    def __init__(self, path: str) -> None:
        self._path = Path(path)
        self._known: ReadConfiguration | None = None

    async def read(self) -> ReadConfiguration:
        """Return the configuration. Raises InputError where the file cannot be read or is invalid."""
        return await asyncio.to_thread(self.load)

    def load(self) -> ReadConfiguration:
        """Return the configuration, waiting for the disk. Raises InputError."""
        try:
            with self._path.open("rb") as stream:
                content = stream.read(_FILE_BYTES_MAX + 1)
        except OSError as exc:
            message = f"{self._path} cannot be read: {exc.strerror}"
            raise InputError("account-configuration", message, fix="check the path and who may read it") from exc
        digest = f"sha256:{sha256(content).hexdigest()}"
        if self._known is None or self._known.digest != digest:
            accounts = read_configuration(content, name=str(self._path)).accounts()
            self._known = ReadConfiguration(digest=digest, accounts={one.account_id: one for one in accounts})
        return self._known
