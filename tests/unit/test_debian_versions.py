"""The order of Debian versions is dpkg's own, and what dpkg refuses is not compared."""

from __future__ import annotations

import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from landscape.endurance import repeated
from whence_common.debian_version import compare_debian_versions, is_debian_version

_PARTS = st.text(alphabet="09~ab+.Z", max_size=6)
VERSIONS = st.builds(
    lambda epoch, upstream, revision: f"{epoch}1{upstream}{revision}",
    st.sampled_from(["", "0:", "1:", "2:"]), _PARTS,
    st.one_of(st.just(""), _PARTS.filter(bool).map("-{}".format)),
)  # fmt: skip


def dpkg(one: str, relation: str, other: str) -> bool:
    return subprocess.run(["dpkg", "--compare-versions", one, relation, other], check=False).returncode == 0


@settings(max_examples=repeated(sample=60, whole=20_000), deadline=None)
@given(VERSIONS, VERSIONS)
def test_two_versions_are_in_the_order_that_dpkg_gives_them(one: str, other: str) -> None:
    assert is_debian_version(one)
    assert is_debian_version(other)
    order = compare_debian_versions(one, other)
    relation = "lt" if order < 0 else "gt" if order > 0 else "eq"
    assert dpkg(one, relation, other)


@pytest.mark.parametrize(
    ("older", "newer"),
    [
        ("3.0.16-1~deb12u1", "3.0.16-1"),
        ("3.0.9-1", "3.0.17-1~deb12u1"),
        ("9.9.9", "1:0.1"),
        ("1.0~rc1", "1.0"),
        ("1.0~~", "1.0~"),
        ("1.0", "1.0+b1"),
        ("1.0a", "1.0+"),
        ("1.0-1", "1.0-1.1"),
        ("1.2.3-4", "1.2.3-4-1"),
        ("1.0", "1.0-0a"),
    ],
)
def test_an_older_version_is_before_a_newer_one(older: str, newer: str) -> None:
    assert compare_debian_versions(older, newer) < 0
    assert compare_debian_versions(newer, older) > 0
    assert dpkg(older, "lt", newer)


@pytest.mark.parametrize(("one", "other"), [("1.0", "0:1.0"), ("1.0", "1.0-0"), ("1.00", "1.0"), ("1.0-1", "1.0-01")])
def test_versions_may_be_equal_and_written_differently(one: str, other: str) -> None:
    assert compare_debian_versions(one, other) == 0
    assert dpkg(one, "eq", other)


@pytest.mark.parametrize(
    "text",
    ["", "latest", "v1.0", ":1.0", "1:", "a:1.0", "-1:1.0", "1.0-", "1.0 ", "1.0\n", "1_0", "1.0-1_2", "1٠", "1" * 257, "9" * 10 + ":1"],
)  # fmt: skip
def test_a_text_that_dpkg_does_not_accept_is_not_a_version(text: str) -> None:
    assert not is_debian_version(text)
