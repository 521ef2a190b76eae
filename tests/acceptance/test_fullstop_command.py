"""The `fullstop` command, unmodified, against our violations: it lists types, lists violations, and resolves them."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from fakes.fullstop import ACCOUNT, report
from fakes.signing_authority import SigningAuthority
from landscape.programs import Aggregator, aggregator
from landscape.whole import ROOT
from whence_aggregator.callers.tokens import new_token
from whence_common.clock import utc_now

CLIENTS = ROOT / ".venv-clients"
COMMAND = (CLIENTS / "bin" / "python", "-W", "ignore", ROOT / "tests" / "clients" / "fullstop_command.py")


class Fullstop:
    """The command with its own configuration."""

    def __init__(self, server: Aggregator, home: Path) -> None:
        self.server = server
        configuration = home / ".config" / "fullstop" / "fullstop.yaml"
        configuration.parent.mkdir(parents=True)
        configuration.write_text(f"url: {server.url}\naccounts: '{ACCOUNT}'\n")
        self._environment = {
            **os.environ, "OAUTH2_ACCESS_TOKENS": f"fullstop={server.token}", "HOME": str(home),
            "XDG_CONFIG_HOME": str(home / ".config"), "LC_ALL": "C.UTF-8", "COLUMNS": "300", "TZ": "UTC",
        }  # fmt: skip

    async def run(self, *arguments: str) -> tuple[int, str]:
        process = await asyncio.create_subprocess_exec(
            *COMMAND, *arguments, env=self._environment, stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        output, _ = await process.communicate()
        return process.returncode or 0, output.decode("utf-8", "replace")

    async def rows(self, *arguments: str) -> list[dict[str, object]]:
        code, said = await self.run(*arguments, "-o", "json")
        assert code == 0, said
        found: list[dict[str, object]] = json.loads(said)
        return found

    async def events(self, *arguments: str) -> list[object]:
        """Return which of the reported violations are listed."""
        return [str(one["meta_info"])[-1] for one in await self.rows("list-violations", *arguments)]


@pytest.fixture
async def fullstop(tmp_path: Path, authority: SigningAuthority) -> AsyncIterator[Fullstop]:
    scanner, line = new_token(
        "scanner", [], admin=False, made=utc_now(), until=utc_now() + timedelta(days=1), rights=["findings"],
        accounts=["*"],
    )  # fmt: skip
    (tmp_path / "aggregator").mkdir()
    (tmp_path / "aggregator" / "tokens").write_text(f"{line.to_line()}\n", encoding="ascii")
    async with aggregator(tmp_path, tmp_path, authority_pem={"eu-central-1": authority.pem}) as server:
        await _reported(server, scanner)
        yield Fullstop(server, tmp_path)


async def _reported(server: Aggregator, token: str) -> None:
    """Report three violations."""
    of = (
        ("PASSWORD_USED", "greeter", "eu-central-1"), ("WRONG_AMI", "greeter", "eu-west-1"),
        ("PASSWORD_USED", "other", "eu-central-1"),
    )  # fmt: skip
    async with server.session() as session:
        for number, (kind, application, region) in enumerate(of):
            body = report(
                event_id=f"e-{number}", meta_info={"number": number}, violation_type=kind, region=region,
                application_id=application, application_version="1.0", instance_id=f"i-{number:017x}",
            )  # fmt: skip
            given = {"Authorization": f"Bearer {token}"}
            async with session.post(f"{server.url}/api/violations", json=body, headers=given) as answer:
                assert answer.status == 202, await answer.text()


async def test_fullstop_lists_the_types(fullstop: Fullstop) -> None:
    types = {str(one["id"]): one for one in await fullstop.rows("types")}
    assert len(types) >= 31
    assert types["UNSECURED_ROOT_USER"]["violation_severity"] == 4
    assert all(isinstance(one["created_time"], float) for one in types.values())
    code, said = await fullstop.run("types")
    assert (code, "WRONG_AMI" in said, "Traceback" in said) == (0, True, False), said


async def test_fullstop_lists_violations_by_its_filters(fullstop: Fullstop) -> None:
    for options, expected in (
        ((), ["0", "1", "2"]),
        (("--since", "1h"), ["0", "1", "2"]),
        (("-t", "PASSWORD_USED"), ["0", "2"]),
        (("--applications", "greeter"), ["0", "1"]),
        (("--applications", "greeter,other", "--application-versions", "1.0"), ["0", "1", "2"]),
        (("--application-versions", "2.0"), []),
        (("--region", "eu-west-1"), ["1"]),
        (("--severity", "4"), []),
        (("--accounts", "210987654321"), []),
        (("--limit", "1"), ["2"]),
        (("--meta", "number=1"), ["1"]),
    ):  # fmt: skip
        assert await fullstop.events(*options) == expected, options
    (one,) = await fullstop.rows("list-violations", "-t", "WRONG_AMI")
    assert (one["instance_id"], one["application_version_id"], one["region"]) == (f"i-{1:017x}", "1.0", "eu-west-1")
    assert isinstance(one["created_time"], float)


async def test_fullstop_resolves_violations_by_id_and_by_filter(fullstop: Fullstop) -> None:
    ids = {str(one["meta_info"])[-1]: str(one["id"]) for one in await fullstop.rows("list-violations")}
    code, said = await fullstop.run("resolve-violations", "-i", f"{ids['0']},{ids['1']}", "erledigt ✓")
    assert (code, said.count("OK")) == (0, 2), said
    assert await fullstop.events() == ["2"]
    comments = {str(one["id"]): one["comment"] for one in await fullstop.rows("list-violations", "--all")}
    assert comments == {ids["0"]: "erledigt ✓", ids["1"]: "erledigt ✓", ids["2"]: None}
    code, said = await fullstop.run("resolve-violations", "-t", "PASSWORD_USED", "old")
    assert (code, said.count("OK"), await fullstop.events()) == (0, 1, []), said
    code, said = await fullstop.run("resolve-violations", "-i", "999", "nothing")
    assert (code, "404" in said) == (1, True), said
