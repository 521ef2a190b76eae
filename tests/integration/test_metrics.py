"""/metrics of the three programs: what strangers see, what they never see, and that rules and dashboard ask for what is there."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import sqlite3
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from fakes.agent_client import AgentClient
from fakes.clocks import FakeClock
from fakes.machine import Machine
from fakes.signing_authority import SigningAuthority
from landscape.certificates import loopback_certificates
from landscape.processes import started
from landscape.programs import BIN, Aggregator, aggregator
from landscape.whole import ROOT
from whence_agent.progress.progress import Progress
from whence_agent.redaction import Redactor
from whence_agent.status.connections import StatusConnections
from whence_agent.status.endpoint import StatusEndpoint
from whence_common.note import LOG, WITNESS, Signer

ACCOUNT, REGION, HOST = "123456789012", "eu-central-1", "registry.example.org"
QUEUE = f"https://sqs.{REGION}.amazonaws.com/{ACCOUNT}/trail"
MONITORING = ROOT / "packaging" / "monitoring"
SECONDS_MAX = 60.0
Samples = Mapping[str, list[Mapping[str, str]]]
"""The labels of each sample, by its name; a name without samples has none."""


@dataclass(frozen=True)
class Programs:
    """What runs: `serve`, and the URLs of the front alone and of the witness."""

    server: Aggregator
    front: str
    witness: str


@pytest.fixture(scope="module")
async def programs(tmp_path_factory: pytest.TempPathFactory, authority: SigningAuthority) -> AsyncIterator[Programs]:
    home = tmp_path_factory.mktemp("metrics")
    certificates = await loopback_certificates(tmp_path_factory.mktemp("certificates"))
    registry = {"name": "pierone.example.org", "backend": "http://127.0.0.1:1", "alone": True, "listen_port": 0}
    witness_key = Signer("witness.example.org", b"w" * 32, WITNESS).verifier
    (home / "state").mkdir()
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(
            aggregator(
                home, home, authority_pem={"eu-central-1": authority.pem}, registry_front=registry, registries=(HOST,),
                witnesses=[{"url": "http://127.0.0.1:1", "key": str(witness_key)}],
                cloud_trail={"queues": [{"url": QUEUE, "region": REGION}], "buckets": {"trail-logs": {"region": REGION}}},
                findings={"scanners": [{"product": "prowler"}]},
                aws_endpoint_url="http://127.0.0.1:1",
            )
        )  # fmt: skip
        front = await stack.enter_async_context(_program("registry", server.config, home))
        settings = {
            "name": "witness.example.org", "log_keys": [str(Signer("log.example.org", b"l" * 32, LOG).verifier)],
            "state_directory": str(home / "state"), "listen_port": 0, "drain_seconds": 0,
            "tls_certificate_file": str(certificates.certificate), "tls_key_file": str(certificates.key),
        }  # fmt: skip
        (home / "witness.yaml").write_text(json.dumps(settings))
        witness = await stack.enter_async_context(_program("witness", home / "witness.yaml", home))
        _told_by_trails(home / "aggregator" / "ledger.db")
        await _traffic(server, authority)
        yield Programs(server, f"http://127.0.0.1:{front}", f"https://127.0.0.1:{witness}")


@asynccontextmanager
async def _program(name: str, config: Path, home: Path) -> AsyncIterator[int]:
    """Run the front alone or the witness; give its port."""
    port = home / f"{name}-port"

    async def ready() -> bool:
        return port.exists()

    command = [BIN / "whence-aggregator", name, "--config", config, "--port-file", port]
    async with started(name, command, logs=home, ready=ready):
        yield int(port.read_text())


async def _traffic(server: Aggregator, authority: SigningAuthority) -> None:
    """Have every kind of sample there: a statement whose image is asked for at a registry that is not there, a refusal."""
    async with aiohttp.ClientSession() as session:
        client, machine = AgentClient(session, server.url), Machine(authority)
        await client.enrol(machine)
        await client.say(machine)
        for path in ("/v1/instances/i-0123456789abcdef0?state=any", "/%69-unheard-of/../x", "/v1/nothing"):
            async with session.get(server.url + path):
                pass
        async with asyncio.timeout(SECONDS_MAX):
            while f'whence_collector_questions_total{{host="{HOST}"' not in await text(server.url, server.token):
                pass
            while 'verdict="' not in await text(server.url, server.token):
                pass


def _told_by_trails(database: Path) -> None:
    """Have every kind of sample of CloudTrail there, as if files had been read."""
    with closing(sqlite3.connect(database, timeout=SECONDS_MAX)) as other, other:
        for table, row in {
            "trail_coverage": (ACCOUNT, REGION, 1, 1, None, ""),
            "trail_dead": ("0" * 32, "message", QUEUE, -1, "", "message-malformed", "", "", "", 1),
            "trail_verification": (
                ACCOUNT,
                REGION,
                "Default",
                1,
                "gap",
                "nothing was recorded",
                "2026-11-22T12:00:00.000Z",
            ),
            "trail_queue": (QUEUE, REGION, 1, 0, 1, None, ""),
            "finding_report": (ACCOUNT, "prowler", "", 1, "2026-11-22T12:00:00.000Z", 1),
        }.items():
            other.execute(f"insert or replace into {table} values ({', '.join('?' * len(row))})", row)


async def text(url: str, token: str | None = None) -> str:
    headers = {"Authorization": f"Bearer {token}"} if token is not None else {}
    async with (
        aiohttp.ClientSession(headers=headers, connector=aiohttp.TCPConnector(ssl=False)) as session,
        session.get(url + "/metrics") as answer,
    ):
        assert answer.status == 200
        assert answer.content_type == "application/openmetrics-text"
        return await answer.text()


def samples(exposed: str) -> Samples:
    """Read an exposition strictly."""
    found: dict[str, list[Mapping[str, str]]] = {}
    for family in text_string_to_metric_families(exposed):  # type: ignore[no-untyped-call]  # it has no types
        for suffix in {"counter": ["_total"], "histogram": ["_bucket", "_count", "_sum"], "info": ["_info"]}.get(
            family.type, [""]
        ):
            found.setdefault(family.name + suffix, [])
        for sample in family.samples:
            found.setdefault(sample.name, []).append(sample.labels)
    return found


async def test_without_a_token_metrics_name_no_account_and_no_host(programs: Programs) -> None:
    server = programs.server
    public, whole = await text(server.url), await text(server.url, server.token)
    assert ACCOUNT not in public
    assert HOST not in public
    assert "whence_instances 1" in public
    assert f'whence_instances{{account="{ACCOUNT}"}} 1' in whole
    assert HOST in whole
    for url in (programs.front, programs.witness):
        assert ACCOUNT not in await text(url)


async def test_no_path_that_a_caller_wrote_is_in_any_label(programs: Programs) -> None:
    exposed = await text(programs.server.url, programs.server.token)
    assert "i-0123456789abcdef0" not in exposed
    assert "unheard-of" not in exposed
    routes = {labels["route"] for labels in samples(exposed)["whence_http_requests_total"]}
    assert {"other", "/v1/statements", "/v1/enrolments"} <= routes


async def test_a_token_that_is_not_known_is_refused_and_not_shown_less(programs: Programs) -> None:
    async with (
        aiohttp.ClientSession(headers={"Authorization": "Bearer nonsense"}) as session,
        session.get(programs.server.url + "/metrics") as answer,
    ):
        assert answer.status == 401


async def test_a_setting_shows_the_labels_to_everybody_and_a_reload_is_enough(
    tmp_path: Path, authority: SigningAuthority
) -> None:
    async with (
        aggregator(tmp_path, tmp_path, authority_pem={"eu-central-1": authority.pem}) as server,
        aiohttp.ClientSession() as session,
    ):
        client, machine = AgentClient(session, server.url), Machine(authority)
        await client.enrol(machine)
        await client.say(machine)
        assert ACCOUNT not in await text(server.url)
        settings = {**json.loads(server.config.read_text()), "metrics_public_labels": True}
        server.config.write_text(json.dumps(settings))
        server.process.process.send_signal(signal.SIGHUP)
        async with asyncio.timeout(SECONDS_MAX):
            while ACCOUNT not in await text(server.url):
                pass
        assert 'whence_reloads_total{outcome="applied"} 1' in await text(server.url)


async def test_each_program_has_probes(programs: Programs) -> None:
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=False)) as session:
        for url in (programs.server.url, programs.front, programs.witness):
            for path in ("/health", "/ready"):
                async with session.get(url + path) as answer:
                    assert answer.status == 200, url + path


async def test_metrics_are_shown_while_the_database_is_away(tmp_path: Path, authority: SigningAuthority) -> None:
    """A table that somebody has taken away is as good as any trouble that the database can have."""
    async with aggregator(tmp_path, tmp_path, authority_pem={"eu-central-1": authority.pem}) as server:
        assert "whence_database_up 1" in await text(server.url)
        with closing(sqlite3.connect(tmp_path / "aggregator" / "ledger.db")) as other:
            other.execute("alter table tally rename to gone")
            other.commit()
        began = time.monotonic()
        async with asyncio.timeout(SECONDS_MAX):
            while "whence_database_up 0" not in (exposed := await text(server.url)):
                pass
        assert time.monotonic() - began < 10
        assert "whence_ledger_entries" not in exposed
        assert samples(exposed)["process_resident_memory_bytes"]


def rules() -> list[dict[str, Any]]:
    document = yaml.safe_load((MONITORING / "alerts.yaml").read_text("utf-8"))
    assert set(document) == {"groups"}
    return [rule for group in document["groups"] for rule in group["rules"]]


def panels() -> list[dict[str, Any]]:
    document = json.loads((MONITORING / "dashboard.json").read_text("utf-8"))
    return [panel for panel in document["panels"] if panel["type"] != "row"]


def expressions() -> Iterator[tuple[str, str]]:
    """Give each expression of rules and dashboard, with the name of what holds it."""
    for rule in rules():
        yield rule["alert"], rule["expr"]
    for panel in panels():
        for target in panel["targets"]:
            yield panel["title"], target["expr"]


_SELECTOR = re.compile(r"([a-zA-Z_:][a-zA-Z0-9_:]*)\s*(\{[^}]*\})?(\s*\()?")
_MATCHER = re.compile(r'([a-z_]+)\s*(=~|!~|!=|=)\s*"([^"]*)"')
_GROUPING = re.compile(r"\b(by|on|without|ignoring)\s*\(([^)]*)\)")
_WORDS = {"and", "or", "unless", "bool", "by", "on"}
_OF_PROMETHEUS = {"job", "instance", "le"}


def asked(expression: str) -> tuple[list[tuple[str, list[tuple[str, str, str]]]], set[str]]:
    """Return the metrics of an expression, each with its matchers, and the labels that it groups by."""
    grouped = {one.strip() for match in _GROUPING.finditer(expression) for one in match[2].split(",")}
    bare = re.sub(r"\[[^\]]*\]", "", _GROUPING.sub(" ", expression))
    metrics = []
    for match in _SELECTOR.finditer(bare):
        if match[3] is None and match[1] not in _WORDS:
            metrics.append((match[1], [(one[1], one[2], one[3]) for one in _MATCHER.finditer(match[2] or "")]))
    return metrics, grouped - _OF_PROMETHEUS


async def agent_metrics() -> str:
    progress = Progress(now=FakeClock(), monotonic=lambda: 0.0, boot_id="b", started_at="")
    loop = asyncio.get_running_loop()
    endpoint = StatusEndpoint(
        progress=progress, redactor=Redactor(), address="127.0.0.1", port=0,
        connections=StatusConnections(monotonic=loop.time, seconds_max=30.0, idle_seconds_max=5.0),
    )  # fmt: skip
    running = asyncio.create_task(endpoint.run())
    await asyncio.wait_for(endpoint.listening.wait(), 10.0)
    try:
        return await text(f"http://127.0.0.1:{endpoint.port}")
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running


async def test_rules_and_dashboard_ask_for_metrics_and_labels_that_the_programs_expose(programs: Programs) -> None:
    exposed: dict[str, list[Mapping[str, str]]] = {"up": [{}]}
    for found in (
        await text(programs.server.url, programs.server.token), await text(programs.front, programs.server.token),
        await text(programs.witness), await agent_metrics(),
    ):  # fmt: skip
        for name, labels in samples(found).items():
            exposed.setdefault(name, []).extend(labels)
    wrong = []
    for where, expression in expressions():
        metrics, grouped = asked(expression)
        assert metrics, where
        for name, matchers in metrics:
            known = {label for labels in exposed.get(name, []) for label in labels}
            missing = ({label for label, _, _ in matchers} | grouped) - known - _OF_PROMETHEUS
            if name not in exposed or missing:
                wrong.append((where, name, missing))
            for label, how, value in matchers:
                values = {labels.get(label) for labels in exposed.get(name, [])}
                if how == "=" and label in known and value not in values and label in ("state", "outcome", "error"):
                    wrong.append((where, name, {f"{label}={value}"}))
    assert wrong == []


async def test_the_table_of_metrics_is_the_one_that_the_programs_expose(programs: Programs) -> None:
    said = set(re.findall(r"`((?:whence|process)_[a-z_]+)`", (MONITORING / "README.md").read_text("utf-8")))
    exposed: set[str] = set()
    for url in (programs.server.url, programs.front, programs.witness):
        for name in samples(await text(url)):
            if not name.endswith(("_bucket", "_count", "_sum")):
                exposed.add(name)
            elif name.endswith("_sum"):
                exposed.add(name.removesuffix("_sum"))
    # test_notification_calls.py compares the others
    said = {name for name in said if not name.startswith("whence_notifications_")}
    assert said - {"whence_build_info"} == exposed - {"whence_build_info"}


def test_rules_have_what_prometheus_and_people_need() -> None:
    for rule in rules():
        assert set(rule) <= {"alert", "expr", "for", "labels", "annotations"}
        assert re.fullmatch(r"Whence[A-Za-z]+", rule["alert"])
        assert re.fullmatch(r"[0-9]+[smh]", rule.get("for", "1m"))
        assert rule["labels"]["severity"] in ("warning", "critical")
        assert set(rule["annotations"]) == {"summary", "description"}
        assert rule["expr"].count("(") == rule["expr"].count(")")
        kept = re.search(r"by \(([^)]*)\)", rule["expr"])
        for label in re.findall(r"\$labels\.([a-z_]+)", rule["annotations"]["summary"]):
            assert kept is None or label in kept[1] or "on (" in rule["expr"], (rule["alert"], label)
    names = [rule["alert"] for rule in rules()]
    assert len(set(names)) == len(names)


def test_the_dashboard_has_what_grafana_needs() -> None:
    document = json.loads((MONITORING / "dashboard.json").read_text("utf-8"))
    assert {"uid", "title", "schemaVersion", "panels", "templating", "time"} <= set(document)
    ids = [panel["id"] for panel in document["panels"]]
    assert len(set(ids)) == len(ids)
    variables = {one["name"] for one in document["templating"]["list"]} | {"__rate_interval"}
    for panel in panels():
        assert {"title", "datasource", "gridPos", "fieldConfig", "targets"} <= set(panel)
        for target in panel["targets"]:
            assert set(re.findall(r"\$([a-z_]+)", target["expr"])) <= variables


def test_the_scrape_configuration_is_yaml_that_names_the_rules() -> None:
    document = yaml.safe_load((MONITORING / "prometheus.yaml").read_text("utf-8"))
    assert [one["job_name"] for one in document["scrape_configs"]] == ["whence", "whence-witness"]
