"""Where a redirect of a registry leads, and to which addresses the next request goes."""

from __future__ import annotations

import pytest

from whence_common.registry_address import RedirectRefused, RegistryPlace
from whence_common.registry_redirects import Pinned, as_named, checked, is_own, next_hop, pinned

OUTSIDE = RegistryPlace(registry="r.example.org", token_hosts=frozenset({"login.example.org"}))
BLOB = "https://r.example.org/v2/a/blobs/sha256:1"
CDN = "https://cdn.example.org/x"


def test_the_address_that_was_checked_is_asked_under_the_name_it_was_found_by() -> None:
    for address, url in (
        ("93.184.216.34", "https://93.184.216.34/x?a=%2Fb"),
        ("2606:4700::1", "https://[2606:4700::1]/x?a=%2Fb"),
    ):
        to = pinned("https://cdn.example.org/x?a=%2Fb", address)
        assert (to.url, to.host, to.server_hostname) == (url, "cdn.example.org", "cdn.example.org")
    to = pinned("http://minio.example.org:9000/x", "93.184.216.34")
    assert (to.url, to.host, to.server_hostname) == ("http://93.184.216.34:9000/x", "minio.example.org:9000", None)


def test_an_answer_that_does_not_redirect_is_the_last() -> None:
    assert next_hop(OUTSIDE, BLOB, 200, CDN, followed=0) == ""
    assert next_hop(OUTSIDE, BLOB, 304, CDN, followed=5) == ""


def test_the_fifth_redirect_is_followed_and_the_sixth_is_refused() -> None:
    assert next_hop(OUTSIDE, BLOB, 307, CDN, followed=4) == CDN
    with pytest.raises(RedirectRefused) as caught:
        next_hop(OUTSIDE, BLOB, 307, CDN, followed=5)
    assert (caught.value.code, caught.value.retryable) == ("registry-redirects", False)


def test_a_redirect_without_a_location_is_refused() -> None:
    with pytest.raises(RedirectRefused) as caught:
        next_hop(OUTSIDE, BLOB, 302, "", followed=0)
    assert caught.value.code == "registry-redirect"


@pytest.mark.parametrize(
    "url, own",
    [
        (BLOB, True),
        ("https://R.EXAMPLE.ORG/x", True),
        ("https://login.example.org/token", True),
        ("https://login.example.org:8443/token", False),
        (CDN, False),
    ],
)
def test_only_hosts_that_the_settings_name_are_asked_by_name(url: str, own: bool) -> None:
    assert is_own(OUTSIDE, url) is own


def test_a_url_is_asked_at_its_first_four_addresses_each_once() -> None:
    found = ["93.184.216.34", "93.184.216.34", "93.184.216.35", "93.184.216.36", "93.184.216.37", "93.184.216.38"]
    assert [one.url for one in checked(OUTSIDE, CDN, found, ["198.51.100.1"])] == [
        "https://93.184.216.34/x",
        "https://93.184.216.35/x",
        "https://93.184.216.36/x",
        "https://93.184.216.37/x",
    ]


@pytest.mark.parametrize("found", [[], ["10.0.0.1"], ["93.184.216.34", "169.254.169.254"]])
def test_one_address_that_may_not_be_asked_refuses_the_url(found: list[str]) -> None:
    with pytest.raises(RedirectRefused):
        checked(OUTSIDE, CDN, found, ["198.51.100.1"])


def test_a_host_in_the_settings_may_have_any_address() -> None:
    assert as_named("https://login.example.org:443/x") == Pinned(
        url="https://login.example.org:443/x", host="login.example.org:443", server_hostname=None
    )
