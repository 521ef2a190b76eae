"""dpkg's status file is read whole or refused with the line; what is not on the disk is not installed."""

from __future__ import annotations

import io
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from whence_common.installed_packages import (
    PACKAGES_MAX,
    STATUS_BYTES_MAX,
    InstalledPackage,
    StatusInvalid,
    packages_digest,
    parse_status,
)

OPENSSL = b"Package: openssl\nStatus: install ok installed\nArchitecture: amd64\nVersion: 3.0.16-1~deb12u1\n"


def parsed(content: bytes) -> list[InstalledPackage]:
    return parse_status(io.BytesIO(content))


def refused(content: bytes) -> str:
    with pytest.raises(StatusInvalid) as caught:
        parsed(content)
    return caught.value.message


def test_this_machines_packages_are_those_that_dpkg_query_lists() -> None:
    form = "${Package} ${Architecture} ${Version} ${db:Status-Status}\n"
    listed = subprocess.check_output(["dpkg-query", "--show", f"--showformat={form}"], text=True)
    expected = [line.split() for line in listed.splitlines()]
    on_disk = sorted(InstalledPackage(*one[:3]) for one in expected if one[3] not in ("not-installed", "config-files"))
    with Path("/var/lib/dpkg/status").open("rb") as stream:
        assert parse_status(stream) == on_disk
    assert len(on_disk) > 50


def test_descriptions_and_other_fields_are_not_read() -> None:
    content = OPENSSL + b"Description: the library\n Version: 9\n\tPackage: other\nConffiles:\n /etc/ssl abc\n"
    assert parsed(content) == [InstalledPackage("openssl", "amd64", "3.0.16-1~deb12u1")]


def test_one_package_of_two_architectures_is_two_packages() -> None:
    both = OPENSSL + b"\n" + OPENSSL.replace(b"amd64", b"i386")
    assert [one.architecture for one in parsed(both)] == ["amd64", "i386"]


@pytest.mark.parametrize("state", ["config-files", "not-installed"])
def test_a_removed_package_is_not_installed(state: str) -> None:
    assert parsed(OPENSSL.replace(b"ok installed", f"ok {state}".encode())) == []


@pytest.mark.parametrize("state", ["half-installed", "unpacked", "half-configured", "triggers-pending"])
def test_a_package_that_is_partly_on_the_disk_counts_as_installed(state: str) -> None:
    assert len(parsed(OPENSSL.replace(b"ok installed", f"ok {state}".encode()))) == 1


def test_no_package_is_no_error() -> None:
    assert parsed(b"\n\n\n") == []


def test_a_package_that_is_listed_twice_is_refused_with_its_line() -> None:
    assert refused(OPENSSL + b"\n" + OPENSSL) == "line 6: openssl:amd64 is listed twice"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        (b"Package: openssl", b"Package: ../openssl"),
        (b"Package: openssl", b"Package: \xff\xfe"),
        (b"Package: openssl", b"Package:"),
        (b"Architecture: amd64", b"Architecture: AMD 64"),
        (b"Version: 3.0.16-1~deb12u1", b"Version: 3 0"),
        (b"Version: 3.0.16-1~deb12u1", b"Version: \xe9"),
        (b"Version: 3.0.16-1~deb12u1", b"Versio: 1"),
    ],
)
def test_a_malformed_field_is_refused_with_its_line(field: bytes, value: bytes) -> None:
    assert refused(b"\n" + OPENSSL.replace(field, value)).startswith("line 2: the stanza has no well-formed Package")


def test_a_field_that_is_repeated_in_a_stanza_is_refused() -> None:
    assert refused(OPENSSL + b"Version: 9\n") == "line 5: Version is repeated"


def test_a_version_that_is_not_one_is_stated_as_it_is() -> None:
    assert parsed(OPENSSL.replace(b"3.0.16-1~deb12u1", b"latest"))[0].version == "latest"


def test_an_endless_line_and_an_endless_file_are_refused() -> None:
    assert "line is too long" in refused(OPENSSL + b"Description: " + b"x" * (1024 * 1024 + 1))

    def endless() -> Iterator[bytes]:
        for _ in range(STATUS_BYTES_MAX // (64 * 1024) + 2):
            yield b"Description: " + b"x" * (64 * 1024) + b"\n"

    with pytest.raises(StatusInvalid, match=f"larger than {STATUS_BYTES_MAX} bytes"):
        parse_status(endless())


def test_too_many_packages_are_refused() -> None:
    many = b"\n".join(OPENSSL.replace(b"openssl", b"p%d" % number) for number in range(PACKAGES_MAX + 1))
    assert refused(many) == f"more than {PACKAGES_MAX} packages are installed"


def test_the_digest_of_packages_does_not_depend_on_their_order() -> None:
    one, other = InstalledPackage("a", "all", "1"), InstalledPackage("b", "amd64", "2")
    expected = "sha256:c01ef964a5b526595e73c784650b708670632618dbfff01778e577f3d1b0bfe1"
    assert packages_digest([one, other]) == packages_digest([other, one])
    assert packages_digest([one, other]) == expected
