"""A commit object as the value of a fact: what its author may write, and what becomes of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from whence_aggregator.collect.commit_object import commit_value, form_of
from whence_aggregator.ports_commits import CommitObject
from whence_aggregator.trace.commit_details import is_signer

DATA = Path(__file__).parent.parent / "data"
PLAIN = (
    b"tree " + b"4" * 40 + b"\nparent " + b"a" * 40 + b"\nauthor Ada L <ada@example.org> 1763800000 +0100\n"
    b"committer B <b@c> 1763800001 -0500\ngpgsig -----BEGIN SSH SIGNATURE-----\n more\n\nSubject line\n\nBody\n\nFixes: #7\n"
)


def value_of(content: bytes, **more: object) -> dict[str, object]:
    return commit_value(CommitObject(content=content, **more))  # type: ignore[arg-type]  # members by their names


def test_a_commit_object_is_read_as_the_golden_file_has_it() -> None:
    found = value_of(PLAIN, trailers=(("Fixes", "#7"), ("Signed-off-by", "Ada L <ada@example.org>")))
    assert found == json.loads((DATA / "commit-v2.json").read_bytes())


@pytest.mark.parametrize(
    "content", [b"", b"\n\n", b"author x\n\n", b"committer A <a> 99999999999999999999 +0\n\nx", b"\xff" * 50,
                b"encoding rot13\ncommitter A <a> 1 +0\n\nx", b"encoding utf-7\n\n+AD4-", b"gpgsig\n\n", b" \n \n\n"]
)  # fmt: skip
def test_a_hostile_commit_object_does_no_harm(content: bytes) -> None:
    found = value_of(content)
    assert found["committed_at"] in ("", "1970-01-01T00:00:01.000Z")
    assert found["signature_form"] == "none"


def test_a_message_of_ten_megabytes_is_cut_and_says_so() -> None:
    found = value_of(b"tree x\n\n" + b"a" * 10_000_000)
    assert (len(str(found["message"])), found["message_cut"]) == (65_536, True)
    assert value_of(b"tree x\n\nshort", whole=False)["message_cut"] is True
    assert value_of(b"tree x\n\nshort")["message_cut"] is False


def test_a_commit_in_an_old_encoding_is_read_in_it() -> None:
    content = "author Jürgen <j@x> 1 +0000\nencoding ISO-8859-1\n\nÄndern".encode("latin-1")
    found = value_of(content)
    assert (found["author_name"], found["subject"]) == ("Jürgen", "Ändern")


def test_many_parents_are_counted_and_the_first_hundred_kept() -> None:
    content = b"".join(b"parent %040x\n" % one for one in range(5_000)) + b"\nx"
    found = value_of(content)
    assert (len(found["parents"]), found["parents_total"]) == (100, 5_000)  # type: ignore[arg-type]  # a list


def test_a_message_cannot_pretend_to_be_a_header() -> None:
    found = value_of(b"tree x\n\nauthor Eve <eve@x> 1 +0000\ngpgsig -----BEGIN PGP SIGNATURE-----\n\nx")
    assert (found["author"], found["signature_form"]) == ("", "none")


@pytest.mark.parametrize(
    "start, form",
    [
        (b"-----BEGIN SSH SIGNATURE-----", "ssh"), (b"-----BEGIN PGP SIGNATURE-----", "openpgp"),
        (b"-----BEGIN PGP MESSAGE-----", "openpgp"), (b"-----BEGIN SIGNED MESSAGE-----", "x509"), (b"hello", "other"),
    ],
)  # fmt: skip
def test_the_form_of_a_signature_is_that_of_its_armour(start: bytes, form: str) -> None:
    assert form_of(b"tree x\ngpgsig " + start + b"\n more\n\nx") == form
    assert form_of(b"tree x\ngpgsig-sha256 " + start + b"\n more\n\nx") == form


@pytest.mark.parametrize(
    "signer, mail, same",
    [
        ("ada@example.org", "ada@example.org", True), ("ada@example.org", "ADA@example.org", True),
        ("b@example.org,ada@example.org", "ada@example.org", True), ("*@example.org", "ada@example.org", True),
        ("Ada <ada@example.org>", "ada@example.org", True), ("GitHub <noreply@github.com>", "noreply@github.com", True),
        ("bob@example.org", "ada@example.org", False), ("ada@example.org", "", False), ("", "ada@example.org", False),
        ("ada@example.org <eve@evil.org>", "ada@example.org", False), ("*@example.org", "eve@evil.org", False),
    ],
)  # fmt: skip
def test_a_signer_is_compared_with_the_committer(signer: str, mail: str, same: bool) -> None:
    assert is_signer(signer, mail) is same
