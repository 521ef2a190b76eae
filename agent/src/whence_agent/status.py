"""The status document: what on-call needs at three in the morning, and nothing secret. Pure."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from whence_agent import __version__
from whence_agent.progress import Progress
from whence_common.identity_document import InstanceIdentity

State = Literal["booting", "ok", "degraded", "failed"]
_GOOD_CREDENTIALS = ("current",)


def state_of(progress: Progress) -> tuple[State, list[str]]:
    """Give the verdict and its reasons. Ok only when everything runs and the last statement is acknowledged."""
    if progress.state == "failed":
        stage = progress.current_stage()
        return "failed", [f"boot failed at stage {stage.name}: {stage.reason}" if stage else "boot failed"]
    if progress.state == "booting":
        stage = progress.current_stage()
        return "booting", [f"stage {stage.name} since {stage.since}" if stage else "not started"]
    reasons = _doubts(progress)
    return ("degraded", reasons) if reasons else ("ok", [])


def _doubts(progress: Progress) -> list[str]:
    observed, delivered, reasons = progress.observed, progress.delivered, []
    container = observed.container
    if container is None:
        reasons.append("there is no container")
    elif container.state != "running":
        reasons.append(f"the container is {container.state}, exit code {container.exit_code}")
    elif observed.image is not None and container.image_digest != observed.image.digest:
        reasons.append("the container runs another image than was booted")
    reasons += [error for error in (progress.engine_error, progress.disk_error) if error]
    if observed.credentials is not None and observed.credentials.state not in _GOOD_CREDENTIALS:
        reasons.append(f"credentials are {observed.credentials.state}")
    if delivered.waiting or not delivered.acknowledged_at:
        reasons.append(f"{delivered.waiting} statements are not acknowledged: {delivered.error or 'on their way'}")
    if delivered.dropped:
        reasons.append(f"{delivered.dropped} statements were dropped")
    return reasons


def status_document(progress: Progress) -> dict[str, Any]:
    """Give the whole status as JSON values."""
    state, reasons = state_of(progress)
    observed, delivered = progress.observed, progress.delivered
    stage = progress.current_stage()
    return {
        "state": state,
        "reasons": reasons,
        "what_to_do": what_to_do(progress, state),
        "stage": stage.name if stage is not None else None,
        "since": progress.failed_at or (stage.since if stage is not None else progress.started_at),
        "agent_version": __version__,
        "boot_id": progress.boot_id,
        "started_at": progress.started_at,
        "instance": _instance(observed.identity),
        "application": msgspec.to_builtins(observed.application),
        "user_data": {"digest": observed.user_data.digest} if observed.user_data is not None else None,
        "image": msgspec.to_builtins(observed.image),
        "scm_source": msgspec.to_builtins(observed.scm_source),
        "container": msgspec.to_builtins(observed.container),
        "credentials": msgspec.to_builtins(observed.credentials),
        "problems": [problem.to_wire() for problem in observed.problems],
        "stages": [msgspec.to_builtins(facts) for facts in progress.stage_facts()],
        "statements": {
            "enrolled": delivered.enrolled,
            "acknowledged": delivered.acknowledged,
            "acknowledged_at": delivered.acknowledged_at or None,
            "ledger_index": delivered.ledger_index,
            "waiting": delivered.waiting,
            "dropped": delivered.dropped,
            "error": delivered.error or None,
            "heartbeat_at": delivered.heartbeat_at or None,
        },
    }


def what_to_do(progress: Progress, state: State) -> str:
    """Say the next step in one sentence."""
    if state == "ok":
        return "nothing"
    if state == "booting":
        return "wait; each stage has a deadline"
    errors = [problem for problem in progress.observed.problems if problem.severity == "error"]
    if state == "failed" and errors:
        first = errors[0]
        place = f" (line {first.line}, column {first.column})" if first.line else ""
        more = f"; {len(errors) - 1} more below" if len(errors) > 1 else ""
        return (first.fix or first.message) + place + more + "; then replace the instance"
    if progress.delivered.waiting:
        return "the application runs; find out why the aggregator does not take statements"
    return "look at the reasons above and at: journalctl -u whence-agent"


def _instance(identity: InstanceIdentity | None) -> dict[str, str] | None:
    if identity is None:
        return None
    return {
        "instance_id": identity.instance_id,
        "account_id": identity.account_id,
        "region": identity.region,
        "image_id": identity.image_id,
    }
