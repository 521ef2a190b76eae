"""The accounts whose instances may enrol: those of the settings, or those that AWS Organizations lists as ACTIVE."""

from __future__ import annotations

import logging
from collections.abc import Container, Iterable

from whence_aggregator.organisation.rows import active
from whence_aggregator.ports import Database, StorageUnavailable
from whence_aggregator.queries.organisation import ACCOUNTS_ACTIVE
from whence_common.runtime.logs import fields
from whence_common.runtime.pause import pause

log = logging.getLogger(__name__)

REFRESH_SECONDS = 30.0
"""How long an account that is new, or no longer active, waits at most in a process that did not read it itself."""


class AllowedAccounts(Container[str]):
    """Accounts by name. Collected ones are read from the database; nobody is allowed until some were."""

    def __init__(self, *, named: Iterable[str], collected: bool, database: Database) -> None:
        self._accounts = frozenset(named)
        self._collected = collected
        self._database = database

    def __contains__(self, account_id: object) -> bool:
        return account_id in self._accounts

    @property
    def names(self) -> frozenset[str]:
        return self._accounts

    async def refresh(self) -> None:
        """Read what was collected. What was known before stays where the database does not answer."""
        if not self._collected:
            return
        try:
            rows = await self._database.fetch(ACCOUNTS_ACTIVE.bind({"source": "aws"}))
        except StorageUnavailable as exc:
            log.error("the accounts allowed before stay", extra=fields(code=exc.code, message=exc.message))
            return
        self._accounts = active(rows)

    async def run(self) -> None:
        """Refresh now and then until cancelled."""
        while True:
            await self.refresh()
            await pause(REFRESH_SECONDS)
