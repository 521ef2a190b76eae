"""The source that SLSA provenance names for an artifact. Pure; returns one source, or none if it is ambiguous.

`configSource` and similar fields name the origin of the build's configuration. Whether that is the artifact's source
depends on the build type. Formats: SLSA v0.2 and v1 of BuildKit, GitHub, GitLab, Tekton Chains, Google Cloud Build and
Jenkins.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from whence_common.identifiers import COMMIT_ID
from whence_common.scm_source import repository_of, same_repository, without_reference

PROVENANCE_V1, PROVENANCE_V02 = "https://slsa.dev/provenance/v1", "https://slsa.dev/provenance/v0.2"
PROVENANCE_TYPES = (PROVENANCE_V1, PROVENANCE_V02)
MATERIALS_MAX = 20_000
_BUILDKIT = ("https://mobyproject.org/buildkit@", "https://github.com/moby/buildkit/")
_GITLAB = ("https://gitlab.com/gitlab-org/", "https://docs.gitlab.com/")
_TEKTON = ("tekton.dev/", "https://tekton.dev/", "https://cloud.google.com/build/gcb-buildtypes/google-builder/")
_CLOUD_BUILD = (
    "https://cloud.google.com/build/gcb-buildtypes/google-worker/",
    "https://slsa-framework.github.io/gcb-buildtypes/triggered-build/",
)
_TEKTON_INPUT = "inputs/"
"""The prefix of Tekton Chains' names of build inputs; pipeline and tasks, often from a catalogue, have other names."""
_BUILDKIT_METADATA_V02 = "https://mobyproject.org/buildkit@v1#metadata"
_DIGESTS = ("gitCommit", "sha1", "sha256")
_GIT_URL = re.compile(r"git\+|git:|ssh://|git@|[^#?]*\.git(?:[#?@/]|\Z)")
_SHA1 = re.compile(r"[0-9a-f]{40}\Z")
_CHARACTERS_MAX = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class GitSource:
    """A repository's URL without reference, and a full commit id."""

    url: str
    commit: str
    name: str = ""
    """The dependency's name; Tekton distinguishes inputs from its own configuration by it."""

    def __str__(self) -> str:
        return f"{self.commit} of {self.url[:120]}"


@dataclass(frozen=True, slots=True, kw_only=True)
class BuiltFrom:
    """The one source that provenance names, or the reason why there is none."""

    source: GitSource | None = None
    reason: str = ""


def built_from(statement: Mapping[str, Any]) -> BuiltFrom:
    """Return the source that a statement of SLSA provenance names."""
    predicate = _object(statement.get("predicate"))
    if statement.get("predicateType") == PROVENANCE_V02:
        return _of_v02(predicate)
    return _of_v1(_object(predicate.get("buildDefinition")))


def local_context(statement: Mapping[str, Any]) -> GitSource | None:
    """Return the `vcs` hint of BuildKit's client for a build from a local directory.

    The commit may end in `-dirty`, and either field may be empty, as Git reported them to the client.
    """
    predicate = _object(statement.get("predicate"))
    if statement.get("predicateType") == PROVENANCE_V02:
        known = _object(_object(predicate.get("metadata")).get(_BUILDKIT_METADATA_V02))
    else:
        metadata = _object(_object(predicate.get("runDetails")).get("metadata"))
        known = _object(metadata.get("buildkit_metadata")) or _object(metadata.get(_BUILDKIT_METADATA_V02))
    vcs = _object(known.get("vcs"))
    url, commit = _text(vcs.get("source")), _text(vcs.get("revision"))
    return GitSource(url=without_reference(url), commit=commit) if url or commit else None


def _of_v02(predicate: Mapping[str, Any]) -> BuiltFrom:
    build_type = _text(predicate.get("buildType"))
    invocation = _object(predicate.get("invocation"))
    stated = _object(invocation.get("configSource"))
    configuration = _git_source(stated, known="any")
    found = predicate.get("materials")
    materials = _materials(found, known=_text(stated.get("uri")))
    if _too_many(found):
        return BuiltFrom(reason=f"it lists more than {MATERIALS_MAX} materials")
    if build_type.startswith(_BUILDKIT):
        return _one([configuration] if configuration else [], "its build context names no commit")
    if build_type.startswith(_TEKTON):
        return _one(
            _tekton_inputs(predicate, materials), "its materials name no commit except its pipeline's and tasks'"
        )
    if build_type.startswith(_GITLAB):
        return _one([*([configuration] if configuration else []), *materials], "it names no commit")
    if not materials:
        return BuiltFrom(reason="it names the origin of its build configuration, but no source in its materials")
    return _one(materials, "its materials name no commit")


def _tekton_inputs(predicate: Mapping[str, Any], materials: Sequence[GitSource]) -> list[GitSource]:
    """Return the materials without the repositories of the pipeline and its tasks, which Chains lists too."""
    build = _object(predicate.get("buildConfig"))
    tasks = build.get("tasks")
    runs = [predicate, *(_object(one) for one in (tasks[:MATERIALS_MAX] if isinstance(tasks, list) else []))]
    sources = [_object(_object(one.get("invocation")).get("configSource")) for one in runs]
    refs = {_text(one.get("uri")) for one in sources} - {""}
    return [one for one in materials if not any(same_repository(one.url, ref) for ref in refs)]


def _of_v1(definition: Mapping[str, Any]) -> BuiltFrom:
    build_type = _text(definition.get("buildType"))
    parameters = _object(definition.get("externalParameters"))
    listed = definition.get("resolvedDependencies")
    if _too_many(listed):
        return BuiltFrom(reason=f"it lists more than {MATERIALS_MAX} resolved dependencies")
    if build_type.startswith(_TEKTON):
        inputs = [one for one in _materials(listed, known="") if one.name.startswith(_TEKTON_INPUT)]
        return _one(inputs, "its resolved dependencies name no commit")
    for name in ("configSource", "source"):
        whole = _git_source(_object(parameters.get(name)), known="any")
        if whole is not None and (name == "source" or build_type.startswith(_BUILDKIT)):
            return _one([whole], "")
    if build_type.startswith(_BUILDKIT):
        return BuiltFrom(reason="its build context names no commit")
    declared = _declared(parameters, build_type)
    dependencies = _materials(listed, known=declared)
    if declared:
        same = [one for one in dependencies if same_repository(one.url, declared)]
        return _one(same, f"no resolved dependency names the commit of {without_reference(declared)[:120]}")
    return _one(dependencies, "its resolved dependencies name no commit")


def _declared(parameters: Mapping[str, Any], build_type: str) -> str:
    """Return the repository that the build's parameters name as the source; GitHub, GitLab, Cloud Build and ours do."""
    if build_type.startswith(_CLOUD_BUILD):
        for name in ("sourceToBuild", "buildConfigSource"):
            if found := _text(_object(parameters.get(name)).get("repository")):
                return found
    workflow, source = _object(parameters.get("workflow")), parameters.get("source")
    return _text(workflow.get("repository")) or _text(parameters.get("repository")) or _text(source)


def _one(found: Sequence[GitSource], none: str) -> BuiltFrom:
    """Return the source if there is exactly one, else a reason."""
    distinct = _distinct(found)
    if len(distinct) == 1:
        return BuiltFrom(source=distinct[0])
    if not distinct:
        return BuiltFrom(reason=none)
    return BuiltFrom(reason="it names several sources: " + ", ".join(str(one) for one in distinct[:3]))


def _distinct(found: Sequence[GitSource]) -> list[GitSource]:
    kept: list[GitSource] = []
    seen: set[tuple[str, str]] = set()
    for one in found:
        key = (str(repository_of(one.url) or one.url).lower(), one.commit)
        if key not in seen:
            seen.add(key)
            kept.append(one)
    return kept


def _materials(value: Any, *, known: str) -> list[GitSource]:
    """Return the Git sources among materials or resolved dependencies; `known` is a URL that is known to be Git's."""
    entries = value[:MATERIALS_MAX] if isinstance(value, list) else []
    return [found for one in entries for found in _commits(_object(one), known=known)]


def _git_source(entry: Mapping[str, Any], *, known: str) -> GitSource | None:
    """Return the one Git source of a resource; None if it names no commit, or several."""
    found = _commits(entry, known=known)
    return found[0] if len(found) == 1 else None


def _commits(entry: Mapping[str, Any], *, known: str) -> list[GitSource]:
    """Return each commit that a resource names: one, unless its digests or its URI disagree."""
    uri, digest = _text(entry.get("uri")), _object(entry.get("digest"))
    url = without_reference(uri)
    if repository_of(url) is None:
        return []
    if not _is_git(uri, digest) and known != "any" and not (known and same_repository(url, known)):
        return []
    named = [_commit(digest, name) for name in _DIGESTS] + [_commit_in(uri)]
    commits = dict.fromkeys(one for one in named if one)
    return [GitSource(url=url, commit=one, name=_text(entry.get("name"))) for one in commits]


def _is_git(uri: str, digest: Mapping[str, Any]) -> bool:
    """Return whether a resource is a Git repository: by its URL, `gitCommit`, or a commit id under `sha256`."""
    return bool(_GIT_URL.match(uri) or _commit(digest, "gitCommit") or _commit(digest, "sha256"))


def _commit(digest: Mapping[str, Any], name: str) -> str:
    """Return a commit id, or an empty text. Only `gitCommit` may be a SHA-256 id; GitLab has SHA-1 under `sha256`."""
    text = _text(digest.get(name)).strip().lower()
    return text if (COMMIT_ID if name == "gitCommit" else _SHA1).match(text) else ""


def _commit_in(uri: str) -> str:
    reference = uri.rpartition("#" if "#" in uri else "@")[2].lower()
    return reference if _SHA1.match(reference) else ""


def _too_many(value: Any) -> bool:
    return isinstance(value, list) and len(value) > MATERIALS_MAX


def _text(value: Any) -> str:
    return value[:_CHARACTERS_MAX] if isinstance(value, str) else ""


def _object(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def subjects_of(statement: Mapping[str, Any]) -> Iterable[str]:
    """Return the SHA-256 digests of a statement's subjects."""
    subjects = statement.get("subject")
    for one in subjects if isinstance(subjects, list) else []:
        digest = _object(_object(one).get("digest")).get("sha256")
        if isinstance(digest, str):
            yield f"sha256:{digest}"
