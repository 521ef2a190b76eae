"""Which source an image was built from, by everything it and its registry say. Pure.

A source that is signed by a trusted builder comes first. What an image says of itself counts as said by it; what it may
have inherited from its base image does not count (pierone.md 4.2).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Literal

from whence_common.image_trust import TrustedBuilder, unread_provenance, verified_provenance
from whence_common.loose_json import loose
from whence_common.repositories import compare
from whence_common.scm_source import ScmSource, repository_of, without_credentials
from whence_common.slsa_source import PROVENANCE_TYPES, PROVENANCE_V1, built_from, local_context, subjects_of

ClaimKind = Literal[
    "provenance", "annotation", "index-annotation", "label", "label-schema", "buildkit", "scm-source", "push"
]  # fmt: skip
KINDS: tuple[ClaimKind, ...] = (
    "provenance", "annotation", "index-annotation", "label", "label-schema", "buildkit", "scm-source", "push",
)  # fmt: skip
"""In the order of their weight."""
SOURCE, REVISION = "org.opencontainers.image.source", "org.opencontainers.image.revision"
BASE_DIGEST, BASE_NAME = "org.opencontainers.image.base.digest", "org.opencontainers.image.base.name"
_SCHEMA = ("org.label-schema.vcs-url", "org.label-schema.vcs-ref")
_CREATED = ("org.opencontainers.image.created", "org.label-schema.build-date")
_MILLIS = re.compile(r"\.[0-9]+")
LABEL_AGE_SECONDS_MAX = 86_400.0
"""Labels are written when a build starts; a build takes less than a day."""
_CHARACTERS_MAX = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceClaim:
    """Somebody says which source an image was built from. `by` is the builder whose key signed it."""

    kind: ClaimKind
    source: ScmSource
    by: str = ""
    maybe_inherited: bool = False
    """A label of an image whose base is not known: it may be the base image's. It never contradicts another claim."""

    def to_wire(self) -> dict[str, object]:
        inherited = {"maybe_inherited": True} if self.maybe_inherited else {}
        return {"kind": self.kind, "by": self.by, **self.source.to_wire(), **inherited}

    @classmethod
    def from_wire(cls, wire: Mapping[str, Any]) -> SourceClaim:
        return cls(
            kind=wire["kind"],
            by=str(wire.get("by", "")),
            source=ScmSource.from_wire(wire),
            maybe_inherited=wire.get("maybe_inherited") is True,
        )


def claim_of_names(
    kind: ClaimKind, names: Mapping[str, Any], *, keys: tuple[str, str] = (SOURCE, REVISION)
) -> list[SourceClaim]:
    """Read annotations or labels; nothing where neither repository nor commit is named."""
    url, revision = (_text(names.get(key)) for key in keys)
    return [_claim(kind, url, revision)] if url or revision else []


def claims_of_manifest(manifest: bytes) -> list[SourceClaim]:
    """Read the annotations of an image's manifest, which no image inherits."""
    return claim_of_names("annotation", _object(loose(manifest).get("annotations")))


def claims_of_index(index: bytes, digest: str) -> list[SourceClaim]:
    """Read the annotations of an index, and those of its entry for this manifest."""
    document = loose(index)
    entries = document.get("manifests")
    described = [_object(one) for one in entries if isinstance(one, dict)] if isinstance(entries, list) else []
    entry = next((one for one in described if one.get("digest") == digest), {})
    named = {**_object(document.get("annotations")), **_object(entry.get("annotations"))}
    return claim_of_names("index-annotation", named)


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageConfig:
    """What an image's configuration holds about its source: its labels, and when the image was made."""

    labels: Mapping[str, Any] = field(default_factory=dict)
    created: str = ""

    @classmethod
    def parse(cls, content: bytes) -> ImageConfig:
        """Read a configuration blob leniently."""
        document = loose(content)
        labels = _object(document.get("config")).get("Labels")
        return cls(labels=_object(labels), created=_text(document.get("created")))


def claims_of_labels(
    config: ImageConfig, base: ImageConfig | None, *, base_digest: str = ""
) -> tuple[list[SourceClaim], list[str], list[str]]:
    """Read labels, which images inherit. `base_digest` is a known base image with the same commit, if there is one.

    Return the claims, what certainly does not count, and what is not known to be the image's own.
    """
    claims: list[SourceClaim] = []
    inherited: list[str] = []
    unknown: list[str] = []
    labels: tuple[tuple[ClaimKind, tuple[str, str]], ...] = (("label", (SOURCE, REVISION)), ("label-schema", _SCHEMA))
    for kind, keys in labels:
        for claim in claim_of_names(kind, config.labels, keys=keys):
            if base is None and base_digest:
                unknown.append(f"the {kind}s are those of the image {base_digest}, which this one is built on")
            elif base is None and _older(config):
                unknown.append(f"the {kind}s are older than the image, so they may be the base image's")
            elif base is None:
                claims.append(replace(claim, maybe_inherited=True))
            elif all(_text(config.labels.get(key)) == _text(base.labels.get(key)) for key in keys):
                inherited.append(f"the {kind}s are the base image's")
            else:
                claims.append(claim)
    return claims, inherited, unknown


def _older(config: ImageConfig) -> bool:
    """Whether the labels state a time long before the image was made: a base image's labels do."""
    stated = next((_text(config.labels[name]) for name in _CREATED if name in config.labels), "")
    try:
        of_labels, of_image = (datetime.fromisoformat(_MILLIS.sub("", one)) for one in (stated, config.created))
        return (of_image - of_labels).total_seconds() > LABEL_AGE_SECONDS_MAX
    except (ValueError, TypeError, OverflowError):
        return False  # one of the two is not stated


def claims_of_provenance(
    digest: str, *, envelopes: Sequence[bytes], builders: Iterable[TrustedBuilder]
) -> tuple[list[SourceClaim], list[str]]:
    """Read SLSA provenance that a trusted builder signed for this digest.

    Return the claims, and why some provenance gives none: it names several sources, or no commit. BuildKit's hint for a
    local context is its client's, so it is no more than a claim of BuildKit.
    """
    claims: list[SourceClaim] = []
    unclear: list[str] = []
    for builder, statement in verified_provenance(digest, envelopes=envelopes, builders=builders):
        found = built_from(statement)
        hint = local_context(statement) if found.source is None else None
        if hint is not None:
            claims.append(_claim("buildkit", hint.url, hint.commit))
        elif found.source is None:
            unclear.append(f"the provenance of {builder.builder_id} does not name one source: {found.reason}")
        else:
            status = _modified(statement)
            claims.append(
                _claim("provenance", found.source.url, found.source.commit, by=builder.builder_id, status=status)
            )
    for kind in unread_provenance(digest, envelopes=envelopes, builders=builders):
        unclear.append(f"there is signed provenance of a version that is not read: {kind[:100]}")
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
    """Return the claim of the most weight, and those that contradict it. What may be inherited contradicts nothing.

    The order in which a registry lists its evidence decides nothing: claims of one kind are ordered by what they state.
    """
    ordered = sorted(claims, key=_weight)
    first = next((one for one in ordered if one.source.url and one.source.revision), ordered[0] if ordered else None)
    if first is None:
        return None, []
    others = [one for one in ordered if one is not first and not one.maybe_inherited]
    return first, [one for one in others if contradicts(first.source, one.source)]


def _weight(claim: SourceClaim) -> tuple[bool, int, str, str, str, str]:
    source = claim.source
    return claim.maybe_inherited, KINDS.index(claim.kind), claim.by, source.url, source.revision, source.status


def contradicts(one: ScmSource, other: ScmSource) -> bool:
    """Return whether two name different commits, or certainly different repositories in whatever spelling."""
    if one.commit_id is not None and other.commit_id is not None and one.commit_id != other.commit_id:
        return True
    return compare(one.url, other.url) == "other"


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


def _claim(kind: ClaimKind, url: str, revision: str, *, by: str = "", status: str = "") -> SourceClaim:
    source = ScmSource(url=without_credentials(url), revision=revision, author="", status=status, digest="")
    return SourceClaim(kind=kind, source=source, by=by)


def _text(value: Any) -> str:
    return value[:_CHARACTERS_MAX] if isinstance(value, str) else ""


def _object(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
