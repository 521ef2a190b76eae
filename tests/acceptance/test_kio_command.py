"""The `kio` command, unmodified, against our application registry."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from fakes.signing_authority import SigningAuthority
from landscape.contract import checked_session
from landscape.programs import aggregator
from landscape.whole import ROOT

KIO = ROOT / ".venv-clients" / "bin" / "kio"


class Kio:
    """The command with its own configuration: an aggregator's URL, and a token by the environment."""

    def __init__(self, url: str, token: str, home: Path) -> None:
        self.url, self.token = url, token
        self._environment = {
            **os.environ, "KIO_URL": url, "OAUTH2_ACCESS_TOKENS": f"kio={token}", "HOME": str(home),
            "XDG_CONFIG_HOME": str(home / ".config"), "LC_ALL": "C.UTF-8", "COLUMNS": "300",
        }  # fmt: skip

    async def run(self, *arguments: str) -> tuple[int, str]:
        import asyncio

        process = await asyncio.create_subprocess_exec(
            KIO, *arguments, env=self._environment, stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        output, _ = await process.communicate()
        return process.returncode or 0, output.decode("utf-8", "replace")

    async def shown(self, application_id: str) -> dict[str, object]:
        code, said = await self.run("applications", "show", application_id, "-o", "json")
        assert code == 0, said
        return {row["key"]: row["value"] for row in json.loads(said)}


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


async def test_versions_and_approvals_of_older_kio_commands_are_refused_by_name(kio: Kio) -> None:
    """kio 0.1.26 has no such commands; its predecessors asked these paths."""
    code, said = await kio.run("versions", "list", "greeter")
    assert (code, "No such command" in said) == (2, True), said
    async with (
        checked_session(kio.url, headers={"Authorization": f"Bearer {kio.token}"}) as session,
        session.get(f"{kio.url}/apps/greeter/versions") as answer,
    ):
        assert (answer.status, (await answer.json(content_type=None))["code"]) == (501, "not-served")
