"""The one table of AWS's errors: what may pass, what is the clock's fault, and what of AWS's words may be said."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from whence_common.aws_errors import AwsError, scrubbed

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
OLD = 86_400.0


def error(code: str, message: str = "m", *, status: int = 400, date: str = "", retry_after: str = "") -> AwsError:
    return AwsError.of(status=status, code=code, message=message, date=date, retry_after=retry_after, now=NOW)


@pytest.mark.parametrize(
    "code, kind",
    [
        ("ThrottlingException", "throttled"),
        ("LimitExceededException", "throttled"),
        ("RequestLimitExceeded", "throttled"),
        ("Client.RequestLimitExceeded", "throttled"),
        ("EC2ThrottledException", "throttled"),
        ("SlowDown", "throttled"),
        ("com.amazonaws.kms#ThrottlingException", "throttled"),
        ("ThrottlingException:http://internal.amazon.com/coral/com.amazon.coral.availability/", "throttled"),
        ("KMSInternalException", "transient"),
        ("DependencyTimeoutException", "transient"),
        ("KeyUnavailableException", "transient"),
        ("InternalServiceError", "transient"),
        ("InvalidInstanceID.NotFound", "settling"),
        ("InvalidVolume.NotFound", "settling"),
        ("IncorrectState", "settling"),
        ("VolumeInUse", "settling"),
        ("RequestExpired", "clock"),
        ("RequestTimeTooSkewed", "clock"),
        ("ExpiredToken", "keys"),
        ("ExpiredTokenException", "keys"),
        ("UnrecognizedClientException", "keys"),
        ("AccessDeniedException", "denied"),
        ("UnauthorizedOperation", "denied"),
        ("AuthorizationError", "denied"),
        ("InvalidCiphertextException", "final"),
        ("ResourceNotFoundException", "final"),
        ("ValidationError", "final"),
    ],
)
def test_each_code_is_of_one_kind(code: str, kind: str) -> None:
    found = error(code)
    assert (found.kind, found.may_pass(up_seconds=OLD)) == (kind, kind not in ("denied", "final"))


def test_every_code_that_the_sdk_retries_is_transient() -> None:
    from botocore.retries.standard import ThrottledRetryableChecker, TransientRetryableChecker

    codes = [*ThrottledRetryableChecker._THROTTLED_ERROR_CODES, *TransientRetryableChecker._TRANSIENT_ERROR_CODES]
    assert [code for code in codes if not error(code).may_pass(up_seconds=OLD)] == []
    assert {error("Odd", status=status).kind for status in TransientRetryableChecker._TRANSIENT_STATUS_CODES} == {
        "transient"
    }


@pytest.mark.parametrize(
    "status, code, kind", [(429, "Odd", "throttled"), (503, "Odd", "transient"), (403, "", "transient")]
)
def test_an_unknown_code_is_classified_by_its_status_and_a_missing_code_is_transient(
    status: int, code: str, kind: str
) -> None:
    assert error(code, status=status).kind == kind


@pytest.mark.parametrize(
    "code, message",
    [
        ("InvalidSignatureException", "Signature expired: 20261122T100000Z is now earlier than 20261122T115500Z (20261122T120000Z - 5 min.)"),
        ("SignatureDoesNotMatch", "Signature expired: 20261122T100000Z is now earlier than 20261122T115500Z"),
        ("InvalidSignatureException", "Signature not yet current: 20261122T140000Z is still later than 20261122T120500Z"),
        ("RequestExpired", "Request has expired."),
        ("AuthFailure", "AWS was not able to validate the provided access credentials"),
    ],
)  # fmt: skip
def test_a_refused_time_is_a_clock_error_that_states_the_skew(code: str, message: str) -> None:
    found = error(code, message, date="Sun, 22 Nov 2026 14:00:00 GMT")
    assert found.kind == "clock"
    assert str(found).startswith(f"the clock of this machine is 7200 s behind AWS's ({code}: ")
    assert "chrony" in found.fix


def test_a_refused_signature_at_the_right_time_is_not_the_clocks_fault() -> None:
    found = error(
        "SignatureDoesNotMatch",
        "The request signature we calculated does not match",
        date="Sun, 22 Nov 2026 12:00:01 GMT",
    )
    assert (found.kind, found.may_pass(up_seconds=OLD)) == ("final", False)
    assert error("AuthFailure", date="Sun, 22 Nov 2026 12:00:01 GMT").kind == "keys"


@pytest.mark.parametrize(
    "date", ["", "yesterday", "Sun, 99 Nov 2026 12:00:01 GMT", "\x00", "Sun, 22 Nov 99999 12:00:01 GMT"]
)
def test_a_malformed_date_header_has_no_skew(date: str) -> None:
    assert (
        str(error("RequestExpired", "late", date=date)) == "the clock of this machine is wrong (RequestExpired: late)"
    )


def test_a_denial_is_transient_only_in_a_machines_first_two_minutes() -> None:
    found = error("AccessDeniedException", status=400)
    assert [found.may_pass(up_seconds=seconds) for seconds in (1, 119, 120, OLD)] == [True, True, False, False]


def test_a_message_of_aws_becomes_one_bounded_line_without_secrets() -> None:
    quoted = (
        "The request signature we calculated does not match.\n\nThe Canonical String for this request should have been\n"
        "'POST\n/\n\nx-amz-security-token:IQoJb3JpZ2luX2VjEJr'"
    )
    assert scrubbed(quoted) == "The request signature we calculated does not match."
    assert scrubbed("the key ASIAIOSFODNN7EXAMPLE is no key") == "the key … is no key"
    assert scrubbed("You may not. Encoded authorization failure message: aB3-_" + "aB3" * 200) == "You may not."
    assert scrubbed("the token " + "aB3" * 200) == "the token …"
    arn = "User: arn:aws:sts::123456789012:assumed-role/a-role-with-a-long-name-of-its-own-AbCdEfGh/i-0123456789abcdef0"
    assert scrubbed(arn) == arn
    assert len(scrubbed("a b " * 1000)) == 400


def test_retry_after_is_read_from_the_response() -> None:
    assert error("SlowDown", status=503, retry_after="7").retry_after_seconds == 7.0


def test_the_sdks_errors_are_read_equally_and_a_status_is_not_a_code() -> None:
    about = {"HTTPStatusCode": 400, "HTTPHeaders": {"date": "Sun, 22 Nov 2026 12:10:00 GMT", "retry-after": "3"}}
    found = AwsError.of_sdk(
        {"Error": {"Code": "Throttling", "Message": "Rate exceeded"}, "ResponseMetadata": about}, now=NOW
    )
    assert (str(found), found.kind, found.retry_after_seconds, found.skew_seconds) == (
        "Throttling: Rate exceeded", "throttled", 3.0, -600.0,
    )  # fmt: skip
    between = AwsError.of_sdk(
        {"Error": {"Code": "403", "Message": "Forbidden"}, "ResponseMetadata": {"HTTPStatusCode": 403}}, now=NOW
    )
    assert (str(between), between.kind) == ("HTTP 403: Forbidden", "transient")
