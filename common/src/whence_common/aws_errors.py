"""Classify errors of AWS: whether a request may be retried, and what the operator should do. Pure.

The throttling and transient codes are those that the SDKs retry (botocore's `retries/standard.py` and `_retry.json`),
plus those that the SDKs leave to their callers: codes of KMS, EC2's eventual consistency, clock skew.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Literal

from whence_common.backoff import retry_after_seconds
from whence_common.errors import one_line

AwsErrorKind = Literal["throttled", "transient", "settling", "clock", "keys", "denied", "final"]
"""throttled, transient: the same request may succeed later. settling: AWS is eventually consistent, or another
resource must change state first. clock: this machine's clock is wrong. keys: other credentials are needed. denied: a
permission is missing. final: a retry cannot succeed."""

DENIED_SECONDS_MAX = 120.0
"""Denials are retried for this long after the machine's start: IAM is eventually consistent, and stacks attach policies
while instances boot. Later a denial is final, so that a boot does not wait for a permission that is not configured."""
SKEW_SECONDS_MAX = 240.0
"""From this skew on, the SDKs attribute a refused signature to the clock; AWS itself allows 5 minutes, S3 15."""
MESSAGE_CHARACTERS_MAX = 400

_THROTTLED = frozenset({
    "BandwidthLimitExceeded", "EC2ThrottledException", "LimitExceededException", "PriorRequestNotComplete",
    "ProvisionedThroughputExceededException", "RequestLimitExceeded", "RequestThrottled", "RequestThrottledException",
    "SlowDown", "ThrottledException", "Throttling", "ThrottlingException", "TooManyRequestsException",
    "TransactionInProgressException",
})  # fmt: skip
_TRANSIENT = frozenset({
    "DependencyTimeoutException", "InternalError", "InternalFailure", "InternalServerError", "InternalServerException",
    "InternalServiceError", "InternalServiceException", "KMSInternalException", "KeyUnavailableException",
    "OperationAborted", "RequestTimeout", "RequestTimeoutException", "ResourceContention", "ResourceContentionFault",
    "ServerException", "ServiceUnavailable", "ServiceUnavailableException", "Unavailable",
})  # fmt: skip
_SETTLING = frozenset({
    "IncorrectInstanceState", "IncorrectState", "InvalidInstanceID.NotFound", "InvalidVolume.NotFound", "VolumeInUse",
    "ScalingActivityInProgress", "ScalingActivityInProgressFault",
})  # fmt: skip
"""EC2 does not list a new resource yet, or a volume is still being detached from its previous instance."""
_CLOCK = frozenset({"RequestExpired", "RequestInTheFuture", "RequestTimeTooSkewed"})
_SIGNATURE = frozenset({"AuthFailure", "IncompleteSignature", "InvalidSignatureException", "SignatureDoesNotMatch"})
"""Refused signatures: classified as `clock` if the message or the measured skew shows it."""
_KEYS = frozenset({
    "AuthFailure", "ExpiredToken", "ExpiredTokenException", "InvalidAccessKeyId", "InvalidClientTokenId",
    "TokenRefreshRequired", "UnrecognizedClientException",
})  # fmt: skip
_EXPIRED = frozenset({"ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired"})
_DENIED = frozenset({
    "AccessDenied", "AccessDeniedException", "AuthorizationError", "NotAuthorized", "UnauthorizedAccess",
    "UnauthorizedOperation",
})  # fmt: skip
_TRANSIENT_STATUSES = frozenset({500, 502, 503, 504, 509})
_OF_THE_CLOCK = re.compile(
    r"signature (?:has )?expired|not yet current|is now earlier than|is still later than|request has expired",
    re.IGNORECASE,
)
_CODE = re.compile(r"[A-Za-z0-9._:-]{1,80}\Z")
_QUOTES_THE_REQUEST = re.compile(r"(?:The )?(?:Canonical String|String-to-Sign|CanonicalRequest)\b", re.IGNORECASE)
"""Refused signatures quote the request's headers, the session token among them."""
_ENCODED = re.compile(r"\s*Encoded authorization failure message:.*", re.DOTALL)
"""EC2 appends it to denials: it is unreadable, and another one for each request."""
_SECRET = re.compile(r"\b(?:AKIA|ASIA)[A-Z0-9]{12,}\b|[A-Za-z0-9+/=]{65,}")


@dataclass(frozen=True, slots=True, kw_only=True)
class AwsError:
    """An error response of AWS. `code` is AWS's error code; empty if the response has none, as from a proxy."""

    status: int
    code: str = ""
    message: str = ""
    skew_seconds: float | None = None
    """How far this machine's clock is ahead of AWS's, by the Date header; None without that header."""
    retry_after_seconds: float | None = None

    @classmethod
    def of(cls, *, status: int, code: str, message: str, date: str, retry_after: str, now: datetime) -> AwsError:
        """Return the error of a response; its message is cut to a bounded length, and secrets are removed."""
        code = code.rpartition("#")[2].partition(":")[0].removeprefix("Client.").removeprefix("Server.").strip()
        return cls(
            status=status,
            code=code if _CODE.match(code) else "",
            message=scrubbed(message),
            skew_seconds=_skew(date, now),
            retry_after_seconds=retry_after_seconds(retry_after, now=now),
        )

    @classmethod
    def of_sdk(cls, response: Mapping[str, Any], *, now: datetime) -> AwsError:
        """Return the error in the `response` of botocore's ClientError."""
        error, about = response.get("Error", {}), response.get("ResponseMetadata", {})
        code, headers = str(error.get("Code", "")), about.get("HTTPHeaders", {})
        return cls.of(
            status=int(about.get("HTTPStatusCode", 0)),
            code="" if code.isdigit() else code,  # botocore puts the status here if the body has no code
            message=str(error.get("Message", "")),
            date=str(headers.get("date", "")),
            retry_after=str(headers.get("retry-after", "")),
            now=now,
        )

    @property
    def kind(self) -> AwsErrorKind:
        if self.code in _CLOCK or _OF_THE_CLOCK.search(self.message) or (self.code in _SIGNATURE and self._is_skewed):
            return "clock"
        for kind, codes in _TABLE:
            if self.code in codes:
                return kind
        if self.status == 429:
            return "throttled"
        return "transient" if not self.code or self.status in _TRANSIENT_STATUSES else "final"

    def may_pass(self, *, up_seconds: float) -> bool:
        """Return whether the same request may succeed later; `up_seconds` is the machine's uptime."""
        if self.kind == "denied":
            return up_seconds < DENIED_SECONDS_MAX
        return self.kind != "final"

    @property
    def is_expired(self) -> bool:
        """Return whether the keys that signed the request have expired; new ones of the same role are accepted."""
        return self.code in _EXPIRED

    @property
    def fix(self) -> str:
        """Return what the operator should do, if the code alone determines it; else an empty text."""
        if self.kind == "clock":
            return "check that chrony or another NTP client runs and reaches its server; the request is retried"
        if self.kind == "keys":
            return "check that the instance profile and its role exist, and which keys the metadata service returns"
        return ""

    def __str__(self) -> str:
        """Return AWS's code and message in one bounded line; for a clock error, preceded by the clock's skew."""
        said = f"{self.code or f'HTTP {self.status}'}{': ' if self.message else ''}{self.message}"
        if self.kind != "clock":
            return said
        skew = self.skew_seconds
        if skew is None or abs(skew) < 1:
            return f"the clock of this machine is wrong ({said})"
        return f"the clock of this machine is {abs(skew):.0f} s {'ahead of' if skew > 0 else 'behind'} AWS's ({said})"

    @property
    def _is_skewed(self) -> bool:
        return self.skew_seconds is not None and abs(self.skew_seconds) > SKEW_SECONDS_MAX


_TABLE: tuple[tuple[AwsErrorKind, frozenset[str]], ...] = (
    ("throttled", _THROTTLED), ("transient", _TRANSIENT), ("settling", _SETTLING), ("keys", _KEYS), ("denied", _DENIED),
)  # fmt: skip


def scrubbed(message: str) -> str:
    """Return AWS's message in one bounded line, without quoted parts of the request and without keys."""
    quoted = _QUOTES_THE_REQUEST.search(message)
    text = _ENCODED.sub("", message[: quoted.start()] if quoted is not None else message)
    return one_line(_SECRET.sub("…", one_line(text, MESSAGE_CHARACTERS_MAX * 8)), MESSAGE_CHARACTERS_MAX)


def _skew(date: str, now: datetime) -> float | None:
    """Return by how many seconds `now` is later than a Date header (RFC 9110, 6.6.1); None without one."""
    try:
        parsed = parsedate_to_datetime(date)
    except (TypeError, ValueError, IndexError, OverflowError):
        return None
    return (now - (parsed if parsed.tzinfo is not None else parsed.replace(tzinfo=UTC))).total_seconds()
