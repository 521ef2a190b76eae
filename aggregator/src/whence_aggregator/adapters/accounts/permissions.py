"""Ask IAM which actions the role of an account lacks, without trying them (SimulatePrincipalPolicy)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from whence_aggregator.adapters.accounts.place import AwsPlace
from whence_common.errors import RoadError

_ACTIONS_A_CALL = 100
_PAGES_MAX = 100
_SESSION = re.compile(r"arn:(aws[a-z-]*):sts::([0-9]{12}):assumed-role/([^/]+)/.+\Z")


async def denied_actions(place: AwsPlace, actions: Sequence[str]) -> tuple[str, ...]:
    """Return the actions that the caller's identity policies, boundaries and organisation do not allow, sorted.

    Raises RoadError for a caller that IAM cannot simulate, such as the root user.
    """
    sts, iam = await place.client("sts"), await place.client("iam")
    arn = str((await sts.get_caller_identity())["Arn"])
    session = _SESSION.match(arn)
    if session is not None:
        role = (await iam.get_role(RoleName=session[3]))["Role"]
        arn = str(role["Arn"])  # with its path, which the session's ARN lacks
    elif ":user/" not in arn:
        message = f"{arn} is neither a role nor a user, and its permissions cannot be simulated"
        raise RoadError("identity-not-simulated", message, fix="use a role; write access: {role: …}", retryable=False)
    denied: set[str] = set()
    for start in range(0, len(actions), _ACTIONS_A_CALL):
        denied |= await _denied(iam, arn, actions[start : start + _ACTIONS_A_CALL])
    return tuple(sorted(denied))


async def _denied(iam: Any, arn: str, actions: Sequence[str]) -> set[str]:
    more: dict[str, str] = {}
    denied = set[str]()
    for _ in range(_PAGES_MAX):
        page = await iam.simulate_principal_policy(PolicySourceArn=arn, ActionNames=list(actions), **more)
        denied |= {str(one["EvalActionName"]) for one in page["EvaluationResults"] if one["EvalDecision"] != "allowed"}
        if not page.get("IsTruncated"):
            return denied
        more = {"Marker": page["Marker"]}
    raise RoadError("account-too-many", f"IAM's simulation has over {_PAGES_MAX} pages", retryable=False)
