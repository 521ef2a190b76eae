"""What the agent needs from the outside. No third-party type crosses these lines."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

from whence_common.errors import RoadError
from whence_common.image_reference import ImageReference
from whence_common.statement import ContainerFacts
from whence_common.user_data.container import PortMapping


class MetadataUnavailable(RoadError):
    """The instance metadata service does not answer, or not as IMDSv2 does."""


class RegistryRefused(RoadError):
    """The registry does not give the image: down, unauthorised, absent, or answering with other bytes."""


class EngineFailed(RoadError):
    """The Docker Engine is away, or could not do what was asked."""


class AggregatorUnavailable(RoadError):
    """The aggregator is away or refuses; its code says which."""


class SecretUnavailable(RoadError):
    """A secret reference could not be resolved. The message never holds the value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceMetadata:
    """What the metadata service says of this machine."""

    document: bytes
    signature: str
    """The rsa2048 blob in base64, as given."""
    user_data: bytes | None


class Metadata(Protocol):
    async def read(self) -> InstanceMetadata:
        """Read identity and user data by IMDSv2. Raises MetadataUnavailable."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolvedImage:
    """`digest` names the manifest to run; `index_digest` the index it was chosen from, if any."""

    digest: str
    index_digest: str | None


class Registry(Protocol):
    async def resolve(self, reference: ImageReference) -> ResolvedImage:
        """Turn a reference into a digest, once. Raises RegistryRefused."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerSpec:
    """The container that user data asks for. `fingerprint` tells whether a container is this one."""

    name: str
    image: str
    """`registry/path@digest`, never a tag."""
    image_id: str
    environment: Mapping[str, str] = field(repr=False)
    ports: tuple[PortMapping, ...]
    publish_address: str
    user: str | None
    read_only: bool
    mounts: Mapping[str, str]
    """Host directory to path inside; all read-only."""
    fingerprint: str


class Engine(Protocol):
    async def pull(self, repository: str, digest: str) -> str:
        """Pull by digest; give the local image id once the engine agrees on the digest. Raises EngineFailed."""

    async def read_file(self, image: str, path: str, bytes_max: int) -> bytes | None:
        """Read one file out of an image without running it; None when it is not there. Raises EngineFailed."""

    async def run(self, spec: ContainerSpec) -> ContainerFacts:
        """Run the container, or adopt the one that already runs with this fingerprint. Raises EngineFailed."""

    async def inspect(self, name: str) -> ContainerFacts | None:
        """Say what is known of the container; None when there is none. Raises EngineFailed."""

    async def stop(self, name: str) -> None:
        """Stop and remove the container if it exists. Raises EngineFailed."""


CredentialState = Literal[
    "current",
    "not-synced",
    "not-synced-or-denied",
    "gone-or-denied",
    "bucket-missing",
    "identity",
    "unreachable",
    "invalid",
    "unwritable",
]


class ObjectUnavailable(RoadError):
    """S3 does not give the object; `state` says how it is away (credentials.md, outcomes)."""

    def __init__(self, state: CredentialState, message: str, *, fix: str = "") -> None:
        super().__init__(f"credentials-{state}", message, fix=fix)
        self.state = state


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredObject:
    content: bytes = field(repr=False)
    etag: str


class ObjectStore(Protocol):
    async def get(self, bucket: str, key: str, *, etag: str | None) -> StoredObject | None:
        """Get an object; None when it still has this etag. Raises ObjectUnavailable."""


class Decrypter(Protocol):
    async def decrypt(self, ciphertext: bytes) -> str:
        """Decrypt a KMS ciphertext to text. Raises SecretUnavailable."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Challenge:
    nonce: str
    audience: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Enrolled:
    """The aggregator's answer: which binding of the instance this is, and the key for heartbeats."""

    number: int
    heartbeat_key: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    digest: str
    ledger_index: int


class Aggregator(Protocol):
    async def challenge(self) -> Challenge:
        """Ask for a single-use challenge. Raises AggregatorUnavailable, as all of these do."""

    async def enrol(self, *, identity: str, public_key: str, nonce: str, proof: str) -> Enrolled: ...

    async def submit(self, envelope: bytes) -> Receipt: ...

    async def heartbeat(self, body: bytes, mac: str) -> None: ...


class Probe(Protocol):
    async def status(self, url: str, *, seconds_max: float) -> int | None:
        """GET a URL of this machine; give the status, or None when nobody answers."""


class Notifier(Protocol):
    def notify(self, *, ready: bool = False, stopping: bool = False, status: str | None = None) -> None:
        """Tell the service manager how far we are; does nothing without one."""
