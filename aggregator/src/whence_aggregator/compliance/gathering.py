"""Makes the documented evidence of an instance, and of what it runs, from facts and lineage. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from whence_aggregator.compliance.evidence import (
    ClockByHeartbeats,
    CommitOfImage,
    HeardAgent,
    LinkOfEvidence,
    ListedByCloud,
    RegisteredApplication,
    StatedDrift,
    StatedMachine,
    StatedProblem,
    SubjectEvidence,
    TicketOfCommit,
)
from whence_aggregator.compliance.gathered_ami import content_of_ami, image_of_machine, used_ami
from whence_aggregator.compliance.gathered_credentials import held_by, minted_for
from whence_aggregator.compliance.gathered_image import build_of_image, image_in_registry, source_of_image
from whence_aggregator.compliance.readings import readings_of
from whence_aggregator.compliance.rule_settings import NO_RULE_SETTINGS, RuleSettings
from whence_aggregator.trace.commit_details import disproved, signature_members
from whence_aggregator.trace.derive_source import branch_reason
from whence_aggregator.trace.facts import Facts, HeardClock
from whence_aggregator.trace.lineage import Lineage
from whence_aggregator.trace.listening import CLOCK_OFF_SECONDS
from whence_aggregator.trace.named_tickets import own_trackers
from whence_common.clock import to_instant
from whence_common.heartbeat import HEARTBEATS

_MASKED = "MASKED"
MASKED_KEYS_MAX = 50
_LEVELS_MAX = 60
_SIGNATURE_FORMS_READ = ("good", "bad", "unknown key", "none")


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceEvidence:
    """What was gathered about one instance, for all rules."""

    facts: Facts
    lineage: Lineage | None
    now: datetime
    silent_after_seconds: float
    listening_since: datetime
    """Since when the aggregator has been able to receive from agents, without a break."""
    settings: RuleSettings = NO_RULE_SETTINGS


def evidence_of(gathered: InstanceEvidence) -> SubjectEvidence:
    """Return the documented evidence of an instance."""
    facts, lineage = gathered.facts, gathered.lineage
    links = lineage.links if lineage is not None else ()
    return SubjectEvidence(
        kind="instance",
        id=facts.statement.instance_id,
        now=to_instant(gathered.now),
        settings=gathered.settings,
        links={one.link: LinkOfEvidence(state=one.state, reason=one.reason or "") for one in links},
        life=facts.life,
        life_since=facts.life_since,
        machine=_machine(facts),
        heard=_heard(gathered),
        cloud=_cloud(facts),
        ami=used_ami(facts.ami),
        ami_content=content_of_ami(facts),
        machine_image=image_of_machine(facts),
        image=image_in_registry(facts),
        build=build_of_image(facts),
        source=source_of_image(facts, facts.source),
        commit=_commit(facts),
        tickets=_tickets(facts, lineage),
        application=_application(facts),
        minted=minted_for(facts.credentials),
        held=held_by(facts.credentials),
        reads=readings_of(facts),
    )


def _machine(facts: Facts) -> StatedMachine:
    predicate, identity = facts.statement.predicate, facts.binding.identity
    document = predicate.user_data.document if predicate.user_data is not None else None
    named = (document or {}).get("source")
    return StatedMachine(
        cause=predicate.cause,
        runs=predicate.image is not None,
        observed_at=facts.statement.observed_at,
        recorded_at=facts.statement.recorded_at,
        launched_at=predicate.instance.pending_time,
        proved_launch_at=str(identity.get("pending_time", "")),
        account_id=predicate.instance.account_id,
        region=predicate.instance.region,
        proved_account_id=str(identity.get("account_id", "")),
        proved_region=str(identity.get("region", "")),
        counts_heartbeats=predicate.heartbeats >= HEARTBEATS,
        user_data="absent" if predicate.user_data is None else "unreadable" if document is None else "read",
        user_data_digest=predicate.user_data.digest if predicate.user_data is not None else "",
        application_id=predicate.application_id or "",
        application_version=predicate.application_version or "",
        source=predicate.image.source if predicate.image is not None else named if isinstance(named, str) else "",
        token_source=_token_source(document or {}),
        masked=tuple(_masked(document or {})),
        problems=tuple(
            StatedProblem(
                code=str(one.get("code", "")), severity=str(one.get("severity", "")),
                message=str(one.get("message", "")),
            )
            for one in predicate.problems
        ),
        drift=tuple(
            StatedDrift(kind=one.kind, container=one.container, detail=one.detail or one.image, first_at=one.first_at)
            for one in predicate.drift
        ),
    )  # fmt: skip


def _token_source(document: Mapping[str, Any]) -> str:
    stated = document.get("token_source")
    return stated if document.get("tokens") and stated in ("client", "web-identity", "both") else ""


def _masked(document: Mapping[str, Any]) -> Iterable[str]:
    """Return the paths of masked values, the first ones of many."""
    found: list[str] = []
    waiting: list[tuple[str, Any, int]] = [("", document, 0)]
    while waiting and len(found) < MASKED_KEYS_MAX:
        path, value, level = waiting.pop()
        if value == _MASKED:
            found.append(path)
        elif level < _LEVELS_MAX and isinstance(value, Mapping):
            waiting += [(f"{path}.{name}"[-200:].lstrip("."), one, level + 1) for name, one in value.items()]
        elif level < _LEVELS_MAX and isinstance(value, list):
            waiting += [(f"{path}[{number}]"[-200:], one, level + 1) for number, one in enumerate(value)]
    return sorted(found)


def _heard(gathered: InstanceEvidence) -> HeardAgent:
    facts = gathered.facts
    return HeardAgent(
        last_seen=facts.last_seen or "",
        clock=_clock(facts.heard_clock),
        skew_seconds=facts.heard_clock.skew.total_seconds() if facts.heard_clock is not None else 0.0,
        silent_after_seconds=gathered.silent_after_seconds,
        listening_since=to_instant(gathered.listening_since),
    )


def _clock(heard: HeardClock | None) -> ClockByHeartbeats:
    off = timedelta(seconds=CLOCK_OFF_SECONDS)
    if heard is None:
        return "not heard"
    if heard.skew > off:
        return "ahead"
    if heard.skew >= -off:
        return "right"
    return "behind" if heard.confirmed else "late"


def _cloud(facts: Facts) -> ListedByCloud:
    listed = facts.listed
    if listed.unread:
        return ListedByCloud(unread=listed.unread)
    return ListedByCloud(
        listed_at=listed.listed_at,
        state=listed.state,
        asked_at=listed.asked_at,
        launched_at=listed.launched_at,
        user_data_digest=listed.user_data_digest,
        user_data_unread=listed.user_data_unread,
        difference=facts.difference if facts.user_data_differs else "",
        same_launch=facts.same_launch,
        next_start=facts.data_of_next_start,
        key_name=listed.key_name,
        imds_tokens=listed.imds_tokens,
        secrets=listed.secrets,
        doubtful=listed.doubtful,
    )


def _commit(facts: Facts) -> CommitOfImage:
    answer, branch = facts.commit, facts.branch
    signature = signature_members(answer, facts.signature) if answer.outcome == "found" else None
    state = str(signature["state"]) if signature is not None else None
    read = branch.outcome in ("found", "missing")
    return CommitOfImage(
        outcome=answer.outcome,
        reason=answer.reason,
        reachable=branch.value.get("reachable") if branch.outcome != "unknown" else None,
        branch_reason=branch_reason(branch) or "",
        rewritten=(disproved(branch, None) or "") if read and "gone" in branch.value else None,
        signature=state if state in _SIGNATURE_FORMS_READ else None,
        signature_reason=str((signature or {}).get("reason", "")),
    )


def _tickets(facts: Facts, lineage: Lineage | None) -> tuple[TicketOfCommit, ...] | None:
    """Return the tickets that trackers were asked for; None where none is asked, or the commit was not read."""
    if lineage is None or facts.commit.outcome != "found" or not facts.trackers.reads_tickets:
        return None
    shown = (lineage.link("ticket").value or {}).get("tickets", ())
    return tuple(
        TicketOfCommit(
            id=str(one["id"]), state=one.get("state", "asserted"), problem=str(one.get("problem") or ""),
            reason=_reason_of(facts, one), approved=one.get("approved"),
        )
        for one in shown
    )  # fmt: skip


def _reason_of(facts: Facts, shown: Mapping[str, Any]) -> str:
    problem = shown.get("problem")
    return f"{shown['id']}: {problem}" if problem else ""


def _application(facts: Facts) -> RegisteredApplication:
    if facts.application is None:
        return RegisteredApplication(registered=False)
    kio = facts.application.kio
    level = kio.get("criticality_level")
    return RegisteredApplication(
        active=bool(kio.get("active")),
        team_id=str(kio.get("team_id") or ""),
        criticality_level=level if isinstance(level, int) else 0,
        incident_contact=str(kio.get("incident_contact") or ""),
        specification_url=str(kio.get("specification_url") or ""),
        uses_tickets=bool(own_trackers(facts)),
    )
