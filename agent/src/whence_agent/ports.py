"""What the agent needs from outside, as protocols. They mention no third-party type."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

from whence_agent.machine.protocol import Request
from whence_agent.ports_engine import HealthChecks
from whence_common.ami_facts import AmiFacts
from whence_common.errors import RoadError
from whence_common.image_evidence import ImageEvidence
from whence_common.image_provenance import ImageConfig, SourceClaim
from whence_common.image_reference import ImageReference
from whence_common.registry_sign_in import Login
from whence_common.statement import ContainerFacts
from whence_common.user_data.options import ContainerOptions

IdentityForm = Literal["pkcs7", "rsa2048"]
"""Signatures of the identity document: DSA with SHA-1, which Pier One accepted, or RSA-2048."""


class InstalledSoftware(Protocol):
    """The packages of this machine."""

    async def read(self) -> AmiFacts | None:
        """Return what differs from the machine's image; None if the image names no statement."""


class MetadataUnavailable(RoadError):
    """The instance metadata service does not answer, or its answer is not one of IMDSv2."""


class RegistryRefused(RoadError):
    """The registry does not serve the image: it is unavailable, denies access, lacks it, or sends other bytes."""


class EngineFailed(RoadError):
    """The Docker Engine is unreachable, or the request failed."""


ENGINE_UNAUTHORISED = "engine-unauthorised"
"""The code of a pull that the registry refuses because the login is missing or has expired."""


class SecretUnavailable(RoadError):
    """A secret reference could not be resolved. The message never contains the value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceMetadata:
    """What the metadata service states about this machine."""

    document: bytes
    signature: str
    """The rsa2048 blob in base64, as received."""
    user_data: bytes | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Notices:
    """What AWS announces for this machine; empty if nothing is announced."""

    spot_action: str = ""
    """`terminate`, `stop` or `hibernate`, within two minutes; empty without a spot notice."""
    rebalance: bool = False
    lifecycle_state: str = ""
    """The Auto Scaling target state: `InService`, `Terminated`, …"""


class Metadata(Protocol):
    async def read(self) -> InstanceMetadata:
        """Read identity and user data by IMDSv2. Raises MetadataUnavailable."""

    async def notices(self) -> Notices:
        """Read the notices. Raises MetadataUnavailable."""

    async def addresses(self) -> Mapping[str, str]:
        """Return `local_ipv4` and `public_ipv4`, as far as they exist. Raises MetadataUnavailable."""

    async def signed_identity(self, form: IdentityForm) -> str:
        """Return the signed identity document, which Pier One accepts as a password. Raises MetadataUnavailable."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolvedImage:
    """A reference resolved to `digest`, the manifest to run; `index_digest` is the index that lists it, if any.

    `login` is the login that the registry accepted, for the engine's pull.
    """

    digest: str
    index_digest: str | None
    login: Login | None = None
    production_ready: bool = False
    claims: tuple[SourceClaim, ...] = ()
    """What the annotations of the manifest and of the index state about the source."""
    layer_types: tuple[str, ...] = ()
    """The media types of its layers, each once; an engine may not support all of them, for example zstd."""


class Registry(Protocol):
    async def resolve(self, reference: ImageReference, login: Login | None) -> ResolvedImage:
        """Resolve a reference to a digest. Raises RegistryRefused."""

    async def evidence(self, reference: ImageReference, digest: str, login: Login | None) -> ImageEvidence:
        """Return signatures and attestations, found by referrers and by tag. Raises RegistryRefused."""


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
    """A container to run. `fingerprint` identifies this specification on a running container."""

    name: str
    image: str
    """`registry/path@digest`; never a tag."""
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
    """What the engine reports about one container now.

    `configuration` holds a digest for each part of its configuration, limits included; default values are left out.
    """

    facts: ContainerFacts
    configuration: Mapping[str, str]
    out_of_memory: bool = False
    checks: HealthChecks | None = None
    """None if the engine does not check the container."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineEvent:
    """An event of a container. `action` is the engine's term; `detail` is an exec's program without arguments."""

    action: str
    container_id: str
    name: str
    image: str
    detail: str = ""
    command: str = ""
    """Digest of an exec's whole command line, which may contain secrets."""
    at: float = 0.0
    """The time of the event by the engine's clock, in seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PullProgress:
    """The progress of a pull. Layers and bytes are those that the engine has reported so far."""

    layers: int = 0
    layers_fetched: int = 0
    layers_kept: int = 0
    """Layers that the engine has stored permanently; another try does not download them again."""
    bytes_fetched: int = 0
    bytes_total: int = 0

    def describe(self) -> str:
        """Return the progress as text, "3 of 7 layers, 210 of 480 MB"; empty before the first layer."""
        if not self.layers:
            return ""
        size = f", {self.bytes_fetched / 1e6:.0f} of {self.bytes_total / 1e6:.0f} MB" if self.bytes_total else ""
        return f"{self.layers_fetched} of {self.layers} layers{size}"


class Engine(Protocol):
    async def pull(
        self, repository: str, digest: str, login: Login | None, *, on_progress: Callable[[PullProgress], None]
    ) -> str:
        """Pull by digest and return the local image id, once the engine confirms the digest. Raises EngineFailed.

        `on_progress` is called with the progress. A pull without progress for a bounded time fails.
        """

    async def config(self, image: str) -> ImageConfig:
        """Return the labels of a pulled image, and its creation time. Raises EngineFailed."""

    async def read_file(self, image: str, path: str, bytes_max: int) -> bytes | None:
        """Return one file of an image, without running it; None if the file does not exist. Raises EngineFailed."""

    async def run(self, spec: ContainerSpec) -> ContainerFacts:
        """Run the container, or adopt a running one with the same fingerprint. Raises EngineFailed."""

    async def stop(self, name: str, *, seconds_max: int = 10, remove: bool = True) -> None:
        """Stop the container if it exists; with `remove`, remove it too. Raises EngineFailed."""


class ContainerWatch(Protocol):
    async def inspect(self, name: str) -> ContainerState | None:
        """Return the container's state; None if it does not exist. Raises EngineFailed."""

    async def start(self, name: str) -> None:
        """Start a container that has exited. Raises EngineFailed."""

    async def restart(self, name: str) -> None:
        """Stop a container and start it again. Raises EngineFailed."""

    async def running(self) -> list[EngineEvent]:
        """Return a `start` event for every container that runs now. Raises EngineFailed."""

    def events(self, *, since: float = 0.0) -> AsyncIterator[EngineEvent]:
        """Yield the events of containers, until the engine becomes unreachable. Raises EngineFailed.

        With `since`, begin with the events that the engine has stored after that instant.
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
    """S3 does not return the object; `state` classifies the reason."""

    def __init__(self, state: CredentialState, message: str, *, fix: str = "") -> None:
        super().__init__(f"credentials-{state}", message, fix=fix)
        self.state = state


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredObject:
    """An object. `metadata` is its user metadata, by names in lower case; whoever may write the object chooses it."""

    content: bytes = field(repr=False)
    etag: str
    version_id: str = ""
    """Empty if the bucket never kept versions."""
    metadata: Mapping[str, str] = field(default_factory=dict)


class ObjectStore(Protocol):
    async def get(self, bucket: str, key: str, *, etag: str | None) -> StoredObject | None:
        """Return an object; None if it still has this etag. Raises ObjectUnavailable."""


class Secrets(Protocol):
    async def decrypt(self, ciphertext: bytes, context: Mapping[str, str]) -> str:
        """Return the text of a KMS ciphertext. Raises SecretUnavailable, as all of these methods do."""

    async def secret(self, name: str) -> str:
        """Return the current text of a secret in Secrets Manager."""

    async def parameter(self, name: str) -> str:
        """Return a parameter of Systems Manager, decrypted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessToken:
    token: str = field(repr=False)
    expires_seconds: float


class TokenIssuer(Protocol):
    async def password_grant(self, user: Mapping[str, str], client: Mapping[str, str]) -> AccessToken:
        """Return a token for the application's user. Raises SecretUnavailable, as do the other methods."""

    async def client_credentials(self, client: Mapping[str, str], scopes: tuple[str, ...]) -> AccessToken: ...

    async def exchange(self, subject_token: str, *, client_id: str, scopes: tuple[str, ...]) -> AccessToken:
        """Return a token in exchange for a JWT (RFC 8693). Raises SecretUnavailable."""


class Probe(Protocol):
    async def status(self, url: str, *, seconds_max: float) -> int | None:
        """Return the HTTP status of a GET to a URL of this machine; None without an answer."""


class Notifier(Protocol):
    def notify(
        self, *, ready: bool = False, stopping: bool = False, alive: bool = False, status: str | None = None
    ) -> None:
        """Report the state to the service manager, if there is one."""


class Machine(Protocol):
    async def prepare(self, request: Request) -> list[str]:
        """Have the helper do what needs root; return descriptions of what it did. Raises MachineFailed."""
