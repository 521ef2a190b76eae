"""The rules about the image that runs."""

from __future__ import annotations

from whence_aggregator.compliance.ages import older_than
from whence_aggregator.compliance.evidence import ImageInRegistry, SubjectEvidence
from whence_aggregator.compliance.rule import (
    NOTHING_RUNS,
    Verdict,
    failed,
    from_scanners,
    known,
    link_of,
    nothing_runs,
    passed,
    unknown,
)

_MUTABLE_CODES = ("image-tag-mutable", "image-tag-not-vouched", "image-tag-missing")


def image_mutable(evidence: SubjectEvidence) -> Verdict:
    machine = known(evidence.machine, "a statement of the agent")
    for problem in machine.problems:
        if problem.code in _MUTABLE_CODES and problem.severity == "error":
            return failed(f"user data asks for it: {problem.message}")
    if not machine.runs:
        return NOTHING_RUNS
    link = link_of(evidence, "image")
    if link.state == "contradicted":
        return failed(link.reason)
    if link.state == "unknown":
        return unknown(link.reason)
    return passed("the image runs by digest")


def image_not_found(evidence: SubjectEvidence) -> Verdict:
    if nothing_runs(evidence):
        return NOTHING_RUNS
    image = known(evidence.image, "the image in its registry")
    if image.outcome == "absent":
        return failed(image.reason or "its registry does not have the image")
    if image.outcome == "unknown":
        return unknown(f"the registry was not read: {image.reason}")
    return passed("its registry has the image")


def image_registry_not_trusted(evidence: SubjectEvidence) -> Verdict:
    if nothing_runs(evidence):
        return NOTHING_RUNS
    trusted = known(evidence.settings.registries, "the setting rules.registries")
    repository = known(evidence.image, "the image in its registry").repository
    if not repository:
        return unknown("the repository of the image is not known")
    if any(repository == one or repository.startswith(f"{one.rstrip('/')}/") for one in trusted):
        return passed(f"{repository} is in a trusted registry")
    return failed(f"{repository} is in no registry of rules.registries")


def image_too_old(evidence: SubjectEvidence) -> Verdict:
    if nothing_runs(evidence):
        return NOTHING_RUNS
    image = _read(evidence)
    if isinstance(image, Verdict):
        return image
    created = known(image.created_at, "the time at which the image was created")
    days = known(evidence.settings.image_days_max, "the setting rules.image_days_max")
    old = older_than(created, days, evidence.now)
    if old is None:
        return unknown(f"the image states no usable time of creation: {created[:40]!r}")
    if old:
        return failed(f"the image was created at {created}, more than {days} days ago")
    return passed(f"the image was created at {created}")


def image_unsigned(evidence: SubjectEvidence) -> Verdict:
    """Judge whether anybody signed the image; whether the signature is valid is another rule."""
    if nothing_runs(evidence):
        return NOTHING_RUNS
    image = _read(evidence)
    if isinstance(image, Verdict):
        return image
    if image.signed_by:
        return passed(f"the image was signed by {image.signed_by}")
    if known(image.signatures, "the number of signatures"):
        return passed("the image has a signature; whether it is valid is judged by signature-invalid")
    known(image.signed_by, "whether a trusted key signed the image")
    return failed("the image has no signature")


def image_cve(evidence: SubjectEvidence) -> Verdict:
    """Judge by vulnerabilities of the severity of `findings.cve_severity` and worse; only a whole scan passes."""
    if nothing_runs(evidence):
        return NOTHING_RUNS
    scans = known(evidence.scans, "the findings of scanners about the image")
    stated = known(scans.vulnerabilities, "what scanners found in the image")
    return from_scanners(stated, "a whole scan of the image found no vulnerability that is severe enough")


def _read(evidence: SubjectEvidence) -> ImageInRegistry | Verdict:
    """Return the image as its registry has it, or the verdict where that was not read."""
    image = known(evidence.image, "the image in its registry")
    if image.outcome in ("found", "missing"):
        return image
    return unknown(f"the registry was not read: {image.reason or 'it does not have the image'}")
