"""What the evidence of an instance shows of the version, the application and the AMI that it is of. Pure."""

from __future__ import annotations

import msgspec

from whence_aggregator.compliance.evidence import (
    AccountOfOrganisation,
    ReadOfSource,
    ScansOfImage,
    StatedByScanners,
    StatedMachine,
    SubjectEvidence,
    SubjectOfRule,
)
from whence_aggregator.compliance.readings import OF_MACHINE
from whence_aggregator.compliance.rule_settings import RuleSettings
from whence_aggregator.findings.images import ImageScans
from whence_aggregator.trace.lineage import LinkName
from whence_common.statement import Predicate

SubjectKey = tuple[SubjectOfRule, str]
"""Kind and id of a subject."""
_OF_VERSION: tuple[LinkName, ...] = (
    "application", "version", "approval", "image", "source", "commit", "review", "ticket", "specification",
)  # fmt: skip
_OF_APPLICATION: tuple[LinkName, ...] = ("team", "application")


def views_of(evidence: SubjectEvidence, ami: str) -> dict[SubjectKey, SubjectEvidence]:
    """Return the subjects that an instance shows: each with its own part of the evidence, by kind and id."""
    machine = evidence.machine
    found: list[SubjectEvidence] = []
    if machine is not None and machine.application_id:
        name = machine.application_id
        found.append(_application(evidence, name))
        if machine.application_version:
            found.append(_version(evidence, f"{name}@{machine.application_version}", machine))
    if ami:
        found.append(_part(evidence, "ami", ami, ami=evidence.ami, ami_content=evidence.ami_content))
    return {(one.kind, one.id): one for one in found}


def view_of_account(
    account_id: str, account: AccountOfOrganisation, *, now: str, settings: RuleSettings
) -> SubjectEvidence:
    return SubjectEvidence(kind="account", id=account_id, now=now, settings=settings, account=account)


def image_digests(predicate: Predicate) -> frozenset[str]:
    """Return the digests by which scanners name the image that runs: its own, and of the index that it is from."""
    image = predicate.image
    return frozenset({image.digest, image.index_digest or image.digest}) if image is not None else frozenset()


def with_scans(version: SubjectEvidence, scans: ImageScans | None) -> SubjectEvidence:
    """Return the evidence of a version with what scanners state of its image; None where they are not asked."""
    if scans is None:
        return version
    (cve, cve_reason), (base, base_reason) = scans.vulnerabilities, scans.base_image
    stated = ScansOfImage(
        vulnerabilities=StatedByScanners(outcome=cve, reason=cve_reason),
        base_image=StatedByScanners(outcome=base, reason=base_reason),
    )
    return msgspec.structs.replace(version, scans=stated)


def _version(evidence: SubjectEvidence, name: str, machine: StatedMachine) -> SubjectEvidence:
    return _part(
        evidence, "version", name,
        links={link: evidence.links[link] for link in _OF_VERSION if link in evidence.links},
        machine=StatedMachine(runs=machine.runs), image=evidence.image, build=evidence.build, source=evidence.source,
        commit=evidence.commit, tickets=evidence.tickets, application=evidence.application,
        reads=_of_what_runs(evidence),
    )  # fmt: skip


def _of_what_runs(evidence: SubjectEvidence) -> tuple[ReadOfSource, ...] | None:
    reads = evidence.reads
    return tuple(one for one in reads if one.source not in OF_MACHINE) if reads is not None else None


def _application(evidence: SubjectEvidence, name: str) -> SubjectEvidence:
    links = {link: evidence.links[link] for link in _OF_APPLICATION if link in evidence.links}
    return _part(evidence, "application", name, links=links, application=evidence.application,
                 minted=evidence.minted)  # fmt: skip


def _part(evidence: SubjectEvidence, kind: SubjectOfRule, name: str, **members: object) -> SubjectEvidence:
    """Return a document of a kind with some members of an instance's, and nothing of the rest."""
    document = SubjectEvidence(kind=kind, id=name, now=evidence.now, settings=evidence.settings)
    return msgspec.structs.replace(document, **members)
