"""The rule about secrets in user data."""

from __future__ import annotations

from whence_aggregator.compliance.evidence import SubjectEvidence
from whence_aggregator.compliance.rule import Verdict, failed, known, passed, unknown

SECRET_CODE = "secret-in-user-data"  # noqa: S105 - the code of a problem
_NAMED_MAX = 5


def secret_in_user_data(evidence: SubjectEvidence) -> Verdict:
    """Fail when the agent reports a secret in plain text.

    Reported user data is masked: a masked value may be a secret or a reference to one, so that it is unknown.
    """
    machine = known(evidence.machine, "a statement of the agent")
    problem = next((one for one in machine.problems if one.code == SECRET_CODE), None)
    if problem is not None:
        return failed(problem.message or "user data contains a secret in plain text")
    if machine.user_data != "read":
        return unknown(f"the user data is {machine.user_data}")
    if machine.masked:
        more = f" and {len(machine.masked) - _NAMED_MAX} more" if len(machine.masked) > _NAMED_MAX else ""
        names = ", ".join(machine.masked[:_NAMED_MAX])
        return unknown(f"the agent does not state whether masked values are references: {names}{more}")
    return passed("no value of the user data may be a secret")
