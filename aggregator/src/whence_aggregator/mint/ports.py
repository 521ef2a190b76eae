"""Ports of mint: providers of credentials, buckets of credentials, and who holds which generation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from whence_aggregator.mint.values import (
    CredentialHolder,
    CredentialKind,
    GenerationId,
    KioStanding,
    KnownCredential,
    MadeCredential,
    ObjectVersion,
    WantedClient,
)
from whence_aggregator.ports import SourceUnavailable
from whence_common.errors import InputError, RoadError


class ProviderRefused(InputError):
    """The provider refuses a request, or answers what it must not: the same request fails again."""


class ProviderThrottled(SourceUnavailable):
    """The provider answers 429: it is not asked again before `retry_after_seconds`, for any application."""


class ProviderNotReached(SourceUnavailable):
    """The provider did not get the request, or did not act on it: nothing was made."""


class BucketUnavailable(RoadError):
    """S3 or the role that writes is unavailable, or denies the request; the reason is shown to the team."""


class BucketUnsafe(InputError):
    """The bucket does not exist, belongs to another account, or is not as credentials require it."""


class BucketGone(BucketUnsafe):
    """The bucket does not exist, or belongs to another account: no object of mint is in it."""


class ProviderClients(Protocol):
    """What a provider knows of applications. Raises ProviderRefused, ProviderThrottled, SourceUnavailable."""

    @property
    def kinds(self) -> frozenset[CredentialKind]:
        """The kinds of credentials that it makes."""

    @property
    def finds_lost(self) -> bool:
        """Whether what was made is found or ends by itself when the answer was lost. If not, it may be left."""

    @property
    def has_client_per_generation(self) -> bool:
        """Whether each generation is a client of its own: changed scopes and URLs take effect with the next one."""

    async def ensure(self, wanted: WantedClient) -> str:
        """Create or update the application at the provider; return the id of its client, empty if it has none yet.

        A repeated call changes nothing.
        """

    async def delete(self, wanted: WantedClient) -> None:
        """Delete the application at the provider. One that is gone is no error.

        Clients of generations are not found by their application: their generations are ended first.
        """


class ProviderCredentials(Protocol):
    """Makes and ends credentials. Raises ProviderRefused, ProviderThrottled, SourceUnavailable.

    Each call may be repeated after an answer that was lost.
    """

    async def make(
        self, wanted: WantedClient, generation: GenerationId, current: KnownCredential | None
    ) -> MadeCredential:
        """Make a credential that is valid beside the current one, `current`; None before the first."""

    async def recover(
        self, wanted: WantedClient, generation: GenerationId, current: KnownCredential | None
    ) -> MadeCredential | None:
        """Find what `make` made when its answer was lost; None: nothing can be used, and `make` may be called again.

        What cannot be used is ended here where the provider allows it.
        """

    async def verify(self, wanted: WantedClient, made: MadeCredential) -> None:
        """Use the credential at the provider; raises ProviderRefused if it does not work."""

    async def commit(self, wanted: WantedClient, known: KnownCredential) -> None:
        """State that a credential is published: the provider keeps the one before it until `end`, or its own bound."""

    async def end(self, wanted: WantedClient, known: KnownCredential, current: KnownCredential | None) -> None:
        """End a credential, whether it was committed or not. One that has ended is no error.

        `current` is the one that stays, and None when none does: some providers end a credential only by a statement
        of which one is to stay.
        """


class CredentialBuckets(Protocol):
    """Buckets of credentials, written by a role that cannot read them. Raises BucketUnavailable, BucketUnsafe."""

    async def check(self, bucket: str) -> None:
        """Raise BucketUnsafe unless encryption, versioning, lifecycle and public access are as credentials require."""

    async def put(self, bucket: str, key: str, content: bytes, metadata: Mapping[str, str]) -> str:
        """Write an object with its SHA-256 checksum, which S3 verifies; return its VersionId."""

    async def versions(self, bucket: str, key: str) -> Sequence[ObjectVersion]:
        """Return the versions of an object, the newest first, at most 100."""

    async def remove(self, bucket: str, key: str) -> None:
        """Hide an object by a deletion; its versions are deleted by the bucket's lifecycle. Raises BucketGone too."""


class CredentialHolders(Protocol):
    """Who holds which generation."""

    async def of(self, application_id: str) -> Sequence[CredentialHolder]:
        """Return the running instances of an application. Raises StorageUnavailable."""


class KnownApplications(Protocol):
    """What Kio knows of applications."""

    async def standing(self, application_id: str) -> KioStanding | None:
        """Return what Kio states of an application; None: it has none of this id. Raises StorageUnavailable."""
