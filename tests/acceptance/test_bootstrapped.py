"""From an empty account, bootstrap and one boot give a whole trace: no other step in the account is needed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from fakes.account_extensions import speak_what_moto_lacks
from fakes.accounts_program import AccountsProgram, accounts_program
from fakes.aws_bucket_policies import BucketPolicies
from fakes.sts import StsFront
from landscape.aws import ACCOUNT, REGION, moto_server
from landscape.programs import Aggregator, aggregator
from landscape.stage import Stage, user_data
from landscape.whole import Landscape
from whence_aggregator.trace.lineage import REQUIRED_LINKS
from whence_common.runtime.pause import pause

MINT = f"whole-stups-mint-{ACCOUNT}-{REGION}"
CONFIGURATION = f"""\
version: 11
global:
  regions: [{REGION}]
  auditor_role: {{trusted: ["210987654321"], external_id: whence-7f3a, trail: {{}}, drift: true, registry_pull: true}}
  application_roles: {{applications: [greeter], mint_bucket: {MINT}}}
  mint_bucket: {{writer_role: {{trusted: ["210987654321"], external_id: mint-7f3a}}}}
  cloudtrail: {{s3_bucket_name: "trails-{{account_id}}", home_region: {REGION}, log_bucket: {{}}, events: {{}}}}
  ebs_encrypt_by_default: false
accounts:
  whole: {{id: "{ACCOUNT}"}}
"""
WHOLE = sorted(REQUIRED_LINKS - {"review", "ticket"})
"""The landscape has no tracker, and its Git server no reviews."""
PAIR = {
    "user.json": {"application_username": "u", "application_password": "hunter2hunter2"},
    "client.json": {"client_id": "c", "client_secret": "s3cret-s3cret"},
}
_AS_TEST = ("env", "AWS_ACCESS_KEY_ID=test", "AWS_SECRET_ACCESS_KEY=test")


@dataclass
class EmptyAccount:
    """An account in which nothing was made, the command that configures it, and the landscape with it in its AWS."""

    scape: Landscape
    program: AccountsProgram


@pytest.fixture
async def empty(scape: Landscape, tmp_path: Path) -> AsyncIterator[EmptyAccount]:
    folder = tmp_path / "operator"
    folder.mkdir()
    async with AsyncExitStack() as stack:
        moto = await stack.enter_async_context(moto_server(tmp_path))
        sts = await stack.enter_async_context(StsFront(moto).serve())
        program = await stack.enter_async_context(accounts_program(moto.url, folder))
        speak_what_moto_lacks(program.aws)
        BucketPolicies().install(program.aws)
        yield EmptyAccount(replace(scape, aws=moto, sts=sts), program)


async def test_bootstrap_and_one_boot_give_a_whole_trace(empty: EmptyAccount, tmp_path: Path) -> None:
    scape, program = empty.scape, empty.program
    (program.folder / "accounts.yaml").write_text(CONFIGURATION, encoding="utf-8")
    image, done = await asyncio.gather(
        scape.build("bootstrapped", "1.0", scm=scape.greeter_scm(1)), program.run("bootstrap", "whole")
    )
    assert done.code == 0, done.out + done.err
    settings = yaml.safe_load(done.out.partition("\n# The aggregator's settings")[2].partition("\n")[2])
    assert settings.pop("accounts") == [ACCOUNT]
    await scape.aws.put_credentials(MINT, "greeter", PAIR)  # as the service that mints them does
    async with AsyncExitStack() as stack:
        stage = Stage(scape, tmp_path, stack)
        await stage.instance(user_data(image.reference, f"mint_bucket: {MINT}\n"))  # the first listing has it
        program.aws.forget()
        server = await stack.enter_async_context(
            aggregator(
                tmp_path, scape.logs, authority_pem=scape.authority_pem, registries=(scape.registry,),
                git_servers=(scape.sources.host,), within=_AS_TEST, aws_endpoint_url=program.aws.url,
                accounts=(ACCOUNT,), organisation={"file": str(_owners(tmp_path))}, required_links=WHOLE, **settings,
            )
        )  # fmt: skip
        await _register(server, scape)
        async with stage.agent(server.url) as running:
            status = await running.until("ok")
            assert next(one["outcome"] for one in status["stages"] if one["name"] == "credentials") == "done"
            lineage = await server.settled(stage.service.instance_id)
            assert _gaps(lineage) == []
            assert lineage["complete"], lineage
            region = await _listed(server)
        assert (region["running"], region["speaking"]) == (1, 1)
        assert {one.account_id for one in program.aws.calls if one.name == "ec2:DescribeInstances"} == {ACCOUNT}
        assert "sqs:ReceiveMessage" in {one.name for one in program.aws.calls}
        drift = (await server.get(f"/v1/accounts/{ACCOUNT}"))["drift"]
        assert drift["state"] == "converged", drift


async def test_bootstrap_that_would_do_less_than_whence_needs_writes_nothing(tmp_path: Path) -> None:
    async with moto_server(tmp_path) as moto, accounts_program(moto.url, tmp_path) as program:
        text = "\n".join(line for line in CONFIGURATION.splitlines() if "mint_bucket: {" not in line)
        (tmp_path / "accounts.yaml").write_text(text.replace(", events: {}", ""), encoding="utf-8")
        ended = await program.run("bootstrap", "whole")
        assert ended.code == 1
        assert "accounts.whole.mint_bucket: write mint_bucket: {writer_role: {trusted: [ARN" in ended.err
        assert "accounts.whole.cloudtrail.events: write events: {}" in ended.err
        assert program.aws.calls == []


def _owners(folder: Path) -> Path:
    """State who owns the account, as the organisation does outside of it."""
    file = folder / "organisation.yaml"
    text = f'teams: [{{id: hello, name: Hello}}]\naccounts: [{{id: "{ACCOUNT}", name: whole, owner: hello}}]\n'
    file.write_text(text, encoding="utf-8")
    return file


def _gaps(lineage: dict[str, Any]) -> list[str]:
    """Return the required links that do not hold, each with its reason."""
    links = [one for one in lineage["links"] if one["link"] in lineage["required"]]
    wrong = ("missing", "unknown", "contradicted")
    return [
        f"{one['link']}: {one['state']}: {one['reason']}"
        for one in links
        if one["state"] in wrong or one.get("lacking")
    ]


async def _register(server: Aggregator, scape: Landscape) -> None:
    """Register the application, as its team does."""
    kio = {
        "team_id": "hello", "name": "Greeter", "active": True, "scm_url": scape.sources.greeter_url,
        "specification_url": "https://tickets.example.org/", "specification_type": "demo",
    }  # fmt: skip
    assert await server.put("/apps/greeter", kio) == 200
    tickets = {"patterns": ["DEMO-{number}"], "url": "https://tickets.example.org/browse/{ticket}"}
    assert await server.put("/v1/applications/greeter/tickets", tickets) == 200


async def _listed(server: Aggregator) -> dict[str, Any]:
    """Return the account's region once the inventory has listed the instance."""
    async with asyncio.timeout(30):
        while True:
            found = await server.get(f"/v1/accounts/{ACCOUNT}")
            for one in found["regions"]:
                if one["running"]:
                    return dict(one)
            await pause(0.1)
