"""Findings in OCSF, ASFF and SARIF become one value; what is wrong is named, and loses nothing else."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fakes.findings import ACCOUNT, AFTER_THE_SCANS, IMAGE, as_bytes, asff, ocsf, sample, sarif
from whence_aggregator.findings.finding import FileRefused, Finding, Format
from whence_aggregator.findings.reading import FindingReader, FindingRefusal, Placed, ReadAs
from whence_aggregator.findings.splitting import CONTAINERS_MAX, DEPTH_MAX, FINDING_BYTES_MAX, Splitter

NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


def read(content: bytes, *, now: datetime = NOON, format: Format | None = None, account_id: str = "") -> list[Any]:  # noqa: A002 - as the parameter is named
    """Return findings and the reasons of refusals, in order."""
    reader = FindingReader(ReadAs(now=now, format=format, account_id=account_id))
    found = [one for part in reader.parts(content) for one in reader.read(part)]
    assert [one.position for one in found] == list(range(len(found)))
    return [one.finding if isinstance(one, Placed) else one.reason for one in found]


def one(document: object, **options: Any) -> Any:
    (found,) = read(as_bytes(document), **options)
    return found


def test_prowlers_own_file_is_read_unmodified() -> None:
    found = read(sample("prowler.ocsf.json"), now=AFTER_THE_SCANS)
    assert [(f.check_id, f.result, f.severity, f.resource.instance_id) for f in found] == [
        ("account_maintain_current_contact_details", "manual", 3, ""),
        ("ec2_instance_detailed_monitoring_enabled", "fail", 4, "i-684b93b66053f0789"),
        ("ec2_instance_imdsv2_enabled", "fail", 2, "i-684b93b66053f0789"),
        ("ec2_instance_profile_attached", "fail", 3, "i-684b93b66053f0789"),
        ("s3_bucket_default_encryption", "fail", 3, ""),
        ("s3_bucket_level_public_access_block", "fail", 2, ""),
        ("s3_bucket_secure_transport_policy", "fail", 3, ""),
    ]
    assert {(f.product, f.resource.account_id, f.observed_at) for f in found} == {
        ("prowler", ACCOUNT, "2026-11-26T18:26:26.000Z")
    }
    assert found[2].resource.name == f"arn:aws:ec2:eu-central-1:{ACCOUNT}:instance/i-684b93b66053f0789"
    assert found[2].uid == f"prowler-aws-ec2_instance_imdsv2_enabled-{ACCOUNT}-eu-central-1-i-684b93b66053f0789"
    assert found[2].title == "EC2 instance requires IMDSv2 or has the instance metadata service disabled"
    assert all(link.startswith("https://") for f in found for link in f.references)


def test_a_finding_that_prowler_muted_is_suppressed_and_still_a_fault() -> None:
    found = read(sample("prowler-later.ocsf.json"), now=AFTER_THE_SCANS)
    assert [(f.check_id, f.result, f.suppressed) for f in found] == [
        ("s3_bucket_default_encryption", "pass", False),
        ("s3_bucket_level_public_access_block", "fail", False),
        ("s3_bucket_secure_transport_policy", "fail", True),
    ]


def test_prowlers_findings_in_aws_own_format_are_read() -> None:
    found = read(sample("prowler.asff.json"), now=AFTER_THE_SCANS)
    assert [(f.product, f.check_id, f.result, f.severity) for f in found][:2] == [
        ("prowler", "ec2_instance_detailed_monitoring_enabled", "fail", 4),
        ("prowler", "ec2_instance_imdsv2_enabled", "fail", 2),
    ]


def test_prowlers_files_by_framework_are_refused_because_they_repeat_each_finding() -> None:
    event = ocsf("f-1-1.20", class_uid=2003, compliance={"status_id": 3, "requirements": ["1.20"]})
    assert one(event) == (
        "class_uid: Prowler's files in compliance/ repeat each finding for every requirement: push its main *.ocsf.json"
    )


def test_trivys_results_are_of_the_image_by_digest_and_one_for_each_package() -> None:
    scanned, *found = read(sample("trivy.sarif.json"), now=AFTER_THE_SCANS)
    assert (scanned.check_id, scanned.result, scanned.resource.image_digest) == ("image-scanned", "pass", IMAGE)
    assert [(f.check_id, f.title, f.severity, f.resource.image_digest, f.remedy) for f in found] == [
        ("CVE-2026-1549", "CVE-2026-1549 in libcrypto3", 3, IMAGE, "update libcrypto3 to 3.0.9-r1"),
        ("CVE-2026-1549", "CVE-2026-1549 in libssl3", 3, IMAGE, "update libssl3 to 3.0.9-r1"),
        ("CVE-2026-2000", "CVE-2026-2000 in zlib", 1, IMAGE, "update zlib to 1.3-r2"),
    ]
    assert len({f.uid for f in found}) == 3
    assert all(f.vulnerability and f.result == "fail" and f.product == "trivy" for f in found)


def test_trivys_template_for_asff_gives_each_package_an_id_of_its_own() -> None:
    found = read(sample("trivy.asff.json"), now=AFTER_THE_SCANS)
    assert [(f.check_id, f.resource.image_digest, f.severity) for f in found] == [
        ("CVE-2026-1549", IMAGE, 3), ("CVE-2026-1549", IMAGE, 3), ("CVE-2026-2000", IMAGE, 1),
    ]  # fmt: skip
    assert len({f.uid for f in found}) == 3
    assert {f.resource.account_id for f in found} == {ACCOUNT}


@pytest.mark.parametrize(
    "event, result, closed",
    [
        (ocsf(class_uid=2003, metadata={"event_code": "c", "product": {"name": "Other"}}, compliance={"status_id": 1}), "pass", False),
        (ocsf(class_uid=2003, metadata={"event_code": "c", "product": {"name": "Other"}}, compliance={"status_id": 2}), "unknown", False),
        (ocsf(class_uid=2003, metadata={"event_code": "c", "product": {"name": "Other"}}, compliance={"status_id": 3}), "fail", False),
        (ocsf(class_uid=2003, metadata={"event_code": "c", "product": {"name": "Other"}}, compliance={}, status_code=None), "unknown", False),
        (ocsf(class_uid=2002, status_code=None, vulnerabilities=[{"cve": {"uid": "CVE-2026-1"}}]), "fail", False),
        (ocsf(status_code=None), "fail", False),
        (ocsf(result="PASS"), "pass", False),
        (ocsf(result="MANUAL"), "manual", False),
        (ocsf(result="WARNING"), "unknown", False),
        (ocsf(class_uid=2003, compliance={"status_id": 3}, status_id=4, metadata={"event_code": "c", "product": {"name": "Other"}}), "fail", False),
        (ocsf(status_id=4), "fail", True),
        (ocsf(status_id=5), "fail", True),
        (ocsf(activity_id=3), "fail", True),
    ],
)  # fmt: skip
def test_the_result_of_an_ocsf_event_is_never_the_state_of_the_work_on_it(
    event: dict[str, Any], result: str, closed: bool
) -> None:
    found = one(event)
    assert (found.result, found.closed) == (result, closed)


@pytest.mark.parametrize(
    "time, instant",
    [
        (1_795_000_000, "2026-11-18T11:06:40.000Z"),
        (1_795_000_000_123, "2026-11-18T11:06:40.123Z"),
        ("2026-11-18T11:06:40.123456789Z", "2026-11-18T11:06:40.123Z"),
        (1_795_348_900, "2026-11-22T12:00:00.000Z"),
    ],
)
def test_times_are_seconds_milliseconds_or_text_and_at_most_now(time: object, instant: str) -> None:
    assert one(ocsf(time=time)).observed_at == instant


@pytest.mark.parametrize(
    "time", [1_795_400_000, "2026-11-23T00:00:00Z", 1, True, None, "yesterday", "2026-11-22", 1e300]
)
def test_a_time_that_would_outlast_later_reports_is_refused(time: object) -> None:
    assert one(ocsf(time=time)).startswith("time: ")


@pytest.mark.parametrize(
    "changes, result, suppressed, closed",
    [
        ({}, "fail", False, False),
        ({"Compliance": {"Status": "PASSED"}}, "pass", False, False),
        ({"Compliance": {"Status": "WARNING"}}, "unknown", False, False),
        ({"Compliance": {"Status": "NOT_AVAILABLE"}}, "unknown", False, False),
        ({"Compliance": {"Status": ["PASSED"]}}, "unknown", False, False),
        ({"Workflow": {"Status": "SUPPRESSED"}}, "fail", True, False),
        ({"Workflow": {"Status": "RESOLVED"}}, "fail", True, False),
        ({"RecordState": "ARCHIVED"}, "fail", False, True),
    ],
)
def test_the_states_of_security_hub_are_told_apart(
    changes: dict[str, Any], result: str, suppressed: bool, closed: bool
) -> None:
    found = one(asff(**changes))
    assert (found.result, found.suppressed, found.closed) == (result, suppressed, closed)
    assert (found.product, found.first_seen) == ("securityhub", "2026-11-20T10:00:00.000Z")
    assert found.resource.instance_id == "i-0123456789abcdef0"


def test_every_envelope_is_opened() -> None:
    envelope = {
        "detail-type": "Security Hub Findings - Imported",
        "source": "aws.securityhub",
        "detail": {"findings": [asff("a")]},
    }
    version_2 = {"detail-type": "Findings Imported V2", "detail": {"findings": [ocsf("b")]}}
    lines = b"\n".join(map(as_bytes, [ocsf("c"), asff("d"), envelope, {"Findings": [asff("e")]}, version_2]))
    assert [f.uid for f in read(lines)] == ["c", "d", "a", "e", "b"]
    assert [f.uid for f in read(b"\xef\xbb\xbf  " + as_bytes([ocsf("c"), asff("d")]))] == ["c", "d"]


@pytest.mark.parametrize(
    "result, expected",
    [
        ({"ruleId": "r"}, ("fail", 3, False, False)),
        ({"ruleId": "r", "level": "error"}, ("fail", 2, False, False)),
        ({"ruleId": "r", "kind": "pass", "level": "none"}, ("pass", 4, False, False)),
        ({"ruleId": "r", "kind": "open"}, ("unknown", 3, False, False)),
        ({"ruleId": "r", "kind": "notApplicable"}, ("manual", 3, False, False)),
        ({"ruleId": "r", "suppressions": [{"kind": "external"}]}, ("fail", 3, True, False)),
        ({"ruleId": "r", "suppressions": [{"kind": "external", "status": "rejected"}]}, ("fail", 3, False, False)),
        ({"ruleId": "r", "baselineState": "absent"}, ("fail", 3, False, True)),
    ],
)
def test_results_of_sarif_have_the_defaults_of_its_specification(
    result: dict[str, Any], expected: tuple[Any, ...]
) -> None:
    found = one(sarif(result))
    assert (found.result, found.severity, found.suppressed, found.closed) == expected


def test_the_id_of_an_images_configuration_is_never_taken_for_its_digest() -> None:
    found = one(sarif({"ruleId": "r"}, imageName="greeter:1.0", imageID=IMAGE))
    assert found.resource.image_digest == ""
    assert found.resource.name == "greeter:1.0"


@pytest.mark.parametrize(
    "document, reason",
    [
        (ocsf(""), "finding_info.uid: is missing or empty; it must be text"),
        (ocsf("a\nb"), "finding_info.uid: has control characters, or spaces at its ends"),
        (ocsf("a\u202eb"), "finding_info.uid: has control characters, or spaces at its ends"),
        (ocsf("x" * 2000), "finding_info.uid: has more than 1024 characters"),
        (ocsf(class_uid=3002), "class_uid: 3002 is none of 2002, 2003 and 2004"),
        (ocsf(class_uid=[2004]), "class_uid: [2004] is none of 2002, 2003 and 2004"),
        (ocsf(metadata={"product": {"uid": "prowler"}}), "metadata.event_code: is missing or empty; it must be text"),
        (ocsf(metadata={"event_code": "x"}), "metadata.product.uid: is missing or empty; it must be text"),
        (asff(SchemaVersion="2017"), "SchemaVersion: is not 2018-10-08"),
        (asff(Resources=[]), "Resources: is missing or empty"),
        ({"hello": 1}, "this is not a finding in OCSF, ASFF or SARIF"),
        (sarif({}), "ruleId: is missing or empty; it must be text"),
        (sarif({"ruleId": "r", "kind": ["pass"]}), "kind: \"['pass']\" is not a kind of result"),
    ],
)  # fmt: skip
def test_what_is_missing_or_malformed_is_refused_by_its_field(document: object, reason: str) -> None:
    assert one(document) == reason


@pytest.mark.parametrize(
    "account",
    ["１２３４５６７８９０１２", "123456789012 ", "123456789012\n", "12345678901", "1234567890123", "a" * 12, 1.5, True, ["123456789012"]],
)  # fmt: skip
def test_what_looks_like_an_account_is_none(account: object) -> None:
    assert "is not an AWS account id" in one(ocsf(cloud={"account": {"uid": account}}))
    assert "is not an AWS account id" in one(asff(AwsAccountId=account))


def test_an_instance_of_another_account_is_not_what_a_finding_is_about() -> None:
    other = "arn:aws:ec2:eu-central-1:999999999999:instance/i-0123456789abcdef0"
    found = one(ocsf(resources=[{"uid": other}]))
    assert (found.resource.account_id, found.resource.instance_id, found.resource.name) == (ACCOUNT, "", other)


def test_text_is_bounded_and_has_no_control_characters_and_markup_stays_text() -> None:
    found = one(ocsf(finding_info={"uid": "u", "title": "a\x1b[2J\u202e<script>alert(1)</script>" + "y" * 9000}))
    assert found.title.startswith("a [2J <script>alert(1)</script>yyy")
    assert len(found.title) == 300
    remediation = {
        "desc": "d" * 9000,
        "references": ["rm -rf /", "javascript:alert(1)", "https://u:p@h/", "https://example.org/a", 7],
    }
    found = one(ocsf(remediation=remediation))
    assert (len(found.remedy), found.references) == (1500, ("https://example.org/a",))


def test_one_bad_finding_loses_no_other() -> None:
    content = (
        b"["
        + as_bytes(ocsf("a"))
        + b', {"class_uid": 2004, "x": \x01}, 7, "seven", null, [], '
        + as_bytes(ocsf("b"))
        + b"]"
    )
    found = read(content)
    assert [f.uid for f in found if isinstance(f, Finding)] == ["a", "b"]
    assert [f for f in found if isinstance(f, str)][1:] == [
        f"byte {content.index(text)}: it is not an object" for text in (b"7,", b'"seven"', b"null")
    ] + [f"byte {content.index(b'[],')}: not JSON: Expected `object`, got `array`"]


@pytest.mark.parametrize(
    "element, reason",
    [
        (b'{"a":' + b"[" * 100 + b"]" * 100 + b"}", f"it is nested deeper than {DEPTH_MAX} levels"),
        (b'{"a": "' + b"x" * (FINDING_BYTES_MAX + 1) + b'"}', f"it has more than {FINDING_BYTES_MAX} bytes"),
        (b'{"class_uid": "\\u0000"}', "the finding at byte 1 contains NUL or a lone surrogate"),
        (b'{"class_uid": "\\ud800"}', "not JSON: "),
        (b'{"class_uid": "\xff"}', "not JSON: "),
    ],
)
def test_a_hostile_element_is_refused_and_the_next_one_is_read(element: bytes, reason: str) -> None:
    first, second = read(b"[" + element + b"," + as_bytes(ocsf("b")) + b"]")
    assert reason in first
    assert second.uid == "b"


@pytest.mark.parametrize(
    "content, reason",
    [
        (b"<html></html>", "the file begins with neither { nor [: it is not JSON"),
        (b"\x1f\x8b\x08", "the file begins with neither { nor [: it is not JSON"),
        (b"[" + b"[" * 2000, "byte 1002: nested deeper than 1000 levels"),
        (b"[{} {}]", "byte 4: a comma or the end of the array was expected"),
        (b"[] []", "byte 3: more follows after the end of the array"),
        (b"{} x", "byte 3: an object was expected"),
        (b'{"version": "2.0.0", "runs": []}', "version is not 2.1.0"),
        (b'{"version": "2.1.0", "runs": {}}', "runs is not a list of at most 100 runs"),
    ],
)
def test_a_file_that_is_not_one_of_findings_is_refused_with_the_place(content: bytes, reason: str) -> None:
    with pytest.raises(FileRefused) as caught:
        read(content)
    assert caught.value.message == reason


def test_a_file_that_breaks_off_gives_what_it_had_and_is_not_whole() -> None:
    content = as_bytes([ocsf("a"), ocsf("b")])
    reader = FindingReader(ReadAs(now=NOON))
    found = [one for part in reader.parts(content[:-2]) for one in reader.read(part)]
    assert [one.finding.uid for one in found if isinstance(one, Placed)] == ["a"]
    assert not reader.ended


def test_a_format_that_was_asked_for_is_the_only_one_taken() -> None:
    found = read(as_bytes([ocsf("a"), asff("b")]), format="asff")
    assert (found[0], found[1].uid) == ("this is not a finding in ASFF", "b")


def test_the_sender_states_the_account_of_what_names_none() -> None:
    assert one(sarif({"ruleId": "r"}), account_id=ACCOUNT).resource.account_id == ACCOUNT
    assert one(ocsf(), account_id="999999999999").resource.account_id == ACCOUNT


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=12,
)


@given(documents=st.lists(JSON, max_size=5), cut=st.integers(1, 9), indent=st.sampled_from([None, 1]))
@settings(max_examples=300, deadline=None)
def test_a_stream_is_split_into_the_same_elements_however_it_is_cut(
    documents: list[Any], cut: int, indent: int | None
) -> None:
    content = json.dumps(documents, indent=indent, ensure_ascii=False).encode("utf-8", "surrogatepass")
    splitter = Splitter()
    parts = [part for at in range(0, len(content), cut) for part in splitter.feed(content[at : at + cut])]
    assert splitter.ended
    assert [part.problem == "" for part in parts] == [isinstance(one, dict | list) for one in documents]
    assert [json.loads(part.content) for part in parts if not part.problem] == [
        one for one in documents if isinstance(one, dict | list)
    ]


def _with(document: dict[str, Any], path: str, value: object) -> dict[str, Any]:
    changed: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(document))
    *above, last = path.split(".")
    place: Any = changed
    for name in above:
        place = place[int(name)] if isinstance(place, list) else place[name]
    place[int(last) if isinstance(place, list) else last] = value
    return changed


def _paths(value: object, before: str = "") -> list[str]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [one for name, inner in items for one in (f"{before}{name}", *_paths(inner, f"{before}{name}."))]


GOOD: list[Callable[[], dict[str, Any]]] = [ocsf, asff, lambda: json.loads(sample("trivy.sarif.json"))]


@given(data=st.data(), value=JSON)
@settings(max_examples=500, deadline=None)
def test_no_value_in_any_place_ends_the_reading(data: st.DataObject, value: object) -> None:
    document = data.draw(st.sampled_from(GOOD))()
    path = data.draw(st.sampled_from(_paths(document)))
    reader = FindingReader(ReadAs(now=AFTER_THE_SCANS))
    try:
        found = [one for part in reader.parts(as_bytes([_with(document, path, value)])) for one in reader.read(part)]
    except FileRefused:
        return
    assert all(isinstance(one, Placed | FindingRefusal) for one in found)


def test_a_part_of_countless_small_values_is_refused_before_it_is_decoded() -> None:
    splitter = Splitter()
    assert list(splitter.feed(b'{"version":"2.1.0","runs":[')) == []
    with pytest.raises(FileRefused) as refused:
        list(splitter.feed(b"{}," * CONTAINERS_MAX))
    assert refused.value.message == (
        "byte 1500022: one part has more than 500000 objects and arrays: send an array of findings"
    )
