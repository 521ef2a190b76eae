"""What the agent needs from the outside. No third-party type crosses these lines."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

from whence_agent.machine.protocol import Request
from whence_agent.ports_engine import HealthChecks
from whence_common.errors import RoadError
from whence_common.image_evidence import ImageEvidence
from whence_common.image_provenance import ImageConfig, SourceClaim
from whence_common.image_reference import ImageReference
from whence_common.registry_sign_in import Login
from whence_common.statement import ContainerFacts
from whence_common.user_data.options import ContainerOptions

IdentityForm = Literal["pkcs7", "rsa2048"]
"""Signatures of the identity document: by DSA and SHA-1, as Pier One took them, or by RSA-2048."""


class MetadataUnavailable(RoadError):
    """The instance metadata service does not answer, or not as IMDSv2 does."""


class RegistryRefused(RoadError):
    """The registry does not give the image: down, unauthorised, absent, or answering with other bytes."""


class EngineFailed(RoadError):
    """The Docker Engine is away, or could not do what was asked."""


ENGINE_UNAUTHORISED = "engine-unauthorised"
"""The code of a pull that the registry refuses for want of a login, or for one that has ended."""


class SecretUnavailable(RoadError):
    """A secret reference could not be resolved. The message never holds the value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceMetadata:
    """What the metadata service says of this machine."""

    document: bytes
    signature: str
    """The rsa2048 blob in base64, as given."""
    user_data: bytes | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Notices:
    """What the cloud says will happen to this machine; empty text where it says nothing."""

    spot_action: str = ""
    """`terminate`, `stop` or `hibernate`, within two minutes."""
    rebalance: bool = False
    lifecycle_state: str = ""
    """The Auto Scaling target state: `InService`, `Terminated`, …"""


class Metadata(Protocol):
    async def read(self) -> InstanceMetadata:
        """Read identity and user data by IMDSv2. Raises MetadataUnavailable."""

    async def notices(self) -> Notices:
        """Read the notices. Raises MetadataUnavailable."""

    async def addresses(self) -> Mapping[str, str]:
        """Give `local_ipv4` and `public_ipv4`, as far as there are any. Raises MetadataUnavailable."""

    async def signed_identity(self, form: IdentityForm) -> str:
        """Give the identity document as PKCS7 text, which Pier One takes as a password. Raises MetadataUnavailable."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolvedImage:
    """`digest` names the manifest to run; `index_digest` the index it was chosen from, if any.

    `login` is what the registry accepted; the engine pulls with it.
    """

    digest: str
    index_digest: str | None
    login: Login | None = None
    production_ready: bool = False
    claims: tuple[SourceClaim, ...] = ()
    """What the annotations of the manifest and of the index state about the source."""
    layer_types: tuple[str, ...] = ()
    """The media types of its layers, each once: an engine may be unable to unpack some, such as zstd."""


class Registry(Protocol):
    async def resolve(self, reference: ImageReference, login: Login | None) -> ResolvedImage:
        """Turn a reference into a digest, once. Raises RegistryRefused."""

    async def evidence(self, reference: ImageReference, digest: str, login: Login | None) -> ImageEvidence:
        """Fetch signatures and attestations by referrers and by tag. Raises RegistryRefused."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MountPoint:
    source: str
    inside: str
    read_only: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class LogDriver:
    name: str
    options: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerSpec:
    """The container that is meant. `fingerprint` tells whether a container is this one."""

    name: str
    image: str
    """`registry/path@digest`, never a tag."""
    image_id: str
    environment: Mapping[str, str] = field(repr=False)
    options: ContainerOptions
    network: str
    publish_address: str
    user: str | None
    mounts: tuple[MountPoint, ...]
    log: LogDriver
    pids_max: int
    stop_seconds: int
    fingerprint: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerState:
    """What the engine says of one container now. `configuration` digests its parts by name, limits included.

    A part that is as by default is not in it.
    """

    facts: ContainerFacts
    configuration: Mapping[str, str]
    out_of_memory: bool = False
    checks: HealthChecks | None = None
    """None where the engine does not check the container."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineEvent:
    """Something happened to a container. `action` is the engine's word; `detail` an exec's program alone."""

    action: str
    container_id: str
    name: str
    image: str
    detail: str = ""
    command: str = ""
    """Digest of an exec's whole command line, which may hold secrets."""
    at: float = 0.0
    """When it happened, by the engine's clock in seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PullProgress:
    """How far a pull is. Layers and bytes are those that the engine has named so far."""

    layers: int = 0
    layers_fetched: int = 0
    layers_kept: int = 0
    """Layers that the engine has for good: another try goes on from there."""
    bytes_fetched: int = 0
    bytes_total: int = 0

    def words(self) -> str:
        """Return it for people: "3 of 7 layers, 210 of 480 MB"; empty before the first layer."""
        if not self.layers:
            return ""
        size = f", {self.bytes_fetched / 1e6:.0f} of {self.bytes_total / 1e6:.0f} MB" if self.bytes_total else ""
        return f"{self.layers_fetched} of {self.layers} layers{size}"


class Engine(Protocol):
    async def pull(
        self, repository: str, digest: str, login: Login | None, *, told: Callable[[PullProgress], None]
    ) -> str:
        """Pull by digest; give the local image id once the engine agrees on the digest. Raises EngineFailed.

        `told` hears how far it is. A pull that makes no progress for a bounded time fails.
        """

    async def config(self, image: str) -> ImageConfig:
        """Read the labels of a pulled image, and when it was made. Raises EngineFailed."""

    async def read_file(self, image: str, path: str, bytes_max: int) -> bytes | None:
        """Read one file out of an image without running it; None when it is not there. Raises EngineFailed."""

    async def run(self, spec: ContainerSpec) -> ContainerFacts:
        """Run the container, or adopt the one that already runs with this fingerprint. Raises EngineFailed."""

    async def stop(self, name: str, *, seconds_max: int = 10, remove: bool = True) -> None:
        """Stop the container if it exists, and remove it unless it is to be looked at. Raises EngineFailed."""


class ContainerWatch(Protocol):
    async def inspect(self, name: str) -> ContainerState | None:
        """Say what is known of the container; None when there is none. Raises EngineFailed."""

    async def start(self, name: str) -> None:
        """Start a container that has ended. Raises EngineFailed."""

    async def restart(self, name: str) -> None:
        """Stop a container and start it again. Raises EngineFailed."""

    async def running(self) -> list[EngineEvent]:
        """Give every container that runs now, as if each had just been started. Raises EngineFailed."""

    def events(self, *, since: float = 0.0) -> AsyncIterator[EngineEvent]:
        """Follow what happens to containers, until the engine goes away. Raises EngineFailed.

        With `since`, begin with what the engine remembers after that instant.
        """


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
    "revoked",
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


class Secrets(Protocol):
    async def decrypt(self, ciphertext: bytes, context: Mapping[str, str]) -> str:
        """Decrypt a KMS ciphertext to text. Raises SecretUnavailable, as all of these do."""

    async def secret(self, name: str) -> str:
        """Give the current text of a secret in Secrets Manager."""

    async def parameter(self, name: str) -> str:
        """Give a parameter of Systems Manager, decrypted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessToken:
    token: str = field(repr=False)
    expires_seconds: float


class TokenIssuer(Protocol):
    async def password_grant(self, user: Mapping[str, str], client: Mapping[str, str]) -> AccessToken:
        """Get a token as the application's user. Raises SecretUnavailable, as does the other."""

    async def client_credentials(self, client: Mapping[str, str], scopes: tuple[str, ...]) -> AccessToken: ...


class Probe(Protocol):
    async def status(self, url: str, *, seconds_max: float) -> int | None:
        """GET a URL of this machine; give the status, or None when nobody answers."""


class Notifier(Protocol):
    def notify(
        self, *, ready: bool = False, stopping: bool = False, alive: bool = False, status: str | None = None
    ) -> None:
        """Tell the service manager how far we are; does nothing without one."""


class Machine(Protocol):
    async def prepare(self, request: Request) -> list[str]:
        """Have the helper do what needs root; give what was done. Raises MachineFailed."""
