"""Determine the source that an image was built from, by provenance, annotations, labels and files. Pure.

Provenance that a trusted builder signed has the most weight. Labels that may be inherited from the base image are not
evidence of the image's own source.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Literal

from whence_common.digest import is_sha256_digest
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
"""In order of weight, highest first."""
SOURCE, REVISION = "org.opencontainers.image.source", "org.opencontainers.image.revision"
BASE_DIGEST, BASE_NAME = "org.opencontainers.image.base.digest", "org.opencontainers.image.base.name"
_SCHEMA = ("org.label-schema.vcs-url", "org.label-schema.vcs-ref")
_CREATED = ("org.opencontainers.image.created", "org.label-schema.build-date")
_MILLIS = re.compile(r"\.[0-9]+")
LABEL_AGE_SECONDS_MAX = 86_400.0
"""Builds write labels when they start, and take less than a day."""
_CHARACTERS_MAX = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceClaim:
    """A claim about the source that an image was built from. `by` is the builder whose key signed it, if any."""

    kind: ClaimKind
    source: ScmSource
    by: str = ""
    maybe_inherited: bool = False
    """The claim is a label, and the base image is unknown: the label may be inherited. It contradicts no claim."""

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
    """Return the claim in annotations or labels; an empty list if they name neither repository nor commit."""
    url, revision = (_text(names.get(key)) for key in keys)
    return [_claim(kind, url, revision)] if url or revision else []


def claims_of_manifest(manifest: bytes) -> list[SourceClaim]:
    """Return the claims in a manifest's annotations, which are not inherited from a base image."""
    return claim_of_names("annotation", _object(loose(manifest).get("annotations")))


def claims_of_index(index: bytes, digest: str) -> list[SourceClaim]:
    """Return the claims in the annotations of an index and of its entry for this manifest."""
    document = loose(index)
    entries = document.get("manifests")
    described = [_object(one) for one in entries if isinstance(one, dict)] if isinstance(entries, list) else []
    entry = next((one for one in described if one.get("digest") == digest), {})
    named = {**_object(document.get("annotations")), **_object(entry.get("annotations"))}
    return claim_of_names("index-annotation", named)


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageConfig:
    """The parts of an image's configuration that concern its source: labels, time of creation, unpacked layers."""

    labels: Mapping[str, Any] = field(default_factory=dict)
    created: str = ""
    diff_ids: tuple[str, ...] = ()

    @classmethod
    def parse(cls, content: bytes) -> ImageConfig:
        """Parse a configuration blob; what is malformed counts as absent."""
        document = loose(content)
        labels = _object(document.get("config")).get("Labels")
        stated = _object(document.get("rootfs")).get("diff_ids")
        diff_ids = [one for one in stated if isinstance(one, str)] if isinstance(stated, list) else []
        return cls(
            labels=_object(labels), created=_text(document.get("created")),
            diff_ids=tuple(one for one in diff_ids if is_sha256_digest(one)),
        )  # fmt: skip


def claims_of_labels(
    config: ImageConfig, base: ImageConfig | None, *, base_digest: str = ""
) -> tuple[list[SourceClaim], list[str], list[str]]:
    """Return the claims in labels, the reasons why labels are inherited, and why they may be.

    Images inherit labels from their base image. `base_digest` is a known base image with the same commit, if any.
    """
    claims: list[SourceClaim] = []
    inherited: list[str] = []
    unknown: list[str] = []
    labels: tuple[tuple[ClaimKind, tuple[str, str]], ...] = (("label", (SOURCE, REVISION)), ("label-schema", _SCHEMA))
    for kind, keys in labels:
        for claim in claim_of_names(kind, config.labels, keys=keys):
            if base is None and base_digest:
                unknown.append(f"the {kind}s equal those of the base image {base_digest}")
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
    """Return whether the labels state a time long before the image's creation, as inherited labels do."""
    stated = next((_text(config.labels[name]) for name in _CREATED if name in config.labels), "")
    try:
        of_labels, of_image = (datetime.fromisoformat(_MILLIS.sub("", one)) for one in (stated, config.created))
        return (of_image - of_labels).total_seconds() > LABEL_AGE_SECONDS_MAX
    except (ValueError, TypeError, OverflowError):
        return False  # one of the two is not stated


def claims_of_provenance(
    digest: str, *, envelopes: Sequence[bytes], builders: Iterable[TrustedBuilder]
) -> tuple[list[SourceClaim], list[str]]:
    """Return the claims in SLSA provenance that a trusted builder signed for this digest.

    The second list states why some provenance has no claim: it names several sources, or no commit. BuildKit's hint for
    a local context comes from the client, so it is a claim of the kind `buildkit`.
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
        unclear.append(f"signed provenance has an unsupported predicate type: {kind[:100]}")
    return claims, list(dict.fromkeys(unclear))


def claims_of_buildkit(digest: str, statements: Sequence[Mapping[str, Any]]) -> list[SourceClaim]:
    """Return the claims in BuildKit's unsigned attestations: the build context, or the client's hint if it is local."""
    found = []
    for statement in statements:
        if statement.get("predicateType") in PROVENANCE_TYPES and digest in subjects_of(statement):
            named = built_from(statement).source or local_context(statement)
            found += [_claim("buildkit", named.url, named.commit)] if named is not None else []
    return found


def slsa_provenance(digest: str, *, name: str, source: ScmSource, builder_id: str, finished_at: str) -> dict[str, Any]:
    """Return the statement that an image was built from a source: SLSA provenance v1."""
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
    """Return whether two sources name different commits, or certainly different repositories."""
    if one.commit_id is not None and other.commit_id is not None and one.commit_id != other.commit_id:
        return True
    return compare(one.url, other.url) == "other"


def chains(layers: Sequence[str]) -> list[str]:
    """Return a chained digest for the first layer, the first two, … all: equal digests mean equal layers."""
    found, chain = [], b""
    for digest in layers:
        chain = hashlib.sha256(chain + digest.encode("ascii")).digest()
        found.append("sha256:" + chain.hex())
    return found


def _modified(statement: Mapping[str, Any]) -> str:
    """Return the status of the working tree that `whence attest` stated."""
    parameters = _object(_object(_object(statement.get("predicate")).get("buildDefinition")).get("externalParameters"))
    return "modified" if parameters.get("modified") is True else ""


def _claim(kind: ClaimKind, url: str, revision: str, *, by: str = "", status: str = "") -> SourceClaim:
    source = ScmSource(url=without_credentials(url), revision=revision, author="", status=status, digest="")
    return SourceClaim(kind=kind, source=source, by=by)


def _text(value: Any) -> str:
    return value[:_CHARACTERS_MAX] if isinstance(value, str) else ""


def _object(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
