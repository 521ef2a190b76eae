"""Names in the registry: `team/artifact`, where the artifact may have further segments; tags; aliases."""

from __future__ import annotations

from dataclasses import dataclass

from whence_aggregator.registry.refusals import RegistryRefusal
from whence_common.digest import is_sha256_digest
from whence_common.errors import one_line
from whence_common.image_reference import is_repository_path, is_tag

LATEST = "latest"
SNAPSHOT = "-SNAPSHOT"


@dataclass(frozen=True, slots=True, kw_only=True)
class Repository:
    """A repository, owned by a team."""

    team: str
    artifact: str

    def __str__(self) -> str:
        return f"{self.team}/{self.artifact}"

    @classmethod
    def parse(cls, text: str) -> Repository:
        """Parse a name. Raises RegistryRefusal."""
        team, _, artifact = text.partition("/")
        if not is_repository(text):
            raise RegistryRefusal(
                "NAME_INVALID", f"{one_line(text, 80)!r} is not a repository: write team/artifact in lower case"
            )
        return cls(team=team, artifact=artifact)


def is_repository(text: str) -> bool:
    """Return whether a text is a valid repository name."""
    return "/" in text and is_repository_path(text)


def check_reference(text: str) -> str:
    """Return a valid tag or digest. Raises RegistryRefusal."""
    if not (is_sha256_digest(text) if ":" in text else is_tag(text)):
        raise RegistryRefusal("MANIFEST_INVALID", f"{one_line(text, 80)!r} is neither a tag nor a sha256 digest")
    return text


def check_digest(text: str) -> str:
    """Return a valid digest. Raises RegistryRefusal."""
    if not is_sha256_digest(text):
        raise RegistryRefusal("DIGEST_INVALID", f"{one_line(text, 80)!r} is not a digest: sha256: and 64 hex digits")
    return text
