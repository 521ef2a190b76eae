"""The rules about AMIs, and about what machines have of them."""

from __future__ import annotations

from whence_aggregator.compliance.ages import instant_or_none, older_than
from whence_aggregator.compliance.evidence import ContentOfAmi, SubjectEvidence, UsedAmi
from whence_aggregator.compliance.rule import Verdict, failed, known, passed, unknown
from whence_common.clock import parse_instant

_AVAILABLE = "available"
_CONTENT, _MACHINE = "what is stated of the AMI's content", "what the agent states of its image"
_PACKAGES_NAMED = 3
_NOT_DESCRIBED = "the EC2 API does not describe the AMI"


def ami_untrusted(evidence: SubjectEvidence) -> Verdict:
    """Fail when the owner or the name is not among those that are trusted. An AMI that is not described is unknown."""
    ami = _described(evidence)
    if isinstance(ami, Verdict):
        return ami
    owners, prefixes = evidence.settings.ami_owners, evidence.settings.ami_name_prefixes
    if owners is None and prefixes is None:
        return unknown("the settings name no trusted AMIs")
    if owners is not None and known(ami.owner, "the owner of the AMI") not in owners:
        return failed(f"the AMI's owner is {ami.owner}, which is not in rules.ami_owners")
    if prefixes is not None and not known(ami.name, "the name of the AMI").startswith(prefixes):
        return failed(f"the AMI's name is {str(ami.name)[:100]!r}, which begins with none of rules.ami_name_prefixes")
    return passed("the AMI is of a trusted owner and name")


def ami_unknown(evidence: SubjectEvidence) -> Verdict:
    ami = known(evidence.ami, "the AMI in the EC2 API")
    if ami.outcome == "found":
        return passed("the EC2 API describes the AMI")
    if ami.outcome == "unknown":
        return unknown(f"the AMI was not read: {ami.reason}")
    if known(ami.was_seen, "whether the EC2 API described the AMI before"):
        return unknown("the EC2 API described the AMI before: ami-deregistered judges it")
    return failed(f"{_NOT_DESCRIBED}: it was deregistered, or is not shared with the account")


def ami_deregistered(evidence: SubjectEvidence) -> Verdict:
    ami = known(evidence.ami, "the AMI in the EC2 API")
    if ami.outcome == "unknown":
        return unknown(f"the AMI was not read: {ami.reason}")
    if ami.outcome != "found":
        if known(ami.was_seen, "whether the EC2 API described the AMI before"):
            return failed("the EC2 API no longer describes the AMI: it was deregistered, or is not shared any more")
        return unknown(f"{_NOT_DESCRIBED}, and never did")
    state = known(ami.state, "the state of the AMI")
    if state != _AVAILABLE:
        return failed(f"the AMI is {state}")
    return passed("the AMI is available")


def ami_expired(evidence: SubjectEvidence) -> Verdict:
    """Fail also when the build that a confirmed statement states is too old: a copy is younger than what it contains.

    Of an AMI that the EC2 API does not describe, its build may be too old too.
    """
    days, content = evidence.settings.ami_days_max, evidence.ami_content
    if days is not None and content is not None and content.state == "confirmed":
        built = known(content.built_at, "the time of the AMI's build")
        if older_than(built, days, evidence.now):
            return failed(f"the AMI was built at {built} by the statement about it, more than {days} days ago")
    verdict = ami_expired_1(evidence)
    if days is not None and verdict.outcome == "pass" and _content(evidence).state == "unknown":
        return unknown(f"it is not known when the AMI was built: {_content(evidence).reason}")
    return verdict


def ami_expired_1(evidence: SubjectEvidence) -> Verdict:
    """Fail when its tag, its deprecation time or its age is past; pass only when all three are known not to be."""
    ami = _described(evidence)
    if isinstance(ami, Verdict):
        return ami
    named = (("its tag ExpirationTime", ami.expires_at), ("its deprecation time", ami.deprecated_at))
    for name, at in named:
        if at and _is_past(at, evidence.now):
            return failed(f"{name} is {at[:40]}")
    days = evidence.settings.ami_days_max
    if days is not None:
        created = known(ami.created_at, "the time at which the AMI was created")
        old = older_than(created, days, evidence.now)
        if old:
            return failed(f"the AMI was created at {created}, more than {days} days ago")
        if old is None:
            return unknown(f"the AMI's time of creation is malformed: {created[:40]!r}")
    for name, at in named:
        if known(at, name) and _is_past(at or "", evidence.now) is None:
            return unknown(f"{name} is malformed: {(at or '')[:40]!r}")
    return passed("the AMI has not expired")


def ami_unstated(evidence: SubjectEvidence) -> Verdict:
    """Pass when an allowed builder's statement is confirmed; what the tag alone leads to is unknown."""
    builders, content = known(evidence.settings.ami_builders, "the setting rules.ami_builders"), _content(evidence)
    if content.state == "confirmed":
        builder = known(content.builder, "the builder of the AMI")
        if builder in builders:
            return passed(f"{builder} states what the AMI consists of")
        return failed(f"{builder} built the AMI, which is not in rules.ami_builders")
    if content.state in ("contradicted", "missing"):
        return failed(content.reason or f"the statement about the AMI is {content.state}")
    return unknown(content.reason or f"the statement about the AMI is {content.state}")


def ami_statement_contradicted(evidence: SubjectEvidence) -> Verdict:
    """Fail when builders, the AMI's tag and the machine's image name different statements."""
    content = _content(evidence)
    if content.state == "contradicted":
        return failed(content.reason or "the statements about the AMI contradict each other")
    stated = known(evidence.machine_image, _MACHINE).statement_digest
    if not stated:
        return unknown("the machine's image names no statement")
    if content.digest and content.digest != stated:
        return failed(f"the machine's image names the statement {stated}, and the AMI has {content.digest}")
    if content.state in ("confirmed", "asserted") and content.digest:
        return passed("the machine's image names the statement of the AMI")
    return unknown(content.reason or f"the statement about the AMI is {content.state}")


def ami_packages_changed(evidence: SubjectEvidence) -> Verdict:
    """Fail when more packages differ than may; pass only if they were compared with the AMI's own statement."""
    most = known(evidence.settings.ami_packages_differing_max, "the setting rules.ami_packages_differing_max")
    image = known(evidence.machine_image, _MACHINE)
    if image.unread:
        return unknown(f"the packages of the machine were not read: {image.unread}")
    differing = known(image.differing, "how many packages differ from the image")
    if differing > most:
        some = ", ".join(image.packages[:_PACKAGES_NAMED])
        more = f" (and {differing - _PACKAGES_NAMED} more)" if differing > _PACKAGES_NAMED else ""
        return failed(f"{differing} packages differ from the image, {most} may: {some}{more}")
    content = _content(evidence)
    if content.state not in ("confirmed", "asserted"):
        return unknown(content.reason or f"the statement about the AMI is {content.state}")
    if not image.statement_digest or image.statement_digest != content.digest:
        return unknown("the machine's packages were compared with an image that is not the AMI's")
    return passed(
        f"{differing} packages differ from the image, {most} may"
        if differing
        else "the machine has the packages of its image"
    )


def _content(evidence: SubjectEvidence) -> ContentOfAmi:
    return known(evidence.ami_content, _CONTENT)


def _is_past(at: str, now: str) -> bool | None:
    moment = instant_or_none(at)
    return None if moment is None else moment <= parse_instant(now)


def _described(evidence: SubjectEvidence) -> UsedAmi | Verdict:
    ami = known(evidence.ami, "the AMI in the EC2 API")
    if ami.outcome == "found":
        return ami
    return unknown(f"the AMI was not read: {ami.reason or _NOT_DESCRIBED}")
