"""From a build to the running machine: pushed to the front, attested, pulled by the instance's own key, traced."""

from __future__ import annotations

from contextlib import AsyncExitStack
from pathlib import Path

import aiohttp

from landscape.front import registry_front
from landscape.processes import ended, free_port, run
from landscape.programs import BIN
from landscape.signing import BUILDER
from landscape.stage import Stage, failed, user_data
from landscape.whole import Landscape


async def test_an_image_is_traced_from_its_build_to_the_machine_it_runs_on(scape: Landscape, tmp_path: Path) -> None:
    """The agent and the aggregator ask for the same builder's word; an image without it does not run."""
    key, public, port = tmp_path / "builder.key", tmp_path / "builder.pub", free_port()
    await run("openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", key)
    await run("openssl", "ec", "-in", key, "-pubout", "-out", public)
    builders = [{"id": BUILDER, "key_file": str(public)}]
    built = await scape.build("fronted", "1.0", scm=scape.greeter_scm(0))
    file = tmp_path / "scm-source.json"
    file.write_bytes(scape.greeter_scm(0))
    async with (
        AsyncExitStack() as stack,
        registry_front(
            tmp_path, scape.logs, authority_pem=scape.authority_pem, port=port, git_servers=(scape.sources.host,),
            aggregator_settings={"trust": {f"127.0.0.1:{port}": {"builders": builders}}},
        ) as front,
    ):  # fmt: skip
        image = f"{front.host}/alpha/greeter:1.0"
        await run(
            "skopeo", "copy", "-q", "--insecure-policy", "--src-tls-verify=false", "--dest-tls-verify=false",
            "--dest-creds", "oauth2:token-of-ada", f"docker://{built.reference}", f"docker://{image}",
        )  # fmt: skip
        trusting = {front.host: {"immutable_tags": True, "sign_in": "whence", "trust": {"builders": builders}}}
        before = Stage(scape, tmp_path, stack)
        await before.instance(user_data(image))
        status = await failed(before, front.aggregator, registries=trusting)
        assert "no provenance by a trusted builder" in " ".join(status["reasons"])
        stated = ("--scm-source", file, "--key", key, "--builder-id", BUILDER)
        environment = {"WHENCE_REGISTRY_TOKEN": "token-of-ada"}
        assert (await ended(BIN / "whence", "attest", image, *stated, environment=environment)).code == 0
        after = Stage(scape, tmp_path, stack)
        await after.instance(user_data(image))
        async with after.agent(front.aggregator.url, registries=trusting) as running:
            await running.until("ok")
            lineage = await front.aggregator.settled(after.service.instance_id)
            links = {link["link"]: link for link in lineage["links"]}
            assert {name: links[name]["state"] for name in ("image", "source", "commit")} == dict.fromkeys(
                ("image", "source", "commit"), "confirmed"
            )
            assert links["source"]["value"]["said_by"] == "provenance"
            assert links["commit"]["value"]["commit"] == scape.sources.commits[0]
        assert (await front.client().ask("GET", "/v2/alpha/greeter/manifests/1.0")).status == 200


async def test_an_instance_boots_from_the_front_while_the_aggregator_is_away(scape: Landscape, tmp_path: Path) -> None:
    """It has never enrolled, so it does so at the front. What it states waits on its disk."""
    built = await scape.build("alone", "1.0", scm=scape.greeter_scm(0))
    port = free_port()
    async with (
        AsyncExitStack() as stack,
        registry_front(
            tmp_path, scape.logs, authority_pem=scape.authority_pem, alone=True, name=f"127.0.0.1:{port}",
            listen_port=port,
        ) as both,
        both.alone(scape.logs) as url,
    ):  # fmt: skip
        image = f"127.0.0.1:{port}/alpha/greeter:1.0"
        await run(
            "skopeo", "copy", "-q", "--insecure-policy", "--src-tls-verify=false", "--dest-tls-verify=false",
            "--dest-creds", "oauth2:token-of-ada", f"docker://{built.reference}", f"docker://{image}",
        )  # fmt: skip
        await both.aggregator.process.kill()
        stage = Stage(scape, tmp_path, stack)
        await stage.instance(user_data(image))
        registries = {f"127.0.0.1:{port}": {"immutable_tags": True, "sign_in": "whence"}}
        async with stage.agent(both.aggregator.url, registries=registries) as running:
            status = await running.until("degraded", "failed")
            assert (status["state"], status["statements"]["enrolled"]) == ("degraded", True), status["reasons"]
            assert await stage.inspect() is not None
            assert status["statements"]["waiting"] >= 1
        async with aiohttp.ClientSession() as session, session.get(f"{url}/v2/alpha/greeter/tags/list") as answer:
            assert answer.status == 401
        log = running.process.log.read_text(encoding="utf-8")
        assert "Bearer" not in log
