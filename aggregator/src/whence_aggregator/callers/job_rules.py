"""Maps CI jobs to the teams that they act for. Pure.

A rule matches a project by its id, refs and further properties. A job that no rule matches is refused with the reason.
Events that run the project's pipeline on code from outside the repository are refused even if a rule lists them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from whence_aggregator.callers.jobs import Job, Provider
from whence_aggregator.ports import Forbidden
from whence_common.ami_provenance import AMI_NAME

EVENTS: Mapping[Provider, frozenset[str]] = {
    "github": frozenset({"push", "workflow_dispatch", "schedule", "release"}),
    "gitlab": frozenset({"push", "web", "schedule", "api"}),
    "buildkite": frozenset({"webhook", "ui", "api", "schedule"}),
    "circleci": frozenset(),
    "aws": frozenset(),
}
"""The events allowed for rules without `events`; empty for systems whose tokens do not state the event."""
REFUSED_EVENTS: Mapping[Provider, frozenset[str]] = {
    "github": frozenset({"pull_request_target", "issue_comment", "workflow_run", "pull_request"}),
    "gitlab": frozenset({"merge_request_event", "external_pull_request_event"}),
    "buildkite": frozenset(),
    "circleci": frozenset(),
    "aws": frozenset(),
}
HAVE_REFS: frozenset[Provider] = frozenset({"github", "gitlab", "buildkite", "circleci"})
HAVE_PROTECTION: frozenset[Provider] = frozenset({"github", "gitlab"})


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRule:
    """Lets jobs of a project act for a team.

    An empty field sets no limit, except that empty `refs` match no ref, and empty `events` mean EVENTS.
    """

    team: str
    project_id: str
    owner_id: str = ""
    refs: tuple[str, ...] = ()
    """Complete refs, or patterns with `*` at the end, after a `/` or below `refs/tags/`."""
    ref_protected: bool = True
    """Only for protected refs, on systems whose tokens state protection."""
    environments: tuple[str, ...] = ()
    events: frozenset[str] = frozenset()
    runners: tuple[str, ...] = ()
    workflows: tuple[str, ...] = ()
    amis: tuple[str, ...] = ()
    """Names of the AMIs whose statements its jobs may record, complete or with `*` at the end; none: they may not."""


def is_ami_pattern(pattern: str) -> bool:
    """Return whether a pattern is a name that EC2 accepts for an AMI, or at least three characters of one and `*`."""
    return bool(AMI_NAME.match(pattern.removesuffix("*")))


def matching_rules(job: Job, rules: Sequence[JobRule]) -> list[JobRule]:
    """Return the rules that match a job, at least one. Raises Forbidden with the reason of the closest one."""
    if job.event in REFUSED_EVENTS[job.provider]:
        raise Forbidden(
            "workload-event", f"a job started by {job.event} may run code from outside the repository",
            fix="push from a job started by a push, a tag or a release",
        )  # fmt: skip
    misses = [(rule, list(_misses(job, rule))) for rule in rules if rule.project_id == job.project_id]
    matching = [rule for rule, missed in misses if not missed]
    if matching:
        return matching
    if not misses:
        raise Forbidden(
            "workload-project", f"no rule is for the project {job.project_id} ({job.project or 'unnamed'})",
            fix="add a rule with this project_id to sign_in.workloads",
        )  # fmt: skip
    code, reason = min((missed for _, missed in misses), key=len)[0]
    raise Forbidden(code, f"{job.name}: {reason}", fix="see the rules for this project_id in sign_in.workloads")


def _misses(job: Job, rule: JobRule) -> Iterator[tuple[str, str]]:
    """Yield the conditions of a rule that a job does not meet, each as code and reason."""
    if rule.owner_id and rule.owner_id != job.owner_id:
        yield "workload-owner", f"its owner {job.owner_id or 'unknown'} is not {rule.owner_id}"
    if job.provider in HAVE_REFS and not any(covers(one, job.ref) for one in rule.refs):
        yield "workload-ref", f"its ref {job.ref or 'unknown'} is not one of {', '.join(rule.refs)}"
    if job.provider in HAVE_PROTECTION and rule.ref_protected and job.ref_protected is not True:
        yield "workload-ref-unprotected", f"its ref {job.ref or 'unknown'} is not protected"
    if rule.environments and job.environment not in rule.environments:
        yield "workload-environment", f"its environment {job.environment or 'none'} is not listed in the rule"
    events = rule.events or EVENTS[job.provider]
    if events and job.event not in events:
        named = ", ".join(sorted(events))
        yield "workload-event", f"it was started by {job.event or 'an unknown event'}, not by one of {named}"
    if rule.runners and job.runner not in rule.runners:
        yield "workload-runner", f"its runner {job.runner or 'unknown'} is not listed in the rule"
    if rule.workflows and job.workflow not in rule.workflows:
        yield "workload-workflow", f"its workflow {job.workflow or 'unknown'} is not listed in the rule"


def covers(pattern: str, text: str) -> bool:
    """Return whether a text is the pattern, or begins with what is before its `*` and goes on."""
    if pattern.endswith("*"):
        return len(text) > len(pattern) - 1 and text.startswith(pattern[:-1])
    return bool(text) and text == pattern


def is_ref_pattern(pattern: str) -> bool:
    """Return whether a pattern is a complete ref, or has its `*` after a `/` or below `refs/tags/`.

    A prefix of a branch name is refused, because it would match branches that any contributor may create.
    """
    stem = pattern.removesuffix("*")
    if "*" in stem or not stem.startswith(("refs/heads/", "refs/tags/")) or not stem.isprintable():
        return False
    return stem == pattern or stem.endswith("/") or stem.startswith("refs/tags/")
