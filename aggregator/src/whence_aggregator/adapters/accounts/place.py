"""Where providers call AWS: one account, one region, with the credentials of its role."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from whence_aggregator.accounts.account import Target
from whence_aggregator.accounts.arns import role_arn
from whence_aggregator.adapters.accounts.shared_reads import SharedReads, SharingClient
from whence_aggregator.adapters.aws_clients import AssumedRole, ServiceClients


@dataclass(frozen=True, slots=True, kw_only=True)
class AwsPlace:
    """An account and a region. Resources of the whole account are read and written in `region` too."""

    target: Target
    region: str
    clients: ServiceClients
    reads: SharedReads | None = None
    """Those of the pass that this place belongs to, if it is one that only reads."""

    @property
    def account_id(self) -> str:
        return self.target.account_id

    async def client(self, service: str, region: str | None = None) -> Any:
        """Return an open client of a service. Raises what the SDK raises when the role cannot be assumed."""
        return await self._client(service, region or self.region, self.target.account_id)

    async def client_in(self, account_id: str, service: str) -> Any:
        """Return a client in another account, by the role of the same name."""
        return await self._client(service, self.region, account_id)

    async def release(self) -> None:
        """Close the clients of the account's role, if it has one."""
        role = self._role(self.target.account_id)
        if role is not None:
            await self.clients.release(role)

    async def _client(self, service: str, region: str, account_id: str) -> Any:
        client = await self.clients.get(service, region, self._role(account_id))
        if self.reads is None:
            return client
        return SharingClient(client, self.reads, f"{service} {region} {account_id}")

    def _role(self, account_id: str) -> AssumedRole | None:
        access = self.target.access
        if access.role is None:
            return None
        return AssumedRole(role_arn(account_id, access.role, self.region), access.external_id)
