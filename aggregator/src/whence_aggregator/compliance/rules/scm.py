"""The rules about the repository that an image states as its source."""

from __future__ import annotations

from fnmatch import fnmatchcase

from whence_aggregator.compliance.evidence import SourceOfImage, SubjectEvidence
from whence_aggregator.compliance.rule import NOTHING_RUNS, Verdict, failed, known, nothing_runs, passed, unknown

_NO_SOURCE = unknown("no source is known for the image")


def scm_source_contradicts_provenance(evidence: SubjectEvidence) -> Verdict:
    if nothing_runs(evidence):
        return NOTHING_RUNS
    build = known(evidence.build, "the provenance")
    contradiction = known(build.contradiction, "the provenance and the image's own scm-source")
    if contradiction:
        return failed(contradiction)
    return passed("nothing contradicts the provenance")


def scm_host_or_owner_not_allowed(evidence: SubjectEvidence) -> Verdict:
    if nothing_runs(evidence):
        return NOTHING_RUNS
    allowed = known(evidence.settings.scm_owners, "the setting rules.scm_owners")
    source = _source(evidence)
    if source is None:
        return _NO_SOURCE
    if not source.host:
        return failed(f"the source is not the URL of a repository: {source.url[:120]!r}")
    owner = source.path.partition("/")[0]
    patterns = allowed.get(source.host.lower())
    if patterns is None:
        return failed(f"the source is on {source.host}, which rules.scm_owners does not name")
    if not any(fnmatchcase(owner.lower(), one.lower()) for one in patterns):
        return failed(f"the source is of {owner} on {source.host}, which rules.scm_owners does not allow")
    return passed(f"the source is of {owner} on {source.host}")


def scm_url_not_match_with_kio(evidence: SubjectEvidence) -> Verdict:
    if nothing_runs(evidence):
        return NOTHING_RUNS
    source = _source(evidence)
    if source is None:
        return _NO_SOURCE
    comparison = known(source.comparison, "the comparison with the registered repository")
    if not source.registered:
        return failed("the application registry has no scm_url for the application")
    if comparison == "unclear":
        return unknown(f"it is not clear whether {source.url[:120]} is the registered {source.registered[:120]}")
    if comparison == "other":
        return failed(f"the source is {source.url[:120]}, and the registered repository {source.registered[:120]}")
    return passed("the source is in the registered repository")


def _source(evidence: SubjectEvidence) -> SourceOfImage | None:
    source = known(evidence.source, "the source")
    return source if source.stated else None
