"""Where an image comes from: `registry/path:tag`, `registry/path@digest` or both. A tag is a mutable pointer."""

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
"""The name that Docker Hub has here, whichever of its names was written."""
DOCKER_HUB_HOST = "registry-1.docker.io"
"""Where Docker Hub's API is."""
_HUB_NAMES = frozenset({DOCKER_HUB, DOCKER_HUB_HOST, "index.docker.io", "registry.hub.docker.com"})
_HUB_OFFICIAL = "library/"


class ImageReferenceInvalid(InputError):
    """The text names no image, or no image that stays the same."""


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
                "what follows @ is not a digest: sha256: and 64 lower-case hex digits are needed",
                fix="copy the digest that the registry printed when the image was pushed",
            )
        registry, slash, remainder = rest.partition("/")
        if not slash:
            raise _malformed("names no registry")
        path, colon, tag = remainder.partition(":")
        if colon and not _TAG.match(tag):
            raise _malformed("has a tag that no registry accepts")
        _check_registry(registry)
        if not all(_SEGMENT.match(segment) for segment in path.split("/")):
            raise _malformed("has a path segment that is not lower-case letters and digits joined by . _ or -")
        if not colon and not at:
            raise ImageReferenceInvalid(
                "image-tag-missing",
                "the image has neither tag nor digest, which would mean the tag latest",
                fix=f"write {registry}/{path}:VERSION or {registry}/{path}@sha256:…",
            )
        return cls(registry=registry, path=path, tag=tag if colon else None, digest=digest if at else None)

    def canonical(self) -> ImageReference:
        """Return the reference with the one name of its registry, and with Docker Hub's library/ where it was left out.

        What was recorded keeps the name that it was recorded with; this is for what is read or asked from now on.
        """
        registry = registry_name(self.registry)
        return replace(self, registry=registry, path=registry_path(registry, self.path))

    @property
    def repository(self) -> str:
        """`registry/path`, without tag and digest."""
        return f"{self.registry}/{self.path}"

    @property
    def moving_tag(self) -> str | None:
        """The tag, when its very name says that it moves: latest, or anything with snapshot in it."""
        if self.tag is None:
            return None
        lowered = self.tag.lower()
        return self.tag if lowered == "latest" or "snapshot" in lowered else None

    def at(self, digest: str) -> str:
        """Give the one reference that cannot move: `registry/path@digest`."""
        assert is_sha256_digest(digest)
        return f"{self.repository}@{digest}"

    def __str__(self) -> str:
        tag = f":{self.tag}" if self.tag is not None else ""
        return f"{self.repository}{tag}" + (f"@{self.digest}" if self.digest is not None else "")


def registry_name(host: str) -> str:
    """Return the one name of a registry: Docker Hub goes by several, and every other registry by its host alone."""
    return DOCKER_HUB if host.lower() in _HUB_NAMES else host


def registry_path(host: str, path: str) -> str:
    """Return a repository's path in the API of its registry: Docker Hub keeps single names below library/."""
    return f"{_HUB_OFFICIAL}{path}" if registry_name(host) == DOCKER_HUB and "/" not in path else path


def twice_named(hosts: Iterable[str]) -> list[str]:
    """Return, for messages, registries that are named more than once, by different names."""
    found: dict[str, list[str]] = {}
    for host in hosts:
        found.setdefault(registry_name(host), []).append(host)
    return [" and ".join(sorted(names)) for names in found.values() if len(names) > 1]


def is_repository_path(text: str) -> bool:
    """Say whether a text is a repository's path as OCI writes it."""
    return len(text) <= _PATH_CHARACTERS_MAX and all(_SEGMENT.match(segment) for segment in text.split("/"))


def is_tag(text: str) -> bool:
    """Say whether a text is a tag as OCI writes it."""
    return _TAG.match(text) is not None


def is_loopback_registry(registry: str) -> bool:
    """Say whether a registry is this very machine, which Docker and Whence alike reach over plain HTTP."""
    host = registry.partition(":")[0]
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def is_host(text: str) -> bool:
    """Say whether a text is a host name, with a port or without."""
    host, colon, port = text.partition(":")
    return bool(_HOST.match(host)) and (not colon or (bool(_PORT.match(port)) and 0 < int(port) < 65536))


def _check_registry(registry: str) -> None:
    host, colon, _ = registry.partition(":")
    if not is_host(registry):
        raise _malformed("has no host, or host and port, before its first slash")
    if "." not in host and not colon and host != "localhost":
        raise _malformed(f"names no registry: {host!r} is not a host name with a dot, no localhost and has no port")


def _malformed(why: str) -> ImageReferenceInvalid:
    return ImageReferenceInvalid(
        "image-reference-malformed",
        f"the image reference {why}",
        fix="write registry.example.org/team/name:version or registry.example.org/team/name@sha256:…",
    )


@lru_cache(maxsize=4096)
def tag_reference(source: str) -> str | None:
    """Return `registry/path:tag` where a source names an image by its tag alone; None also for a malformed source."""
    try:
        reference = ImageReference.parse(source)
    except ImageReferenceInvalid:
        return None
    return str(reference) if reference.digest is None else None


def image_subject(repository: str, digest: str, index_digest: str | None) -> str:
    """Name an image, and the index it was chosen from, as questions about it do. What is not a digest is left out."""
    return f"{repository}@{digest}" + (f"^{index_digest}" if index_digest and is_sha256_digest(index_digest) else "")


def parse_image_subject(subject: str) -> tuple[str, str, str | None]:
    """Return repository, digest, and digest of the index. Raises ImageReferenceInvalid."""
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
    """Return the digest in an image's subject; of a malformed one, what stands in its place."""
    return subject.rpartition("@")[2].partition("^")[0]
