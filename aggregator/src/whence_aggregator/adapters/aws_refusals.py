"""What AWS answered, out of the SDK's exceptions: judged by the one table, said in AWS's own words."""

from __future__ import annotations

from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError

from whence_common.aws_errors import AwsError
from whence_common.clock import utc_now

FAILURES = (BotoCoreError, ClientError, ResponseParserError, OSError, TimeoutError)
"""What a call of the SDK raises. Its parser's error, for a page in the place of an answer, is not of its own tree."""


def refusal(exc: BaseException) -> AwsError | None:
    """Return what AWS refused with; None where no answer of AWS came."""
    return AwsError.of_sdk(exc.response, now=utc_now()) if isinstance(exc, ClientError) else None


def why(exc: BaseException) -> str:
    """Return AWS's code and message in one bounded line, or what kept an answer from coming."""
    return str(refusal(exc) or type(exc).__name__)
