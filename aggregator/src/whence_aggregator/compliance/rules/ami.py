"""The rules about AMIs."""

from __future__ import annotations

from whence_aggregator.compliance.ages import instant_or_none, older_than
from whence_aggregator.compliance.evidence import SubjectEvidence, UsedAmi
from whence_aggregator.compliance.rule import Verdict, failed, known, passed, unknown
from whence_common.clock import parse_instant

_AVAILABLE = "available"
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


def _is_past(at: str, now: str) -> bool | None:
    moment = instant_or_none(at)
    return None if moment is None else moment <= parse_instant(now)


def _described(evidence: SubjectEvidence) -> UsedAmi | Verdict:
    ami = known(evidence.ami, "the AMI in the EC2 API")
    if ami.outcome == "found":
        return ami
    return unknown(f"the AMI was not read: {ami.reason or _NOT_DESCRIBED}")
