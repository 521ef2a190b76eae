"""The current proof of identity: a GetCallerIdentity request, signed with the instance identity role's keys.

The agent sends only parts of the request. The aggregator builds the request from them: method, host, path, body and
header names are constants here, so a signature over anything else is invalid. Challenge, audience and the key to enrol
are signed headers. Source: AWS STS GetCallerIdentity, Signature Version 4.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from whence_common.errors import InputError
from whence_common.identifiers import REGION

BODY = b"Action=GetCallerIdentity&Version=2011-06-15"
SKEW_SECONDS_MAX = 120
_ROLE = "aws:ec2-instance"
_SIGNED_NAMES = "accept;content-type;host;whence-audience;whence-challenge;whence-key;x-amz-date;x-amz-security-token"
_ACCESS_KEY = re.compile(r"[A-Z0-9]{16,128}\Z")
_TOKEN = re.compile(r"[A-Za-z0-9+/=_.-]{1,4096}\Z")
_DATE = re.compile(r"[0-9]{8}T[0-9]{6}Z\Z")
_SIGNATURE = re.compile(r"[0-9a-f]{64}\Z")
_ARN = re.compile(
    r"arn:(aws|aws-cn|aws-us-gov|aws-eusc):sts::([0-9]{12}):assumed-role/([^/\s]{1,64})/(i-[0-9a-f]{8,17})\Z"
)


class StsProofInvalid(InputError):
    """The proof does not show that the sender is this instance at this time."""


class StsProof(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The parts of a signed request, without its destination. `date` is in the form of Signature Version 4."""

    region: str
    access_key: str
    session_token: str
    date: str
    signature: str

    def check(self, *, now: datetime) -> None:
        """Check syntax and time. Raises StsProofInvalid."""
        shapes = (
            (REGION, self.region), (_ACCESS_KEY, self.access_key), (_TOKEN, self.session_token), (_DATE, self.date),
            (_SIGNATURE, self.signature),
        )  # fmt: skip
        if not all(pattern.match(text) for pattern, text in shapes):
            raise StsProofInvalid("sts-proof-malformed", "a part of the STS proof is malformed")
        try:
            signed_at = datetime.strptime(self.date, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
        except ValueError as exc:
            raise StsProofInvalid("sts-proof-malformed", "the date of the STS proof is malformed") from exc
        if abs((now - signed_at).total_seconds()) > SKEW_SECONDS_MAX:
            raise StsProofInvalid(
                "sts-proof-time",
                f"the STS proof was signed at {self.date}, more than {SKEW_SECONDS_MAX} s from the aggregator's time",
                fix="set the instance's clock",
            )

    def headers(self, *, host: str, signed: Mapping[str, str]) -> dict[str, str]:
        """Return the headers of the request that these parts prove."""
        scope = f"{self.access_key}/{self.date[:8]}/{self.region}/sts/aws4_request"
        return {
            **signed,
            "host": host,
            "x-amz-date": self.date,
            "x-amz-security-token": self.session_token,
            "authorization": f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders={_SIGNED_NAMES}, "
            f"Signature={self.signature}",
        }


def headers_to_sign(*, challenge: str, audience: str, key_id: str) -> dict[str, str]:
    """Return the headers that are signed in addition to host, date and token."""
    return {
        "accept": "application/json",
        "content-type": "application/x-www-form-urlencoded; charset=utf-8",
        "whence-audience": audience,
        "whence-challenge": challenge,
        "whence-key": key_id,
    }


def sts_host(region: str) -> str:
    """Return STS's regional host."""
    suffix = "amazonaws.com"
    if region.startswith("cn-"):
        suffix = "amazonaws.com.cn"
    elif region.startswith("eusc-"):
        suffix = "amazonaws.eu"
    return f"sts.{region}.{suffix}"


def caller_arn(content: bytes) -> tuple[str, str]:
    """Return account and ARN from STS's response. Raises StsProofInvalid unless it has the expected members only."""
    try:
        document: Any = json.loads(content)
        outer = document["GetCallerIdentityResponse"]
        result = outer["GetCallerIdentityResult"]
        account, arn = result["Account"], result["Arn"]
        exact = set(document) == {"GetCallerIdentityResponse"} and set(result) == {"Account", "Arn", "UserId"}
    except (ValueError, KeyError, TypeError, RecursionError) as exc:
        raise StsProofInvalid(
            "sts-answer-malformed", "the response of STS is not a GetCallerIdentity response"
        ) from exc
    if not exact or not isinstance(account, str) or not isinstance(arn, str):
        raise StsProofInvalid("sts-answer-malformed", "the response of STS is not a GetCallerIdentity response")
    return account, arn


def check_caller(account: str, arn: str, *, account_id: str, instance_id: str) -> None:
    """Check that the caller is this instance's identity role in this account. Raises StsProofInvalid."""
    match = _ARN.match(arn)
    if match is None or match[3] != _ROLE:
        raise StsProofInvalid("sts-role", "the caller is not the instance identity role")
    if (account, match[2], match[4]) != (account_id, account_id, instance_id):
        raise StsProofInvalid("sts-other", "the caller is another instance, or in another account")
