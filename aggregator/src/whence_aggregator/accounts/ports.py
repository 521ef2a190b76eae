"""Ports of the account tool: a provider reads and writes one kind of resource in one account and region."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from whence_aggregator.accounts.account import Target
from whence_aggregator.accounts.resources import Json, ResourceKind, StandingResource, WantedResource

CREDENTIALS_REFUSED = "account-credentials"
"""Code of a RoadError where AWS accepts the credentials no longer, or there are none: every other call fails too."""


class ResourceProvider(Protocol):
    """Reads and writes resources of one kind. Every method raises RoadError when AWS refuses or does not answer.

    No method waits longer than a few seconds for AWS; what takes longer is read again by the next run.
    """

    async def read(self, wanted: Sequence[WantedResource]) -> Sequence[StandingResource]:
        """Return those of the wanted resources that stand, and all others of this kind that are our own.

        Makes no write call. Lists are read whole, or the call fails: a resource that is not returned does not exist.
        """

    async def create(self, wanted: WantedResource) -> StandingResource | None:
        """Create a resource that does not stand, in one write call where AWS allows it, with our tag.

        Aspects that the call does not set are set by `put` afterwards. References in `wanted` are resolved.
        Return the resource as AWS's answer states it, or None if the answer does not state it whole: it is read then.
        """

    async def put(self, standing: StandingResource, aspect: str, value: Json) -> None:
        """Set one aspect to a value; None removes it."""

    async def delete(self, standing: StandingResource) -> None:
        """Delete a resource. One that is gone already is no error."""


@runtime_checkable
class Finds(Protocol):
    """A provider that finds what a configuration can state, for `import`."""

    async def find(self) -> Sequence[StandingResource]:
        """Return all resources of this kind that an owner made, whoever they are. Makes no write call.

        Raises RoadError. What AWS makes by itself, such as service-linked roles, is left out; its default VPC is
        not, since others place their groups in it.
        """


class Providers(Protocol):
    """Providers by kind, account and region."""

    def of(self, kind: ResourceKind, target: Target, region: str | None) -> ResourceProvider:
        """Return the provider of a kind. `region` is None for kinds of the whole account."""

    def of_one_pass(self) -> Providers:
        """Return providers that only read, for one pass over one account: what several of them ask is asked once."""

    async def find(self, kind: ResourceKind, target: Target, region: str | None) -> Sequence[StandingResource]:
        """Return what stands of a kind whose provider finds it, and nothing of others. Raises RoadError."""

    async def identity(self, target: Target) -> str:
        """Return the id of the account that the credentials lead to. Raises RoadError."""

    async def aliases(self, target: Target) -> Sequence[str]:
        """Return the account's alias, if it has one. Raises RoadError."""

    async def release(self, target: Target) -> None:
        """Close what is open for an account; it is opened again when it is needed. Nothing of it may be in use."""
