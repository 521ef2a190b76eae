"""The parts of a statement that tables are derived from. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import msgspec
from msgspec import UNSET

from whence_common.ami_file import DIFFERENCES_MAX
from whence_common.clock import parse_instant, to_millis
from whence_common.digest import is_sha256_digest
from whence_common.image_reference import tag_reference
from whence_common.installed_packages import is_architecture, is_package_name, is_package_version
from whence_common.repositories import repository_named
from whence_common.scm_source import ScmSource
from whence_common.statement import (
    CREDENTIAL_FILES,
    Predicate,
    is_credential_generation,
    is_credential_version,
)

_NAME_CHARACTERS_MAX, _REASON_CHARACTERS_MAX, _DIFFERING_MAX = 128, 300, 1_000_000
Combination = tuple[str, str, str, str, str, str, str]


class StatedAmi(msgspec.Struct, frozen=True, array_like=True):
    """The statement that an agent's image names, and (name, architecture, version) of packages that differ from it."""

    digest: str
    name: str
    packages_digest: str
    differing: int
    packages: list[tuple[str, str, str]]
    unread: str


class Stated(msgspec.Struct, frozen=True, array_like=True):
    """The parts of a statement that tables are derived from. `observed_at` is in milliseconds."""

    sequence: int
    cause: str
    observed_at: int
    combination: Combination
    links: list[tuple[str, str, str]]
    """(commit, image, repository) as the agent read it from the image."""
    tag: tuple[str, str] | None = None
    """(reference by tag, its digest), when the image was requested by tag."""
    objects: list[tuple[str, str, str]] | None = None
    """(file, generation, version id) of the objects of the mint bucket that are published; None: none are stated."""
    ami: StatedAmi | None = None
    """None: the agent states none, or a malformed one."""

    @classmethod
    def of(cls, predicate: Predicate) -> Stated:
        return cls(
            sequence=predicate.sequence,
            cause=predicate.cause,
            observed_at=to_millis(parse_instant(predicate.observed_at)),
            combination=combination(predicate),
            links=image_commits(predicate),
            tag=_tag(predicate),
            objects=credential_objects(predicate),
            ami=stated_ami(predicate),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class AppendedStatement:
    """A statement in the log. `enrolment` is the number of the binding whose key signed it."""

    ledger_index: int
    instance_id: str
    enrolment: int
    stated: Stated
    next_base: int = -1


def combination(predicate: Predicate) -> Combination:
    """Return the facets by which a search finds a statement."""
    return (
        predicate.image.digest if predicate.image is not None else "",
        predicate.application_id or "",
        predicate.application_version or "",
        predicate.user_data.digest if predicate.user_data is not None else "",
        predicate.instance.account_id,
        predicate.instance.region,
        " ".join(_other_digests(predicate)),
    )


def _other_digests(predicate: Predicate) -> list[str]:
    """Return, in order, the digests of the image's index and of sidecars."""
    found = {one.image_digest or one.declared_digest for one in predicate.containers}
    if predicate.image is not None:
        found.add(predicate.image.index_digest or "")
        found.discard(predicate.image.digest)
    return sorted(filter(is_sha256_digest, found))


def image_commits(predicate: Predicate) -> list[tuple[str, str, str]]:
    """Return (commit, image, repository) as the agent read it from the image."""
    found = predicate.scm_source
    if predicate.image is None or found is None:
        return []
    document = found.document or {}
    named = [(document.get("url", ""), document.get("revision", ""))]
    named += [(one.url, one.revision) for one in found.claims or ()]
    links = dict.fromkeys(_link(url, revision) for url, revision in named)
    return [(link[0], predicate.image.digest, link[1]) for link in links if link is not None]


def credential_objects(predicate: Predicate) -> list[tuple[str, str, str]] | None:
    """Return (file, generation, version id) of the stated objects; ids that are malformed are left out."""
    stated = predicate.credentials.objects if predicate.credentials is not None else UNSET
    if stated is UNSET:
        return None
    found: dict[str, tuple[str, str, str]] = {}
    for one in stated:
        if one.file in CREDENTIAL_FILES:
            generation = one.generation if is_credential_generation(one.generation) else ""
            version = one.version_id if is_credential_version(one.version_id) else ""
            found.setdefault(one.file, (one.file, generation, version))
    return list(found.values())


def stated_ami(predicate: Predicate) -> StatedAmi | None:
    """Return what the agent states of its image. Malformed packages are not listed, and so count as not read."""
    ami = predicate.ami
    if ami is UNSET or not is_sha256_digest(ami.statement_digest):
        return None
    packages = {
        (one.name, one.architecture): (one.name, one.architecture, one.machine)
        for one in ami.differences[:DIFFERENCES_MAX]
        if is_package_name(one.name)
        and is_architecture(one.architecture)
        and (not one.machine or is_package_version(one.machine))
    }
    return StatedAmi(
        digest=ami.statement_digest,
        name=ami.name[:_NAME_CHARACTERS_MAX],
        packages_digest=ami.packages_digest if is_sha256_digest(ami.packages_digest) else "",
        differing=max(min(ami.differing, _DIFFERING_MAX), len(ami.differences)),
        packages=list(packages.values()),
        unread=ami.unread[:_REASON_CHARACTERS_MAX],
    )


def _tag(predicate: Predicate) -> tuple[str, str] | None:
    image = predicate.image
    if image is None or not image.source_names_repository:
        return None
    reference = tag_reference(image.source)
    return (reference, image.index_digest or image.digest) if reference is not None else None


@lru_cache(maxsize=8192)
def _link(url: str, revision: str) -> tuple[str, str] | None:
    """Return commit and repository; None unless the source states both."""
    source = ScmSource.from_wire({"url": url, "revision": revision})
    repository = repository_named(source.url)
    return (source.commit_id, str(repository)) if source.commit_id is not None and repository is not None else None
