"""Agents' statements: in-toto Statements v1 whose predicate is the whole observed state at one moment.

Each statement is complete, so statements are idempotent and may arrive in any order: the highest sequence is the state.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any, Literal

import msgspec

from whence_common.ami_facts import AmiFacts
from whence_common.clock import parse_instant
from whence_common.counting import is_number
from whence_common.digest import is_sha256_digest
from whence_common.errors import InputError
from whence_common.identifiers import is_application_id, is_application_version
from whence_common.image_reference import ImageReference, ImageReferenceInvalid

STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "urn:whence:predicate:runtime:v1"
DEPTH_MAX = 32

_GENERATION = re.compile(r"[A-Za-z0-9_-]{1,64}\Z")
_VERSION = re.compile(r"[A-Za-z0-9._~+/=-]{1,1024}\Z")
Cause = Literal["boot", "change", "stop", "failed"]


class StatementInvalid(InputError):
    """The payload is not a runtime statement."""


class InstanceFacts(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The machine's identity, from its instance identity document."""

    account_id: str
    region: str
    instance_id: str
    image_id: str = ""
    instance_type: str = ""
    availability_zone: str = ""
    architecture: str = ""
    pending_time: str = ""


class UserDataFacts(msgspec.Struct, frozen=True, kw_only=True):
    """`digest` is of the raw bytes; `document` is masked, or None if it could not be parsed."""

    digest: str
    document: dict[str, Any] | None = None


class ApplicationFacts(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    version: str


class ImageFacts(msgspec.Struct, frozen=True, kw_only=True):
    """`source` is the reference in user data; `digest` is the manifest that was pulled and runs."""

    source: str
    repository: str
    digest: str
    index_digest: str | None = None
    signed_by: str = ""
    """Id of the platform's key whose signature was required and is valid."""
    built_by: str = ""
    """Id of the trusted builder whose provenance was required and is valid."""

    @property
    def source_names_repository(self) -> bool:
        """Whether `source` is a reference into `repository`; earlier statements may name another repository."""
        return _repository_of(self.source) == self.repository


class ContainerFacts(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    container_id: str
    image_digest: str
    state: str
    started_at: str = ""
    exit_code: int | None = None
    declared_digest: str = ""
    """For a sidecar, the digest that its own `source` was resolved to."""
    restarts: int = 0
    health: str = ""
    """`healthy` or `unhealthy` if the agent checks health."""
    engine_health: str = ""
    """`starting`, `healthy` or `unhealthy`, by the image's own health check, which the engine runs."""
    error: str = ""
    """The engine's error message if it cannot start the container."""


class DriftFacts(msgspec.Struct, frozen=True, kw_only=True):
    """A deviation of the machine from user data.

    `kind`: container-undeclared, exec, image-replaced, configuration-changed or container-removed. `detail` never
    contains arguments.
    """

    kind: str
    container: str
    image: str = ""
    detail: str = ""
    first_at: str = ""
    last_at: str = ""
    count: int = 1


class SourceClaimFacts(msgspec.Struct, frozen=True, kw_only=True):
    """An annotation or label of the image that names its source. `kind` is as in `SourceClaim`."""

    kind: Literal["annotation", "index-annotation", "label", "label-schema"]
    url: str
    revision: str
    maybe_inherited: bool = False


class ScmSourceFacts(msgspec.Struct, frozen=True, kw_only=True):
    """The scm-source.json at the image's root. `status`: found, missing or unreadable.

    `claims` are the claims in the image's annotations and labels; earlier agents do not send the field.
    """

    status: Literal["found", "missing", "unreadable"]
    document: dict[str, str] | None = None
    reason: str = ""
    claims: list[SourceClaimFacts] | msgspec.UnsetType = msgspec.UNSET


class CredentialObjectFacts(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An object of the mint bucket whose content is published to the application."""

    file: str
    """`user.json` or `client.json`."""
    generation: str = ""
    """Id of its generation, as its metadata states it; empty if it states none."""
    version_id: str = ""
    """S3's version id; empty if the bucket keeps no versions."""


class CredentialFacts(msgspec.Struct, frozen=True, kw_only=True):
    """`generation` counts this machine's own switches of files. Contents and digests are never stated.

    `objects` are those whose contents are published; earlier agents do not send the field, nor do agents that have
    found files of an earlier process and could not read the bucket yet.
    """

    generation: int
    state: str
    fetched_at: str = ""
    objects: list[CredentialObjectFacts] | msgspec.UnsetType = msgspec.UNSET


CREDENTIAL_FILES = ("client.json", "user.json")


def is_credential_generation(text: str) -> bool:
    """Return whether a text is formed like the id of a generation."""
    return _GENERATION.match(text) is not None


def is_credential_version(text: str) -> bool:
    """Return whether a text is formed like S3's version id; `null` is no version, but an object without one."""
    return text != "null" and _VERSION.match(text) is not None


class StageFacts(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    outcome: str
    seconds: float = 0.0
    reason: str = ""


class Predicate(msgspec.Struct, frozen=True, kw_only=True):
    """The observed state. `sequence` increases with each statement of a key and never restarts."""

    instance: InstanceFacts
    boot_id: str
    sequence: int
    cause: Cause
    observed_at: str
    agent_version: str
    user_data: UserDataFacts | None = None
    application: ApplicationFacts | None = None
    image: ImageFacts | None = None
    containers: list[ContainerFacts] = msgspec.field(default_factory=list)
    scm_source: ScmSourceFacts | None = None
    credentials: CredentialFacts | None = None
    drift: list[DriftFacts] = msgspec.field(default_factory=list)
    problems: list[dict[str, Any]] = msgspec.field(default_factory=list)
    stages: list[StageFacts] = msgspec.field(default_factory=list)
    statements_dropped: int = 0
    """The number of statements that this machine dropped so far, which its history lacks."""
    heartbeats: int = 0
    """The version of this agent's heartbeats: 1 with a counter; 0 without one, which are refused."""
    ami: AmiFacts | msgspec.UnsetType = msgspec.UNSET
    """The image's own statement; earlier agents do not send the field, nor do those whose image names none."""

    @property
    def application_id(self) -> str | None:
        """The application that user data names, even if user data was refused for another reason.

        None if it names none, or if the name is malformed.
        """
        document = self.user_data.document if self.user_data is not None else None
        named = self.application.id if self.application is not None else (document or {}).get("application_id")
        return named if isinstance(named, str) and is_application_id(named) else None

    @property
    def application_version(self) -> str | None:
        """The version that user data names; None if it names none, or if it is malformed."""
        version = self.application.version if self.application is not None else ""
        return version if is_application_version(version) else None


class Subject(msgspec.Struct, frozen=True, kw_only=True):
    digest: dict[str, str]
    name: str = ""


class Statement(msgspec.Struct, frozen=True, kw_only=True):
    """An in-toto Statement v1 with our predicate. Unknown fields are ignored on reading."""

    type_: str = msgspec.field(name="_type", default=STATEMENT_TYPE)
    subject: list[Subject] = msgspec.field(default_factory=list)
    predicate_type: str = msgspec.field(name="predicateType", default=PREDICATE_TYPE)
    predicate: Predicate

    def to_wire(self) -> bytes:
        """Return the statement's bytes; the encoding is deterministic."""
        return msgspec.json.encode(self, order="deterministic")

    @classmethod
    def of(cls, predicate: Predicate) -> Statement:
        """Return the statement of a predicate. Its subject is the running image, or user data if there is no image."""
        if predicate.image is not None:
            subject = [_subject(predicate.image.repository, predicate.image.digest)]
        elif predicate.user_data is not None:
            subject = [_subject("user-data", predicate.user_data.digest)]
        else:
            subject = []
        return cls(subject=subject, predicate=predicate)

    @classmethod
    def from_wire(cls, payload: bytes) -> Statement:
        """Parse verified payload bytes. Raises StatementInvalid."""
        try:
            statement = _DECODER.decode(payload)
            parse_instant(statement.predicate.observed_at)
        except RecursionError as exc:
            raise StatementInvalid("statement-too-deep", f"nested deeper than {DEPTH_MAX} levels") from exc
        except (msgspec.MsgspecError, UnicodeDecodeError, ValueError) as exc:
            raise StatementInvalid("statement-malformed", "the payload is not a runtime statement") from exc
        if statement.type_ != STATEMENT_TYPE or statement.predicate_type != PREDICATE_TYPE:
            raise StatementInvalid("statement-type", f"only {PREDICATE_TYPE} in {STATEMENT_TYPE} is supported")
        predicate = statement.predicate
        _check_depth([predicate.user_data.document if predicate.user_data else None, predicate.problems])
        digests = [predicate.image.digest if predicate.image else None]
        digests += [predicate.user_data.digest if predicate.user_data else None]
        if not is_number(predicate.sequence) or any(d is not None and not is_sha256_digest(d) for d in digests):
            raise StatementInvalid("statement-malformed", "the sequence or a digest is malformed")
        if predicate.image is not None and not _is_repository(predicate.image.repository, predicate.image.digest):
            raise StatementInvalid("statement-malformed", "the image's repository is malformed")
        return statement


_DECODER = msgspec.json.Decoder(Statement)


def _subject(name: str, digest: str) -> Subject:
    return Subject(name=name, digest={"sha256": digest.removeprefix("sha256:")})


@lru_cache(maxsize=4096)
def _repository_of(source: str) -> str | None:
    try:
        return ImageReference.parse(source).repository
    except ImageReferenceInvalid:
        return None


@lru_cache(maxsize=4096)
def _is_repository(repository: str, digest: str) -> bool:
    try:
        return ImageReference.parse(f"{repository}@{digest}").repository == repository
    except ImageReferenceInvalid:
        return False


def _check_depth(value: Any, depth: int = 0) -> None:
    """Limit the nesting of the free-form parts. Raises StatementInvalid."""
    if depth > DEPTH_MAX:
        raise StatementInvalid("statement-too-deep", f"nested deeper than {DEPTH_MAX} levels")
    if isinstance(value, dict):
        for inner in value.values():
            _check_depth(inner, depth + 1)
    elif isinstance(value, list):
        for inner in value:
            _check_depth(inner, depth + 1)
