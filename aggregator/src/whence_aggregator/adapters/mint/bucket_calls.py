"""Calls to S3 for buckets of credentials, by the role of the bucket, repeated until a deadline."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from botocore.exceptions import ClientError

from whence_aggregator.adapters.aws_clients import CALL_FAILURES, AssumedRole, ServiceClients
from whence_aggregator.adapters.aws_refusals import refusal, why
from whence_aggregator.mint.bucket_places import BucketPlace
from whence_aggregator.mint.ports import BucketUnavailable, BucketUnsafe
from whence_common.backoff import Backoff
from whence_common.errors import WhenceError, one_line

SECONDS_MAX = 25.0
"""Of all calls for one request of mint, with their repetitions. mint itself waits 30 seconds and states no reason."""
_ATTEMPT_SECONDS_MAX = 10.0
"""Objects have less than a kilobyte; what takes longer has stalled."""
_ATTEMPTS_MAX = 8
_KEYS_MAX = 2
"""Attempts with keys that AWS does not accept: the second has new ones."""
_FIRST_PAUSE_SECONDS = 0.2
_LONGEST_PAUSE_SECONDS = 5.0
_PASSING = frozenset({"BadDigest"})
"""Codes by which S3 refuses what was damaged on the way: the same request may succeed."""
_ELSEWHERE = frozenset({"AuthorizationHeaderMalformed", "IllegalLocationConstraintException", "PermanentRedirect"})
"""Codes for a bucket in another region, where the SDK could not follow."""
_DENIED_ACTION = re.compile(r"perform: ([a-z0-9-]{2,40}:[A-Za-z]{2,80})")
"""AWS names the action that a caller may not perform, which can be one of KMS behind a call to S3."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BucketCall:
    """An operation of a client of the SDK, and the action that the writer must be allowed."""

    operation: str
    action: str
    parameters: Mapping[str, Any] = field(default_factory=dict, repr=False)
    absent_code: str = ""
    """Code by which S3 states that nothing of it is configured; the answer is then empty."""
    service: str = "s3"


class BucketCalls:
    """Makes calls. The clients make one attempt each. `clock` is in seconds, `random` in [0, 1)."""

    def __init__(
        self,
        *,
        clients: ServiceClients,
        pause: Callable[[float], Awaitable[None]],
        random: Callable[[], float],
        seconds_max: float = SECONDS_MAX,
    ) -> None:
        self._clients = clients
        self._pause = pause
        self._backoff = Backoff(
            first_seconds=_FIRST_PAUSE_SECONDS, longest_seconds=_LONGEST_PAUSE_SECONDS, random=random
        )
        self._seconds_max = seconds_max

    def of(self, place: BucketPlace) -> PlacedCalls:
        """Return the calls of one request of mint, whose time begins now."""
        return PlacedCalls(self, place, asyncio.get_running_loop().time() + self._seconds_max)

    async def make(self, place: BucketPlace, call: BucketCall, *, until: float) -> Mapping[str, Any]:
        """Return the SDK's answer. `until` is the event loop's time. Raises BucketUnavailable, BucketUnsafe."""
        last: BucketUnavailable | None = None
        refused_keys = 0
        try:
            async with asyncio.timeout_at(until):
                for number in range(1, _ATTEMPTS_MAX + 1):
                    found = await self._attempt(place, call)
                    if not isinstance(found, _Passing):
                        return found
                    last = found.error
                    refused_keys += found.is_of_keys
                    if refused_keys == _KEYS_MAX:
                        break
                    if number < _ATTEMPTS_MAX:
                        await self._pause(
                            self._backoff.seconds(number, at_least_seconds=found.error.retry_after_seconds)
                        )
        except TimeoutError as exc:
            raise last or _silent(place, call, "no answer in time") from exc
        assert last is not None
        raise last

    async def _attempt(self, place: BucketPlace, call: BucketCall) -> Mapping[str, Any] | _Passing:
        """Return the answer, or the error if the same call may succeed soon. Raises the error if it may not."""
        role = AssumedRole(place.role, place.external_id) if place.role else None
        try:
            async with asyncio.timeout(_ATTEMPT_SECONDS_MAX):
                client = await self._clients.get(call.service, place.region, role)
        except CALL_FAILURES as exc:
            return self._failed(exc, _role_error(place, exc), lambda: None)
        try:
            async with asyncio.timeout(_ATTEMPT_SECONDS_MAX):
                answer: Mapping[str, Any] = await getattr(client, call.operation)(**call.parameters)
                return answer
        except CALL_FAILURES as exc:
            if isinstance(exc, ClientError) and _code(exc) == call.absent_code != "":
                return {}
            error = _call_error(place, call, exc)
            return self._failed(exc, error, lambda: self._clients.drop(role))

    def _failed(self, exc: Exception, error: WhenceError, drop: Callable[[], None]) -> _Passing:
        """Return an error that may pass; `drop` forgets keys that AWS does not accept. Raises another one."""
        answered = refusal(exc)
        kind = answered.kind if answered is not None else "transient"
        if kind == "keys":
            drop()
        passes = kind in ("throttled", "transient", "keys") or _code(exc) in _PASSING
        if not passes or not isinstance(error, BucketUnavailable):
            raise error from exc
        return _Passing(error, kind == "keys")


@dataclass(frozen=True, slots=True)
class PlacedCalls:
    """Calls to one bucket, until one deadline."""

    calls: BucketCalls
    place: BucketPlace
    until: float

    async def make(
        self, operation: str, action: str, more: Mapping[str, Any] | None = None, *, absent_code: str = ""
    ) -> Mapping[str, Any]:
        """Make a call to S3, which refuses it unless the bucket is of the place's account."""
        owned = {"Bucket": self.place.bucket, "ExpectedBucketOwner": self.place.account_id, **(more or {})}
        call = BucketCall(operation=operation, action=action, parameters=owned, absent_code=absent_code)
        return await self.calls.make(self.place, call, until=self.until)

    async def make_of_account(self, operation: str, action: str, *, absent_code: str) -> Mapping[str, Any]:
        """Make a call to S3 Control about the place's account."""
        call = BucketCall(
            operation=operation, action=action, parameters={"AccountId": self.place.account_id},
            absent_code=absent_code, service="s3control",
        )  # fmt: skip
        return await self.calls.make(self.place, call, until=self.until)


@dataclass(frozen=True, slots=True)
class _Passing:
    """An error after which the same call may succeed."""

    error: BucketUnavailable
    is_of_keys: bool


def _code(exc: Exception) -> str:
    return str(exc.response.get("Error", {}).get("Code", "")) if isinstance(exc, ClientError) else ""


def _role_error(place: BucketPlace, exc: Exception) -> WhenceError:
    """Return the error of a role that was not assumed."""
    who, error = place.role or "mint's own role", refusal(exc)
    if error is None or error.kind != "denied":
        fix = error.fix if error is not None else ""
        return _unavailable(
            "mint-role-unavailable", f"{who} cannot be assumed for {place.bucket}: {why(exc)}", fix, exc
        )
    message = f"{who}, which writes the bucket {place.bucket}, may not be assumed: {error}"
    fix = (
        "name mint's own role and the external id in its trust policy (whence-accounts: mint_bucket.writer_role), and"
        " allow mint's own role sts:AssumeRole"
    )
    return BucketUnavailable("mint-role-denied", message, fix=fix)


def _call_error(place: BucketPlace, call: BucketCall, exc: Exception) -> WhenceError:
    error, code = refusal(exc), _code(exc)
    if error is None:
        return _silent(place, call, why(exc))
    if code == "NoSuchBucket":
        message = f"the bucket {place.bucket} does not exist"
        fix = "create it by the key mint_bucket of whence-accounts, or correct its name in s3_buckets"
        return BucketUnsafe("mint-bucket-missing", message, fix=fix)
    if code in _ELSEWHERE:
        message = f"the bucket {place.bucket} is not in {place.region}: {error}"
        return BucketUnsafe("mint-bucket-region", message, fix="correct its region in mint's settings")
    if error.kind == "denied":
        return _denied(place, call, str(error))
    if error.kind in ("final", "settling") and code not in _PASSING:
        message = f"S3 refuses {call.action} on the bucket {place.bucket}: {error}"
        return BucketUnavailable("mint-bucket-refused", message, fix="correct what S3 names", retryable=False)
    return _unavailable(
        "mint-bucket-throttled" if error.kind == "throttled" else "mint-bucket-unavailable",
        f"the bucket {place.bucket} is unavailable for {call.action}: {error}", error.fix, exc,
    )  # fmt: skip


def _denied(place: BucketPlace, call: BucketCall, said: str) -> BucketUnavailable:
    found = _DENIED_ACTION.search(said)
    action, who = found[1] if found is not None else call.action, place.role or "mint's own role"
    message = f"{who} may not use the bucket {place.bucket}: {one_line(said, 300)}"
    fix = (
        f"allow {action} to it, in the bucket's policy (whence-accounts: mint_bucket.writer) or its own; S3 answers the"
        f" same if the bucket is not of the account {place.account_id}"
    )
    return BucketUnavailable("mint-bucket-denied", message, fix=fix)


def _silent(place: BucketPlace, call: BucketCall, reason: str) -> BucketUnavailable:
    message = f"the bucket {place.bucket} is unavailable for {call.action}: {reason}"
    return BucketUnavailable("mint-bucket-unavailable", message)


def _unavailable(code: str, message: str, fix: str, exc: Exception) -> BucketUnavailable:
    error = refusal(exc)
    after = error.retry_after_seconds if error is not None else None
    return BucketUnavailable(code, message, fix=fix, retry_after_seconds=after)
