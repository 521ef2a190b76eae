"""The rules. Each is a function of the evidence; the list is what `GET /v1/rules` shows."""

from __future__ import annotations

from datetime import datetime, timedelta

from whence_aggregator.compliance.rule import NOT_COLLECTED, NOTHING_RUNS, Evidence, Rule, Verdict, from_link
from whence_aggregator.compliance.rules_source import SOURCE_RULES
from whence_common.clock import parse_instant, to_instant

CLOCK_OFF_SECONDS = 300
"""AWS refuses requests that are signed by a clock further off: five minutes."""
_MUTABLE_CODES = ("image-tag-mutable", "image-tag-not-vouched", "image-tag-missing")


def _application_registered(evidence: Evidence) -> Verdict:
    return from_link(evidence, "application")


def _image_immutable(evidence: Evidence) -> Verdict:
    predicate = evidence.facts.statement.predicate
    for problem in predicate.problems:
        if problem.get("code") in _MUTABLE_CODES and problem.get("severity") == "error":
            return Verdict(outcome="fail", reason=f"user data asks for it: {problem.get('message')}")
    if evidence.nothing_runs:
        return NOTHING_RUNS
    link = evidence.lineage.link("image")
    if link.state == "contradicted":
        return Verdict(outcome="fail", reason=link.reason or "")
    return Verdict(outcome="pass", reason="it runs by digest")


def _source_present(evidence: Evidence) -> Verdict:
    return NOTHING_RUNS if evidence.nothing_runs else from_link(evidence, "source")


def _source_clean(evidence: Evidence) -> Verdict:
    if evidence.nothing_runs:
        return NOTHING_RUNS
    source = evidence.facts.source
    if source is None:
        return Verdict(outcome="unknown", reason="no source is known for the image")
    if source.dirty:
        return Verdict(outcome="fail", reason="the image was built from a tree with changes that are in no commit")
    return Verdict(outcome="pass", reason="the source tree was clean")


def _commit_exists(evidence: Evidence) -> Verdict:
    if evidence.nothing_runs:
        return NOTHING_RUNS
    answer = evidence.facts.commit
    if answer.outcome == "found":
        return Verdict(outcome="pass", reason="the Git server has the commit")
    link = evidence.lineage.link("commit")
    return Verdict(outcome="unknown" if link.state == "unknown" else "fail", reason=link.reason or "")


def _ticket_named(evidence: Evidence) -> Verdict:
    return NOTHING_RUNS if evidence.nothing_runs else from_link(evidence, "ticket")


def _boot_succeeded(evidence: Evidence) -> Verdict:
    predicate = evidence.facts.statement.predicate
    if predicate.cause != "failed":
        return Verdict(outcome="pass", reason="the instance booted")
    errors = [str(p.get("message", "")) for p in predicate.problems if p.get("severity") == "error"]
    more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
    return Verdict(outcome="fail", reason=(errors[0] if errors else "the boot failed") + more)


def _nothing_undeclared(evidence: Evidence) -> Verdict:
    """Judge what the newest statement says was found: it is told until the next boot, since it did happen."""
    drift = evidence.facts.statement.predicate.drift
    if not drift:
        return Verdict(outcome="pass", reason="nothing was found that user data did not ask for")
    first = drift[0]
    more = f" (and {len(drift) - 1} more)" if len(drift) > 1 else ""
    detail = f" {first.detail or first.image}".rstrip()
    return Verdict(outcome="fail", reason=f"{first.kind} in {first.container}:{detail} at {first.first_at}{more}")


def _agent_speaks(evidence: Evidence) -> Verdict:
    seen = evidence.facts.last_seen
    if seen is None:
        return Verdict(outcome="unknown", reason="the agent was never seen")
    silence = (evidence.now - parse_instant(seen)).total_seconds()
    if silence > evidence.silent_after_seconds:
        return Verdict(outcome="fail", reason=f"silent since {seen}")
    return Verdict(outcome="pass", reason="the agent speaks")


def _user_data_unchanged(evidence: Evidence) -> Verdict:
    listed, seen = evidence.facts.listed, evidence.facts.statement.predicate.user_data
    if not listed.collected:
        return NOT_COLLECTED
    if listed.user_data_unread:
        return Verdict(outcome="unknown", reason=f"the EC2 API's user data was not read: {listed.user_data_unread}")
    if seen is None or not listed.user_data_digest:
        return Verdict(outcome="unknown", reason="only one of agent and EC2 API has user data to compare")
    if listed.user_data_digest != seen.digest:
        return Verdict(outcome="fail", reason="the EC2 API has other user data than the agent has seen")
    return Verdict(outcome="pass", reason="agent and EC2 API have the same user data")


def _instance_listed(evidence: Evidence) -> Verdict:
    """A machine that AWS does not list, or lists as gone, and that speaks nevertheless, is not what it says."""
    listed = evidence.facts.listed
    if not listed.collected:
        return NOT_COLLECTED
    if listed.state in ("pending", "running", "stopping", "stopped"):
        return Verdict(outcome="pass", reason="the EC2 API lists the instance")
    spoke = _agent_speaks(evidence).outcome == "pass" and evidence.facts.statement.predicate.cause != "stop"
    state = listed.state or "not listed"
    return Verdict(outcome="fail" if spoke else "pass", reason=f"{state} in the EC2 API" + " and speaks" * spoke)


def _clock_right(evidence: Evidence) -> Verdict:
    """Judge the machine's clock when it made its newest statement, by the times of recording and of launch.

    A statement may be delivered late, so a clock that is behind cannot be told from a delay; one that is ahead of the
    recording, or before the launch that the statement itself names, can.
    """
    facts, off = evidence.facts, timedelta(seconds=CLOCK_OFF_SECONDS)
    statement = facts.statement
    observed, recorded = parse_instant(statement.observed_at), parse_instant(statement.recorded_at)
    times = f"the statement is of {statement.observed_at} and was recorded at {statement.recorded_at}"
    launched = _launched(statement.predicate.instance.pending_time) or _launched(facts.binding.identity["pending_time"])
    if observed - recorded > off:
        return Verdict(outcome="fail", reason=f"the clock was {_seconds(observed - recorded)} ahead: {times}")
    if launched is not None and launched - observed > off:
        reason = f"the clock was before the launch of the machine at {to_instant(launched)}: {times}"
        return Verdict(outcome="fail", reason=reason)
    if recorded - observed > off:
        late = _seconds(recorded - observed)
        reason = f"the clock was behind, or the statement was delivered {late} late: {times}"
        return Verdict(outcome="unknown", reason=reason)
    return Verdict(outcome="pass", reason=f"the clock was right to {CLOCK_OFF_SECONDS} s")


def _launched(pending_time: str) -> datetime | None:
    try:
        return parse_instant(pending_time)
    except ValueError:
        return None


def _seconds(difference: timedelta) -> str:
    return f"{difference.total_seconds():.0f} s"


RULES: tuple[Rule, ...] = (
    Rule(id="application-unregistered", title="The application is in the application registry", severity=2,
         remedy="register it: PUT /apps/{application_id}", judge=_application_registered),
    Rule(id="image-mutable", title="The image cannot change under its name", severity=1,
         remedy="name it by digest, or by a tag in an immutable registry", judge=_image_immutable),
    Rule(id="source-missing", title="The image says which source it was built from", severity=2,
         remedy="put scm-source.json at the image's root when building it", judge=_source_present),
    Rule(id="source-dirty", title="The image was built from committed source", severity=1,
         remedy="commit, build again from the commit, deploy that image", judge=_source_clean),
    Rule(id="commit-not-found", title="The commit exists on its Git server", severity=1,
         remedy="push the commit, or let the aggregator read the repository", judge=_commit_exists),
    Rule(id="ticket-missing", title="The commit names a ticket", severity=3,
         remedy="name the ticket in the commit message", judge=_ticket_named),
    Rule(id="boot-failed", title="The instance booted", severity=2,
         remedy="correct the user data and replace the instance", judge=_boot_succeeded),
    Rule(id="drift", title="Only what user data declares runs, and nobody changes it", severity=1,
         remedy="find out who did it; replace the instance by one from its user data", judge=_nothing_undeclared),
    Rule(id="agent-silent", title="The agent speaks", severity=1,
         remedy="look at the instance: journalctl -u whence-agent", judge=_agent_speaks),
    Rule(id="user-data-changed", title="The EC2 API has the user data that the machine was booted from", severity=1,
         remedy="find out who changed it while the instance was stopped; replace the instance",
         judge=_user_data_unchanged),
    Rule(id="instance-unlisted", title="The EC2 API lists the machine that speaks", severity=1,
         remedy="find out who holds the instance's key", judge=_instance_listed),
    Rule(id="clock-off", title="The machine's clock is right", severity=3,
         remedy="have the machine's clock set: `chronyc tracking` shows its source", judge=_clock_right),
    *SOURCE_RULES,
)  # fmt: skip
"""Append only: a rule's place is its bit in what is kept of an instance."""
assert len({rule.id for rule in RULES}) == len(RULES) > 0
