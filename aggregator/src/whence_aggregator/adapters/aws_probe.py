"""What the inventory's role may do in an account and region: it is assumed anew, and each call is made as a dry run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from aiobotocore.config import AioConfig

from whence_aggregator.adapters.aws_inventory import role_arn
from whence_aggregator.adapters.aws_refusals import FAILURES, refusal, why
from whence_aggregator.adapters.aws_session import aws_session
from whence_aggregator.ports import ProbedCall, ProbeOutcome

_REQUEST_SECONDS_MAX = 10.0
_ROLE_SECONDS = 900
"""The least that AWS allows."""
_NOBODY = "i-00000000000000000"
_ALLOWED = frozenset({"DryRunOperation", "InvalidInstanceID.NotFound", "InvalidInstanceID.Malformed"})
"""AWS looks for what a request names only after it has allowed the request."""
_NOT_ENABLED = frozenset({"AuthFailure", "OptInRequired", "UnrecognizedClientException", "InvalidClientTokenId"})
"""Answers of regions that an account has not enabled."""
_CALLS: tuple[tuple[str, str, str, dict[str, Any]], ...] = (
    ("inventory", "ec2:DescribeInstances", "describe_instances", {}),
    ("user data", "ec2:DescribeInstanceAttribute", "describe_instance_attribute",
     {"InstanceId": _NOBODY, "Attribute": "userData"}),
    ("AMIs", "ec2:DescribeImages", "describe_images", {"Owners": ["self"]}),
)  # fmt: skip
ASSUME = "sts:AssumeRole"


class AwsRoleProbe:
    """Probes the role. No credentials are kept: an external id that was changed is noticed at once."""

    def __init__(self, *, role_name: str, session_name: str, external_id: str | None, endpoint_url: str | None) -> None:
        self._role_name = role_name
        self._session_name = session_name
        self._external_id = external_id
        self._endpoint_url = endpoint_url
        self._session = aws_session()
        self._config = AioConfig(
            connect_timeout=_REQUEST_SECONDS_MAX,
            read_timeout=_REQUEST_SECONDS_MAX,
            retries={"max_attempts": 3, "mode": "standard"},
        )

    async def probe(self, account_id: str, region: str) -> Sequence[ProbedCall]:
        """Return how each call ended. Where the role cannot be assumed, the others are not known."""
        try:
            keys = await self._assumed(account_id, region)
        except (KeyError, *FAILURES) as exc:
            role = _ended("role", ASSUME, exc)
            unasked = "the role could not be assumed"
            return [role, *(_call(name, permission, "not asked", unasked) for name, permission, _, _ in _CALLS)]
        found = [_call("role", ASSUME, "allowed")]
        async with self._client("ec2", region, keys) as ec2:
            for name, permission, operation, given in _CALLS:
                try:
                    await getattr(ec2, operation)(DryRun=True, **given)
                except FAILURES as exc:
                    found.append(_ended(name, permission, exc))
                else:
                    found.append(_call(name, permission, "allowed"))
        return found

    async def _assumed(self, account_id: str, region: str) -> dict[str, str]:
        external = {"ExternalId": self._external_id} if self._external_id is not None else {}
        async with self._client("sts", region, {}) as sts:
            answer = await sts.assume_role(
                RoleArn=role_arn(account_id, region, self._role_name), RoleSessionName=self._session_name,
                DurationSeconds=_ROLE_SECONDS, **external,
            )  # fmt: skip
        given = answer["Credentials"]
        return {
            "aws_access_key_id": given["AccessKeyId"],
            "aws_secret_access_key": given["SecretAccessKey"],
            "aws_session_token": given["SessionToken"],
        }

    def _client(self, service: str, region: str, keys: dict[str, str]) -> Any:
        return self._session.create_client(
            service, region_name=region, endpoint_url=self._endpoint_url, config=self._config, **keys
        )


def _ended(name: str, permission: str, exc: BaseException) -> ProbedCall:
    """Return how a call ended by its error. A dry run that is allowed ends with an error too."""
    error = refusal(exc)
    if error is not None and error.code in _ALLOWED:
        return _call(name, permission, "allowed")
    if error is not None and error.kind == "denied":
        hint = "; check the trust policy of the role and its external id" if permission == ASSUME else ""
        return _call(name, permission, "denied", f"{error}{hint}")
    if error is not None and error.code in _NOT_ENABLED:
        return _call(name, permission, "unavailable", f"{error}; is the region enabled for the account?")
    return _call(name, permission, "unavailable", why(exc))


def _call(name: str, permission: str, outcome: ProbeOutcome, reason: str = "") -> ProbedCall:
    return ProbedCall(source=name, permission=permission, outcome=outcome, reason=reason)
