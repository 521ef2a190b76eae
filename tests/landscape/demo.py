"""`make demo`: four instances, each traced back as far as the truth goes.

One is right; one has five mistakes in its user data; one asks for a mutable image; one runs an image that was built
from a dirty tree. Ends by itself without a terminal, and exits 0 only if all four ended as they should.
"""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from landscape.images import scm_source
from landscape.processes import NotReady, free_port, run
from landscape.programs import BIN, Agent, AgentSettings, Aggregator, agent, aggregator
from landscape.whole import Landscape, landscape
from whence_aggregator.trace.tickets import named_in

_STARTED = time.monotonic()
_BUCKET = "demo-stups-mint-123456789012-eu-central-1"
_BUILDER = "https://builder.example.org/demo"
_OUR_TICKETS = "#{number}"
"""How this repository's own commits name their tickets."""
_MISTAKES = 5


@dataclass
class Shown:
    """One instance of the demo: what it is, its agent, and whether it ended as it should."""

    title: str
    instance_id: str
    agent: Agent
    expected_state: str
    wrong: list[str]


def say(text: str) -> None:
    print(f"[{time.monotonic() - _STARTED:5.1f} s] {text}", flush=True)


async def main() -> int:
    """Set up, show, check; wait for Ctrl-C when there is a terminal; leave nothing behind."""
    interrupted, showing = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()
    task = asyncio.current_task()
    assert task is not None
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, lambda: interrupted.set() if showing.is_set() else task.cancel())
    try:
        async with AsyncExitStack() as stack:
            scape = await stack.enter_async_context(landscape(say=say))
            server, shown = await set_up(scape, stack)
            for one in shown:
                await _show(server, one)
            wrong = [f"{one.title}: {mistake}" for one in shown for mistake in one.wrong]
            await _show_violations(server)
            await _explore(server, shown)
            if sys.stdin.isatty() and sys.stdout.isatty():
                showing.set()
                print("Everything keeps running. Ctrl-C stops it and leaves nothing behind.", flush=True)
                await interrupted.wait()
            say("stopping")
    except NotReady as exc:
        print(f"make demo: {exc}", file=sys.stderr)
        for note in getattr(exc, "__notes__", []):
            print(f"make demo: {note}", file=sys.stderr)
        return 1
    except asyncio.CancelledError:
        print("make demo: stopped; nothing is left behind", file=sys.stderr)
        return 130
    for mistake in wrong:
        print(f"NOT as it should be: {mistake}", file=sys.stderr)
    say("all four instances ended as they should" if not wrong else "the demo failed")
    return 1 if wrong else 0


def _organisation(directory: Path) -> Path:
    """Write who owns the account: team platform, which allows applications of team hello."""
    file = directory / "organisation.yaml"
    file.write_text(
        "teams: [{id: platform, name: Platform}, {id: hello, name: Hello}]\n"
        'accounts: [{id: "123456789012", name: demo, owner: platform, allows: [hello]}]\n',
        encoding="utf-8",
    )
    return file


async def set_up(scape: Landscape, stack: AsyncExitStack) -> tuple[Aggregator, list[Shown]]:
    say("images: one from the commit that was cloned, one from a dirty tree")
    head = scape.sources.head
    page = b"<h1>whence</h1>\n"
    right, dirty = await asyncio.gather(
        scape.build("whence", head[:12], scm=scm_source(scape.sources.clone_url, head), page=page),
        scape.build("greeter", "1.1", scm=scape.greeter_scm(1, dirty=" M greeting.txt"), page=b"hello\n"),
    )
    say("the build of the first signs where it comes from")
    builders = await _attest(scape, right.reference, scm_source(scape.sources.clone_url, head))
    say("whence-aggregator")
    port = free_port()
    server = await stack.enter_async_context(
        aggregator(
            scape.directory,
            scape.logs,
            authority_pem=scape.authority_pem,
            registries=(scape.registry,),
            git_servers=(scape.sources.host,),
            trust={scape.registry: {"builders": builders}},
            sts="required",
            aws_endpoint_url=scape.sts.url,
            organisation={"file": str(_organisation(scape.directory))},
            port=port,
            console={"url": f"http://127.0.0.1:{port}"},
        )
    )
    await _register(server, scape)
    await scape.aws.put_credentials(
        _BUCKET,
        "whence-demo",
        {
            "user.json": {"application_username": "stups_whence-demo", "application_password": "demo"},
            "client.json": {"client_id": "whence-demo", "client_secret": "demo"},
        },
    )
    say("four instances: metadata service, user data and whence-agent each")
    starts = (
        _start(scape, stack, server, "right", _right(right.reference, head), "ok"),
        _start(scape, stack, server, "five mistakes in its user data", _mistaken(scape.registry), "failed"),
        _start(scape, stack, server, "asks for a mutable image", _mutable(scape.registry), "failed"),
        _start(scape, stack, server, "built from a dirty tree", _dirty(dirty.reference), "ok"),
    )
    shown = [await start for start in starts]
    for one in shown:
        status = await one.agent.until("ok", "failed", "degraded")
        if status["state"] == "degraded":
            status = await one.agent.until("ok", "failed")
        say(f"{one.instance_id} ({one.title}): {status['state']}")
        if status["state"] != one.expected_state:
            one.wrong.append(f"the agent is {status['state']}, not {one.expected_state}: {status['reasons']}")
    for one in shown:
        one.wrong += _check(one.title, await server.settled(one.instance_id), scape)
    return server, shown


async def _attest(scape: Landscape, reference: str, source: bytes) -> list[dict[str, str]]:
    """Sign an image's provenance as a build does, with a key of its own; return the builder that is to be trusted."""
    key, public, file = (scape.directory / name for name in ("build.key", "build.pub", "scm-source.json"))
    file.write_bytes(source)
    await run("openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", key)
    await run("openssl", "ec", "-in", key, "-pubout", "-out", public)
    await run(BIN / "whence", "attest", reference, "--scm-source", file, "--key", key, "--builder-id", _BUILDER)
    return [{"id": _BUILDER, "key_file": str(public)}]


async def _start(
    scape: Landscape, stack: AsyncExitStack, server: Aggregator, title: str, user_data: str, expected: str
) -> Shown:
    service = await stack.enter_async_context(scape.instance(user_data.encode()))
    name = f"whence-demo-{service.instance_id}"
    stack.push_async_callback(scape.remove_container, name)
    settings = AgentSettings(
        metadata_url=service.url,
        aggregator_url=server.url,
        engine=scape.engine,
        aws_url=scape.aws.url,
        immutable_registries=(scape.registry,),
        extra={"platform_containers": ["whence-demo-*"]},  # three machines share this engine
    )
    running = await stack.enter_async_context(agent(scape.directory, scape.logs, settings, name=name))
    return Shown(title=title, instance_id=service.instance_id, agent=running, expected_state=expected, wrong=[])


def _right(reference: str, head: str) -> str:
    return f"""#taupage-ami-config
application_id: whence-demo
application_version: "{head[:12]}"
runtime: Docker
source: "{reference}"
ports:
  {free_port()}: 8080
health_check_path: /health
environment:
  GREETING: hello
mint_bucket: {_BUCKET}
"""


def _mistaken(registry: str) -> str:
    return f"""#taupage-ami-config
application_id: greeter
application_version: 1.10
runtime: docker
source: {registry}/demo/greeter
ports: [8080]
environment:
  RETRIES: [1, 2]
"""


def _mutable(registry: str) -> str:
    return f"""#taupage-ami-config
application_id: greeter
application_version: "1.1"
runtime: Docker
source: {registry}/demo/greeter:latest
"""


def _dirty(reference: str) -> str:
    return f"""#taupage-ami-config
application_id: greeter
application_version: "1.1"
runtime: Docker
source: {reference}
ports:
  {free_port()}: 8080
health_check_path: /health
"""


async def _register(server: Aggregator, scape: Landscape) -> None:
    """Register two applications as Kio's clients do, and say how their tickets look."""
    specification = {"specification_url": "https://tickets.example.org/", "specification_type": "demo"}
    for application_id, team, url in (
        ("whence-demo", "platform", scape.sources.clone_url),
        ("greeter", "hello", scape.sources.greeter_url),
    ):
        kio = {"team_id": team, "name": application_id.title(), "active": True, "scm_url": url, **specification}
        assert await server.put(f"/apps/{application_id}", kio) == 200
    for application_id, pattern in (("whence-demo", _OUR_TICKETS), ("greeter", "DEMO-{number}")):
        tickets = {"patterns": [pattern], "url": "https://tickets.example.org/browse/{ticket}"}
        assert await server.put(f"/v1/applications/{application_id}/tickets", tickets) == 200


def _check(title: str, lineage: dict[str, Any], scape: Landscape) -> list[str]:
    """Compare a lineage with what is known to be true here; give what differs."""
    links = {link["link"]: link for link in lineage["links"]}
    states = {name: link["state"] for name, link in links.items()}
    expected: dict[str, str] = {"account": "asserted", "instance": "confirmed", "application": "confirmed"}
    wrong: list[str] = []
    if (links["instance"]["value"] or {}).get("proof") != "document+sts":
        wrong.append("the instance has not proved by STS that it is itself")
    if title == "right":
        named = named_in(scape.sources.head_message, (_OUR_TICKETS,)).tickets
        expected |= {"image": "confirmed", "source": "confirmed", "commit": "confirmed", "team": "confirmed"}
        expected |= {"account": "confirmed"}
        expected |= {"ticket": "asserted" if named else "missing", "specification": "asserted"}
        if links["commit"]["value"] is None or links["commit"]["value"].get("commit") != scape.sources.head:
            wrong.append("the trace does not end at the commit that was cloned")
    elif title == "built from a dirty tree":
        expected |= {"image": "confirmed", "source": "asserted", "commit": "contradicted", "ticket": "asserted"}
    else:
        expected |= {"image": "missing", "source": "missing", "commit": "missing", "user_data": "asserted"}
        problems = (links["user_data"]["value"] or {}).get("problems", [])
        errors = [problem for problem in problems if problem["severity"] == "error"]
        count = _MISTAKES if title.startswith("five") else 1
        if len(errors) != count or not all(problem["line"] and problem["fix"] for problem in errors):
            wrong.append(f"{len(errors)} mistakes are named, not {count}")
    return wrong + [
        f"{name} is {states[name]}, not {state}" for name, state in expected.items() if states[name] != state
    ]


async def _show(server: Aggregator, one: Shown) -> None:
    command = ["trace", one.instance_id, *(["--evidence"] if one.title == "right" else [])]
    print(f"\n=== {one.title}\n$ whence {' '.join(command)}", flush=True)
    _, picture = await server.whence(*command, colour=sys.stdout.isatty())
    print(picture, flush=True)


async def _show_violations(server: Aggregator) -> None:
    print("=== what breaks a rule\n$ whence violations --verdict fail", flush=True)
    _, table = await server.whence("violations", "--verdict", "fail", colour=sys.stdout.isatty())
    print(table, flush=True)


async def _explore(server: Aggregator, shown: list[Shown]) -> None:
    """Say where to go on."""
    print("=== go on exploring", flush=True)
    _, link = await server.whence("console")
    print(f"  {link.splitlines()[0]}  the console, once, within five minutes")
    for one in shown:
        print(f"  {one.agent.url}/  what on-call sees of {one.instance_id} ({one.title})")
    print(f"  {server.url}/openapi.yaml  the aggregator's contract")
    print(f"\n  export WHENCE_URL={server.url} WHENCE_TOKEN={server.token}")
    print("  .venv/bin/whence instances")
    print(f"  .venv/bin/whence trace --json {shown[0].instance_id}")
    print("  .venv/bin/whence trace --application greeter")
    print("  .venv/bin/whence trace DEMO-2", flush=True)


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
