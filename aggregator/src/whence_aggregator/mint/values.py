"""Values of mint: applications with credentials, generations of a credential, and what providers return."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

CredentialKind = Literal["user", "client"]
"""`user`: user name and password of a service user; `client`: id and secret of an OAuth client."""
GenerationPhase = Literal["intended", "generated", "published", "committed", "ending", "ended"]
"""Phases of a generation, in order. One that fails goes to `ending` from any phase before `committed`.

- `intended`: the provider is about to be asked; its answer may have been lost.
- `generated`: the provider has answered; the secret is stored sealed, until it is committed.
- `published`: every bucket holds it.
- `committed`: it is the current generation. The one before stays valid until its readers hold this one.
- `ending`: the provider is about to be told that it is no longer valid.
- `ended`: the provider does not accept it.
"""
ChangeStep = Literal["created", "changed", "renewal", "revocation", "deletion"]
OBJECTS: Mapping[CredentialKind, str] = {"user": "user.json", "client": "client.json"}
"""Names of the objects in a bucket, below `<application_id>/`."""
GENERATION_METADATA = "whence-generation"
"""User metadata of an object: the id of its generation, which agents report."""
FILES_METADATA = "whence-files"
"""User metadata of an object: the names of all objects that the application has, joined by commas."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceScope:
    """A scope: of a resource type, as mint's clients write it."""

    resource_type_id: str
    scope_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MintApplication:
    """An application whose credentials are minted, as its team wrote it. Times are in UTC; empty: never."""

    application_id: str
    team_id: str
    """Of Kio's application, when it was read."""
    username: str
    """Of the service user; fixed at creation."""
    is_confidential: bool
    """Whether its client has a secret."""
    provider: str
    """The name of the provider in the settings."""
    credentials: tuple[CredentialKind, ...]
    redirect_url: str = ""
    buckets: tuple[str, ...] = ()
    clusters: tuple[str, ...] = ()
    scopes: tuple[ResourceScope, ...] = ()
    client_id: str = ""
    """The id of its client at the provider; empty before the first."""
    last_modified: str = ""
    last_synced: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class MintChange:
    """What was written or ordered of an application. `by` is the caller; empty: mint itself."""

    step: ChangeStep
    by: str
    reason: str = ""
    is_written: bool = False
    """Whether the application was written: the entry then has it whole."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedClient:
    """What a provider is to know of an application."""

    application_id: str
    name: str
    team_id: str
    username: str
    is_confidential: bool
    redirect_url: str
    scopes: tuple[ResourceScope, ...]
    client_id: str
    """The id that the provider gave; empty before the first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerationId:
    """Names a generation. `generation` is random, 32 hexadecimal digits, chosen before the provider is asked."""

    application_id: str
    kind: CredentialKind
    generation: str

    @property
    def client_name(self) -> str:
        """The name of the generation's client, where each generation has one."""
        return f"{self.application_id} (whence {self.generation})"


@dataclass(frozen=True, slots=True, kw_only=True)
class MadeCredential:
    """A credential that a provider has made, valid beside the one before it."""

    document: Mapping[str, str | None] = field(repr=False)
    """The content of the object: `application_username` and `application_password`, or `client_id` and
    `client_secret`, which is None for a client without a secret."""
    handle: Mapping[str, str] = field(default_factory=dict)
    """What the provider needs to commit or end it, and is no secret: `txid`, `client_id`."""
    secret_handle: Mapping[str, str] = field(default_factory=dict, repr=False)
    """What the provider needs to end it, and is a secret: it is stored sealed until the generation has ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownCredential:
    """A generation as a provider is told of it. `handle` and `secret_handle` are those that it returned."""

    id: GenerationId
    handle: Mapping[str, str] = field(default_factory=dict)
    secret_handle: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectVersion:
    """A version of an object, as ListObjectVersions returns it. A deletion is a version too."""

    version_id: str
    is_latest: bool
    is_deletion: bool
    modified_at: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CredentialHolder:
    """A running instance of an application, and the generations that its agent has reported.

    A generation is empty when the agent does not hold that credential, and None when its agent does not report ids.
    """

    instance_id: str
    account_id: str
    is_heard: bool
    """Whether its agent speaks; what one that is silent reported last may be out of date."""
    generations: Mapping[CredentialKind, str | None]
    reported_at: str


@dataclass(frozen=True, slots=True, kw_only=True)
class KioStanding:
    """What Kio states of an application now."""

    name: str
    team_id: str
    is_active: bool
