"""How the command and the console show what an AMI consists of, and what differs on the machine."""

from __future__ import annotations

from typing import Any

import pytest

from whence_aggregator.console.link_pairs import pairs
from whence_aggregator.whence.picture import value_text

STATEMENT = {
    "digest": "sha256:" + "1" * 64, "name": "whence-1.2", "packages": 412, "commit": "5a" * 20,
    "repository": "https://git.example.org/demo/image", "builder_id": "https://ci.example.org/images",
}  # fmt: skip
MACHINE = {"statement_digest": "sha256:" + "1" * 64, "packages_digest": None, "differing": 0, "unread": None}


def link(**value: Any) -> dict[str, Any]:
    return {"link": "ami", "state": "confirmed", "value": {"image_id": "ami-12c6146b", **value}, "evidence": []}


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ({}, "ami-12c6146b"),
        ({"statement": STATEMENT}, "ami-12c6146b  whence-1.2, 412 packages, 5a5a5a5a5a5a"),
        ({"statement": {**STATEMENT, "commit": None}}, "ami-12c6146b  whence-1.2, 412 packages, no commit"),
        ({"machine": MACHINE}, "ami-12c6146b"),
        ({"machine": {**MACHINE, "differing": 3}}, "ami-12c6146b  3 packages differ on the machine"),
        ({"machine": {**MACHINE, "unread": "line 7"}}, "ami-12c6146b  packages not read: line 7"),
        ({"statements": [STATEMENT, STATEMENT]}, "ami-12c6146b"),
    ],
)
def test_the_command_shows_the_statement_in_the_line_of_the_ami(value: dict[str, Any], shown: str) -> None:
    assert value_text(link(**value)) == shown


def named(**value: Any) -> dict[str, str]:
    return {one.name: one.value for one in pairs("ami", {"ami": link(**value)})}


def test_the_console_shows_commit_builder_and_packages() -> None:
    assert named(statement=STATEMENT, machine={**MACHINE, "differing": 3}) == {
        "AMI": "ami-12c6146b", "Statement": "sha256:" + "1" * 64, "Commit": "5a" * 20,
        "Builder": "https://ci.example.org/images", "Packages": "412", "Packages of the machine": "3 differ from the image",
    }  # fmt: skip


def test_the_console_shows_why_packages_were_not_read() -> None:
    assert named(machine={**MACHINE, "unread": "line 7"})["Packages of the machine"] == "line 7"
    assert named() == {"AMI": "ami-12c6146b"}


def test_the_console_shows_what_an_ami_was_copied_from() -> None:
    source = {"region": "us-east-1", "image_id": "ami-0123456789abcdef0"}
    (found,) = [one for one in pairs("ami", {"ami": link(copied_from=source)}) if one.name == "Copied from"]
    assert (found.value, found.note, found.path) == (
        "ami-0123456789abcdef0", "us-east-1", "/amis/ami-0123456789abcdef0"
    )  # fmt: skip
