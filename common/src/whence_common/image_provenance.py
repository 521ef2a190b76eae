"""Which source an image was built from, by everything it and its registry say. Pure.

A source that is signed by a trusted builder comes first. What an image says of itself counts as said by it; what it may
have inherited from its base image does not count (pierone.md 4.2).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from whence_common.image_trust import TrustedBuilder, verified_provenance
from whence_common.scm_source import ScmSource, repository_of, same_repository, without_credentials
from whence_common.slsa_source import PROVENANCE_TYPES, PROVENANCE_V1, built_from, local_context, subjects_of

Kind = Literal[
    "provenance", "annotation", "index-annotation", "label", "label-schema", "buildkit", "scm-source"
]  # fmt: skip
KINDS: tuple[Kind, ...] = (
    "provenance", "annotation", "index-annotation", "label", "label-schema", "buildkit", "scm-source",
)  # fmt: skip
"""In the order of their weight."""
SOURCE, REVISION = "org.opencontainers.image.source", "org.opencontainers.image.revision"
BASE_DIGEST, BASE_NAME = "org.opencontainers.image.base.digest", "org.opencontainers.image.base.name"
_SCHEMA = ("org.label-schema.vcs-url", "org.label-schema.vcs-ref")
_CHARACTERS_MAX = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceClaim:
    """Somebody says which source an image was built from. `by` is the builder whose key signed it."""

    kind: Kind
    source: ScmSource
    by: str = ""

    def to_wire(self) -> dict[str, object]:
        return {"kind": self.kind, "by": self.by, **self.source.to_wire()}

    @classmethod
    def from_wire(cls, wire: Mapping[str, Any]) -> SourceClaim:
        return cls(kind=wire["kind"], by=str(wire.get("by", "")), source=ScmSource.from_wire(wire))


def claim_of_names(
    kind: Kind, names: Mapping[str, Any], *, keys: tuple[str, str] = (SOURCE, REVISION)
) -> list[SourceClaim]:
    """Read annotations or labels; nothing where neither repository nor commit is named."""
    url, revision = (_text(names.get(key)) for key in keys)
    return [_claim(kind, url, revision)] if url or revision else []


def claims_of_labels(
    labels: Mapping[str, Any], base_labels: Mapping[str, Any] | None
) -> tuple[list[SourceClaim], list[str]]:
    """Read labels, which images inherit: only those count that a known base image does not have, or has otherwise.

    Give the claims, and why others do not count.
    """
    claims: list[SourceClaim] = []
    distrusted: list[str] = []
    for kind, keys in (("label", (SOURCE, REVISION)), ("label-schema", _SCHEMA)):
        found = claim_of_names(kind, labels, keys=keys)  # type: ignore[arg-type]  # one of the two kinds
        if not found:
            continue
        if base_labels is None:
            distrusted.append(f"the {kind}s may be the base image's: the image does not name its base by digest")
        elif all(_text(labels.get(key)) == _text(base_labels.get(key)) for key in keys):
            distrusted.append(f"the {kind}s are the base image's")
        else:
            claims += found
    return claims, distrusted


def claims_of_provenance(
    digest: str, *, envelopes: Sequence[bytes], builders: Iterable[TrustedBuilder]
) -> tuple[list[SourceClaim], list[str]]:
    """Read SLSA provenance that a trusted builder signed for this digest.

    Return the claims, and why some provenance gives none: it names several sources, or no commit.
    """
    claims: list[SourceClaim] = []
    unclear: list[str] = []
    for builder, statement in verified_provenance(digest, envelopes=envelopes, builders=builders):
        found = built_from(statement)
        if found.source is None:
            unclear.append(f"the provenance of {builder.builder_id} does not name one source: {found.reason}")
        else:
            status = _modified(statement)
            claims.append(
                _claim("provenance", found.source.url, found.source.commit, by=builder.builder_id, status=status)
            )
    return claims, list(dict.fromkeys(unclear))


def claims_of_buildkit(digest: str, statements: Sequence[Mapping[str, Any]]) -> list[SourceClaim]:
    """Read BuildKit's attestations, which nobody signed: the build context, or the client's hint for a local one."""
    found = []
    for statement in statements:
        if statement.get("predicateType") in PROVENANCE_TYPES and digest in subjects_of(statement):
            named = built_from(statement).source or local_context(statement)
            found += [_claim("buildkit", named.url, named.commit)] if named is not None else []
    return found


def slsa_provenance(digest: str, *, name: str, source: ScmSource, builder_id: str, finished_at: str) -> dict[str, Any]:
    """Make the statement that an image was built from a source: SLSA provenance v1."""
    repository, commit = repository_of(source.url), source.commit_id
    assert repository is not None, "the source names a repository"
    assert commit is not None, "the source names a commit"
    url = f"https://{repository}"
    status = [line for line in source.status.splitlines() if line and source.dirty]
    return {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": name, "digest": {"sha256": digest.removeprefix("sha256:")}}],
        "predicateType": PROVENANCE_V1,
        "predicate": {
            "buildDefinition": {
                "buildType": "urn:whence:build:image:v1",
                "externalParameters": {"repository": url, "modified": bool(source.dirty)},
                "internalParameters": {"status": status[:100]},
                "resolvedDependencies": [{"uri": f"git+{url}", "digest": {"gitCommit": commit}}],
            },
            "runDetails": {"builder": {"id": builder_id}, "metadata": {"finishedOn": finished_at}},
        },
    }


def choose(claims: Sequence[SourceClaim]) -> tuple[SourceClaim | None, list[SourceClaim]]:
    """Give the claim of the most weight, and those that contradict it."""
    ordered = sorted(claims, key=lambda one: KINDS.index(one.kind))
    first = next((one for one in ordered if one.source.url and one.source.revision), ordered[0] if ordered else None)
    if first is None:
        return None, []
    return first, [one for one in ordered if one is not first and contradicts(first.source, one.source)]


def contradicts(one: ScmSource, other: ScmSource) -> bool:
    """Say whether two name different commits or repositories; what one of them does not name cannot differ."""
    if one.commit_id is not None and other.commit_id is not None and one.commit_id != other.commit_id:
        return True
    return bool(one.url and other.url) and not same_repository(one.url, other.url)


def chains(layers: Sequence[str]) -> list[str]:
    """Name what the first layer is, the first two, … all of them: equal names mean equal layers."""
    found, chain = [], b""
    for digest in layers:
        chain = hashlib.sha256(chain + digest.encode("ascii")).digest()
        found.append("sha256:" + chain.hex())
    return found


def _modified(statement: Mapping[str, Any]) -> str:
    """Give the status of the tree as `whence attest` states it."""
    parameters = _object(_object(_object(statement.get("predicate")).get("buildDefinition")).get("externalParameters"))
    return "modified" if parameters.get("modified") is True else ""


def _claim(kind: Kind, url: str, revision: str, *, by: str = "", status: str = "") -> SourceClaim:
    source = ScmSource(url=without_credentials(url), revision=revision, author="", status=status, digest="")
    return SourceClaim(kind=kind, source=source, by=by)


def _text(value: Any) -> str:
    return value[:_CHARACTERS_MAX] if isinstance(value, str) else ""


def _object(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
