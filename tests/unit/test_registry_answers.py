"""What the answers of registries mean: error documents, pages of proxies, and lists of referrers."""

from __future__ import annotations

import json

import pytest

from whence_common.referrer_pages import ListEndless, Page, whole_list
from whence_common.registry_address import RedirectRefused, RegistryPlace
from whence_common.registry_answers import ErrorDocument, is_missing, is_other, may_pass, referrers_closed
from whence_common.registry_requests import upload_end, upload_location

PLACE = RegistryPlace(registry="r.example.org")
UPLOADS = "https://r.example.org/v2/a/blobs/uploads/"
LIST = "https://r.example.org/v2/a/referrers/x"
OTHER = "sha256:" + "a" * 64


@pytest.mark.parametrize(
    "content, codes, words",
    [
        (b'{"errors": [{"code": "DENIED", "message": "no access"}]}', {"DENIED"}, "DENIED no access"),
        (b'{"errors": [{"code": "denied"}, 7, {"message": "later"}]}', {"DENIED"}, "denied later"),
        (b'{"errors": [{"code": 7, "message": ["x"]}]}', set(), ""),
        (b'{"errors": {"code": "DENIED"}}', set(), ""),
        (b"<html>", set(), ""),
        (b"", set(), ""),
    ],
)
def test_an_error_document_is_read_and_any_other_body_states_nothing(
    content: bytes, codes: set[str], words: str
) -> None:
    assert ErrorDocument.parse(content) == ErrorDocument(codes=frozenset(codes), words=words)


def test_an_error_document_is_read_as_far_as_its_bounds() -> None:
    errors = [*({"code": f"C{number}"} for number in range(16)), {"code": "DENIED"}]
    assert "DENIED" not in ErrorDocument.parse(json.dumps({"errors": errors}).encode()).codes
    long = ErrorDocument.parse(json.dumps({"errors": [{"message": "x\n" * 500}]}).encode())
    assert len(long.words) == 120
    assert "\n" not in long.words


@pytest.mark.parametrize(
    "status, content, passes",
    [
        (500, b"", True),
        (429, b"", True),
        (403, b'{"errors": [{"code": "TOOMANYREQUESTS"}]}', True),
        (401, b'{"errors": [{"message": "You have reached your pull rate limit"}]}', True),
        (404, b'{"errors": [{"code": "TOOMANYREQUESTS"}]}', False),
        (403, b'{"errors": [{"code": "DENIED"}]}', False),
        (403, b"", False),
    ],
)
def test_overload_is_transient_and_a_refusal_is_not(status: int, content: bytes, passes: bool) -> None:
    assert may_pass(status, content) is passes


@pytest.mark.parametrize(
    "status, content_type, missing",
    [(404, "application/json", True), (404, "", True), (404, "text/html; charset=utf-8", False), (403, "", False)],
)
def test_a_page_of_a_proxy_does_not_mean_that_something_is_missing(
    status: int, content_type: str, missing: bool
) -> None:
    assert is_missing(status, content_type) is missing


def test_bytes_are_compared_with_the_digest_that_they_were_asked_for_by() -> None:
    of_x = "sha256:2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"
    assert [is_other(name, b"x") for name in (of_x, OTHER, "1.0")] == [False, True, False]


@pytest.mark.parametrize("status", [303, 307, 400, 401, 403, 404, 405, 406, 501])
def test_every_response_of_a_registry_without_referrers_is_recognised(status: int) -> None:
    assert referrers_closed(status, b"")


@pytest.mark.parametrize(
    "status, content, closed",
    [
        (200, b'{"manifests": []}', False),
        (200, b"<html>", True),
        (200, b"{}", True),
        (429, b"", False),
        (500, b"", False),
        (503, b"", False),
    ],
)
def test_a_list_is_a_list_and_trouble_is_trouble(status: int, content: bytes, closed: bool) -> None:
    assert referrers_closed(status, content) is closed


async def test_pages_become_one_list() -> None:
    pages = {
        LIST: (b'{"manifests": [{"digest": "a"}]}', '</v2/a/referrers/x?n=2>; rel="next"'),
        f"{LIST}?n=2": (b'{"manifests": [{"digest": "b"}, 7]}', '</v2/a/referrers/x?n=3>; rel="next"'),
        f"{LIST}?n=3": (b"{}", ""),
    }

    async def read(url: str, first: bool) -> Page | None:
        assert first is (url == LIST)
        return pages[url]

    found = await whole_list(PLACE, LIST, read)
    assert found is not None
    assert json.loads(found) == {"schemaVersion": 2, "manifests": [{"digest": "a"}, {"digest": "b"}, 7]}


async def test_a_single_page_is_verbatim_and_a_missing_list_is_none() -> None:
    async def one(url: str, first: bool) -> Page | None:
        return b'{ "manifests": [] }', ""

    async def closed(url: str, first: bool) -> Page | None:
        return None

    assert await whole_list(PLACE, LIST, one) == b'{ "manifests": [] }'
    assert await whole_list(PLACE, LIST, closed) is None


async def test_an_endless_list_fails_after_fifty_pages() -> None:
    asked: list[str] = []

    async def read(url: str, first: bool) -> Page | None:
        asked.append(url)
        return b"{}", f"</v2/a/referrers/x?n={len(asked)}>; rel=next"

    with pytest.raises(ListEndless, match="more than 50 pages"):
        await whole_list(PLACE, LIST, read)
    assert len(asked) == 50


@pytest.mark.parametrize(
    "location, target",
    [
        ("/v2/a/blobs/uploads/1?state=x", "https://r.example.org/v2/a/blobs/uploads/1?state=x"),
        ("https://r.example.org/u/1", "https://r.example.org/u/1"),
        ("", UPLOADS),
        (None, UPLOADS),
    ],
)
def test_an_upload_continues_at_its_location(location: str | None, target: str) -> None:
    assert upload_location(PLACE, UPLOADS, location) == target


@pytest.mark.parametrize("location", ["https://evil.example.org/u", "//evil.example.org/u", "http://r.example.org/u"])
def test_an_upload_never_leaves_its_registry(location: str) -> None:
    with pytest.raises(RedirectRefused) as caught:
        upload_location(PLACE, UPLOADS, location)
    assert (caught.value.code, caught.value.retryable) == ("registry-location", False)


def test_an_upload_ends_with_the_digest_of_its_bytes() -> None:
    assert upload_end("https://r.example.org/u", OTHER) == f"https://r.example.org/u?digest={OTHER}"
    assert upload_end("https://r.example.org/u?state=x", OTHER) == f"https://r.example.org/u?state=x&digest={OTHER}"
