"""The running program judges by users' rules, lists them, and does not start with wrong ones."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import aiohttp

from fakes.agent_client import AgentClient
from fakes.machine import Machine
from fakes.signing_authority import SigningAuthority
from integration.test_operations import change, reloaded
from landscape.processes import ended
from landscape.programs import BIN, Aggregator, aggregator
from whence_aggregator.check.command import SETTINGS_WRONG
from whence_common.runtime.pause import pause

RULES = """\
rules:
- id: own-not-in-cellar
  title: The application is not the one in the cellar
  kind: instance
  severity: 4
  rationale: It is retired.
  remedy: Stop it.
  pass_when: machine.application_id != "greeter"
  reason: It is the one in the cellar.
  examples:
  - given: {machine: {application_id: other}}
    expect: pass
  - given: {machine: {application_id: greeter}}
    expect: fail
"""


def directory(tmp_path: Path, text: str = RULES) -> Path:
    found = tmp_path / "rules"
    found.mkdir(exist_ok=True)
    (found / "ours.yaml").write_text(text)
    return found


async def test_the_violation_of_a_users_rule_is_listed_and_the_rule_beside_the_built_in_ones(
    tmp_path: Path, authority: SigningAuthority
) -> None:
    async with (
        aggregator(
            tmp_path, tmp_path, authority_pem={"eu-central-1": authority.pem},
            own_rules_directory=str(directory(tmp_path)), rules_off={"drift": "noisy"},
        ) as server,
        aiohttp.ClientSession() as session,
    ):  # fmt: skip
        machine, client = Machine(authority), AgentClient(session, server.url)
        await client.enrol(machine)
        await client.say(machine)
        found: list[dict[str, Any]] = []
        async with asyncio.timeout(60):
            while not (found := (await server.get("/v1/violations", rule="own-not-in-cellar"))["violations"]):
                await pause(0.5)  # each address has its share of requests
        assert [(one["severity"], one["reason"], one["remedy"]) for one in found] == [
            (4, "It is the one in the cellar.", "Stop it.")
        ]
        rules = {one["id"]: one for one in (await server.get("/v1/rules"))["rules"]}
        shown = rules["own-not-in-cellar"]
        assert (shown["own"], shown["version"], shown["in_force"], shown["failing"]) == (True, 1, True, None)
        assert shown["digest"].startswith("sha256:")
        assert (rules["drift"]["in_force"], rules["drift"]["reason"]) == (False, "it is switched off: noisy")
        (index,) = {one["ledger_index"] for one in found}
        replay = await server.get(f"/v1/verdicts/{index}/replay")
        assert replay.get("same"), replay
        async with session.get(f"{server.url}/metrics") as answer:
            assert "whence_own_rules_failing 0" in await answer.text()
        await reloaded_and_judged(server, tmp_path)


async def reloaded_and_judged(server: Aggregator, tmp_path: Path) -> None:
    """Change the rule of a running server with a signal: wrongly, which changes nothing, then rightly."""
    directory(tmp_path, RULES.replace("!= ", "!! "))
    assert "reload refused" in (await reloaded(server))["event"]
    directory(tmp_path, RULES.replace("severity: 4", "severity: 1").replace("in the cellar.", "in the attic."))
    change(server.config, rules_off={})
    assert (await reloaded(server))["restart_needed_for"] == []
    async with asyncio.timeout(60):
        while (found := (await server.get("/v1/violations", rule="own-not-in-cellar"))["violations"]) and (
            found[0]["reason"] != "It is the one in the attic."
        ):
            await pause(0.5)
    assert [(one["severity"], one["reason"]) for one in found] == [(1, "It is the one in the attic.")]
    rules = {one["id"]: one for one in (await server.get("/v1/rules"))["rules"]}
    assert (rules["own-not-in-cellar"]["version"], rules["drift"]["reason"]) == (2, None)


async def test_the_program_does_not_start_with_a_wrong_rule_or_a_wrong_example(
    tmp_path: Path, authority: SigningAuthority
) -> None:
    async with aggregator(
        tmp_path, tmp_path, authority_pem={"eu-central-1": authority.pem},
        own_rules_directory=str(directory(tmp_path)),
    ) as server:  # fmt: skip
        config = server.config
    for text, words in (
        (RULES.replace("!= ", "!! "), "ours.yaml:8:"),
        (RULES.replace("application_id: greeter", "application_id: third"), "own-not-in-cellar, example 2"),
    ):
        directory(tmp_path, text)
        done = await ended(BIN / "whence-aggregator", "serve", "--config", config)
        assert done.code == SETTINGS_WRONG
        assert words in done.err
