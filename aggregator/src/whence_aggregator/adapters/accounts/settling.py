"""Write calls that AWS refuses because it does not know yet what was written a moment ago: repeated for a while.

AWS is eventually consistent: a policy that names a role created seconds ago is refused as one with an invalid principal
(https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot.html), and a trail whose bucket policy was just written
as one with an insufficient policy. The SDK repeats only what is throttled or failed. Only the refused call is repeated,
which has done nothing.
"""

from __future__ import annotations

import random
import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from whence_common.aws_errors import AwsError
from whence_common.backoff import Backoff
from whence_common.clock import utc_now
from whence_common.visible import printable

SECONDS_MAX = 70.0
"""Of pauses for one call; SQS refuses the name of a deleted queue for 60 seconds."""
_WAITED = "whence_waited_seconds"
_READS = re.compile(r"(Describe|Get|List|Head|Lookup|Search|Simulate|AssumeRole)")
_REMOVES = re.compile(
    r"(Delete|Detach|Remove|Untag|Unsubscribe|Disassociate|Release|Revoke|Disable|Deregister|Schedule)"
)
_NEW_IS_MISSING = re.compile(
    r"Invalid[A-Za-z]+\.NotFound|NatGatewayNotFound|InvalidSubnet|NoSuchBucket|NoSuchEntity|NoSuchHostedZone|NotFound"
    r"|ResourceNotFound|TrailNotFound|S3BucketDoesNotExist|QueueDoesNotExist"
    r"|AWS\.SimpleQueueService\.NonExistentQueue"
)
"""A resource that was created a moment ago. For a call that removes something, it is gone."""
_IN_USE = re.compile(r"DependencyViolation|DeleteConflict")
"""What used the resource was deleted a moment ago. Only for calls that remove something."""
_BUSY = re.compile(
    r"ConcurrentModification|EntityTemporarilyUnmodifiable|OperationAborted|Conflict|IncorrectState"
    r"|CloudTrailAccessNotEnabled|(AWS\.SimpleQueueService\.)?QueueDeletedRecently"
    r"|Insufficient(S3Bucket|SnsTopic|Encryption|Delivery)Policy|InvalidRole|InvalidCloudWatchLogs(RoleArn|LogGroupArn)"
)
_POLICY_REFUSED: Mapping[str, str] = {
    "MalformedPolicy": "principal", "MalformedPolicyDocument": "principal", "InvalidParameter": "principalnotfound",
    "InvalidAttributeValue": "policy", "InvalidParameterValue": "parameter policy",
}  # fmt: skip
"""Codes of policies with a principal that is unknown yet, and a word of AWS's message."""
_FLOW_LOG_SETTLES = re.compile(r"role|access denied|does not exist|not found", re.IGNORECASE)


def may_settle(operation: str, code: str, message: str) -> bool:
    """Return whether a refused call, such as `PutBucketPolicy`, may succeed in a moment. Never for calls that read."""
    if _READS.match(operation):
        return False
    code = code.removesuffix("Exception")
    word = _POLICY_REFUSED.get(code)
    if _BUSY.fullmatch(code) or (word is not None and word in message.lower()):
        return True
    return (_IN_USE if _REMOVES.match(operation) else _NEW_IS_MISSING).fullmatch(code) is not None


class Settling:
    """Repeats such calls of clients. `pause` waits, in seconds; `told` is told of each call that is waited for."""

    def __init__(self, *, pause: Callable[[float], Awaitable[None]], told: Callable[[str], None]) -> None:
        self._pause = pause
        self._told = told
        self._backoff = Backoff(first_seconds=2.0, longest_seconds=10.0, random=random.random)

    def watch(self, client: Any) -> None:
        """Have the SDK ask about every answer of a client. Watching it again changes nothing."""
        client.meta.events.register("needs-retry", self._is_repeated, unique_id="whence-settling")

    async def _is_repeated(
        self, *, response: Any, operation: Any, attempts: int, request_dict: dict[str, Any], **_: Any
    ) -> float | None:
        """Return 0 after a pause for a call to repeat, None for any other. The SDK calls it after its own handler."""
        refused = _refused(operation.name, response[1]) if response is not None else None
        if refused is None or not may_settle(operation.name, *refused):
            return None
        waited = request_dict["context"].get(_WAITED, 0.0)
        seconds = self._backoff.seconds(attempts)
        if waited + seconds > SECONDS_MAX:
            return None
        if not waited:
            self._told(f"{operation.name} is repeated until AWS knows what is new: {printable(': '.join(refused))}")
        request_dict["context"][_WAITED] = waited + seconds
        await self._pause(seconds)
        return 0.0


def _refused(operation: str, answer: Mapping[str, Any]) -> tuple[str, str] | None:
    """Return AWS's code and message. EC2 refuses flow logs within an answer of success."""
    if operation == "CreateFlowLogs":
        for one in answer.get("Unsuccessful") or ():
            message = str(one.get("Error", {}).get("Message", ""))
            return ("IncorrectState" if _FLOW_LOG_SETTLES.search(message) else "", message[:400])
    if "Error" not in answer:
        return None
    error = AwsError.of_sdk(answer, now=utc_now())
    return error.code, error.message
