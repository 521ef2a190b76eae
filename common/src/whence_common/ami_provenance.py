"""Provenance of AMIs: SLSA provenance v1 whose subject is the root and whose resolved dependencies are its packages.

Packages are named by package URLs, `pkg:deb/debian/openssl@3.0.17-1?arch=amd64&distro=debian-12` and
`pkg:pypi/aiohttp@3.14.5`. The subject's digest is that of the root's manifest, a list of all files as mtree(5) has it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal
from urllib.parse import parse_qsl, quote, unquote

import msgspec

from whence_common.clock import parse_instant
from whence_common.digest import is_sha256_digest, sha256_digest
from whence_common.errors import InputError
from whence_common.installed_packages import (
    PACKAGES_MAX,
    is_architecture,
    is_package_name,
    is_package_version,
)
from whence_common.loose_json import loose
from whence_common.slsa_source import PROVENANCE_V1, built_from
from whence_common.statement import STATEMENT_TYPE

BUILD_TYPE = "urn:whence:build:ami:v1"
STATEMENT_BYTES_MAX = 900 * 1024
"""The ledger unpacks entries of at most 1 MiB. An image of 1,000 packages with their origins has about 170 KiB."""
AMI_NAME = re.compile(r"[A-Za-z0-9()\[\] ./'@_-]{3,128}\Z")
"""The names that EC2 accepts for an AMI."""
ORIGIN_CHARACTERS_MAX = 100
UNKNOWN = "unknown"
PackageSystem = Literal["deb", "pypi"]
_PYTHON_NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,198}[a-z0-9])?\Z")
_SYSTEM = re.compile(r"pkg:/*(?:deb|pypi)/", re.IGNORECASE)
"""Another spelling of a package URL of these types is malformed, and not a package of another type."""
_PURL = re.compile(r"pkg:(deb|pypi)/(?:([a-z0-9.-]{1,40})/)?([^/@?#]{1,400})@([^/@?#]{1,800})(?:\?([^#]{1,200}))?\Z")
_ENCODED = re.compile(r"(?:[A-Za-z0-9._~:-]|%[0-9A-Fa-f]{2})+\Z")


class AmiProvenanceInvalid(InputError):
    """The payload is not provenance of an AMI."""

    def __init__(self, message: str) -> None:
        super().__init__(
            "ami-provenance-malformed", message, fix="send the statement that packaging/ami/statement.py wrote"
        )


class AmiPackage(msgspec.Struct, frozen=True, order=True, kw_only=True):
    """A package of an image. Of what apt does not know of it, the origin is `unknown`, and never guessed."""

    system: PackageSystem
    name: str
    architecture: str
    """Empty for a Python package."""
    version: str
    distribution: str = ""
    """As in `debian-12`, by the root's os-release; empty for a Python package."""
    origin: str = UNKNOWN
    suite: str = UNKNOWN
    component: str = UNKNOWN

    @property
    def purl(self) -> str:
        """The package URL."""
        vendor, _, _ = self.distribution.partition("-")
        named = f"{quote(self.name, safe='')}@{quote(self.version, safe=':')}"
        if self.system == "pypi":
            return f"pkg:pypi/{named}"
        qualifiers = f"arch={self.architecture}" + (f"&distro={self.distribution}" if self.distribution else "")
        return f"pkg:deb/{vendor or 'debian'}/{named}?{qualifiers}"


class AmiProvenance(msgspec.Struct, frozen=True, kw_only=True):
    """What a statement says of an image. `digest` is of the statement's bytes, `root_digest` of the root's manifest."""

    digest: str
    name: str
    root_digest: str
    builder_id: str
    repository: str
    """URL of the source; empty if the statement does not name one source."""
    commit_id: str
    modified: bool
    """Whether the source's working tree had uncommitted changes."""
    finished_at: str
    packages: Sequence[AmiPackage]

    @classmethod
    def parse(cls, payload: bytes) -> AmiProvenance:
        """Parse verified payload bytes. Raises AmiProvenanceInvalid."""
        if len(payload) > STATEMENT_BYTES_MAX:
            raise AmiProvenanceInvalid(f"the statement is larger than {STATEMENT_BYTES_MAX} bytes")
        statement = loose(payload)
        predicate = _object(statement.get("predicate"))
        definition, details = _object(predicate.get("buildDefinition")), _object(predicate.get("runDetails"))
        if statement.get("_type") != STATEMENT_TYPE or statement.get("predicateType") != PROVENANCE_V1:
            raise AmiProvenanceInvalid(f"the payload is not a statement with {PROVENANCE_V1}")
        if definition.get("buildType") != BUILD_TYPE:
            raise AmiProvenanceInvalid(f"the build type is not {BUILD_TYPE}: this is not provenance of an AMI")
        name, root = _subject(statement)
        found = built_from(_without_packages(statement)).source
        return cls(
            digest=sha256_digest(payload), name=name, root_digest=root,
            builder_id=_text(_object(details.get("builder")).get("id"), "builder.id", 300),
            repository=found.url[:500] if found is not None else "",
            commit_id=found.commit if found is not None else "",
            modified=_object(definition.get("externalParameters")).get("modified") is True,
            finished_at=_instant(_object(details.get("metadata")).get("finishedOn"), "metadata.finishedOn"),
            packages=_packages(definition.get("resolvedDependencies")),
        )  # fmt: skip


def ami_provenance(
    *,
    name: str,
    root_digest: str,
    builder_id: str,
    repository: str,
    commit_id: str,
    modified: bool,
    finished_at: str,
    packages: Iterable[AmiPackage],
    byproducts: Iterable[Mapping[str, object]] = (),
) -> bytes:
    """Return the bytes of a statement, the same for the same arguments. `byproducts` are resource descriptors."""
    source = {"uri": f"git+{repository}", "digest": {"gitCommit": commit_id}}
    statement = {
        "_type": STATEMENT_TYPE,
        "subject": [{"name": name, "digest": {"sha256": root_digest.removeprefix("sha256:")}}],
        "predicateType": PROVENANCE_V1,
        "predicate": {
            "buildDefinition": {
                "buildType": BUILD_TYPE,
                "externalParameters": {"repository": repository, "modified": modified},
                "resolvedDependencies": [source, *(_descriptor(one) for one in sorted(packages))],
            },
            "runDetails": {
                "builder": {"id": builder_id},
                "metadata": {"finishedOn": finished_at},
                "byproducts": list(byproducts),
            },
        },
    }
    payload = msgspec.json.encode(statement, order="deterministic")
    AmiProvenance.parse(payload)  # what nobody could read is not written
    return payload


def parse_purl(text: str) -> AmiPackage | None:
    """Return the package of a package URL of Debian or PyPI; None for another one. Raises AmiProvenanceInvalid."""
    if _SYSTEM.match(text) is None:
        return None
    match = _PURL.match(text)
    if match is None or not _ENCODED.match(match[3]) or not _ENCODED.match(match[4]):
        raise AmiProvenanceInvalid(f"malformed package URL: {text[:120]!r}")
    name, version = unquote(match[3]), unquote(match[4])
    qualifiers = dict(parse_qsl(match[5] or "", strict_parsing=bool(match[5])))
    architecture, distribution = qualifiers.get("arch", ""), qualifiers.get("distro", "")
    is_deb = match[1] == "deb"
    known = is_package_name(name) and is_architecture(architecture) if is_deb else _PYTHON_NAME.match(name) is not None
    if not known or not is_package_version(version) or (distribution and not is_architecture(distribution)):
        raise AmiProvenanceInvalid(f"malformed package URL: {text[:120]!r}")
    if not is_deb:
        return AmiPackage(system="pypi", name=name, architecture="", version=version)
    return AmiPackage(
        system="deb", name=name, architecture=architecture, version=version, distribution=distribution
    )  # fmt: skip


def python_name(text: str) -> str:
    """Return a Python package's normalised name."""
    return re.sub(r"[-_.]+", "-", text).lower()


def _descriptor(package: AmiPackage) -> dict[str, object]:
    origin = {
        name: one
        for name, one in (("origin", package.origin), ("suite", package.suite), ("component", package.component))
        if one != UNKNOWN
    }
    return {"uri": package.purl, "annotations": origin} if origin else {"uri": package.purl}


def _without_packages(statement: Mapping[str, Any]) -> dict[str, Any]:
    """Return a statement whose dependencies are no packages: to look for a repository in each takes a second."""
    predicate = _object(statement.get("predicate"))
    definition = _object(predicate.get("buildDefinition"))
    listed = definition.get("resolvedDependencies")
    others = [
        one
        for one in (listed if isinstance(listed, list) else ())
        if not str(_object(one).get("uri")).startswith("pkg:")
    ]
    return {
        **statement,
        "predicate": {**predicate, "buildDefinition": {**definition, "resolvedDependencies": others}},
    }


def _packages(listed: Any) -> list[AmiPackage]:
    """Return the packages among resolved dependencies, in order. Raises AmiProvenanceInvalid."""
    entries = listed if isinstance(listed, list) else []
    if len(entries) > PACKAGES_MAX + 100:
        raise AmiProvenanceInvalid(f"it lists more than {PACKAGES_MAX} packages")
    found: dict[tuple[str, str, str], AmiPackage] = {}
    for entry in map(_object, entries):
        uri = entry.get("uri")
        try:
            package = parse_purl(uri) if isinstance(uri, str) else None
        except ValueError as exc:  # a query string that is none
            raise AmiProvenanceInvalid(f"malformed package URL: {str(uri)[:120]!r}") from exc
        if package is None:
            continue
        stated = _object(entry.get("annotations"))
        origin, suite, component = (_origin(stated.get(one)) for one in ("origin", "suite", "component"))
        key = package.system, package.name, package.architecture
        if key in found:
            raise AmiProvenanceInvalid(f"it lists {package.name} {package.architecture} twice".rstrip())
        found[key] = msgspec.structs.replace(package, origin=origin, suite=suite, component=component)
    if not 0 < len(found) <= PACKAGES_MAX:
        raise AmiProvenanceInvalid(f"an image has 1 to {PACKAGES_MAX} packages")
    return sorted(found.values())


def _subject(statement: Mapping[str, Any]) -> tuple[str, str]:
    """Return the name and digest of the only subject."""
    listed = statement.get("subject")
    subject = _object(listed[0]) if isinstance(listed, list) and len(listed) == 1 else {}
    name, digest = subject.get("name"), _object(subject.get("digest")).get("sha256")
    root = f"sha256:{digest}"
    if not isinstance(name, str) or not AMI_NAME.match(name) or not is_sha256_digest(root):
        raise AmiProvenanceInvalid("the only subject must be the image's name with the SHA-256 digest of its root")
    return name, root


def _origin(value: Any) -> str:
    text = value if isinstance(value, str) else UNKNOWN
    return text[:ORIGIN_CHARACTERS_MAX] if text.isprintable() and text else UNKNOWN


def _text(value: Any, where: str, characters_max: int) -> str:
    if not isinstance(value, str) or not value or len(value) > characters_max or not value.isprintable():
        raise AmiProvenanceInvalid(f"{where} is missing, or malformed")
    return value


def _instant(value: Any, where: str) -> str:
    text = _text(value, where, 40)
    try:
        parse_instant(text)
    except ValueError as exc:
        raise AmiProvenanceInvalid(f"{where} is not an instant, as in 2026-11-22T12:00:00Z") from exc
    return text


def _object(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
