"""The status document: what on-call needs, without secrets. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import msgspec

from whence_agent import __version__
from whence_agent.progress.delivered import Delivered
from whence_agent.progress.progress import Observed, Progress
from whence_common.clock import parse_instant
from whence_common.user_data.masking import MASKED

if TYPE_CHECKING:
    from whence_common.identity_document import InstanceIdentity

AgentState = Literal["booting", "ok", "degraded", "failed"]
_GOOD_CREDENTIALS = ("current",)


def state_of(progress: Progress) -> tuple[AgentState, list[str]]:
    """Return the state and its reasons. Ok only if everything runs and the last statement is acknowledged."""
    if progress.boot.state == "failed":
        return "failed", _failure_reasons(progress)
    if progress.boot.state == "booting":
        stage = progress.boot.current_stage()
        if stage is None:
            return "booting", ["not started"]
        reasons = [f"stage {stage.name} since {stage.since}{f': {stage.doing}' if stage.doing else ''}"]
        if (tries := progress.boot.tries).number > 1:
            reasons.append(f"try {tries.number}; the previous one failed at {tries.last_failure}")
        if waiting := stage.waiting(progress.monotonic()):
            reasons.append(f"{waiting}: {stage.reason}")
        return "booting", reasons
    reasons = [*_container_reasons(progress), *_other_reasons(progress)]
    return ("degraded", reasons) if reasons else ("ok", [])


def _next_try_at(progress: Progress) -> str | None:
    """Return when the boot is tried again; None if it is not, or if the machine is being drained."""
    return progress.boot.tries.next_at or None if not progress.watched.ending else None


def _failure_reasons(progress: Progress) -> list[str]:
    stage, tries = progress.boot.current_stage(), progress.boot.tries
    reason = f"boot failed at stage {stage.name}: {stage.reason}" if stage else "boot failed"
    if _next_try_at(progress):
        reason += f"; next try at {tries.next_at}, try {tries.number + 1}"
    ending = progress.watched.ending
    further = (
        tries.given_up,
        progress.watched.engine_error,
        progress.delivered.unsent_signals,
        ending and f"drained: {ending}",
    )
    return [reason, *(one for one in further if one)]


def _container_reasons(progress: Progress) -> list[str]:
    if progress.watched.ending:
        return [f"drained: {progress.watched.ending}"]
    if progress.boot.maintenance:
        return ["maintenance: start is false in user data, so no container runs"]
    watched = progress.watched
    reasons = [f"crash loop: {message}" for message in progress.watched.crash_loops.values()]
    if watched.container is None:
        return [*reasons, "no container exists"]
    for container in watched.containers():
        name = "the container" if container is watched.container else f"the sidecar {container.name}"
        if container.state != "running":
            why = f": {container.error}" if container.error else ""
            reasons.append(f"{name} is {container.state}, exit code {container.exit_code}{why}")
            continue
        if container.health == "unhealthy":
            reasons.append(f"{name} is unhealthy: its health check does not return 200")
        if container.engine_health == "unhealthy":
            reasons.append(f"{name} is unhealthy: the health check of its image fails")
    kinds = {one.kind: one.container for one in watched.drift}
    reasons += [f"drift: {kind} ({container})" for kind, container in sorted(kinds.items())]
    return reasons


def _other_reasons(progress: Progress) -> list[str]:
    watched, delivered, credentials = progress.watched, progress.delivered, progress.credentials
    further = (
        watched.engine_error, delivered.disk_error, credentials.tokens_error, watched.notices, delivered.unsent_signals,
    )  # fmt: skip
    reasons = [reason for reason in (*further, *progress.boot.disk_faults.values()) if reason]
    reasons += [problem.message for problem in delivered.log_problems]
    if credentials.facts is not None and credentials.facts.state not in _GOOD_CREDENTIALS:
        reasons.append(f"credentials are {credentials.facts.state}: {credentials.message}")
    if delivered.waiting or not delivered.acknowledged_at:
        count = f"{delivered.waiting} statements are not" if delivered.waiting else "no statement is"
        reasons.append(f"{count} acknowledged: {delivered.error or 'delivery is in progress'}")
    if delivered.dropped:
        reasons.append(f"{delivered.dropped} statements were dropped{_refused(delivered)}")
    return reasons


def _refused(delivered: Delivered) -> str:
    if not delivered.refused:
        return ""
    reason = f" ({delivered.refusal})" if delivered.refusal else ""
    return f", {delivered.refused} of them because the aggregator refused them{reason}"


def status_document(progress: Progress) -> dict[str, Any]:
    """Return the whole status as JSON values."""
    state, reasons = state_of(progress)
    observed, delivered = progress.observed, progress.delivered
    stage = progress.boot.current_stage()
    return {
        "state": state,
        "reasons": reasons,
        "what_to_do": what_to_do(progress, state),
        "stage": stage.name if stage is not None else None,
        "tries": progress.boot.tries.number,
        "next_try_at": _next_try_at(progress),
        "since": progress.boot.failed_at or (stage.since if stage is not None else progress.started_at),
        "agent_version": __version__,
        "boot_id": progress.boot_id,
        "started_at": progress.started_at,
        "instance": _instance(observed.identity),
        "application": _application(observed),
        "user_data": {"digest": observed.user_data.digest} if observed.user_data is not None else None,
        "image": msgspec.to_builtins(observed.image),
        "scm_source": msgspec.to_builtins(observed.scm_source),
        "container": msgspec.to_builtins(observed.container),
        "sidecars": msgspec.to_builtins(list(observed.sidecars.values())),
        "drift": msgspec.to_builtins(list(observed.drift)),
        "credentials": _credentials(progress),
        "problems": [
            *(
                problem.to_wire()
                | ({"quote": observed.quotes[problem.line]} if problem.line in observed.quotes else {})
                for problem in observed.problems
            ),
            *(problem.to_wire() for problem in progress.delivered.log_problems),
        ],
        "stages": [msgspec.to_builtins(facts) for facts in progress.boot.stage_facts()],
        "statements": {
            "enrolled": delivered.enrolled,
            "acknowledged": delivered.acknowledged,
            "acknowledged_at": delivered.acknowledged_at or None,
            "ledger_index": delivered.ledger_index,
            "waiting": delivered.waiting,
            "dropped": delivered.dropped,
            "refused": delivered.refused,
            "refusal": delivered.refusal or None,
            "error": delivered.error or None,
            "heartbeat_at": delivered.heartbeat_at or None,
        },
    }


def _application(observed: Observed) -> dict[str, str] | None:
    """Return id and version of the application; of user data with errors, what it names."""
    if observed.application is not None:
        return {"id": observed.application.id, "version": observed.application.version}
    document = observed.user_data.document if observed.user_data is not None else None
    named = {
        name: document.get(key) if document is not None else None
        for name, key in (("id", "application_id"), ("version", "application_version"))
    }
    if not isinstance(named["id"], str) or named["id"] == MASKED:
        return None
    version = named["version"]
    return {"id": named["id"], "version": version if isinstance(version, str) and version != MASKED else ""}


def what_to_do(progress: Progress, state: AgentState) -> str:
    """Return the next step for on-call, in one sentence."""
    if state == "ok":
        return "nothing"
    if state == "booting":
        return "wait; each stage has a deadline"
    errors = [problem for problem in progress.observed.problems if problem.severity == "error"]
    if state == "failed" and errors:
        first = errors[0]
        place = f" (line {first.line}, column {first.column})" if first.line else ""
        more = f"; {len(errors) - 1} more below" if len(errors) > 1 else ""
        then = "the boot is tried again automatically" if _next_try_at(progress) else "then replace the instance"
        return f"{first.fix or first.message}{place}{more}; {then}"
    if progress.watched.ending:
        return "nothing: the machine is being drained"
    if progress.boot.maintenance:
        return "when the maintenance is over, remove start: false from the user data and replace the instance"
    if step := _step_for_containers(progress):
        return step
    if progress.watched.drift:
        return "find out who caused the drift and why, then replace the instance: a new one has no drift"
    if progress.delivered.log_problems:
        return progress.delivered.log_problems[0].fix
    if progress.delivered.waiting:
        return "the application runs; find out why the aggregator does not accept statements"
    return "read the reasons above, and: journalctl -u whence-agent"


def _step_for_containers(progress: Progress) -> str:
    """Return the next step about engine and containers; empty if there is none."""
    container = progress.watched.container
    containers = progress.watched.containers()
    if progress.watched.engine_error:
        return "repair the Docker Engine: systemctl status docker; journalctl -u docker"
    if refused := [one.name for one in containers if one.error]:
        return f"the engine does not start {refused[0]}: fix the cause in the reasons above; the start is retried"
    looping = next(iter(progress.watched.crash_loops), None)
    if looping is None and container is not None and container.state in ("exited", "dead"):
        looping = container.name
    if looping is not None:
        return f"read the log: docker logs {looping}"
    if any(one.state == "gone" for one in containers):
        return "a container was removed by hand; systemctl restart whence-agent creates it again"
    if sick := [one.name for one in containers if "unhealthy" in (one.health, one.engine_health)]:
        return f"read the application's log: docker logs {sick[0]}"
    return ""


def _credentials(progress: Progress) -> dict[str, Any] | None:
    facts = progress.credentials.facts
    if facts is None:
        return None
    age = (progress.now() - parse_instant(facts.fetched_at)).total_seconds() if facts.fetched_at else None
    return {
        **msgspec.to_builtins(facts),
        "age_seconds": None if age is None else round(age),
        "message": progress.credentials.message or None,
    }


def _instance(identity: InstanceIdentity | None) -> dict[str, str] | None:
    if identity is None:
        return None
    return {
        "instance_id": identity.instance_id,
        "account_id": identity.account_id,
        "region": identity.region,
        "image_id": identity.image_id,
    }
