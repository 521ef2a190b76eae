"""The rules about credentials that mint makes, and about those that instances hold."""

from __future__ import annotations

from datetime import timedelta

from whence_aggregator.compliance.ages import instant_or_none
from whence_aggregator.compliance.evidence import CredentialInUse, HeldByInstance, MintedForApplication, SubjectEvidence
from whence_aggregator.compliance.rule import Verdict, failed, known, passed, unknown
from whence_aggregator.trace.credentials import CredentialName
from whence_common.clock import parse_instant

CREDENTIALS_NOT_ROTATED, CREDENTIALS_TAMPERED = "credentials-not-rotated", "credentials-tampered"
IN_BUCKET = "a bucket does not hold what mint wrote: "
"""The prefix of reasons that a renewal resolves, although the agent states nothing about it."""
CHECKED_LATER = "is checked again later: "
"""The prefix of reasons that time alone resolves, so that the sweep finds these verdicts by it."""
SETTLED = timedelta(minutes=15)
"""How long an instance may hold a version that mint did not record: a write whose answer was lost is repeated, and
agents read the repeated one at their next poll."""
RESTORED = timedelta(days=1)
"""How long an instance may hold, after a restore, what mint made in the time that the backup lacks: mint finds that in
the bucket within hours, and rotates, or when one of two generations has ended."""
NOT_MINTED = passed("mint makes no credentials for the application")
NO_IDS = unknown("the agent does not state which objects it holds")
_FILES: dict[CredentialName, str] = {"user": "user.json", "client": "client.json"}


def credentials_old(evidence: SubjectEvidence) -> Verdict:
    """Judge the age of the current generations."""
    minted = minted_for(evidence)
    if not minted.kinds:
        return NOT_MINTED
    settings = evidence.settings
    hours, days = settings.user_credential_hours_max, settings.client_credential_days_max
    allowed: dict[CredentialName, timedelta | None] = {
        "user": timedelta(hours=hours) if hours is not None else None,
        "client": timedelta(days=days) if days is not None else None,
    }
    if not minted.current:
        return unknown("mint has not committed a generation yet")
    for one in minted.current:
        longest = allowed[one.kind] if one.has_secret else None
        if longest is not None and _age(evidence, one.committed_at, one.kind) > longest:
            return failed(f"{_FILES[one.kind]}: the current generation is of {one.committed_at}, which is too old")
    return passed("the current generations are recent")


def credentials_not_rotated(evidence: SubjectEvidence) -> Verdict:
    """Fail when an agent that is heard holds an earlier generation, long after the current one was committed."""
    minted = minted_for(evidence)
    if not minted.kinds:
        return NOT_MINTED
    minutes = known(evidence.settings.credential_lag_minutes_max, "the setting rules.credential_lag_minutes_max")
    if evidence.held is None:
        return NO_IDS
    current = {one.kind: one for one in minted.current}
    for one in evidence.held:
        newest = current.get(one.kind)
        if newest is None or one.generation == newest.generation:
            continue
        if not one.is_minted:
            return unknown(f"{_FILES[one.kind]}: mint does not know the generation that the instance holds")
        if one.intended_at >= newest.intended_at:
            continue
        if _age(evidence, newest.committed_at, one.kind) > timedelta(minutes=minutes):
            return _behind(evidence, one, newest)
    return passed("the instance holds the current generations, or has time to read them")


def _behind(evidence: SubjectEvidence, one: HeldByInstance, newest: CredentialInUse) -> Verdict:
    why = f"{_FILES[one.kind]}: the instance holds generation {one.generation}, and {newest.generation} is current"
    doubt = _doubt(evidence)
    return unknown(f"{why}; {doubt}") if doubt else failed(f"{why} since {newest.committed_at}")


def _doubt(evidence: SubjectEvidence) -> str:
    """Return why what an instance stated last may be out of date; empty: it is not."""
    heard = known(evidence.heard, "the heartbeats")
    if not heard.last_seen:
        return "the agent was never heard"
    seen = parse_instant(heard.last_seen)
    if parse_instant(evidence.now) - seen > timedelta(seconds=heard.silent_after_seconds):
        return "the agent is silent, so that this may be out of date"
    return f"the instance is {evidence.life}" if evidence.life in ("stopping", "stopped") else ""


def credentials_unread(evidence: SubjectEvidence) -> Verdict:
    """Fail when no instance ever read a current generation, although some are heard and state what they hold."""
    minted = minted_for(evidence)
    if not minted.kinds:
        return NOT_MINTED
    hours = known(evidence.settings.credential_unread_hours_max, "the setting rules.credential_unread_hours_max")
    unread = [one for one in minted.current if not one.is_read]
    late = [one for one in unread if _age(evidence, one.committed_at, one.kind) > timedelta(hours=hours)]
    if not late:
        return passed("the current generations were read, or are recent")
    if not minted.has_readers:
        return unknown("no running instance is heard that has stated for some minutes which objects it holds")
    return failed(f"{_FILES[late[0].kind]}: no instance has read the generation of {late[0].committed_at}")


def credentials_tampered(evidence: SubjectEvidence) -> Verdict:
    """Fail when an instance holds an object that mint did not write, or reads a bucket that does and does not say."""
    minted = minted_for(evidence)
    if not minted.kinds:
        return NOT_MINTED
    if evidence.held is None:
        return _by_buckets(evidence, minted)
    current = {one.kind: one for one in minted.current}
    judged = [_since_restored(evidence, minted, one, current.get(one.kind)) for one in evidence.held]
    for outcome in ("fail", "unknown"):
        for one in judged:
            if one.outcome == outcome:
                return one
    return passed("the instance holds what mint wrote")


def _by_buckets(evidence: SubjectEvidence, minted: MintedForApplication) -> Verdict:
    """Judge an instance whose agent states no objects by what mint found in the buckets of the application."""
    for one in minted.current:
        # after the renewal, an instance still has to read it
        is_unread = one.follows_tampered and _age(evidence, one.committed_at, one.kind) <= SETTLED
        if (one.is_tampered or is_unread) and evidence.life not in ("stopping", "stopped"):
            return failed(f"{IN_BUCKET}{_FILES[one.kind]}; the agent does not state which object the instance holds")
    return NO_IDS


def _since_restored(
    evidence: SubjectEvidence, minted: MintedForApplication, one: HeldByInstance, current: CredentialInUse | None
) -> Verdict:
    """Judge an object; one that mint may have written in the time that a restored database lacks is unknown."""
    found = _untouched(evidence, one, current)
    restored = instant_or_none(minted.restored_at)
    if found.outcome != "fail" or restored is None:
        return found
    since = instant_or_none(one.since)
    is_of_lost_time = since is not None and since <= restored + SETTLED
    if is_of_lost_time or parse_instant(evidence.now) <= restored + RESTORED:
        later = "" if is_of_lost_time else CHECKED_LATER
        return unknown(f"{later}{found.reason}; the database was restored, and may lack it")
    return found


def _untouched(evidence: SubjectEvidence, one: HeldByInstance, current: CredentialInUse | None) -> Verdict:
    file = _FILES[one.kind]
    if not one.generation and not one.version_id:
        return unknown(f"{file}: the object states no generation, and the bucket keeps no versions")
    if one.is_minted and one.is_written is not False:
        if one.is_written is None and one.version_id:
            return unknown(f"{file}: mint has not recorded yet which versions it wrote")
        return passed(f"{file} is of mint")
    if not one.is_minted and one.generation:
        return failed(f"{file}: mint never made the generation {one.generation}, version {one.version_id or 'unknown'}")
    if not one.is_minted and (current is None or one.since <= current.committed_at):
        return unknown(f"{file}: the object states no generation, and may be from before mint wrote its own")
    if _age(evidence, one.since, one.kind) <= SETTLED:
        return unknown(f"{CHECKED_LATER}{file}: mint has not recorded the version {one.version_id}")
    why = f"{file}: mint never wrote the version {one.version_id}"
    # whoever speaks no more could not say that it read the object that a repeated write put there
    doubt = _doubt(evidence) if one.is_minted else ""
    if not doubt:
        return failed(why)
    return unknown(f"{why}; {doubt}" if evidence.life == "stopped" else f"{CHECKED_LATER}{why}; {doubt}")


def minted_for(evidence: SubjectEvidence) -> MintedForApplication:
    """Return what mint makes for the application. Raises NotKnown when it was not read."""
    return known(evidence.minted, "what mint makes for the application")


def _age(evidence: SubjectEvidence, since: str, kind: CredentialName) -> timedelta:
    """Return how long ago something was. Raises NotKnown when its time is malformed."""
    began = known(instant_or_none(since), f"a time of {_FILES[kind]}")
    return parse_instant(evidence.now) - began
