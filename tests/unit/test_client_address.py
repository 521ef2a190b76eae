"""Where requests come from: what a peer says of others counts only when the peer is a trusted proxy."""

from __future__ import annotations

import asyncio
import socket

import pytest

from whence_aggregator.callers.trusted_proxies import ProxiesInvalid, TrustedProxies, limit_name
from whence_aggregator.http.proxy_protocol import ProxyHeaderInvalid, parse_v1, parse_v2, read_client

BALANCERS = TrustedProxies.parse(["10.0.0.0/16", "2001:db8:1::/48"])


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        ("10.0.0.7", ["192.0.2.1"], "192.0.2.1"),
        ("10.0.0.7", ["203.0.113.9, 192.0.2.1"], "192.0.2.1"),
        ("10.0.0.7", ["203.0.113.9", "192.0.2.1"], "192.0.2.1"),
        ("10.0.0.7", ["192.0.2.1, 10.0.3.4"], "192.0.2.1"),
        ("10.0.0.7", ["192.0.2.1:40000"], "192.0.2.1"),
        ("10.0.0.7", ["[2001:db8::7]:40000"], "2001:db8::7"),
        ("10.0.0.7", ["2001:db8::7"], "2001:db8::7"),
        ("2001:db8:1::5", ["192.0.2.1"], "192.0.2.1"),
        ("::ffff:10.0.0.7", ["192.0.2.1"], "192.0.2.1"),
        ("10.0.0.7", ["::ffff:192.0.2.1"], "192.0.2.1"),
        ("10.0.0.7", ["10.0.1.1, 10.0.1.2"], "10.0.1.1"),
        ("10.0.0.7", [], "10.0.0.7"),
    ],
)
def test_the_right_most_hop_that_is_no_proxy_is_the_client(peer: str, forwarded: list[str], client: str) -> None:
    assert BALANCERS.client(peer, forwarded) == client


@pytest.mark.parametrize("peer", ["192.0.2.66", "10.1.0.1", "::ffff:192.0.2.66", "", "unix"])
def test_the_header_of_an_untrusted_peer_counts_for_nothing(peer: str) -> None:
    assert BALANCERS.client(peer, ["203.0.113.9"]) == peer


@pytest.mark.parametrize(
    "hop", ["unknown", "", "a" * 200, "192.0.2.1 ", "192.0.2.999", "_hidden", "[2001:db8::7", "\x00"]
)
def test_a_hop_that_cannot_be_read_ends_at_the_proxy_that_wrote_it(hop: str) -> None:
    expected = "192.0.2.1" if hop == "192.0.2.1 " else "10.0.3.4"
    assert BALANCERS.client("10.0.0.7", [f"203.0.113.9, {hop}, 10.0.3.4"]) == expected


def test_a_header_of_any_length_is_walked_from_the_right_and_not_to_its_end() -> None:
    assert BALANCERS.client("10.0.0.7", ["203.0.113.9," + "10.0.0.1," * 800 + "10.0.0.2"]) == "10.0.0.1"


def test_without_trusted_proxies_the_peer_is_the_client() -> None:
    assert TrustedProxies().client("127.0.0.1", ["203.0.113.9"]) == "127.0.0.1"


def test_the_header_counts_for_nothing_where_the_proxy_protocol_is_used() -> None:
    proxies = TrustedProxies.parse(["10.0.0.0/8"], "proxy-protocol")
    assert proxies.client("10.0.0.7", ["203.0.113.9"]) == "10.0.0.7"


@pytest.mark.parametrize("text", ["0.0.0.0/0", "::/0", "10.0.0.7/8", "balancer", ""])
def test_a_network_that_is_none_or_everybody_is_refused(text: str) -> None:
    with pytest.raises(ProxiesInvalid, match="trusted_proxies"):
        TrustedProxies.parse([text])


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff::", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
    ],
)
def test_limits_count_ipv6_by_its_network(address: str, name: str) -> None:
    assert limit_name(address) == name


@pytest.mark.parametrize(
    ("line", "client"),
    [
        (b"PROXY TCP4 192.0.2.7 192.0.2.1 40000 443\r\n", "192.0.2.7"),
        (b"PROXY TCP6 2001:db8::7 2001:db8::1 40000 443\r\n", "2001:db8::7"),
        (b"PROXY UNKNOWN\r\n", None),
        (b"PROXY UNKNOWN 192.0.2.7 192.0.2.1 40000 443\r\n", None),
    ],
)
def test_version_1_names_the_client(line: bytes, client: str | None) -> None:
    assert parse_v1(line) == client


@pytest.mark.parametrize(
    "line",
    [
        b"PROXY TCP4 192.0.2.7 192.0.2.1 40000\r\n",
        b"PROXY TCP4 2001:db8::7 2001:db8::1 40000 443\r\n",
        b"PROXY TCP4 192.0.2.7 192.0.2.1 99999 443\r\n",
        b"PROXY TCP5 192.0.2.7 192.0.2.1 40000 443\r\n",
        b"PROXY TCP4 192.0.2.7  192.0.2.1 40000 443\r\n",
        b"PROXY TCP4 192.0.2.7\x00 192.0.2.1 40000 443\r\n",
    ],
)
def test_a_malformed_line_of_version_1_is_refused(line: bytes) -> None:
    with pytest.raises(ProxyHeaderInvalid):
        parse_v1(line)


V4 = bytes([192, 0, 2, 7, 192, 0, 2, 1, 0x9C, 0x40, 0x01, 0xBB])
V6 = bytes.fromhex("20010db8000000000000000000000007" + "20010db8000000000000000000000001" + "9c4001bb")


@pytest.mark.parametrize(
    ("fixed", "rest", "client"),
    [
        (b"\x21\x11\x00\x0c", V4, "192.0.2.7"),
        (b"\x21\x11\x00\x14", V4 + b"\x04\x00\x05hello", "192.0.2.7"),
        (b"\x21\x21\x00\x24", V6, "2001:db8::7"),
        (b"\x20\x00\x00\x00", b"", None),
        (b"\x20\x11\x00\x0c", V4, None),
        (b"\x21\x31\x00\xd8", b"/" * 216, None),
    ],
)
def test_version_2_names_the_client(fixed: bytes, rest: bytes, client: str | None) -> None:
    assert parse_v2(fixed, rest) == client


@pytest.mark.parametrize(
    ("fixed", "rest"), [(b"\x11\x11\x00\x0c", V4), (b"\x22\x11\x00\x0c", V4), (b"\x21\x11\x00\x04", V4[:4])]
)
def test_a_malformed_header_of_version_2_is_refused(fixed: bytes, rest: bytes) -> None:
    with pytest.raises(ProxyHeaderInvalid):
        parse_v2(fixed, rest)


SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"


@pytest.mark.parametrize(
    ("header", "client"),
    [
        (b"PROXY TCP4 192.0.2.7 192.0.2.1 40000 443\r\n", "192.0.2.7"),
        (b"PROXY UNKNOWN\r\n", None),
        (SIGNATURE + b"\x21\x11\x00\x0c" + V4, "192.0.2.7"),
    ],
)
async def test_the_header_is_read_to_its_end_and_no_further(header: bytes, client: str | None) -> None:
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    with ours, theirs:
        theirs.sendall(header + b"\x16\x03\x01")
        assert await read_client(ours) == client
        assert ours.recv(100) == b"\x16\x03\x01"


@pytest.mark.parametrize(
    "sent",
    [
        b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"PROXY TCP4 " + b"1" * 200 + b"\r\n",
        SIGNATURE + b"\x21\x11\xff\xff" + V4,
        b"PROXY TCP4",
    ],
)
async def test_what_is_no_header_is_refused_within_its_bounds(sent: bytes) -> None:
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    with ours:
        theirs.sendall(sent)
        theirs.close()
        with pytest.raises(ProxyHeaderInvalid):
            await asyncio.wait_for(read_client(ours), 10.0)
