"""The agent as a process, with all services around it: what a machine does, and what its status shows."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from fakes.misbehaving import Answer, misbehaving
from landscape.aws import ACCOUNT
from landscape.processes import free_port
from landscape.programs import AgentSettings, Aggregator, agent, aggregator
from landscape.stage import Stage, command, failed, user_data
from landscape.whole import Landscape
from whence_common.runtime.pause import pause

BUCKET = f"test-stups-mint-{ACCOUNT}-eu-central-1"
CREDENTIALS = {
    "user.json": {"application_username": "u", "application_password": "hunter2hunter2"},
    "client.json": {"client_id": "c", "client_secret": "s"},
}


@pytest.fixture(scope="module")
async def server(shared_server: Aggregator) -> Aggregator:
    return shared_server


@pytest.fixture(scope="module")
async def source(scape: Landscape) -> str:
    """The reference of an image from a clean tree."""
    return (await scape.build("accepted", "1.0", scm=scape.greeter_scm(0))).reference


async def test_a_valid_instance_runs_its_container_by_digest_and_states_it(
    stage: Stage, server: Aggregator, source: str
) -> None:
    await stage.scape.aws.put_credentials(BUCKET, "greeter", CREDENTIALS)
    await stage.instance(user_data(source, f"environment: {{GREETING: 'a b;$c'}}\nmint_bucket: {BUCKET}\n"))
    async with stage.agent(server.url) as running:
        status = await running.until("ok")
        container = await stage.inspect()
        assert container is not None
        repository, _, digest = container["Config"]["Image"].partition("@")
        assert (repository, digest) == (source.rpartition(":")[0], status["image"]["digest"])
        environment = dict(one.split("=", 1) for one in container["Config"]["Env"])
        assert environment["GREETING"] == "a b;$c"
        assert (environment["APPLICATION_ID"], environment["APPLICATION_VERSION"]) == ("greeter", "1.0")
        assert environment["CREDENTIALS_DIR"] == "/meta/credentials"
        assert container["Config"]["User"].startswith("999:")
        inside = await stage.run_inside("/bin/busybox", "cat", "/meta/credentials/user.json")
        assert json.loads(inside) == CREDENTIALS["user.json"]
        assert "application_id: greeter" in await stage.run_inside("/bin/busybox", "cat", "/meta/taupage.yaml")
        assert "Read-only" in await stage.run_inside("/bin/busybox", "touch", "/meta/new")
        assert [one["name"] for one in status["stages"]] == [
            "identity", "user-data", "enrol", "credentials", "secrets", "image", "pull", "run", "health",
        ]  # fmt: skip
        assert {one["outcome"] for one in status["stages"]} == {"done"}
        assert status["what_to_do"] == "nothing"


async def test_the_status_shows_everything_except_secrets(stage: Stage, server: Aggregator, source: str) -> None:
    await stage.scape.aws.put_credentials(BUCKET, "greeter", CREDENTIALS)
    secret = await stage.scape.aws.encrypt("decrypted-s3cret")
    more = f"environment: {{DB: 'aws:kms:{secret}', API_TOKEN: plain-s3cret}}\nmint_bucket: {BUCKET}\n"
    await stage.instance(user_data(source, more))
    async with stage.agent(server.url) as running:
        await running.until("ok")
        container = await stage.inspect()
        assert container is not None
        assert "DB=decrypted-s3cret" in container["Config"]["Env"]
        assert (await running.get("/health"))[0] == 200
        assert (await running.get("/ready"))[0] == 200
        metrics = (await running.get("/metrics"))[1]
        assert 'whence_agent_state{state="ok"} 1' in metrics
        assert f'whence_agent_container_running{{container="{stage.name}"}} 1' in metrics
        assert "whence_agent_credentials_age_seconds" in metrics
        shown = [str((await running.get(path))[1]) for path in ("/", "/status", "/metrics", "/health")]
        lineage = await server.settled(stage.service.instance_id)
        shown += [
            json.dumps(lineage),
            running.process.tail(),
            (await command("status", "--url", running.url, "--json"))[1],
        ]
        for text in shown:
            for word in ("s3cret", "hunter2", secret[:40]):
                assert word not in text
        assert (await command("status", "--url", running.url, "--wait", "--timeout", "20"))[0] == 0
    assert (await command("status", "--url", running.url))[0] == 1


async def test_the_aggregator_being_down_never_stops_a_boot_and_the_statement_arrives_later(
    stage: Stage, scape: Landscape, tmp_path: Path, source: str
) -> None:
    port = free_port()
    await stage.instance(user_data(source))
    async with stage.agent(f"http://127.0.0.1:{port}") as running:
        status = await running.until("degraded")
        assert status["container"]["state"] == "running"
        assert status["statements"]["waiting"] == 1
        assert next(one for one in status["stages"] if one["name"] == "enrol")["outcome"] == "deferred"
        assert (await running.get("/health"))[0] == 503
        assert (await running.get("/ready"))[0] == 200
        assert (await command("status", "--url", running.url))[0] == 2
        async with aggregator(
            tmp_path, scape.logs, authority_pem=scape.authority_pem, registries=(scape.registry,),
            git_servers=(scape.sources.host,), port=port, name="late",
        ) as server:  # fmt: skip
            await running.until("ok")
            lineage = await server.settled(stage.service.instance_id)
            commit = next(link for link in lineage["links"] if link["link"] == "commit")
            assert commit["value"]["commit"] == scape.sources.commits[0]


async def test_restarting_the_agent_restarts_no_application_and_repeats_no_statement(
    stage: Stage, server: Aggregator, source: str
) -> None:
    await stage.instance(user_data(source))
    async with stage.agent(server.url) as running:
        await running.until("ok")
        before = await stage.inspect()
        await running.process.kill()
    async with stage.agent(server.url) as running:
        status = await running.until("ok")
        after = await stage.inspect()
        assert before is not None
        assert after is not None
        assert (after["Id"], after["State"]["StartedAt"]) == (before["Id"], before["State"]["StartedAt"])
        assert status["image"]["digest"]
    shown = await server.get(f"/v1/instances/{stage.service.instance_id}")
    assert [one["sequence"] for one in shown["statements"]] == [2, 1]


async def test_changed_user_data_replaces_the_container(stage: Stage, server: Aggregator, source: str) -> None:
    await stage.instance(user_data(source))
    async with stage.agent(server.url) as running:
        await running.until("ok")
        before = await stage.inspect()
    stage.service.user_data = user_data(source, "environment: {NEW: '1'}\n").encode()
    async with stage.agent(server.url) as running:
        await running.until("ok")
        after = await stage.inspect()
    assert before is not None
    assert after is not None
    assert after["Id"] != before["Id"]


async def test_a_container_that_fails_is_reported_within_moments(stage: Stage, server: Aggregator, source: str) -> None:
    await stage.instance(user_data(source))
    async with stage.agent(server.url) as running:
        await running.until("ok")
        await stage.kill_container()
        status = await running.until("degraded")
        assert "exited" in status["reasons"][0]
        async with asyncio.timeout(20):
            while True:
                shown = await server.get(f"/v1/instances/{stage.service.instance_id}")
                if shown["statements"][0]["cause"] == "change":
                    break


async def test_five_errors_are_all_named_and_stated_to_the_aggregator(stage: Stage, server: Aggregator) -> None:
    await stage.instance(
        "#taupage-ami-config\napplication_id: greeter\napplication_version: 1.10\nruntime: docker\n"
        "source: 127.0.0.1:1/demo/greeter\nports: [8080]\nenvironment:\n  RETRIES: [1, 2]\n"
    )
    status = await failed(stage, server)
    errors = [problem for problem in status["problems"] if problem["severity"] == "error"]
    assert [(problem["line"], problem["column"]) for problem in errors] == [(3, 22), (4, 10), (5, 9), (6, 8), (8, 12)]
    assert "line 3, column 22" in status["what_to_do"]


async def test_a_mutable_image_is_never_pulled(stage: Stage, server: Aggregator, source: str) -> None:
    await stage.instance(user_data(source.rpartition(":")[0] + ":latest"))
    status = await failed(stage, server)
    assert [p["code"] for p in status["problems"] if p["severity"] == "error"] == ["image-tag-mutable"]
    assert status["image"] is None


async def test_a_tag_of_a_registry_not_configured_as_immutable_is_refused(
    stage: Stage, server: Aggregator, source: str
) -> None:
    await stage.instance(user_data(source))
    status = await failed(stage, server, registries={})
    assert [problem["code"] for problem in status["problems"]] == ["image-tag-not-vouched"]


async def test_a_digest_that_does_not_exist_is_refused(stage: Stage, server: Aggregator, source: str) -> None:
    await stage.instance(user_data(source.rpartition(":")[0] + "@sha256:" + "0" * 64))
    status = await failed(stage, server)
    assert status["problems"][-1]["code"] == "registry-image-unknown"


async def test_a_registry_that_requires_a_login_is_named_in_the_failure(stage: Stage, server: Aggregator) -> None:
    async with misbehaving(Answer(status=401)) as host:
        await stage.instance(user_data(f"{host}/demo/x@sha256:{'0' * 64}"))
        status = await failed(stage, server)
    assert status["problems"][-1]["code"] == "registry-unauthorised"


async def test_a_registry_that_is_down_fails_the_boot_at_the_stages_deadline(stage: Stage, server: Aggregator) -> None:
    await stage.instance(user_data(f"127.0.0.1:{free_port()}/demo/x@sha256:{'0' * 64}"))
    status = await failed(stage, server, stage_seconds_max={"image": 2.0})
    assert status["problems"][-1]["code"] == "registry-unreachable"


async def test_without_credentials_there_is_no_container(stage: Stage, server: Aggregator, source: str) -> None:
    await stage.instance(user_data(source, "mint_bucket: no-such-bucket-anywhere\n"))
    status = await failed(stage, server, credentials_first_seconds_max=1.0)
    assert status["problems"][-1]["code"] == "credentials-missing"
    assert "bucket does not exist" in status["problems"][-1]["message"]


async def test_a_platform_may_start_without_credentials_and_stays_degraded(
    stage: Stage, server: Aggregator, source: str
) -> None:
    await stage.instance(user_data(source, "mint_bucket: no-such-bucket-anywhere\n"))
    async with stage.agent(server.url, credentials_first_seconds_max=1.0, credentials_required=False) as running:
        status = await running.until("degraded")
        assert status["reasons"][0].startswith("credentials are bucket-missing: client.json: ")


async def test_an_application_that_does_not_become_healthy_is_stopped(
    stage: Stage, server: Aggregator, source: str
) -> None:
    more = "health_check_timeout_seconds: 1\n"
    await stage.instance(user_data(source, more).replace("/health", "/nothing-here"))
    status = await failed(stage, server)
    assert status["problems"][-1]["code"] == "container-unhealthy"


async def test_an_application_that_ends_at_once_fails_the_boot(
    stage: Stage, server: Aggregator, scape: Landscape
) -> None:
    image = await scape.build("ending", "1.0", scm=scape.greeter_scm(0), command=("/bin/busybox", "false"))
    await stage.instance(user_data(image.reference, "health_check_timeout_seconds: 20\n"))
    status = await failed(stage, server)
    assert status["problems"][-1]["code"] in ("container-ended", "container-unhealthy")


async def test_a_secret_that_cannot_be_decrypted_fails_the_boot_by_name(
    stage: Stage, server: Aggregator, source: str
) -> None:
    await stage.instance(user_data(source, "environment: {DB: 'aws:kms:aHVudGVyMg=='}\n"))
    status = await failed(stage, server)
    assert status["problems"][-1]["message"].startswith("environment.DB: ")


async def test_missing_user_data_is_a_failed_boot(stage: Stage, server: Aggregator) -> None:
    await stage.instance("")
    status = await failed(stage, server)
    assert [problem["code"] for problem in status["problems"]] == ["user-data-empty"]


async def test_the_validator_is_the_agents_own_judge(tmp_path: Path, source: str) -> None:
    good, bad = tmp_path / "good.yaml", tmp_path / "bad.yaml"
    good.write_text(user_data(source), encoding="utf-8")
    bad.write_text(user_data(source).replace("runtime: Docker", "runtime: docker"), encoding="utf-8")
    assert (await command("validate", str(good)))[0] == 0
    code, text = await command("validate", str(bad))
    assert (code, "runtime-unknown" in text, "^" in text) == (1, True, True)
    code, text = await command("validate", "--format", "json", str(bad))
    problems = json.loads(text)["problems"]
    assert code == 1
    assert set(problems[0]) == {"severity", "code", "line", "column", "path", "message", "fix"}
    assert (await command("validate", str(tmp_path / "absent.yaml")))[0] == 2
    assert (await command("validate", str(tmp_path)))[0] == 2
    code, schema = await command("schema")
    assert (code, json.loads(schema)["type"]) == (0, "object")


@pytest.mark.parametrize("content", ["aggregator_url: nonsense", "x: y", "[", ""])
async def test_invalid_settings_end_the_agent_with_78(tmp_path: Path, content: str) -> None:
    config = tmp_path / "agent.yaml"
    config.write_text(content, encoding="utf-8")
    code, output = await command("run", "--config", str(config))
    assert (code, "whence-agent: " in output, "Traceback" in output) == (78, True, False)


async def test_without_a_metadata_service_the_status_endpoint_shows_the_reason(
    stage: Stage, server: Aggregator
) -> None:
    await stage.instance("")
    settings = AgentSettings(
        metadata_url=f"http://127.0.0.1:{free_port()}", aggregator_url=server.url, engine=stage.scape.engine
    )
    async with agent(stage.directory, stage.scape.logs, settings, name=stage.name) as running:
        async with asyncio.timeout(60):
            while (status := (await running.get("/status"))[1])["stage"] is None:  # the rest is still being loaded
                assert (status["state"], status["reasons"]) == ("booting", ["not started"])
                await pause(0.05)
        assert (status["stage"], (await running.get("/health"))[0]) == ("identity", 503)
        assert (await command("status", "--url", running.url, "--wait", "--timeout", "0.5"))[0] == 2
