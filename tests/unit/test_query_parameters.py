"""Query parameters: each name once, with a value, of those that the path takes; each value in the form of its kind."""

from __future__ import annotations

import pytest
from aiohttp.test_utils import make_mocked_request

from whence_aggregator.http.parameters import (
    Query,
    account_id,
    check_ami,
    check_commit,
    check_image,
    instance_id,
    instant,
    no_parameters,
)
from whence_aggregator.trace.tracer import TraceSubject
from whence_common.errors import InputError

DIGEST = "sha256:" + "0a" * 32
NAMES = ("account", "at", "cause", "commit", "limit", "text", "instance", "image", "ticket", "application", "version",
         "user_data", "layer", "review", "person", "ami", "team")  # fmt: skip


def query(text: str, *allowed: str) -> Query:
    return Query(make_mocked_request("GET", f"/v1/things?{text}"), *(allowed or NAMES))


def refusal(text: str, *allowed: str) -> tuple[str, str, str | None]:
    """Return code, message and fix of the refusal of parameters."""
    with pytest.raises(InputError) as caught:
        query(text, *allowed)
    return caught.value.code, caught.value.message, caught.value.fix


def refused(text: str, ask: str, *arguments: object) -> tuple[str, str]:
    """Return code and message of the refusal of a value."""
    found = query(text)
    with pytest.raises(InputError) as caught:
        getattr(found, ask)(*arguments)
    return caught.value.code, caught.value.message


# --- names


@pytest.mark.parametrize("text", ["", "limit=1", "limit=1&text=a", "text=a%26b%3D", "text=a+b"])
def test_parameters_that_the_path_takes_are_taken(text: str) -> None:
    query(text)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("colour=red", "'colour'"),
        ("Limit=1", "'Limit'"),
        ("limit=1&colour=red&size=1", "'colour'"),
        ("colour", "'colour'"),
        ("=1", "''"),
        ("limit%00=1", "'limit'"),
        ("x" * 101 + "=1", "'" + "x" * 99 + "…'"),
    ],
)
def test_an_unknown_name_is_refused_with_those_that_are_known(text: str, name: str) -> None:
    assert refusal(text, "limit", "cursor") == (
        "parameter-unknown", f"unknown parameter: {name}", "this path takes cursor, limit",
    )  # fmt: skip


def test_a_path_without_parameters_takes_none() -> None:
    no_parameters(make_mocked_request("GET", "/v1/rules"))
    no_parameters(make_mocked_request("GET", "/v1/rules?"))
    with pytest.raises(InputError) as caught:
        no_parameters(make_mocked_request("GET", "/v1/rules?limit=1"))
    assert (caught.value.code, caught.value.fix) == ("parameter-unknown", "this path takes no parameters")


@pytest.mark.parametrize("text", ["limit=1&limit=1", "limit=1&limit=2", "limit=1&text=a&limit=", "limit=&limit=1"])
def test_a_name_is_taken_once(text: str) -> None:
    assert refusal(text) == ("parameter-repeated", "limit is given more than once", "send it once")


@pytest.mark.parametrize("text", ["limit=", "limit", "text=a&limit="])
def test_a_name_without_a_value_is_refused(text: str) -> None:
    assert refusal(text) == ("parameter-malformed", "limit has no value", "omit it, or set a value")


# --- texts, limits, choices, instants


@pytest.mark.parametrize(
    ("text", "value"),
    [("", None), ("text=a", "a"), ("text=a%20b", "a b"), ("text=%E6%9D%B1", "東"), ("text=" + "x" * 300, "x" * 300)],
)
def test_a_text_is_read_as_it_was_meant(text: str, value: str | None) -> None:
    assert query(text).text("text") == value


@pytest.mark.parametrize("text", ["text=" + "x" * 301, "text=a%00b", "text=a%0Ab", "text=%E2%80%AE", "text=%7F"])
def test_a_text_that_is_too_long_or_not_printable_is_refused(text: str) -> None:
    assert refused(text, "text", "text") == (
        "parameter-malformed", "text is longer than 300 characters or not printable",
    )  # fmt: skip


@pytest.mark.parametrize(("text", "limit"), [("", 50), ("limit=1", 1), ("limit=10", 10), ("limit=500", 500)])
def test_a_limit_is_from_1_to_500_and_50_by_default(text: str, limit: int) -> None:
    assert query(text).limit() == limit


@pytest.mark.parametrize(
    "limit", ["0", "501", "1000", "10000", "-1", "%2B1", "01", "1.0", "1e2", "0x1", "ten", "1%20", "%D9%A1", "9" * 300]
)
def test_any_other_limit_is_refused(limit: str) -> None:
    assert refused(f"limit={limit}", "limit") == ("parameter-malformed", "limit must be a number from 1 to 500")


def test_a_choice_is_one_of_its_words() -> None:
    assert query("cause=boot").choice("cause", ("boot", "stop")) == "boot"
    assert query("").choice("cause", ("boot", "stop")) is None
    for word in ("Boot", "boots", "boot,stop"):
        assert refused(f"cause={word}", "choice", "cause", ("boot", "stop")) == (
            "parameter-malformed", "cause must be one of: boot, stop",
        )  # fmt: skip


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("2026-11-22T12:00:00Z", "2026-11-22T12:00:00.000Z"),
        ("2026-11-22T12:00:00.5Z", "2026-11-22T12:00:00.500Z"),
        ("2026-11-22T14:00:00%2B02:00", "2026-11-22T12:00:00.000Z"),
        ("2026-11-22T14:00:00+02:00", "2026-11-22T12:00:00.000Z"),
    ],
)
def test_an_instant_is_normalised_also_where_the_plus_was_not_escaped(text: str, normal: str) -> None:
    assert query(f"at={text}").instant("at") == normal


def test_an_instant_that_is_not_given_is_none() -> None:
    assert query("").instant("at") is None


@pytest.mark.parametrize("text", ["noon", "2026-11-22", "2026-11-22T12:00:00", "2026-13-01T00:00:00Z", "0", "now"])
def test_what_is_not_an_instant_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(InputError) as caught:
        instant(text, name="until")
    assert caught.value.code == "parameter-malformed"
    assert caught.value.message.startswith("until: ")
    assert caught.value.fix == "write it like 2026-11-22T12:00:00Z"


# --- identifiers


@pytest.mark.parametrize("text", ["i-0123456789abcdef0", "i-01234567"])
def test_an_instance_id_is_taken(text: str) -> None:
    assert instance_id(text) == text


@pytest.mark.parametrize("text", ["", "i-", "0123456789abcdef0", "i-0123456789ABCDEF0", "i-0123456789abcdef0\n", "i-x"])
def test_what_is_not_an_instance_id_is_refused(text: str) -> None:
    with pytest.raises(InputError) as caught:
        instance_id(text)
    assert (caught.value.code, caught.value.message, caught.value.fix) == (
        "instance-malformed", "this is not an instance id", "write it like i-0123456789abcdef0",
    )  # fmt: skip


@pytest.mark.parametrize("text", ["12345678901", "1234567890123", "12345678901a", "123456789012\n", "١٢٣٤٥٦٧٨٩٠١٢"])
def test_an_account_id_has_12_digits(text: str) -> None:
    assert account_id("123456789012") == "123456789012"
    with pytest.raises(InputError, match="this is not an account id"):
        account_id(text)


@pytest.mark.parametrize("text", ["ami-", "ami-1\n", "ami-" + "a" * 41, "i-0123456789abcdef0", "AMI-1", "ami-é"])
def test_an_amis_id_begins_with_ami(text: str) -> None:
    assert check_ami(None) is None
    assert check_ami("ami-0123456789abcdef0") == "ami-0123456789abcdef0"
    assert check_ami("ami-" + "a" * 40) == "ami-" + "a" * 40
    with pytest.raises(InputError, match="ami is not the id of an AMI"):
        check_ami(text)


@pytest.mark.parametrize("text", ["a" * 6, "a" * 65, "A" * 40, "g" * 40, "a" * 40 + "\n", "a" * 39 + " "])
def test_a_commit_is_7_to_64_lower_case_hex_digits(text: str) -> None:
    assert check_commit(None) is None
    assert [check_commit(one) for one in ("a" * 7, "0" * 40, "f" * 64)] == ["a" * 7, "0" * 40, "f" * 64]
    with pytest.raises(InputError, match="commit must be 7 to 64 lower-case hex digits"):
        check_commit(text)


@pytest.mark.parametrize(
    "text",
    ["sha256:", "sha256:" + "a" * 63, "sha256:" + "a" * 65, "sha256:" + "A" * 64, "sha512:" + "a" * 64, "a" * 64],
)
def test_an_image_is_a_sha256_digest(text: str) -> None:
    assert check_image(None) is None
    assert check_image(DIGEST) == DIGEST
    with pytest.raises(InputError, match="image must be a digest"):
        check_image(text)


# --- filters and subjects


@pytest.mark.parametrize(
    ("name", "right", "wrong"),
    [
        ("account", "123456789012", "12345"),
        ("image", DIGEST, "greeter:1.0"),
        ("user_data", DIGEST, "sha256:1"),
        ("commit", "0123456", "main"),
        ("ticket", "org/app%23~8:.-_", "PAY%207"),
        ("application", "greeter", "Not%20An%20Id"),
    ],
)
def test_a_filter_that_can_match_nothing_is_refused(name: str, right: str, wrong: str) -> None:
    assert query(f"{name}={right}").filter(name) is not None
    assert query("").filter(name) is None
    assert refused(f"{name}={wrong}", "filter", name)[0] == "parameter-malformed"


def test_any_other_filter_is_a_text() -> None:
    assert query("text=Any Thing".replace(" ", "%20")).filter("text") == "Any Thing"


def test_a_ticket_has_at_most_150_characters() -> None:
    assert query("ticket=" + "P" * 150).filter("ticket") == "P" * 150
    assert refused("ticket=" + "P" * 151, "filter", "ticket")[1] == "ticket must be letters, digits and _ . / # : ~ -"


@pytest.mark.parametrize(
    ("text", "subject"),
    [
        ("instance=i-0123456789abcdef0", "i-0123456789abcdef0"),
        (f"image={DIGEST}", TraceSubject(kind="image", value=DIGEST)),
        ("commit=0123456", TraceSubject(kind="commit", value="0123456")),
        ("ticket=PAY-7", TraceSubject(kind="ticket", value="PAY-7")),
        ("application=greeter", TraceSubject(kind="application", value="greeter")),
        ("application=greeter&version=1.0", TraceSubject(kind="application", value="greeter", version="1.0")),
        (f"user_data={DIGEST}&limit=1", TraceSubject(kind="user_data", value=DIGEST)),
        (f"layer={DIGEST}", TraceSubject(kind="layer", value=DIGEST)),
        ("review=%2312", TraceSubject(kind="review", value="#12")),
        ("review=group/app!12", TraceSubject(kind="review", value="group/app!12")),
        ("person=Ada@Example.org", TraceSubject(kind="person", value="ada@example.org")),
        ("person=Ada", TraceSubject(kind="person", value="ada")),
        ("ami=ami-0123", TraceSubject(kind="ami", value="ami-0123")),
        ("account=123456789012", TraceSubject(kind="account", value="123456789012")),
        ("team=hello", TraceSubject(kind="team", value="hello")),
    ],
)
def test_a_trace_is_of_one_subject(text: str, subject: TraceSubject | str) -> None:
    assert query(text).subject() == subject


@pytest.mark.parametrize(
    ("text", "code", "message"),
    [
        ("", "subject-count", "0 subjects"),
        ("version=1.0", "subject-count", "0 subjects"),
        ("commit=0123456&ticket=PAY-7", "subject-count", "2 subjects"),
        (f"instance=i-01234567&image={DIGEST}&commit=0123456", "subject-count", "3 subjects"),
        ("commit=0123456&version=1.0", "parameter-malformed", "version requires application"),
        ("instance=i-01234567&version=1.0", "parameter-malformed", "version requires application"),
        ("instance=greeter", "instance-malformed", "this is not an instance id"),
        ("commit=main", "parameter-malformed", "commit must be 7 to 64 lower-case hex digits"),
        ("application=-", "parameter-malformed", "application must be an application id"),
    ],
)
def test_any_other_number_of_subjects_is_refused(text: str, code: str, message: str) -> None:
    assert refused(text, "subject") == (code, message)


@pytest.mark.parametrize(
    ("text", "fix"),
    [
        ("instance=greeter", "write it like i-0123456789abcdef0"),
        ("image=latest", "write sha256: and 64 hex digits"),
        (f"layer={DIGEST[:-1]}", "write sha256: and 64 hex digits"),
        (f"user_data={DIGEST}0", "write sha256: and 64 hex digits"),
        ("commit=main", "write the commit's id or at least its first 7 digits, without the name of a branch"),
        ("review=pull%2012", "write #12, !12 or owner/repository#12"),
        ("ticket=PAY%207", "write it like PAY-7, #12 or owner/repository#12"),
        ("application=No", "write its id as the application registry has it, as in greeter"),
        ("ami=12", "write it like ami-0123456789abcdef0"),
        ("account=12", "write its 12 digits"),
        (
            "person=Ada%20%3Cada@example.org%3E",
            "write it like ada@example.org or ada, without spaces and angle brackets",
        ),
        ("person=a@b@c", "write it like ada@example.org or ada, without spaces and angle brackets"),
    ],
)
def test_each_malformed_key_is_refused_with_how_to_write_it(text: str, fix: str) -> None:
    asked = query(text)
    with pytest.raises(InputError) as refusal:
        asked.subject()
    assert refusal.value.fix == fix


def test_a_malformed_time_of_a_key_is_refused_with_how_to_write_it() -> None:
    asked = query("team=hello&at=yesterday")
    with pytest.raises(InputError) as refusal:
        asked.instant("at")
    assert refusal.value.fix == "write it like 2026-11-22T12:00:00Z"
