"""Log files of CloudTrail: what is read of them, and what is refused, of whole files and of single records."""

from __future__ import annotations

import gzip
import json
import zlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes.cloud_trail import ACCOUNT, INSTANCE, REGION, ROLE, identity, log_file, record, tagged
from whence_aggregator.events.cloud_record import CloudRecord
from whence_aggregator.events.doer import Doer, doer_of
from whence_aggregator.events.log_file import LogFile, inflate, read_log_file
from whence_aggregator.events.refused import TrailRefused

OTHER = "210987654321"
JANE = Doer(
    type="AssumedRole", account_id=ACCOUNT, arn=f"arn:aws:sts::{ACCOUNT}:assumed-role/deploy/jane-laptop", role=ROLE,
    session="jane-laptop", person="jane@example.org",
)  # fmt: skip
RUN = CloudRecord(
    event_id="11111111-0000-4000-8000-000000000001", name="RunInstances", source="ec2.amazonaws.com",
    at="2026-11-22T12:00:00.000Z", account_id=ACCOUNT, region=REGION, instances=[INSTANCE], instances_total=1,
    doer=JANE, source_address="203.0.113.7", user_agent="aws-cli/2.15",
)  # fmt: skip


def only(*records: Any) -> LogFile:
    return read_log_file(log_file(*records))


def record_of(**members: Any) -> CloudRecord:
    (found,) = only(record(**members)).records
    return found


@pytest.mark.parametrize("compressed", [True, False], ids=["gzip", "plain"])
def test_a_file_is_read_with_its_records_that_matter_its_digest_and_its_newest_time(compressed: bool) -> None:
    later = record("DescribeInstances", 2, eventTime="2026-11-22T12:04:59Z")
    found = read_log_file(log_file(record(), later, compressed=compressed))
    assert found == LogFile(
        digest="211f410898e6e04874bdc29398b2d07bbf2fe810eee3681b148853cc16fc8a05", records=[RUN], refused=[], total=2,
        sessions=[],
        newest_at="2026-11-22T12:04:59.000Z",
    )  # fmt: skip


@pytest.mark.parametrize(
    "name", ["StartInstances", "StopInstances", "TerminateInstances", "RebootInstances", "ModifyInstanceAttribute"]
)
def test_calls_that_change_an_instance_matter(name: str) -> None:
    assert (record_of(name=name).name, record_of(name=name).instances) == (name, [INSTANCE])


def test_a_changed_attribute_is_named_with_its_instance() -> None:
    found = record_of(
        name="ModifyInstanceAttribute", requestParameters={"instanceId": INSTANCE, "attribute": "userData"}
    )
    assert (found.instances, found.detail) == ([INSTANCE], "userData")


def test_tags_matter_for_instances_only() -> None:
    assert [one.instances for one in only(tagged(), tagged("ami-12345678", number=2)).records] == [[INSTANCE]]


@pytest.mark.parametrize("name", ["StopLogging", "DeleteTrail", "UpdateTrail", "PutEventSelectors", "StartLogging"])
def test_calls_that_change_what_a_trail_records_matter_without_an_instance(name: str) -> None:
    arn = f"arn:aws:cloudtrail:{REGION}:{ACCOUNT}:trail/Default"
    found = record_of(name=name, eventSource="cloudtrail.amazonaws.com", requestParameters={"name": arn})
    assert (found.name, found.detail, list(found.instances)) == (name, arn, [])


@pytest.mark.parametrize(
    "members",
    [
        {"errorCode": "UnauthorizedOperation", "responseElements": None},
        {"responseElements": None},
        {"responseElements": {"instancesSet": None}},
        {"responseElements": {"instancesSet": {"items": ["i-1", None, {"instanceId": 5}, {"instanceId": "../i-1"}]}}},
        {"eventSource": "autoscaling.amazonaws.com"},
    ],
)
def test_a_call_that_failed_or_names_no_instance_changes_nothing_and_is_not_refused(members: dict[str, Any]) -> None:
    found = only(record(**members))
    assert (list(found.records), list(found.refused), found.total) == ([], [], 1)


@pytest.mark.parametrize("version", ["1.0", "1.05", "1.11", "1.999"])
def test_a_newer_minor_version_is_read(version: str) -> None:
    assert record_of(eventVersion=version, addedLater={"a": [1]}).event_id == RUN.event_id


@pytest.mark.parametrize(
    "members, code",
    [
        ({"eventVersion": "2.0"}, "record-version"),
        ({"eventVersion": "1"}, "record-version"),
        ({"eventVersion": 1.1}, "record-malformed"),
        ({"eventName": ...}, "record-malformed"),
        ({"eventID": ...}, "record-malformed"),
        ({"eventID": "x" * 100}, "record-malformed"),
        ({"eventTime": "yesterday"}, "record-malformed"),
        ({"eventTime": "2026-11-22T12:00:00"}, "record-malformed"),
        ({"awsRegion": "../"}, "record-malformed"),
        ({"userIdentity": {"type": "AWSService"}, "recipientAccountId": ...}, "record-account"),
        ({"recipientAccountId": 12}, "record-malformed"),
        ({"requestParameters": {"big": "x" * 1024 * 1024}}, "record-too-large"),
    ],
)
def test_one_record_that_cannot_be_used_does_not_hide_the_others(members: dict[str, Any], code: str) -> None:
    found = only(record(number=1), record(number=2, **members), record(number=3))
    assert [(one.number, one.code) for one in found.refused] == [(1, code)]
    assert [one.event_id[-1] for one in found.records] == ["1", "3"]


def test_a_record_that_is_nested_too_deeply_does_not_hide_the_others() -> None:
    deep = json.dumps(record(number=2, requestParameters="here")).replace(
        '"here"', '{"a\\"]": ' * 5_000 + "1" + "}" * 5_000
    )
    content = f'{{"Records": [{json.dumps(record(number=1))}, {deep}, {json.dumps(record(number=3))}]}}'
    found = read_log_file(gzip.compress(content.encode()))
    assert [(one.number, one.code) for one in found.refused] == [(1, "record-malformed")]
    assert "nested too deeply" in found.refused[0].reason
    assert [one.event_id[-1] for one in found.records] == ["1", "3"]


def test_a_file_that_is_cut_by_its_brackets_is_read_in_one_pass_whatever_its_strings_are() -> None:
    deep = b"[" * 5_000
    with pytest.raises(TrailRefused, match="the list of records does not end"):
        read_log_file(b'{"Records": [' + deep + b'"' + b'\\"' * 2_000_000)
    with pytest.raises(TrailRefused, match="too large to cut"):
        read_log_file(gzip.compress(b'{"Records": [' + deep + b" " * (64 * 1024 * 1024), compresslevel=1))


def test_many_refused_records_are_named_up_to_a_bound_and_then_counted() -> None:
    found = only(*(record(number=n, eventVersion="3.0") for n in range(1_000)))
    assert len(found.refused) == 100
    assert found.refused[-1].reason.endswith("900 more records are refused")


@pytest.mark.parametrize(
    "content, code",
    [
        (b"", "file-malformed"),
        (b"hello", "file-malformed"),
        (b"{}", "file-malformed"),
        (b'{"Records": {}}', "file-malformed"),
        (b'{"Records": [{]}', "file-malformed"),
        (b"[" * 100_000, "file-malformed"),
        (b'{"Records": [' + b"[" * 100_000, "file-truncated"),
        (log_file(record())[:-9], "file-truncated"),
        (log_file(record())[:40], "file-truncated"),
        (log_file(record())[:-8] + b"\0" * 8, "file-not-gzip"),
        (b"\x1f\x8bhello hello hello", "file-not-gzip"),
        (log_file(record()) + b"x", "file-trailing"),
        (log_file(record()) + log_file(record()), "file-trailing"),
    ],
)
def test_a_file_that_is_not_exactly_one_is_refused(content: bytes, code: str) -> None:
    with pytest.raises(TrailRefused) as caught:
        read_log_file(content)
    assert caught.value.code == code


def test_a_bomb_is_refused_once_it_passes_the_bound() -> None:
    bomb = gzip.compress(b'{"Records": [' + b" " * 50_000_000 + b"]}")
    with pytest.raises(TrailRefused, match="inflates to more than 1000000 bytes"):
        inflate(bomb, inflated_bytes_max=1_000_000)


def test_a_file_beyond_the_bound_of_its_stored_bytes_is_not_inflated() -> None:
    with pytest.raises(TrailRefused, match="the file has more than 67108864 bytes"):
        inflate(b"\x1f\x8b" + bytes(64 * 1024 * 1024))


@given(st.binary(max_size=300))
def test_no_bytes_at_all_do_anything_else_than_to_be_read_or_refused(content: bytes) -> None:
    packed = zlib.compressobj(wbits=31)
    inner = packed.compress(content) + packed.flush()
    for one in (content, b"\x1f\x8b\x08" + content, inner, b'{"Records": [' + content + b"]}"):
        try:
            read_log_file(one)
        except TrailRefused:
            continue


def test_the_recipient_of_a_call_comes_before_its_caller() -> None:
    caller = identity(accountId=OTHER)
    assert record_of(userIdentity=caller).account_id == ACCOUNT
    assert record_of(userIdentity=caller).doer.account_id == OTHER
    assert record_of(userIdentity=caller, recipientAccountId=...).account_id == OTHER
    issuer = {"sessionContext": {"sessionIssuer": {"accountId": "333333333333"}}, "type": "AssumedRole"}
    assert record_of(userIdentity=issuer, recipientAccountId=...).account_id == "333333333333"


@pytest.mark.parametrize(
    "stated, name",
    [
        (identity(), "jane@example.org"),
        (identity(sessionContext={"sessionIssuer": {"arn": ROLE}}), "deploy/jane-laptop"),
        ({"type": "Root", "accountId": ACCOUNT, "arn": f"arn:aws:iam::{ACCOUNT}:root"}, "root"),
        (
            {"type": "IAMUser", "userName": "ben", "accountId": ACCOUNT, "arn": f"arn:aws:iam::{ACCOUNT}:user/ben"},
            "ben",
        ),
        ({"type": "SAMLUser", "userName": "eve@example.org", "identityProvider": "idp"}, "eve@example.org"),
        ({"type": "WebIdentityUser", "userName": "repo:team/app", "identityProvider": "token"}, "repo:team/app"),
        (
            {
                "type": "FederatedUser",
                "principalId": "1:ann",
                "sessionContext": {"sessionIssuer": {"userName": "iam-ann"}},
            },
            "iam-ann",
        ),
        ({"type": "IdentityCenterUser", "onBehalfOf": {"userId": "544894e8"}, "credentialId": "c"}, "544894e8"),
        ({"type": "AWSAccount", "accountId": OTHER, "principalId": "AIDA"}, f"account {OTHER}"),
        ({"type": "AWSService", "invokedBy": "autoscaling.amazonaws.com"}, "autoscaling.amazonaws.com"),
        ({"type": "Directory", "userName": "nobody"}, "Directory"),
        ({"type": "Unknown"}, "Unknown"),
        ({"type": "NewInTwentyThirty", "userName": "nobody"}, "Unknown"),
        ({}, "Unknown"),
    ],
)
def test_the_doer_of_a_call_is_named_by_the_type_of_its_identity(stated: dict[str, Any], name: str) -> None:
    assert doer_of(stated).name == name


def test_the_service_that_calls_for_an_identity_is_kept_beside_the_person() -> None:
    found = doer_of(identity(invokedBy="cloudformation.amazonaws.com"))
    assert (found.name, found.service) == ("jane@example.org", "cloudformation.amazonaws.com")
