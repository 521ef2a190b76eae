"""AWS's errors, read from the SDK's exceptions: classified by one table, and reported in AWS's own words."""

from __future__ import annotations

from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError

from whence_common.aws_errors import AwsError
from whence_common.clock import utc_now

FAILURES = (BotoCoreError, ClientError, ResponseParserError, OSError, TimeoutError)
"""Exceptions of a call of the SDK. The parser's error, for a page that is not an answer, is in another tree."""


def refusal(exc: BaseException) -> AwsError | None:
    """Return the error that AWS answered with; None when AWS did not answer."""
    return AwsError.of_sdk(exc.response, now=utc_now()) if isinstance(exc, ClientError) else None


def why(exc: BaseException) -> str:
    """Return AWS's code and message in one bounded line, or the reason why there was no answer."""
    return str(refusal(exc) or type(exc).__name__)
