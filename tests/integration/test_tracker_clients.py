"""The fakes of GitLab, Gitea and Jira as clients of others read them, and Roundup, a tracker of others, read by a template."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from fakes import gitea_host, gitlab_host
from fakes.gitea_host import GiteaHost
from fakes.gitlab_host import GitlabHost, approval
from fakes.jira_host import JiraHost
from fakes.openid_provider import node
from fakes.outside import OutsideHost
from fakes.outside_client import outside_client
from whence_aggregator.ports import SourceUnavailable
from whence_aggregator.trackers.template import TemplateReader, TicketTemplate

CLIENTS = Path(__file__).parents[1] / "clients"
BIN = Path(__file__).parents[2] / ".venv-clients" / "bin"
CLIENT_SECONDS_MAX = 120.0
ROUNDUP = TicketTemplate(
    path="/rest/data/issue/{number}?@verbose=2", page_url="https://roundup.example.org/{ticket}",
    fields={"title": "data.attributes.title", "status": "data.attributes.status.name", "id": "data.id",
            "assignee": "data.attributes.assignedto.username", "type": "data.type"},
    closed_states=["resolved", "done-cbb"],
)  # fmt: skip


async def printed(*command: str | Path) -> bytes:
    """Run a client; return what it printed."""
    client = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    async with asyncio.timeout(CLIENT_SECONDS_MAX):
        output, errors = await client.communicate()
    assert client.returncode == 0, errors.decode()
    return output


async def read_by(script: str, *arguments: str) -> dict[str, Any]:
    """Run a client's script in Python; return what it printed."""
    found: dict[str, Any] = json.loads(await printed(BIN / "python", CLIENTS / script, *arguments))
    return found


async def test_python_gitlab_reads_the_fake_of_gitlab() -> None:
    host = GitlabHost()
    host.merge_request(approvals=(approval("bob"),))
    host.issue(7)
    host.protect(*(f"release/{number}" for number in range(25)), tags=("v*",))
    async with host.serve():
        assert await read_by("read_gitlab.py", host.url, "t1") == {
            "user": "robot", "project": 42, "iid": 12, "sha": gitlab_host.HEAD, "state": "merged",
            "protected": [f"release/{number}" for number in range(25)], "protected_tags": ["v*"],
            "approved_by": ["bob"], "resets": True, "heads": [gitlab_host.HEAD, "9" * 40],
            "issue": ["Let customers pay", "opened", "acme/shop/greeter#7"], "missing": "404",
        }  # fmt: skip


async def test_gitea_js_reads_the_fake_of_gitea() -> None:
    host = GiteaHost()
    host.pull(commits=(*("4" * 40 for _ in range(60)), gitea_host.HEAD), reviews=(gitea_host.review("bob"),))
    host.issue(7)
    host.branch("main", protected=True)
    host.branch("feature", protected=False)
    async with host.serve():
        found = json.loads(await printed(node(), str(CLIENTS / "read_gitea.js"), host.url, "t1"))
    assert found == {
        "repository": [42, "acme/greeter", "main"], "pull": [12, True, gitea_host.MERGE, gitea_host.HEAD, "ada", "bob"],
        "reviews": [["bob", "APPROVED", gitea_host.HEAD, True, False, False]], "commits": [50, 11],
        "state": "success", "issue": [7, "Let customers pay", "open", "acme/greeter"], "missing": 404,
        "branches": [["main", True], ["feature", False]], "closed": [12],
    }  # fmt: skip


@pytest.mark.parametrize("version", [2, 3])
async def test_the_client_jira_reads_the_fake_of_jira(version: int) -> None:
    host = JiraHost(version=version)
    host.issue("PAY-7", category="done", status="Released")
    host.issue("SHOP-3", asked="PAY-8")
    async with host.serve():
        assert await read_by("read_jira.py", host.url, host.user, host.password, str(version)) == {
            "key": "PAY-7", "summary": "Let customers pay", "status": "Released", "category": "done",
            "parent": "PAY-1", "moved": "SHOP-3", "type": "Story", "assignee": "Bob", "project": "PAY",
            "myself": "Robot", "missing": 404,
        }  # fmt: skip


def _admin(home: Path, *arguments: str) -> None:
    run = [str(BIN / "roundup-admin"), "-i", str(home), *arguments]
    subprocess.run(run, check=True, capture_output=True, timeout=CLIENT_SECONDS_MAX)


@pytest.fixture(scope="module")
async def roundup(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[OutsideHost]:
    """A tracker of Roundup with two issues; `admin` signs in with `secret`."""
    home = tmp_path_factory.mktemp("roundup") / "tracker"
    config = "tracker_web=http://127.0.0.1:1/,mail_domain=example.org,mail_host=localhost,admin_email=a@example.org"
    for arguments in (
        ("install", "classic", "sqlite", config), ("initialise", "secret"),
        ("create", "issue", "title=Let customers pay", "status=5", "assignedto=1"),
        ("create", "issue", "title=<b>Old</b>", "status=8"),
    ):  # fmt: skip
        await asyncio.to_thread(_admin, home, *arguments)
    server = await asyncio.create_subprocess_exec(
        BIN / "python", CLIENTS / "roundup_server.py", str(home), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        env={"PATH": os.environ["PATH"]},
    )  # fmt: skip
    assert server.stdout is not None
    try:
        async with asyncio.timeout(CLIENT_SECONDS_MAX):
            port = int(await server.stdout.readline())
        yield OutsideHost(url=f"http://127.0.0.1:{port}")
    finally:
        server.terminate()
        await server.wait()


async def test_roundup_is_read_by_a_template(roundup: OutsideHost, tmp_path: Path) -> None:
    async with outside_client(roundup, tmp_path, login="admin:secret", kind="template") as client:
        reader = TemplateReader(client.source, host="roundup.example.org", template=ROUNDUP)
        open_one, old, missing = [await reader.ticket(one) for one in ("issue1", "issue2", "issue99")]
        again = await reader.ticket("issue1")
    assert open_one.ticket is not None
    assert open_one.ticket.to_wire() == {
        "id": "issue1", "project": "issue", "title": "Let customers pay", "status": "in-progress", "closed": False,
        "assignee": "admin", "type": "issue", "parent": "", "closed_at": "", "created_at": "", "outcome": "",
        "internal": "1", "url": "https://roundup.example.org/issue1",
    }  # fmt: skip
    assert old.ticket is not None
    assert (old.ticket.title, old.ticket.status, old.ticket.closed) == ("<b>Old</b>", "resolved", True)
    assert (missing.problem, missing.reason) == ("missing", "roundup.example.org has no ticket issue99")
    assert again == open_one


async def test_roundup_forbids_without_a_login_and_refuses_a_wrong_one(roundup: OutsideHost, tmp_path: Path) -> None:
    async with outside_client(roundup, tmp_path, kind="template") as client:
        found = await TemplateReader(client.source, host="roundup.example.org", template=ROUNDUP).ticket("issue1")
    assert found.problem == "forbidden"
    async with outside_client(roundup, tmp_path, login="admin:wrong", kind="template") as client:
        with pytest.raises(SourceUnavailable, match="does not accept the login"):
            await TemplateReader(client.source, host="roundup.example.org", template=ROUNDUP).ticket("issue1")
