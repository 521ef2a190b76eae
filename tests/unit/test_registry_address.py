"""Where registries are, and where they may send those who read their blobs."""

from __future__ import annotations

import pytest

from whence_common.referrer_pages import next_page
from whence_common.registry_address import (
    RedirectRefused,
    RegistryPlace,
    check_addresses,
    ecr_region,
    kind_of,
    redirected,
    same_origin,
)

OUTSIDE = RegistryPlace(registry="r.example.org")
BLOB = "https://r.example.org/v2/a/blobs/sha256:1"


@pytest.mark.parametrize(
    "place, url, location, target",
    [
        (OUTSIDE, BLOB, "https://bucket.s3.eu-central-1.amazonaws.com/x?sig=a%2Bb", "https://bucket.s3.eu-central-1.amazonaws.com/x?sig=a%2Bb"),
        (OUTSIDE, BLOB, "/elsewhere", "https://r.example.org/elsewhere"),
        (OUTSIDE, BLOB, "//cdn.example.org/x", "https://cdn.example.org/x"),
        (OUTSIDE, BLOB, "https://93.184.216.34/x", "https://93.184.216.34/x"),
        (RegistryPlace(registry="r.example.org", plain_http=True), "http://r.example.org/v2/x", "http://minio.example.org/x", "http://minio.example.org/x"),
        (OUTSIDE, BLOB, "https://my_bucket.s3.amazonaws.com:443/x", "https://my_bucket.s3.amazonaws.com:443/x"),
        (OUTSIDE, BLOB, "https://[2606:4700::1111]/x", "https://[2606:4700::1111]/x"),
        (RegistryPlace(registry="10.0.0.5:5000", plain_http=True), "http://10.0.0.5:5000/v2/x", "http://10.0.0.5:5000/blob", "http://10.0.0.5:5000/blob"),
        (RegistryPlace(registry="10.0.0.5:5000", plain_http=True, blob_hosts=frozenset({"10.0.0.6:9000"})), "http://10.0.0.5:5000/v2/x", "http://10.0.0.6:9000/x", "http://10.0.0.6:9000/x"),
        (RegistryPlace(registry="r.example.org", blob_hosts=frozenset({"10.0.0.6:9000"})), BLOB, "https://10.0.0.6:9000/x", "https://10.0.0.6:9000/x"),
    ],
)  # fmt: skip
def test_a_redirect_is_followed_to_where_blobs_are(place: RegistryPlace, url: str, location: str, target: str) -> None:
    assert redirected(place, url, location) == target


@pytest.mark.parametrize(
    "place, url, location",
    [
        (OUTSIDE, BLOB, "http://r.example.org/x"),
        (OUTSIDE, BLOB, "http://cdn.example.org/x"),
        (
            RegistryPlace(registry="r.example.org", plain_http=True),
            "https://cdn.example.org/x",
            "http://cdn.example.org/x",
        ),
        (OUTSIDE, BLOB, ""),
        (OUTSIDE, BLOB, "ftp://r.example.org/x"),
        (OUTSIDE, BLOB, "file:///etc/passwd"),
        (OUTSIDE, BLOB, "https://robot:pw@cdn.example.org/"),
        (OUTSIDE, BLOB, "https://cdn.example.org:99999/"),
        (OUTSIDE, BLOB, "https://[::1/"),
        (OUTSIDE, BLOB, "https://cdn.example.org/" + "x" * 20_000),
        (OUTSIDE, BLOB, "https://169.254.169.254/latest"),
        (OUTSIDE, BLOB, "https://[fd00:ec2::254]/latest"),
        (OUTSIDE, BLOB, "https://[::ffff:169.254.169.254]/latest"),
        (OUTSIDE, BLOB, "https://127.0.0.1/"),
        (OUTSIDE, BLOB, "https://[::1]/"),
        (OUTSIDE, BLOB, "https://0.0.0.0/"),
        (OUTSIDE, BLOB, "https://10.1.2.3/"),
        (OUTSIDE, BLOB, "https://100.64.0.1/"),
        (OUTSIDE, BLOB, "https://224.0.0.1/"),
        (OUTSIDE, BLOB, "https://localhost/"),
        (OUTSIDE, BLOB, "https://x.localhost./"),
        (OUTSIDE, BLOB, "https://2130706433/"),
        (OUTSIDE, BLOB, "https://127.1/"),
        (OUTSIDE, BLOB, "https://0x7f.0.0.1/"),
        (OUTSIDE, BLOB, "https://0177.0.0.1/"),
        (OUTSIDE, BLOB, "https://017700000001/"),
        (OUTSIDE, BLOB, "https://0xa9fea9fe/latest"),
        (OUTSIDE, BLOB, "https://[::ffff:127.0.0.1]/"),
        (OUTSIDE, BLOB, "https://[::ffff:a9fe:a9fe]/"),
        (OUTSIDE, BLOB, "https://[::127.0.0.1]/"),
        (OUTSIDE, BLOB, "https://[64:ff9b::a9fe:a9fe]/latest"),
        (OUTSIDE, BLOB, "https://[64:ff9b:1::7f00:1]/"),
        (OUTSIDE, BLOB, "https://[2002:7f00:1::]/"),
        (OUTSIDE, BLOB, "https://[2001:0:0:0:0:0:80ff:fffe]/"),
        (OUTSIDE, BLOB, "https://[fe80::1%25eth0]/"),
        (OUTSIDE, BLOB, "https://１２７.0.0.1/"),
        (OUTSIDE, BLOB, "https://127。0。0。1/"),
        (OUTSIDE, BLOB, "https://cdn.example.org\\@127.0.0.1/"),
        (OUTSIDE, BLOB, "https://cdn.example.org/a b"),
        (OUTSIDE, BLOB, "https://cdn.example.org/a\x00b"),
        (OUTSIDE, BLOB, "https://93.184.216.34:22/x"),
        (
            RegistryPlace(registry="10.0.0.5:5000", plain_http=True),
            "http://10.0.0.5:5000/v2/x",
            "http://10.0.0.6:9000/x",
        ),
        (
            RegistryPlace(registry="10.0.0.5:5000", plain_http=True),
            "http://10.0.0.5:5000/v2/x",
            "http://10.0.0.5:2375/containers/json",
        ),
        (RegistryPlace(registry="127.0.0.1:5000"), "http://127.0.0.1:5000/v2/x", "http://127.0.0.1:9000/x"),
        (RegistryPlace(registry="127.0.0.1:5000"), "http://127.0.0.1:5000/v2/x", "http://127.0.0.2:5000/x"),
        (RegistryPlace(registry="localhost:5000"), "http://localhost:5000/v2/x", "http://127.0.0.1:22/"),
        (
            RegistryPlace(registry="10.0.0.5:5000", plain_http=True),
            "http://10.0.0.5:5000/v2/x",
            "http://169.254.169.254/",
        ),
        (RegistryPlace(registry="10.0.0.5:5000", plain_http=True), "http://10.0.0.5:5000/v2/x", "http://127.0.0.1/"),
    ],
)
def test_a_redirect_is_refused_that_leads_inside_or_off_tls(place: RegistryPlace, url: str, location: str) -> None:
    with pytest.raises(RedirectRefused) as caught:
        redirected(place, url, location)
    assert caught.value.code == "registry-redirect"
    assert not caught.value.retryable


@pytest.mark.parametrize(
    "url, addresses, own, allowed",
    [
        ("https://cdn.example.org/", ["93.184.216.34"], ["93.184.216.35"], True),
        ("https://cdn.example.org/", ["93.184.216.34", "10.0.0.1"], ["93.184.216.35"], False),
        ("https://cdn.example.org/", [], ["93.184.216.35"], False),
        ("https://cdn.example.org/", ["10.0.0.1"], ["10.9.9.9"], False),
        ("https://cdn.example.org/", ["10.9.9.9"], ["10.9.9.9"], True),
        ("https://cdn.example.org:2375/", ["10.9.9.9"], ["10.9.9.9"], False),
        ("https://cdn.example.org:2375/", ["93.184.216.34"], ["93.184.216.35"], False),
        ("https://cdn.example.org/", ["169.254.169.254"], ["10.9.9.9"], False),
        ("https://cdn.example.org/", ["127.0.0.1"], ["10.9.9.9"], False),
        ("https://cdn.example.org/", ["10.0.0.1"], ["127.0.0.1"], False),
        ("https://cdn.example.org/", ["::ffff:127.0.0.1"], ["93.184.216.35"], False),
        ("https://cdn.example.org/", ["64:ff9b::a00:1"], ["93.184.216.35"], False),
        ("https://cdn.example.org/", ["fd00:ec2::254"], ["fd12::1"], False),
        ("https://cdn.example.org/", ["fe80::1%eth0"], ["93.184.216.35"], False),
    ],
)
def test_a_name_is_followed_by_the_addresses_and_the_port_it_has(
    url: str, addresses: list[str], own: list[str], allowed: bool
) -> None:
    if allowed:
        check_addresses(OUTSIDE, url, addresses, own)
        return
    with pytest.raises(RedirectRefused):
        check_addresses(OUTSIDE, url, addresses, own)


def test_a_host_that_the_settings_name_may_be_private() -> None:
    named = RegistryPlace(registry="r.example.org", blob_hosts=frozenset({"minio.example.org:9000"}))
    check_addresses(named, "https://minio.example.org:9000/x", ["10.0.0.1"], ["93.184.216.34"])


@pytest.mark.parametrize(
    "registry, path, url",
    [
        ("docker.io", "nginx", "https://registry-1.docker.io/library/nginx"),
        ("docker.io", "bitnami/nginx", "https://registry-1.docker.io/bitnami/nginx"),
        ("index.docker.io", "nginx", "https://registry-1.docker.io/library/nginx"),
        ("ghcr.io", "nginx", "https://ghcr.io/nginx"),
        ("127.0.0.1:5000", "nginx", "http://127.0.0.1:5000/nginx"),
    ],
)
def test_docker_hub_is_asked_where_it_is(registry: str, path: str, url: str) -> None:
    place = RegistryPlace(registry=registry)
    assert f"{place.origin}/{place.path(path)}" == url


@pytest.mark.parametrize(
    "url, own",
    [
        ("https://r.example.org/x", True),
        ("http://r.example.org/x", False),
        ("https://r.example.org:444/x", False),
        ("https://r.example.org.evil.example/x", False),
    ],
)
def test_credentials_belong_to_one_scheme_host_and_port(url: str, own: bool) -> None:
    assert same_origin(OUTSIDE, url) is own


@pytest.mark.parametrize(
    "address, kind",
    [("8.8.8.8", "public"), ("2606:4700::1", "public"), ("192.168.0.1", "private"), ("fd12::1", "private"),
     ("169.254.1.1", "link-local"), ("fe80::1", "link-local"), ("::", "loopback"), ("::ffff:10.0.0.1", "private")],
)  # fmt: skip
def test_an_address_has_a_kind(address: str, kind: str) -> None:
    assert kind_of(address) == kind


@pytest.mark.parametrize(
    "host, region",
    [
        ("123456789012.dkr.ecr.eu-central-1.amazonaws.com", "eu-central-1"),
        ("123456789012.dkr.ecr-fips.us-east-1.amazonaws.com", "us-east-1"),
        ("123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn", "cn-north-1"),
        ("123456789012.dkr-ecr.eu-central-1.on.aws", "eu-central-1"),
        ("123456789012.dkr.ecr.eu-central-1.amazonaws.com.evil.example", None),
        ("public.ecr.aws", None),
    ],
)
def test_ecr_is_known_by_its_host(host: str, region: str | None) -> None:
    assert ecr_region(host) == region


LIST = "https://r.example.org/v2/a/referrers/sha256:1"


@pytest.mark.parametrize(
    "link, following",
    [
        ("", ""),
        (
            '</v2/a/referrers/sha256:1?last=x&n=50>; rel="next"',
            "https://r.example.org/v2/a/referrers/sha256:1?last=x&n=50",
        ),
        ("</v2/x?n=1>;rel=next", "https://r.example.org/v2/x?n=1"),
        ('<https://r.example.org/v2/x>; title="a, b"; rel="prefetch next"', "https://r.example.org/v2/x"),
        ('</v2/before>; rel="prev", </v2/after>; rel="next"', "https://r.example.org/v2/after"),
        ('</v2/x>; rel="nextmost"', ""),
        ('<https://elsewhere.example.com/v2/x>; rel="next"', ""),
        (f'<{LIST}>; rel="next"', ""),
        ("no link", ""),
    ],
)
def test_a_list_continues_at_its_link_and_at_the_registry_only(link: str, following: str) -> None:
    assert next_page(OUTSIDE, LIST, link) == following
