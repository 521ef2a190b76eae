"""User data as it is wrapped: compressed, in MIME, encoded too often. Read as cloud-init reads it, within bounds."""

from __future__ import annotations

import base64
import gzip
from email.mime.application import MIMEApplication
from email.mime.multipart import MIMEMultipart
from email.mime.text import MIMEText

import pytest

from whence_common.user_data.envelope import INFLATED_BYTES_MAX
from whence_common.user_data.inflate import MEMBERS_MAX, inflate
from whence_common.user_data.judge import Judgement, judge
from whence_common.user_data.platform import PlatformRules

RULES = PlatformRules(immutable=frozenset({"registry.example.org"}))
GOOD = b"""#taupage-ami-config
application_id: pay-api
application_version: "1.2"
runtime: Docker
source: registry.example.org/pay/api:1.2
"""
MORE = b"#taupage-ami-config\nroot: true\n"


def codes(raw: bytes) -> list[str]:
    return [problem.code for problem in judge(raw, RULES).problems]


def read(raw: bytes) -> Judgement:
    judgement = judge(raw, RULES)
    assert judgement.problems == ()
    assert judgement.user_data is not None
    return judgement


def compressed(content: bytes, kind: str = "gzip") -> MIMEApplication:
    return MIMEApplication(gzip.compress(content), kind)


def message(*parts: MIMEText | MIMEApplication) -> MIMEMultipart:
    whole = MIMEMultipart()
    for part in parts:
        whole.attach(part)
    return whole


def ours(text: bytes = GOOD) -> MIMEText:
    return MIMEText(text.decode(), "x-taupage-ami-config")


@pytest.mark.parametrize("kind", ["gzip", "x-gzip", "gzip-compressed", "x-gunzip", "x-compress"])
def test_a_compressed_part_has_the_type_of_its_first_line(kind: str) -> None:
    judgement = read(message(ours(), compressed(MORE, kind)).as_bytes())
    assert judgement.user_data is not None
    assert judgement.user_data.options.root


def test_a_compressed_part_within_a_compressed_message_is_read() -> None:
    read(gzip.compress(message(compressed(GOOD)).as_bytes()))


@pytest.mark.parametrize(
    "content, code",
    [
        (b"#cloud-config\npackages: [nginx]\n", "user-data-header-foreign"),
        (b"#!/bin/sh\nid\n", "user-data-header-foreign"),
        (b"root: true\n", "user-data-header-missing"),
        (gzip.compress(MORE), "user-data-gzip-broken"),
        (b"\xff\xfe", "user-data-gzip-broken"),
    ],
    ids=["cloud-config", "script", "no header", "gzip again", "not gzip"],
)
def test_what_comes_out_of_a_compressed_part_is_judged_like_any_other(content: bytes, code: str) -> None:
    assert codes(message(ours(), compressed(content)).as_bytes()) == [code]


def test_compressed_parts_share_one_bound() -> None:
    half = b"#taupage-ami-config\n" + b"#" * (INFLATED_BYTES_MAX // 2)
    assert codes(message(ours(), compressed(half)).as_bytes()) == ["user-data-not-mapping"]
    assert codes(message(ours(), compressed(half), compressed(half)).as_bytes()).count("user-data-gzip-broken") == 1


def test_a_part_that_is_not_gzip_is_named() -> None:
    broken = MIMEApplication(b"not gzip at all", "gzip")
    assert codes(message(ours(), broken).as_bytes()) == ["user-data-gzip-broken"]


def test_several_members_and_zeros_after_them_are_read_as_one() -> None:
    half = len(GOOD) // 2
    read(gzip.compress(GOOD[:half]) + gzip.compress(GOOD[half:]) + b"\x00" * 100)


def test_what_follows_the_last_member_and_is_not_gzip_is_refused() -> None:
    assert codes(gzip.compress(GOOD) + b"more") == ["user-data-gzip-broken"]
    assert codes(gzip.compress(GOOD)[:-4]) == ["user-data-gzip-broken"]


def test_members_are_bounded_in_number_and_together_in_size() -> None:
    assert inflate(gzip.compress(b"") * MEMBERS_MAX, 1) == b""
    assert inflate(gzip.compress(b"") * (MEMBERS_MAX + 1), 1) is None
    assert inflate(gzip.compress(b"ab") + gzip.compress(b"cd"), 4) == b"abcd"
    assert inflate(gzip.compress(b"ab") + gzip.compress(b"cd"), 3) is None


def test_what_is_compressed_twice_is_named() -> None:
    assert codes(gzip.compress(gzip.compress(GOOD))) == ["user-data-gzip-twice"]


@pytest.mark.parametrize(
    "before",
    [b"From nobody Thu Nov 26 07:51:23 2026\n", b"From pay-api Thu Nov 26 07:51:23 2026\r\n", b"X-Made-By: a tool\n",
     b"Received: by build\n\tfrom here\nX-A: b\n", b"\n\n"],
)  # fmt: skip
@pytest.mark.parametrize("newline", [b"\n", b"\r\n"])
def test_an_mbox_line_or_other_headers_before_the_mime_headers_mean_nothing(before: bytes, newline: bytes) -> None:
    raw = message(ours(), MIMEText(MORE.decode(), "plain")).as_bytes()
    judgement = read(before + raw.replace(b"\n", newline))
    assert judgement.user_data is not None
    assert judgement.user_data.options.root


def test_an_mbox_line_as_python_writes_it_is_read() -> None:
    whole = message(ours())
    whole.set_unixfrom("From nobody Thu Nov 26 07:51:23 2026")
    read(whole.as_bytes(unixfrom=True))


def test_a_document_that_mentions_mime_is_not_a_message() -> None:
    read(GOOD + b"environment:\n  A: |\n    MIME-Version: 1.0\n")


@pytest.mark.parametrize("charset", ["utf-8", "iso-8859-1", "utf-16", "us-ascii"])
def test_a_part_is_decoded_by_its_charset(charset: str) -> None:
    text = GOOD.decode() + ("environment: {CITY: Zürich}\n" if charset != "us-ascii" else "environment: {CITY: Bern}\n")
    judgement = read(message(MIMEText(text, "x-taupage-ami-config", charset)).as_bytes())
    assert judgement.user_data is not None
    assert judgement.user_data.options.environment["CITY"] == ("Bern" if charset == "us-ascii" else "Zürich")


def test_a_byte_order_mark_and_carriage_returns_mean_nothing_anywhere() -> None:
    marked = b"\xef\xbb\xbf" + GOOD.replace(b"\n", b"\r\n")
    read(marked)
    read(gzip.compress(marked))
    read(message(MIMEText(marked.decode(), "plain", "utf-8"), compressed(marked)).as_bytes())
    read(b"\xef\xbb\xbf" + message(ours()).as_bytes())


def test_a_part_called_a_script_that_is_ours_is_read_and_a_script_is_refused() -> None:
    read(message(MIMEText(GOOD.decode(), "x-shellscript")).as_bytes())
    assert codes(message(ours(), MIMEText("#!/bin/sh\nid\n", "x-shellscript")).as_bytes()) == ["user-data-part-foreign"]


def test_cloud_config_beside_ours_is_refused_by_its_type_and_by_its_first_line() -> None:
    for kind, code in (("cloud-config", "user-data-part-foreign"), ("plain", "user-data-header-foreign")):
        assert codes(message(ours(), MIMEText("#cloud-config\na: b\n", kind)).as_bytes()) == [code]


@pytest.mark.parametrize(
    "content",
    [GOOD, b"\xef\xbb\xbf" + GOOD, gzip.compress(GOOD), message(ours()).as_bytes(), b"#cloud-config\nx: y\n",
     b"\n\n" + GOOD],
    ids=["plain", "mark", "gzip", "mime", "cloud-config", "blank lines"],
)  # fmt: skip
@pytest.mark.parametrize("encode", [base64.b64encode, base64.encodebytes])
def test_user_data_that_was_encoded_twice_is_reported_as_such(content: bytes, encode: object) -> None:
    assert callable(encode)
    (problem,) = judge(encode(content), RULES).problems
    assert problem.code == "user-data-encoded-twice"
    assert "was encoded twice" in problem.message
    assert "pass the plain file" in problem.fix
    (again,) = judge(encode(encode(content)), RULES).problems
    assert "encoded 2 times" in again.message


def test_base64_of_other_content_is_not_reported_as_user_data() -> None:
    for content in (b"hello world hello world hello world", bytes(range(60)), b""):
        assert "user-data-encoded-twice" not in codes(base64.b64encode(content))


def test_utf_16_is_named() -> None:
    (problem,) = judge(GOOD.decode().encode("utf-16"), RULES).problems
    assert (problem.code, "UTF-16" in problem.message) == ("user-data-not-utf8", True)


def test_a_part_whose_base64_is_broken_is_refused() -> None:
    raw = message(MIMEText(GOOD.decode(), "x-taupage-ami-config", "utf-8")).as_bytes()
    assert codes(raw.replace(b"\n\nI3RhdXBh", b"\n\n!I3RhdXB")) == ["user-data-part-not-utf8"]
