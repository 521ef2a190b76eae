"""What a call of AWS that failed means, and what to do about it, as our own errors."""

from __future__ import annotations

from botocore.exceptions import (
    ConnectTimeoutError,
    CredentialRetrievalError,
    EndpointConnectionError,
    NoCredentialsError,
    PartialCredentialsError,
    ProfileNotFound,
    ReadTimeoutError,
    SSOError,
)
from botocore.parsers import ResponseParserError

from whence_aggregator.accounts.ports import CREDENTIALS_REFUSED
from whence_aggregator.adapters.aws_clients import RoleNotAssumed
from whence_aggregator.adapters.aws_refusals import refusal, why
from whence_common.aws_errors import AwsError
from whence_common.errors import RoadError, one_line

_SET = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY or AWS_PROFILE, or run it on a machine with a role"
_RENEW = "renew your own AWS credentials, and run it again: an apply goes on where it has ended"
_CHECK = "check the access key and its secret, and that the region is enabled for the account"
_WRONG_KEYS = frozenset({"InvalidSignatureException", "SignatureDoesNotMatch"})
_FEWER = "run it again, with fewer accounts at once (--max-procs)"


def road_error(exc: BaseException, where: str, actions: str) -> RoadError:
    """Return the error for a failed call; `where` names the account, `actions` what the call needs."""
    error = refusal(exc)
    if error is None:
        return _unanswered(exc, where)
    if isinstance(exc, RoleNotAssumed):
        return _not_assumed(exc.role.arn, error, where)
    if error.kind == "denied":
        fix = f"allow {actions}, or check the role of the account's access and its external id"
        return RoadError("account-denied", f"{where}: AWS denies it: {error}", fix=fix, retryable=False)
    if error.kind == "throttled":
        return RoadError("account-throttled", f"{where}: AWS throttles requests: {error}", fix=_FEWER)
    if error.is_expired:
        return RoadError(CREDENTIALS_REFUSED, f"{where}: the credentials have expired: {error}", fix=_RENEW)
    if error.kind == "keys" or error.code in _WRONG_KEYS:
        message = f"{where}: AWS does not accept the credentials: {error}"
        return RoadError("account-unreachable", message, fix=_CHECK, retryable=error.kind != "final")
    fix = error.fix if error.kind == "clock" else ""
    return RoadError("account-unreachable", f"{where}: {error}", fix=fix, retryable=error.kind != "final")


def _not_assumed(arn: str, error: AwsError, where: str) -> RoadError:
    what = f"{where}: the role {arn} cannot be assumed"
    if error.kind == "denied":
        fix = (
            "create the role in its account, let its trust policy name the caller, allow the caller sts:AssumeRole, and"
            " check access.external_id"
        )
        return RoadError("account-denied", f"{what}: AWS denies it: {error}", fix=fix, retryable=False)
    if error.kind == "throttled":
        return RoadError("account-throttled", f"{what}: AWS throttles requests: {error}", fix=_FEWER)
    if error.kind == "keys":
        return RoadError(CREDENTIALS_REFUSED, f"{what}: AWS does not accept your own credentials: {error}", fix=_RENEW)
    return RoadError("account-unreachable", f"{what}: {error}", retryable=error.kind != "final")


def _unanswered(exc: BaseException, where: str) -> RoadError:
    """Return the error for a call that AWS did not answer, or that was not made."""
    said = one_line(str(exc), 300)
    if isinstance(exc, NoCredentialsError | PartialCredentialsError):
        return RoadError(CREDENTIALS_REFUSED, f"{where}: there are no AWS credentials", fix=_SET)
    if isinstance(exc, ProfileNotFound):
        fix = "check AWS_PROFILE and access.profile, and the files of the AWS configuration"
        return RoadError(CREDENTIALS_REFUSED, f"{where}: {said}", fix=fix)
    if isinstance(exc, CredentialRetrievalError | SSOError):
        return RoadError(CREDENTIALS_REFUSED, f"{where}: the AWS credentials cannot be read: {said}", fix=_RENEW)
    fix = "check the network and its proxies, the region, and AWS_ENDPOINT_URL"
    if isinstance(exc, ConnectTimeoutError | ReadTimeoutError | TimeoutError):
        return RoadError("account-unreachable", f"{where}: AWS does not answer in time: {said or why(exc)}", fix=fix)
    if isinstance(exc, EndpointConnectionError):
        return RoadError("account-unreachable", f"{where}: {said}", fix=fix)
    if isinstance(exc, ResponseParserError):
        fix = "check the network: a proxy may have answered in its place"
        return RoadError("account-unreachable", f"{where}: what was answered is no answer of AWS", fix=fix)
    return RoadError("account-unreachable", f"{where}: {why(exc)}")
