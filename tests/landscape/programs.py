"""whence-aggregator and whence-agent as processes, the way an operator starts them, and the clients' side of their HTTP."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import aiohttp

from landscape.contract import checked_session
from landscape.processes import Process, answers, ended, free_port, started
from whence_aggregator.callers.tokens import new_token
from whence_common.clock import utc_now
from whence_common.runtime.pause import pause

BIN = Path(sys.executable).parent
_AGGREGATOR: tuple[str | Path, ...] = (BIN / "whence-aggregator",)
_LOOK_SECONDS = 0.1


@dataclass
class Aggregator:
    """A running whence-aggregator."""

    process: Process
    url: str
    token: str
    config: Path
    of_another_release: bool = False
    """Its answers are checked against no contract: openapi.yaml here is that of this checkout."""

    def session(self, **options: Any) -> aiohttp.ClientSession:
        """Open a session with the token, whose answers are checked against the contract."""
        headers = {"Authorization": f"Bearer {self.token}"}
        if self.of_another_release:
            return aiohttp.ClientSession(headers=headers, **options)
        return checked_session(self.url, headers=headers, **options)

    async def get(self, path: str, **parameters: str) -> Any:
        """GET JSON with the token; give the value."""
        async with (
            self.session() as session,
            session.get(self.url + path, params=parameters) as answer,
        ):
            return await answer.json(content_type=None)

    async def put(self, path: str, document: object) -> int:
        async with (
            self.session() as session,
            session.put(self.url + path, json=document) as answer,
        ):
            return answer.status

    async def whence(self, *arguments: str, colour: bool = False) -> tuple[int, str]:
        """Run the command `whence` against this aggregator; give exit code and output."""
        environment = {"WHENCE_URL": self.url, "WHENCE_TOKEN": self.token, "COLUMNS": "140"}
        if colour:
            environment["FORCE_COLOR"] = "1"
        process = await ended(BIN / "whence", *arguments, environment=environment, merged="--json" not in arguments)
        return process.code, process.out

    async def settled(self, instance_id: str, *, seconds_max: float = 30.0) -> dict[str, Any]:
        """Give an instance's lineage once no task about anything waits to be done for the first time."""
        import asyncio

        async with asyncio.timeout(seconds_max):
            while True:
                lineage = await self.get("/v1/trace", instance=instance_id)
                summary = await self.get("/v1/summary")
                if "links" in lineage and not summary["tasks"]:
                    assert isinstance(lineage, dict)
                    return lineage
                await pause(_LOOK_SECONDS)


@asynccontextmanager
async def aggregator(
    directory: Path,
    logs: Path,
    *,
    authority_pem: Mapping[str, bytes],
    accounts: tuple[str, ...] = ("123456789012",),
    registries: tuple[str, ...] = (),
    git_servers: tuple[str, ...] | Mapping[str, object] = (),
    database: str | None = None,
    name: str = "aggregator",
    port: int = 0,
    within: tuple[str, ...] = (),
    program: Sequence[str | Path] = _AGGREGATOR,
    **settings: object,
) -> AsyncIterator[Aggregator]:
    """Start an aggregator on SQLite in a directory, or on a database by its DSN; `within` is a command that starts it,
    `program` starts another release's."""
    home = directory / name
    home.mkdir(exist_ok=True)
    authorities = home / "authorities"
    authorities.mkdir(exist_ok=True)
    for region, pem in authority_pem.items():
        (authorities / f"{region}.pem").write_bytes(pem)
    tokens, config, port_file = home / "tokens", home / "aggregator.yaml", home / "port"
    port_file.unlink(missing_ok=True)
    # written here, not by the command, which would take a process more for each aggregator
    token, line = new_token("demo", [], admin=True, made=utc_now(), until=utc_now() + timedelta(days=1))
    with tokens.open("a", encoding="ascii") as stream:
        stream.write(f"{line.to_line()}\n")
    shared = {"shared": True} if tuple(program) == _AGGREGATOR else {}  # earlier releases share everything
    document = {
        "audience": "https://whence.example.org",
        "accounts": list(accounts),
        "database": f"sqlite://{home}/ledger.db",
        "listen_port": port,
        "heartbeat_secret_file": str(home / "heartbeat.secret"),
        "log_key_file": str(home / "log.key"),
        "checkpoint_file": str(home / "log.checkpoint"),
        "sts": "off",
        "drain_seconds": 0,
        "tokens_file": str(tokens),
        "authorities_directory": str(authorities),
        "registries": {host: {"plain_http": True} for host in registries},
        "git_servers": (
            git_servers
            if isinstance(git_servers, Mapping)
            else {host: {"plain_http": True, **shared} for host in git_servers}
        ),
        **settings,
    }
    config.write_text(json.dumps(document, indent=2), encoding="utf-8")
    command = [*within, *program, "serve", "--config", config, "--port-file", port_file]
    environment = {} if database is None else {"WHENCE_DATABASE": database}

    async def ready() -> bool:
        return port_file.exists()

    async with started(name, command, logs=logs, ready=ready, environment=environment) as process:
        listening = int(port_file.read_text(encoding="ascii"))
        yield Aggregator(
            process=process, url=f"http://127.0.0.1:{listening}", token=token, config=config,
            of_another_release=tuple(program) != _AGGREGATOR,
        )  # fmt: skip


@dataclass
class Agent:
    """A running whence-agent and where it keeps its things."""

    process: Process
    url: str
    home: Path
    container_name: str

    async def get(self, path: str) -> tuple[int, Any]:
        """GET a path of the status endpoint; give status and JSON value, or the text."""
        async with aiohttp.ClientSession() as session, session.get(self.url + path) as answer:
            if answer.content_type == "application/json":
                return answer.status, await answer.json()
            return answer.status, await answer.text()

    async def until(self, *states: str, seconds_max: float = 60.0) -> dict[str, Any]:
        """Give the status once the agent is in one of these states."""
        import asyncio

        status: dict[str, Any] = {}
        try:
            async with asyncio.timeout(seconds_max):
                while True:
                    _, status = await self.get("/status")
                    if status["state"] in states:
                        return status
                    await pause(_LOOK_SECONDS)
        except TimeoutError:
            message = (
                f"the agent is {status.get('state')}, not {states}: {status.get('reasons')}; log {self.process.log}"
            )
            raise AssertionError(message) from None


@dataclass(frozen=True)
class AgentSettings:
    """What an agent is told by its platform, as far as tests vary it."""

    metadata_url: str
    aggregator_url: str
    engine: str
    aws_url: str | None = None
    immutable_registries: tuple[str, ...] = ()
    extra: Mapping[str, object] = field(default_factory=dict)


def agent_config(settings: AgentSettings, *, home: Path, name: str, status_port: int) -> dict[str, object]:
    """Give the agent's settings file as a document."""
    return {
        "aggregator_url": settings.aggregator_url,
        "metadata_url": settings.metadata_url,
        "aws_endpoint_url": settings.aws_url,
        "engine_socket": settings.engine,
        "state_directory": str(home / "state"),
        "container_directory": str(home / "meta"),
        "container_name": name,
        "publish_address": "127.0.0.1",
        "status_port": status_port,
        "application_gid": 999 if os.geteuid() == 0 else os.getegid(),
        "registries": {host: {"immutable_tags": True} for host in settings.immutable_registries},
        "delivery_pause_seconds_max": 2.0,
        "heartbeat_seconds": 2.0,
        "watch_seconds": 0.5,
        **settings.extra,
    }


@asynccontextmanager
async def agent(
    directory: Path,
    logs: Path,
    settings: AgentSettings,
    *,
    name: str,
    program: Sequence[str | Path] = (BIN / "whence-agent",),
    port: int | None = None,
) -> AsyncIterator[Agent]:
    """Start an agent as a process of its own; `program` is the command that starts another checkout's."""
    home = directory / name
    home.mkdir(exist_ok=True)
    port = free_port() if port is None else port
    config = home / "agent.yaml"
    config.write_text(
        json.dumps(agent_config(settings, home=home, name=name, status_port=port), indent=2), encoding="utf-8"
    )
    command = [*program, "run", "--config", config]
    async with started(name, command, logs=logs, ready=lambda: answers(port)) as process:
        yield Agent(process=process, url=f"http://127.0.0.1:{port}", home=home, container_name=name)
