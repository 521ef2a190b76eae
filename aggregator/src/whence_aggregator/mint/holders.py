"""Who holds which generation of an application's credentials, by the statements of agents."""

from __future__ import annotations

from collections.abc import Sequence

from whence_aggregator.mint.holder_rows import credential_holders
from whence_aggregator.mint.values import CredentialHolder
from whence_aggregator.ports import Database
from whence_aggregator.queries.instance_credentials import CREDENTIAL_HOLDERS
from whence_aggregator.trace.listening import Listening


class StatedHolders:
    """`CredentialHolders` over the derived table of statements, in one round trip."""

    def __init__(self, *, database: Database, listening: Listening) -> None:
        self._database = database
        self._listening = listening

    async def of(self, application_id: str) -> Sequence[CredentialHolder]:
        """Return the running instances of an application, heard or silent. Raises StorageUnavailable."""
        rows = await self._database.fetch(CREDENTIAL_HOLDERS.bind({"application_id": application_id}))
        return credential_holders(rows, heard_since=self._listening.silent_before)
