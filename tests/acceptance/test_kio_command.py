"""The `kio` command, unmodified, against our application registry."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from fakes.signing_authority import SigningAuthority
from landscape.processes import ended
from landscape.programs import BIN, aggregator
from landscape.whole import ROOT
from whence_aggregator.callers.tokens import new_token
from whence_common.clock import utc_now

CLIENTS = ROOT / ".venv-clients"
KIO = CLIENTS / "bin" / "kio"
WITH_VERSIONS = (CLIENTS / "bin" / "python", "-W", "ignore", ROOT / "tests" / "clients" / "kio_with_versions.py")
"""A release beside the newest."""


class Kio:
    """The command with its own configuration: an aggregator's URL, and a token by the environment."""

    def __init__(self, url: str, token: str, home: Path, command: tuple[Path | str, ...] = (KIO,)) -> None:
        self.url, self.token, self._command = url, token, command
        self._environment = {
            **os.environ, "KIO_URL": url, "OAUTH2_ACCESS_TOKENS": f"kio={token}", "HOME": str(home),
            "PYTHONPATH": str(CLIENTS / "kio-with-versions") if self._command is WITH_VERSIONS else "",
            "XDG_CONFIG_HOME": str(home / ".config"), "LC_ALL": "C.UTF-8", "COLUMNS": "300",
        }  # fmt: skip

    async def run(self, *arguments: str) -> tuple[int, str]:
        process = await asyncio.create_subprocess_exec(
            *self._command, *arguments, env=self._environment, stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        output, _ = await process.communicate()
        return process.returncode or 0, output.decode("utf-8", "replace")

    async def rows(self, *arguments: str) -> list[dict[str, str]]:
        """Run a command that prints a table, and return its rows: the notice of versions' end follows them."""
        code, said = await self.run(*arguments, "-o", "json")
        assert code == 0, said
        found: list[dict[str, str]] = json.JSONDecoder().raw_decode(said)[0]
        return found

    async def shown(self, application_id: str) -> dict[str, object]:
        code, said = await self.run("applications", "show", application_id, "-o", "json")
        assert code == 0, said
        return {row["key"]: row["value"] for row in json.loads(said)}


async def ours(url: str, token: str, *arguments: str) -> tuple[int, str]:
    """Run `whence`."""
    done = await ended(BIN / "whence", *arguments, environment={"WHENCE_URL": url, "WHENCE_TOKEN": token}, merged=True)
    return done.code, done.out


@pytest.fixture
async def kio(tmp_path: Path, authority: SigningAuthority) -> AsyncIterator[Kio]:
    async with aggregator(tmp_path, tmp_path, authority_pem={"eu-central-1": authority.pem}) as server:
        yield Kio(server.url, server.token, tmp_path)


async def test_kio_creates_updates_shows_and_lists_applications(kio: Kio) -> None:
    code, said = await kio.run(
        "applications", "create", "greeter", "name=Greeter", "team_id=hello", "criticality_level=2"
    )
    assert (code, "OK" in said) == (0, True), said
    code, said = await kio.run("applications", "create", "greeter", "name=Greeter", "team_id=hello")
    assert (code, "already exists" in said) == (2, True), said
    code, said = await kio.run("applications", "create", "retired", "name=Retired", "team_id=other")
    assert code == 0, said
    code, said = await kio.run(
        "applications", "update", "greeter", "scm_url=https://git.example.org/hello/greeter.git",
        "incident_contact=+49 30 1", "publicly_accessible=true",
    )  # fmt: skip
    assert (code, "OK" in said) == (0, True), said
    shown = await kio.shown("greeter")
    assert (shown["team_id"], shown["criticality_level"], shown["required_approvers"]) == ("hello", 2, 2)
    assert (shown["scm_url"], shown["publicly_accessible"]) == ("https://git.example.org/hello/greeter.git", True)
    code, said = await kio.run("applications", "update", "retired", "active=false")
    assert code == 0, said
    for options, ids in (
        ((), ["greeter"]),
        (("--all",), ["greeter", "retired"]),
        (("--team", "other", "--all"), ["retired"]),
        (("--incident-contact", "+49 30 1"), ["greeter"]),
        (("--since", "1d"), ["greeter"]),
    ):
        code, said = await kio.run("applications", "list", "-o", "json", *options)
        assert (code, [row["id"] for row in json.loads(said)]) == (0, ids), (options, said)
    code, said = await kio.run("applications", "show", "nowhere")
    assert (code, "404" in said) == (1, True), said
    code, said = await kio.run("applications", "update", "greeter", "criticality_level=9")
    assert (code, "400" in said) == (1, True), said


FIELDS = {
    "name": "Greeter", "team_id": "hello", "subtitle": "Greets", "description": "Greets **everybody**",
    "service_url": "https://greeter.example.org", "scm_url": "https://git.example.org/hello/greeter.git",
    "documentation_url": "https://docs.example.org", "specification_url": "https://tickets.example.org",
    "specification_type": "jira", "support_url": "https://support.example.org", "criticality_level": "1",
    "incident_contact": "+49 30 1", "publicly_accessible": "true", "required_approvers": "2",
}  # fmt: skip


async def test_every_field_is_created_shown_and_updated(kio: Kio) -> None:
    code, said = await kio.run("app", "create", "greeter", *(f"{name}={value}" for name, value in FIELDS.items()))
    assert (code, "OK" in said) == (0, True), said
    shown = await kio.shown("greeter")
    assert {name: shown[name] for name in FIELDS} == {
        **FIELDS, "criticality_level": 1, "publicly_accessible": True, "required_approvers": 1,
    }  # fmt: skip
    code, said = await kio.run(
        "app", "update", "greeter", "subtitle=Hello", "publicly_accessible=no", "criticality_level=4"
    )
    assert (code, "OK" in said) == (0, True), said
    shown = await kio.shown("greeter")
    assert (shown["subtitle"], shown["publicly_accessible"], shown["required_approvers"]) == ("Hello", False, 2)
    assert (shown["description"], shown["active"]) == (FIELDS["description"], True)
    for output in ("text", "json", "tsv"):
        for arguments in (("app", "show", "greeter"), ("app", "list"), ("app", "list", "--all", "-t", "hello")):
            code, said = await kio.run(*arguments, "-o", output)
            assert (code, "greeter" in said, "Traceback" in said) == (0, True, False), (arguments, output, said)
    for options in (("-s", "1h"), ("--since", "7d"), ("-t", "hello"), ("-a",), ("--incident-contact", "+49 30 1")):
        code, said = await kio.run("app", "list", "-o", "json", *options)
        assert (code, [row["id"] for row in json.loads(said)]) == (0, ["greeter"]), (options, said)
    code, said = await kio.run("app", "list", "-o", "json", "-t", "nobody")
    assert (code, json.loads(said)) == (0, [])


async def test_what_kio_sends_wrong_is_a_400_that_it_shows(kio: Kio) -> None:
    for arguments in (
        ("create", "Greeter", "name=x", "team_id=hello"), ("create", "greeter", "name=x", "team_id=hello", "colour=red"),
        ("create", "greeter", "name=x", "team_id=hello", "criticality_level=none"),
    ):  # fmt: skip
        code, said = await kio.run("app", *arguments)
        assert (code != 0, "400" in said or "already exists" in said) == (True, True), (arguments, said)
    assert json.loads((await kio.run("app", "list", "--all", "-o", "json"))[1]) == []


async def test_the_last_kio_command_with_versions_creates_approves_shows_and_lists_them(
    tmp_path: Path, authority: SigningAuthority
) -> None:
    """stups-kio 0.1.18: the releases after it dropped `kio versions`."""
    (tmp_path / "lone").mkdir()
    people = {}
    with (tmp_path / "lone" / "tokens").open("w", encoding="ascii") as tokens:
        for name in ("ada", "bob"):
            until = utc_now() + timedelta(days=1)
            people[name], line = new_token(
                name, ["hello"], admin=False, made=utc_now(), until=until, rights=["person"]
            )  # fmt: skip
            tokens.write(f"{line.to_line()}\n")
    async with aggregator(
        tmp_path, tmp_path, name="lone", authority_pem={"eu-central-1": authority.pem}, approvals={}
    ) as server:  # fmt: skip
        newest = Kio(server.url, server.token, tmp_path)
        code, said = await newest.run("versions", "list", "greeter")
        assert (code, "No such command" in said) == (2, True), said
        code, said = await newest.run("applications", "create", "greeter", "name=Greeter", "team_id=hello")
        assert code == 0, said
        ada, bob = (Kio(server.url, people[name], tmp_path, WITH_VERSIONS) for name in ("ada", "bob"))
        artifact = f"docker://registry.example.org/hello/greeter@sha256:{'d' * 64}"
        code, said = await ada.run("versions", "create", "greeter", "1.0", artifact, "-m", "first")
        assert (code, "OK" in said) == (0, True), said
        for _ in range(2):
            code, said = await ada.run("versions", "approve", "greeter", "1.0")
            assert (code, said.count("OK")) == (0, 4), said
        code, said = await bob.run("versions", "approve", "greeter", "1.0", "-t", "TEST,DEPLOY", "-m", "tested")
        assert (code, said.count("OK")) == (0, 2), said
        (listed,) = await ada.rows("versions", "list", "greeter")
        assert (listed["id"], listed["artifact"]) == ("1.0", artifact)
        assert listed["approvals"] == ", ".join(
            ["SPECIFICATION: ada", "CODE_CHANGE: ada", "TEST: ada", "DEPLOY: ada", "TEST: bob", "DEPLOY: bob"]
        )
        shown = await ada.rows("versions", "show", "greeter", "1.0")
        assert {"key": "notes", "value": "first"} in shown
        approvals = [row["value"] for row in shown if row["key"] == "approvals"]
        assert [one.split(" on ")[0] for one in approvals][-2:] == ["TEST by bob", "DEPLOY by bob"]
        code, said = await ours(server.url, people["bob"], "approve", "greeter", "1.0", "--type", "DEPLOY", "--yes")
        assert (code, "approved  DEPLOY by bob" in said) == (0, True), said
        code, said = await ours(server.url, server.token, "approve", "greeter", "1.0", "--type", "DEPLOY", "--yes")
        assert (code, "only people approve" in said) == (3, True), said
        code, said = await ada.run("versions", "approve", "greeter", "2.0")
        assert (code, "404" in said) == (1, True), said
