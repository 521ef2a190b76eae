"""The rules about accounts: whose they are, and whether their instances can be seen."""

from __future__ import annotations

from whence_aggregator.compliance.evidence import SubjectEvidence
from whence_aggregator.compliance.rule import Verdict, failed, known, link_of, passed, unknown
from whence_aggregator.organisation.values import ACTIVE


def account_not_owners(evidence: SubjectEvidence) -> Verdict:
    """Fail when the account's owner is another team than the application's, and nothing allows it."""
    account, team = link_of(evidence, "account"), link_of(evidence, "team")
    if account.state == "contradicted":
        return failed(account.reason)
    if account.state == "missing":
        return failed(account.reason)
    if account.state == "unknown":
        return unknown(account.reason)
    if team.state == "missing":
        return unknown(team.reason)
    return passed("the account is of the application's team, or allows it")


def account_drift(evidence: SubjectEvidence) -> Verdict:
    """Fail when a plan of the account's declared configuration has changes."""
    account = known(evidence.account, "the account in the organisation")
    if account.status and account.status != ACTIVE:
        return passed(f"the account is {account.status}")
    drift = known(account.drift, "a declared configuration of the account")
    if drift.outcome == "failed":
        return unknown(f"the account could not be planned: {drift.reason}")
    if drift.outcome == "waiting":
        return unknown("the account was not planned yet")
    if drift.changes:
        return failed(drift.reason or f"{drift.changes} resources differ from the configuration")
    if drift.unread:
        return unknown(f"not all of the account could be read: {drift.unread[0]}")
    return passed("the account is as its configuration states")


def account_uncovered(evidence: SubjectEvidence) -> Verdict:
    """Judge an account of the organisation: its instances may enrol and are listed, and its events are read."""
    account = known(evidence.account, "the account in the organisation")
    if account.status and account.status != ACTIVE:
        return passed(f"the account is {account.status}")
    if not account.allowed:
        return failed("the settings do not allow the account: its instances cannot enrol, and are not listed")
    if not known(account.listed, "a listing of the account"):
        return failed(account.reason or "no listing of the account was complete")
    events = known(account.events, "whether the events of the account are read")
    if events == "never":
        return failed("no log file of CloudTrail of the account was read")
    if events == "failed":
        return failed(f"the newest log file of CloudTrail could not be read: {account.events_failing or 'no region'}")
    return passed("the instances of the account are listed, and may enrol")
