"""The program with a real Git server, GitHub's and Jira's APIs: the lineage of an instance ends at the approved ticket."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import aiohttp

from fakes.agent_client import AgentClient
from fakes.github_host import HEAD, GithubHost, review
from fakes.jira_host import JiraHost
from fakes.machine import Machine, scm
from fakes.signing_authority import SigningAuthority
from landscape.git_server import git_server
from landscape.images import sample_repository
from landscape.programs import Aggregator, aggregator

INSTANCE = "i-0123456789abcdef0"
SECONDS_MAX = 60.0


async def until_confirmed(server: Aggregator, *names: str) -> dict[str, Any]:
    """Return the links of the instance once those named are confirmed."""
    links: dict[str, Any] = {}
    try:
        async with asyncio.timeout(SECONDS_MAX):
            while {links.get(name, {}).get("state") for name in names} != {"confirmed"}:
                lineage = await server.get("/v1/trace", instance=INSTANCE)
                links = {link["link"]: link for link in lineage["links"]}
    except TimeoutError:
        raise AssertionError({name: links.get(name) for name in names}) from None
    return links


async def test_a_running_instance_is_traced_to_its_approved_review_and_ticket(
    tmp_path: Path, authority: SigningAuthority
) -> None:
    (tmp_path / "git" / "demo").mkdir(parents=True)
    _, commits = await sample_repository(tmp_path / "git" / "demo")
    (tmp_path / "github").write_text("t1")
    (tmp_path / "jira").write_text("robot@example.org:t1")
    github = GithubHost(repository="demo/greeter", authorization=("Authorization", "Bearer t1"))
    github.pull(merge=commits[1], reviews=(review("bob"),), branch="feature/DEMO-2")
    jira = JiraHost()
    jira.issue("DEMO-2", status="Ready")
    async with git_server(tmp_path / "git") as git, github.serve(), jira.serve():
        trackers = {
            git: {"type": "github", "shared": True, "url": github.url, "login_file": str(tmp_path / "github"), "private_addresses": True},
            "jira.example.org": {
                "type": "jira-cloud", "shared": True, "url": jira.url, "login_file": str(tmp_path / "jira"), "private_addresses": True,
                "approved_states": ["ready"],
            },
        }  # fmt: skip
        pem = {"eu-central-1": authority.pem}
        async with (
            aggregator(tmp_path, tmp_path, authority_pem=pem, git_servers=(git,), trackers=trackers) as server,
            aiohttp.ClientSession() as session,
        ):
            machine, client = Machine(authority), AgentClient(session, server.url)
            await client.enrol(machine)
            url = f"http://{git}/demo/greeter"
            await client.say(machine, scm_source=scm(url=url, revision=commits[1]))
            links = await until_confirmed(server, "review", "ticket", "specification")
            _, picture = await server.whence("trace", INSTANCE)
    (shown,) = links["ticket"]["value"]["tickets"]
    assert (shown["id"], shown["title"], shown["approved"], shown["review"], shown["host"]) == (
        "DEMO-2", "Let customers pay", True, 12, "jira.example.org",
    )  # fmt: skip
    assert links["review"]["value"]["reviews"][0]["head"] == HEAD
    assert "by ada, approved by bob" in picture
    assert "Let customers pay [Ready]" in picture
    assert {one.headers["Authorization"] for one in github.asked} == {"Bearer t1"}
