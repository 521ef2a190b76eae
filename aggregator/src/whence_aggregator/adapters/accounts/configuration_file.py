"""The configuration of accounts as a file, read again when it has changed."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from whence_aggregator.accounts.account import ConfiguredAccount
from whence_aggregator.accounts.configuration.read import Configuration, read_configuration
from whence_aggregator.accounts.mistakes import mistakes_in
from whence_aggregator.accounts.steps.table import STEPS
from whence_aggregator.adapters.accounts.account_list import listed_accounts
from whence_common.errors import InputError

_FILE_BYTES_MAX = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadConfiguration:
    """The accounts of a configuration by id, and the digest of its bytes."""

    digest: str
    accounts: Mapping[str, ConfiguredAccount]


class ConfigurationFile:
    """A file, whose accounts are known by their ids."""

    def __init__(self, path: str, *, endpoint_url: str | None) -> None:
        """`endpoint_url`: for AWS Organizations, if the file says that it lists the accounts; None: AWS's own."""
        self._path = Path(path)
        self._endpoint_url = endpoint_url
        self._known: tuple[str, Configuration] | None = None

    async def read(self) -> ReadConfiguration:
        """Return the configuration. Raises InputError where the file is invalid, RoadError without a list."""
        digest, configuration = await asyncio.to_thread(self.load)
        if configuration.organizations is None:
            accounts = configuration.accounts()
        else:
            listed = await listed_accounts(
                configuration.organizations, configuration.stated, endpoint_url=self._endpoint_url
            )
            accounts = configuration.accounts(account_list=listed.ids, organization_id=listed.organization_id)
        return ReadConfiguration(digest=digest, accounts={one.account_id: one for one in accounts})

    def check(self) -> None:
        """Check the file whole, waiting for the disk. Raises InputError with every mistake.

        Accounts that AWS Organizations lists are checked when they are read: AWS is not asked here.
        """
        _, configuration = self.load()
        if configuration.organizations is not None:
            return
        try:
            mistakes = mistakes_in(configuration.accounts(), STEPS)
        except InputError as exc:
            mistakes = [exc]
        if mistakes:
            raise configuration.invalid(mistakes)

    def load(self) -> tuple[str, Configuration]:
        """Return the digest of the file and its content, waiting for the disk. Raises InputError."""
        try:
            with self._path.open("rb") as stream:
                content = stream.read(_FILE_BYTES_MAX + 1)
        except OSError as exc:
            message = f"{self._path} cannot be read: {exc.strerror}"
            raise InputError("account-configuration", message, fix="check the path and who may read it") from exc
        digest = f"sha256:{sha256(content).hexdigest()}"
        if self._known is None or self._known[0] != digest:
            self._known = digest, read_configuration(content, name=str(self._path))
        return self._known
