"""What a text may be the key of, by its form: ambiguous ones keep all their meanings."""

from __future__ import annotations

import pytest

from whence_aggregator.console.search_keys import recognised

HEX64 = "0f3947dc" * 8
COMMIT = "0f3947dc" * 5
_SHORT = "If it is the beginning of a digest: a digest is found by at least 8 of its digits."


def meanings(text: str) -> list[tuple[str, str]]:
    return [(one.kind, one.value) for one in recognised(text).keys]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("i-0123456789abcdef0", ("instance", "i-0123456789abcdef0")),
        ("  I-0123456789ABCDEF0 ", ("instance", "i-0123456789abcdef0")),
        ("ami-12c6146b", ("ami", "ami-12c6146b")),
        ("123456789012", ("account", "123456789012")),
        (f"sha256:{HEX64}", ("digest", f"sha256:{HEX64}")),
        (HEX64, ("digest", f"sha256:{HEX64}")),
        (f"registry.example.org/demo/greeter:1.0@sha256:{HEX64}", ("digest", f"sha256:{HEX64}")),
        (COMMIT, ("commit", COMMIT)),
        (COMMIT.upper(), ("commit", COMMIT)),
        ("0f3947d", ("commit", "0f3947d")),
        ("ABC-12", ("ticket", "ABC-12")),
        ("abc-12", ("ticket", "ABC-12")),
        ("#4", ("ticket", "#4")),
        ("demo/greeter#4", ("ticket", "demo/greeter#4")),
        ("group/sub/project!12", ("review", "group/sub/project!12")),
        ("!12", ("review", "!12")),
        ("greeter/1.0", ("version", "greeter/1.0")),
        ("greeter@1.0", ("version", "greeter/1.0")),
        ("v-888821d8a2cbaf86e959", ("violation", "v-888821d8a2cbaf86e959")),
        ("ada@example.org", ("person", "ada@example.org")),
        ("ada", ("person", "ada")),
        ("hello", ("person", "hello")),
    ],
)
def test_a_key_is_recognised_by_its_form(text: str, expected: tuple[str, str]) -> None:
    assert expected in meanings(text)


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        ("123456789012", ["account", "commit", "beginning", "person", "team"]),
        (HEX64, ["digest", "commit", "person", "team"]),
        ("deadbeef", ["commit", "beginning", "person", "team"]),
        ("dec-12", ["ticket", "person", "team"]),
        ("greeter", ["person", "team"]),
        ("deadbee/1", ["version"]),
        ("ada@example.org", ["version", "person"]),
        ("abc123", ["person", "team"]),
    ],
)
def test_an_ambiguous_text_keeps_all_its_meanings(text: str, kinds: list[str]) -> None:
    assert [kind for kind, _ in meanings(text)] == kinds


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://tickets.example.org/browse/PAY-7", [("ticket", "PAY-7")]),
        ("https://github.com/demo/greeter/issues/4", [("ticket", "demo/greeter#4"), ("ticket", "#4")]),
        ("https://github.com/demo/greeter/pull/4/files",
         [("ticket", "demo/greeter#4"), ("ticket", "#4"), ("review", "demo/greeter#4")]),
        ("https://gitlab.example.org/a/b/c/-/merge_requests/12",
         [("ticket", "a/b/c#12"), ("ticket", "#12"), ("review", "a/b/c#12")]),
        (f"https://github.com/demo/greeter/commit/{COMMIT}", [("commit", COMMIT)]),
        ("https://github.com/demo/greeter/issues/none", []),
        ("https://[", []),
    ],
)  # fmt: skip
def test_the_address_of_a_ticket_review_or_commit_is_its_key(url: str, expected: list[tuple[str, str]]) -> None:
    assert meanings(url) == expected
    assert recognised(url).name == ""


def test_the_address_of_a_repository_is_searched_by_its_name() -> None:
    found = recognised("https://git.example.org/demo/greeter.git")
    assert (found.keys, found.name) == ((), "greeter")


@pytest.mark.parametrize(
    ("arn", "expected"),
    [
        ("arn:aws:ec2:eu-central-1:123456789012:instance/i-0123456789abcdef0", [("instance", "i-0123456789abcdef0")]),
        ("arn:aws:iam::123456789012:role/whence", [("account", "123456789012")]),
        ("arn:aws:s3:::bucket", []),
    ],
)
def test_an_arn_is_the_key_of_what_it_names(arn: str, expected: list[tuple[str, str]]) -> None:
    assert meanings(arn) == expected


@pytest.mark.parametrize(
    ("text", "notes"),
    [
        ("sha256:0f39", (_SHORT,)),
        ("0f3947d", (_SHORT,)),
        ("0f3947dc", ()),
        (COMMIT, ()),
        ("i-01", ("If it is the beginning of an instance id: an instance is found by i- and at least 3 digits.",)),
        ("i-012", ()),
        ("greeter", ()),
    ],
)
def test_what_is_too_short_to_be_found_is_stated(text: str, notes: tuple[str, ...]) -> None:
    assert recognised(text).notes == notes


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0f3947dc", "sha256:0f3947dc"),
        ("sha256:0F3947DC", "sha256:0f3947dc"),
        (HEX64[:63], f"sha256:{HEX64[:63]}"),
        (COMMIT, f"sha256:{COMMIT}"),
        ("i-012", "i-012"),
        ("I-0123456789ABCDEF", "i-0123456789abcdef"),
        ("i-01234567", "i-01234567"),
    ],
)
def test_the_beginning_of_a_digest_or_an_instance_id_is_a_key(text: str, expected: str) -> None:
    assert ("beginning", expected) in meanings(text)


@pytest.mark.parametrize(
    "text", ["0f3947d", "sha256:0f3947d", HEX64, "i-01", "i-0123456789abcdef0", "i-greeter", "sha256:0f3947dg"]
)
def test_what_is_whole_too_short_or_no_hex_is_no_beginning(text: str) -> None:
    assert "beginning" not in [kind for kind, _ in meanings(text)]


def test_a_name_is_any_text_with_a_letter_or_digit_and_bounded() -> None:
    assert recognised("  hello   world ").name == "hello world"
    assert (recognised("").name, recognised("…").name, recognised("#4").name, recognised(HEX64).name) == (
        "",
        "",
        "",
        "",
    )
    assert len(recognised("x" * 10_000).query) == 200
    assert recognised("<script>alert(1)</script>").keys == ()
