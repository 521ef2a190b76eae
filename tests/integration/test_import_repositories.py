"""Catalog files of repositories: only those on the allow-list, from the commit's objects, and nothing is run or followed."""

from __future__ import annotations

import asyncio
import json
import ssl
import subprocess
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from aiohttp import web
from click.testing import CliRunner, Result

from fakes.catalogs import GROUP, component
from fakes.kio import TOKEN, FakeKio, fake_kio
from landscape.certificates import loopback_certificates
from landscape.git_server import git_server
from whence_aggregator.whence.cli import whence
from whence_aggregator.whence.importing.git_trees import checked_repository
from whence_common.errors import InputError

_WHO = ("-c", "user.name=A", "-c", "user.email=a@example.org")


def git(directory: Path, *arguments: str) -> None:
    environment = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": "/nonexistent", "GIT_CONFIG_NOSYSTEM": "1"}
    subprocess.run(["git", *_WHO, *arguments], cwd=directory, env=environment, check=True, capture_output=True)


@dataclass
class Served:
    """A Git server, an aggregator's paths, and what the server was asked."""

    url: str
    registry: FakeKio
    asked: list[str] = field(default_factory=list)
    redirect: bool = False

    async def run(self, *arguments: str) -> Result:
        environment = {"WHENCE_TOKEN": TOKEN, "WHENCE_URL": self.registry.url}
        command = ["import", "backstage", *arguments]
        return await asyncio.to_thread(CliRunner(env=environment).invoke, whence, command)


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Served]:
    work = tmp_path / "work"
    (work / "services" / "till").mkdir(parents=True)
    git(work, "init", "--quiet", "--initial-branch=main", ".")
    (work / "catalog-info.yaml").write_text(f"{GROUP}---\n{component()}")
    (work / "services" / "till" / "catalog-info.yaml").write_text(component("till"))
    (work / "services" / "catalog-info.yaml").symlink_to("/etc/passwd")
    (work / ".gitattributes").write_text("* filter=evil\n")
    git(work, "add", ".")
    git(work, "commit", "--quiet", "-m", "first")
    git(tmp_path, "clone", "--quiet", "--bare", str(work), "served/shop/catalog.git")
    git(tmp_path, "clone", "--quiet", "--bare", str(work), "served/other/catalog.git")
    with fake_kio() as registry:
        held = Served(url="", registry=registry)

        def guard(request: web.Request) -> web.Response | None:
            held.asked.append(request.path)
            if held.redirect:
                return web.Response(status=302, headers={"Location": f"{held.url}/other/catalog.git/info/refs"})
            return None

        async with git_server(tmp_path / "served", guard=guard) as place:
            held.url = f"http://{place}"
            yield held


async def test_a_repository_on_the_allow_list_is_read_without_a_checkout(served: Served) -> None:
    url = f"{served.url}/shop/catalog.git"
    result = await served.run("--repository", url, "--allow", f"{served.url}/shop", "--json")
    document = json.loads(result.stdout)
    assert (result.exit_code, [one["id"] for one in document["applications"]]) == (1, ["greeter", "till"])
    assert [(one["file"], one["reason"]) for one in document["not_mapped"]] == [
        (f"{url}/services/catalog-info.yaml", "is a symbolic link, which is not followed")
    ]
    assert served.registry.stored["till"]["scm_url"] == url
    assert document["applications"][1]["origin"]["file"] == f"{url}/services/till/catalog-info.yaml"


async def test_a_repository_that_is_not_allowed_is_not_asked_for(served: Served) -> None:
    result = await served.run("--repository", f"{served.url}/other/catalog.git", "--allow", f"{served.url}/shop")
    assert (result.exit_code, served.asked, served.registry.asked) == (2, [], [])


async def test_a_redirect_to_another_repository_is_not_followed(served: Served) -> None:
    served.redirect = True
    result = await served.run("--repository", f"{served.url}/shop/catalog.git", "--allow", f"{served.url}/shop")
    assert (result.exit_code, set(served.asked)) == (2, {"/shop/catalog.git/info/refs"})
    assert f"{served.url}/shop/catalog.git: git fetch failed" in result.stderr


async def test_a_repository_that_is_missing_is_an_error_with_a_fix(served: Served) -> None:
    result = await served.run("--repository", f"{served.url}/shop/nowhere.git", "--allow", f"{served.url}/shop")
    assert (result.exit_code, served.registry.asked) == (2, [])
    assert "check the URL and the login" in result.stderr


@pytest.mark.parametrize("scheme, sent", [("https", "Basic Ym90OnMzY3IzdA=="), ("http", None)])
async def test_a_login_is_sent_to_its_host_by_https_only(tmp_path: Path, scheme: str, sent: str | None) -> None:
    heard: list[str | None] = []

    async def refuse(request: web.Request) -> web.Response:
        heard.append(request.headers.get("Authorization"))
        return web.Response(status=401, headers={"WWW-Authenticate": 'Basic realm="git"'})

    made = await loopback_certificates(tmp_path)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(made.certificate, made.key)
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", refuse)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=server if scheme == "https" else None).start()
        place = f"127.0.0.1:{runner.addresses[0][1]}"
        (tmp_path / "login").write_text("bot:s3cr3t\n")
        call = ["--repository", f"{scheme}://{place}/shop/cart", "--allow", f"{scheme}://{place}", "--git-login"]
        ca = ["--git-ca-file", str(made.authority)]
        result = await asyncio.to_thread(
            CliRunner(env={"WHENCE_URL": "http://127.0.0.1:1"}).invoke, whence,
            ["import", "backstage", *call, f"{place}={tmp_path / 'login'}", *ca],
        )  # fmt: skip
    finally:
        await runner.cleanup()
    assert (result.exit_code, heard[0], heard[-1]) == (2, None, sent)
    assert "Authentication failed" in result.stderr or "could not read Username" in result.stderr
    assert "s3cr3t" not in result.output


@pytest.mark.parametrize(
    "url, prefix",
    [
        ("https://git.example.org/shop/cart", "https://git.example.org/shop"),
        ("https://git.example.org/shop/cart", "https://git.example.org/shop/"),
        ("https://git.example.org/shop/cart", "https://GIT.example.org"),
        ("https://git.example.org/shop/cart", "https://git.example.org/shop/cart"),
        ("ssh://git@git.example.org/shop/cart.git", "ssh://git@git.example.org/shop"),
    ],
)
def test_a_prefix_allows_what_is_below_it(url: str, prefix: str) -> None:
    assert checked_repository(url, ["https://elsewhere.example.org/", prefix]) == url


@pytest.mark.parametrize(
    "url, prefix",
    [
        ("http://git.example.org/shop/cart", "https://git.example.org/shop"),
        ("https://git.example.org:8443/shop/cart", "https://git.example.org/shop"),
        ("https://git.example.org/Shop/cart", "https://git.example.org/shop"),
        ("ssh://root@git.example.org/shop/cart", "ssh://git@git.example.org/shop"),
        ("https://git.example.org", "https://git.example.org/shop"),
    ],
)
def test_a_prefix_allows_nothing_else(url: str, prefix: str) -> None:
    with pytest.raises(InputError, match="not below a prefix"):
        checked_repository(url, [prefix])
