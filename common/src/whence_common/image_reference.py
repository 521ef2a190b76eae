"""Image references: `registry/path:tag`, `registry/path@digest` or both. A tag is a mutable pointer."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import lru_cache

from whence_common.digest import is_sha256_digest
from whence_common.errors import InputError

_HOST = re.compile(r"(?:[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?)(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?)*\Z")
_PORT = re.compile(r"[0-9]{1,5}\Z")
_SEGMENT = re.compile(r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*\Z")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}\Z")
_REFERENCE_CHARACTERS_MAX = 512
_PATH_CHARACTERS_MAX = 255


DOCKER_HUB = "docker.io"
"""The canonical name of Docker Hub, which has several."""
DOCKER_HUB_HOST = "registry-1.docker.io"
"""The host of Docker Hub's API."""
_HUB_NAMES = frozenset({DOCKER_HUB, DOCKER_HUB_HOST, "index.docker.io", "registry.hub.docker.com"})
_HUB_OFFICIAL = "library/"


class ImageReferenceInvalid(InputError):
    """The text is not an image reference, or has neither tag nor digest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageReference:
    """A parsed reference: `registry` is host[:port], `path` the repository in it."""

    registry: str
    path: str
    tag: str | None
    digest: str | None

    @classmethod
    def parse(cls, text: str) -> ImageReference:
        """Parse a `source`. Raises ImageReferenceInvalid with a stable code, the reason and the fix."""
        if len(text) > _REFERENCE_CHARACTERS_MAX:
            raise _malformed(f"is longer than {_REFERENCE_CHARACTERS_MAX} characters")
        rest, at, digest = text.partition("@")
        if at and not is_sha256_digest(digest):
            raise ImageReferenceInvalid(
                "image-digest-malformed",
                "the text after @ is not a digest: sha256: and 64 lower-case hex digits are required",
                fix="copy the digest that the registry printed when the image was pushed",
            )
        registry, slash, remainder = rest.partition("/")
        if not slash:
            raise _malformed("names no registry")
        path, colon, tag = remainder.partition(":")
        if colon and not _TAG.match(tag):
            raise _malformed("has an invalid tag: at most 128 letters, digits, _ . and - are allowed")
        _check_registry(registry)
        if not all(_SEGMENT.match(segment) for segment in path.split("/")):
            raise _malformed("has a path segment that is not lower-case letters and digits joined by . _ or -")
        if not colon and not at:
            raise ImageReferenceInvalid(
                "image-tag-missing",
                "the image has neither tag nor digest, which means the mutable tag latest",
                fix=f"write {registry}/{path}:VERSION or {registry}/{path}@sha256:…",
            )
        return cls(registry=registry, path=path, tag=tag if colon else None, digest=digest if at else None)

    def canonical(self) -> ImageReference:
        """Return the reference with its registry's canonical name, and with Docker Hub's library/ if it was omitted.

        Use it for new reads and requests. Recorded references keep the name that they were recorded with.
        """
        registry = registry_name(self.registry)
        return replace(self, registry=registry, path=registry_path(registry, self.path))

    @property
    def repository(self) -> str:
        """`registry/path`, without tag and digest."""
        return f"{self.registry}/{self.path}"

    @property
    def moving_tag(self) -> str | None:
        """The tag, if its name marks it as mutable: latest, or a name that contains snapshot."""
        if self.tag is None:
            return None
        lowered = self.tag.lower()
        return self.tag if lowered == "latest" or "snapshot" in lowered else None

    def at(self, digest: str) -> str:
        """Return the immutable reference `registry/path@digest`."""
        assert is_sha256_digest(digest)
        return f"{self.repository}@{digest}"

    def __str__(self) -> str:
        tag = f":{self.tag}" if self.tag is not None else ""
        return f"{self.repository}{tag}" + (f"@{self.digest}" if self.digest is not None else "")


def registry_name(host: str) -> str:
    """Return a registry's canonical name: Docker Hub has several names, every other registry has its host only."""
    return DOCKER_HUB if host.lower() in _HUB_NAMES else host


def registry_path(host: str, path: str) -> str:
    """Return a repository's path in its registry's API: on Docker Hub, a single name is below library/."""
    return f"{_HUB_OFFICIAL}{path}" if registry_name(host) == DOCKER_HUB and "/" not in path else path


def twice_named(hosts: Iterable[str]) -> list[str]:
    """Return, for messages, the registries that are listed by several of their names."""
    found: dict[str, list[str]] = {}
    for host in hosts:
        found.setdefault(registry_name(host), []).append(host)
    return [" and ".join(sorted(names)) for names in found.values() if len(names) > 1]


def is_repository_path(text: str) -> bool:
    """Return whether a text is a repository's path by OCI's grammar."""
    return len(text) <= _PATH_CHARACTERS_MAX and all(_SEGMENT.match(segment) for segment in text.split("/"))


def is_tag(text: str) -> bool:
    """Return whether a text is a tag by OCI's grammar."""
    return _TAG.match(text) is not None


def is_loopback_registry(registry: str) -> bool:
    """Return whether a registry is on this machine; Docker and Whence connect to it over plain HTTP."""
    host = registry.partition(":")[0]
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def is_host(text: str) -> bool:
    """Return whether a text is a host name, with or without a port."""
    host, colon, port = text.partition(":")
    return bool(_HOST.match(host)) and (not colon or (bool(_PORT.match(port)) and 0 < int(port) < 65536))


def _check_registry(registry: str) -> None:
    host, colon, _ = registry.partition(":")
    if not is_host(registry):
        raise _malformed("has no host, or host and port, before its first slash")
    if "." not in host and not colon and host != "localhost":
        raise _malformed(f"names no registry: {host!r} has neither a dot nor a port, and is not localhost")


def _malformed(why: str) -> ImageReferenceInvalid:
    return ImageReferenceInvalid(
        "image-reference-malformed",
        f"the image reference {why}",
        fix="write registry.example.org/team/name:version or registry.example.org/team/name@sha256:…",
    )


@lru_cache(maxsize=4096)
def tag_reference(source: str) -> str | None:
    """Return `registry/path:tag` if a source has a tag and no digest; else None, also for a malformed source."""
    try:
        reference = ImageReference.parse(source)
    except ImageReferenceInvalid:
        return None
    return str(reference) if reference.digest is None else None


def image_subject(repository: str, digest: str, index_digest: str | None) -> str:
    """Return the subject that names an image and the index it was chosen from. A malformed index digest is omitted."""
    return f"{repository}@{digest}" + (f"^{index_digest}" if index_digest and is_sha256_digest(index_digest) else "")


def parse_image_subject(subject: str) -> tuple[str, str, str | None]:
    """Return an image subject's repository, digest, and digest of the index. Raises ImageReferenceInvalid."""
    repository, _, digests = subject.rpartition("@")
    digest, _, index_digest = digests.partition("^")
    check_repository(repository)
    if not is_sha256_digest(digest) or (index_digest and not is_sha256_digest(index_digest)):
        raise _malformed("does not name an image by its digest")
    return repository, digest, index_digest or None


def check_repository(repository: str) -> None:
    """Check `registry/path`. Raises ImageReferenceInvalid."""
    registry, _, path = repository.partition("/")
    if not is_host(registry) or not is_repository_path(path):
        raise _malformed("has no registry and repository before its tag or digest")


def digest_of_subject(subject: str) -> str:
    """Return the digest in an image's subject; of a malformed subject, the text at that place."""
    return subject.rpartition("@")[2].partition("^")[0]
