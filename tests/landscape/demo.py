"""`make demo`: five instances, each traced back as far as the truth goes.

One is right; one has five mistakes in its user data; one asks for a mutable image; one runs an image that was built
from a dirty tree; one runs the aggregator's own image, built from this checkout. Ends by itself without a terminal, and
exits 0 only if all five ended as they should.
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

from landscape.demo_checks import OUR_TICKETS, OWN, differences
from landscape.demo_user_data import mistaken, mutable, own, right, unclean
from landscape.images import scm_source
from landscape.own_image import OwnImage, build, publish, remove
from landscape.processes import NotReady, free_port, run
from landscape.programs import BIN, Agent, AgentSettings, Aggregator, agent, aggregator
from landscape.whole import Landscape, landscape

_STARTED = time.monotonic()
_BUCKET = "demo-stups-mint-123456789012-eu-central-1"
_BUILDER = "https://builder.example.org/demo"
_KEY = "build.key"
"""The builder's key, in the landscape's directory."""


@dataclass
class Shown:
    """One instance of the demo: what it is, its agent, and whether it ended as it should."""

    title: str
    instance_id: str
    agent: Agent
    expected_state: str
    wrong: list[str]
    serves: str = ""
    """A page of its application to look at."""


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
            port = free_port()
            front = f"127.0.0.1:{port}"
            stack.push_async_callback(remove, scape.engine, front)
            building = asyncio.create_task(build(scape, front, say=say))  # takes longest: beside the rest
            stack.push_async_callback(_ended, building)
            server, shown = await set_up(scape, stack, port=port)
            image, own_one = await start_own(scape, stack, server, building)
            shown.append(own_one)
            for one in shown:
                await _show(server, one)
            wrong = [f"{one.title}: {mistake}" for one in shown for mistake in one.wrong]
            await _show_violations(server)
            await _explore(server, shown, image)
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
    say("all five instances ended as they should" if not wrong else "the demo failed")
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


async def set_up(scape: Landscape, stack: AsyncExitStack, *, port: int | None = None) -> tuple[Aggregator, list[Shown]]:
    """Start the aggregator, with a registry front, and four instances."""
    say("images: one from the commit that was cloned, one from a dirty tree")
    head = scape.sources.head
    page = b"<h1>whence</h1>\n"
    good, spoilt = await asyncio.gather(
        scape.build("whence", head[:12], scm=scm_source(scape.sources.clone_url, head), page=page),
        scape.build("greeter", "1.1", scm=scape.greeter_scm(1, dirty=" M greeting.txt"), page=b"hello\n"),
    )
    say("the build of the first signs where it comes from")
    builders = await _attest(scape, good.reference, scm_source(scape.sources.clone_url, head))
    say("whence-aggregator, with a registry front")
    port = free_port() if port is None else port
    front = f"127.0.0.1:{port}"
    server = await stack.enter_async_context(
        aggregator(
            scape.directory,
            scape.logs,
            authority_pem=scape.authority_pem,
            registries=(scape.registry,),
            git_servers=(scape.sources.host,),
            trust={host: {"builders": builders} for host in (scape.registry, front)},
            sts="required",
            aws_endpoint_url=scape.sts.url,
            organisation={"file": str(_organisation(scape.directory))},
            port=port,
            console={"url": f"http://{front}"},
            registry_front={"name": front, "backend": f"http://{scape.registry}"},
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
        _start(scape, stack, server, "right", right(good.reference, head, bucket=_BUCKET), "ok"),
        _start(scape, stack, server, "five mistakes in its user data", mistaken(scape.registry), "failed"),
        _start(scape, stack, server, "asks for a mutable image", mutable(scape.registry), "failed"),
        _start(scape, stack, server, "built from a dirty tree", unclean(spoilt.reference), "ok"),
    )
    shown = [await start for start in starts]
    for one in shown:
        await _ends(one)
    for one in shown:
        one.wrong += differences(one.title, await server.settled(one.instance_id), scape)
    return server, shown


async def start_own(
    scape: Landscape, stack: AsyncExitStack, server: Aggregator, building: asyncio.Task[OwnImage]
) -> tuple[OwnImage, Shown]:
    """Publish the aggregator's own image, and start an instance that runs it."""
    if not building.done():
        say("waiting until whence-aggregator's own image is built")
    image = await building
    if image.changes:
        say(
            f"this checkout has local changes (git status: {len(image.changes.splitlines())} lines): the image states them"
        )
    say("pushing it to the front, and signing where it comes from")
    await publish(scape, image, token=server.token, signing=_signing(scape.directory / _KEY))
    say("a fifth instance, which runs this image")
    front, port = server.url.removeprefix("http://"), free_port()
    user_data = own(image.reference, image.version, port=port)
    shown = await _start(scape, stack, server, OWN, user_data, "ok", sign_in=front)
    shown.serves = f"http://127.0.0.1:{port}/health"
    await _ends(shown)
    shown.wrong += differences(shown.title, await server.settled(shown.instance_id), scape, dirty=bool(image.changes))
    return image, shown


async def _ended(task: asyncio.Task[Any]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def _ends(one: Shown) -> None:
    """Wait until an agent has ended its boot, and note whether it ended as it should."""
    status = await one.agent.until("ok", "failed", "degraded")
    if status["state"] == "degraded":
        status = await one.agent.until("ok", "failed")
    say(f"{one.instance_id} ({one.title}): {status['state']}")
    if status["state"] != one.expected_state:
        one.wrong.append(f"the agent is {status['state']}, not {one.expected_state}: {status['reasons']}")


async def _attest(scape: Landscape, reference: str, source: bytes) -> list[dict[str, str]]:
    """Sign an image's provenance as a build does, with a key of its own; return the builder that is to be trusted."""
    key, public, file = (scape.directory / name for name in (_KEY, "build.pub", "scm-source.json"))
    file.write_bytes(source)
    await run("openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", key)
    await run("openssl", "ec", "-in", key, "-pubout", "-out", public)
    await run(BIN / "whence", "attest", reference, "--scm-source", file, *_signing(key))
    return [{"id": _BUILDER, "key_file": str(public)}]


def _signing(key: Path) -> tuple[str | Path, ...]:
    return "--key", key, "--builder-id", _BUILDER


async def _start(
    scape: Landscape,
    stack: AsyncExitStack,
    server: Aggregator,
    title: str,
    user_data: str,
    expected: str,
    *,
    sign_in: str = "",
) -> Shown:
    """Start an instance; `sign_in` is a front at which it signs in with its own key."""
    service = await stack.enter_async_context(scape.instance(user_data.encode()))
    name = f"whence-demo-{service.instance_id}"
    stack.push_async_callback(scape.remove_container, name)
    settings = AgentSettings(
        metadata_url=service.url,
        aggregator_url=server.url,
        engine=scape.engine,
        aws_url=scape.aws.url,
        extra={
            "platform_containers": ["whence-demo-*", "*_*"],  # the machines share an engine, also with builds
            "registries": {
                scape.registry: {"immutable_tags": True},
                **({sign_in: {"immutable_tags": True, "sign_in": "whence"}} if sign_in else {}),
            },
        },
    )
    running = await stack.enter_async_context(agent(scape.directory, scape.logs, settings, name=name))
    return Shown(title=title, instance_id=service.instance_id, agent=running, expected_state=expected, wrong=[])


async def _register(server: Aggregator, scape: Landscape) -> None:
    """Register three applications as Kio's clients do, and say how their tickets look."""
    specification = {"specification_url": "https://tickets.example.org/", "specification_type": "demo"}
    for application_id, team, url in (
        ("whence-demo", "platform", scape.sources.clone_url),
        ("whence-aggregator", "platform", scape.sources.clone_url),
        ("greeter", "hello", scape.sources.greeter_url),
    ):
        kio = {"team_id": team, "name": application_id.title(), "active": True, "scm_url": url, **specification}
        assert await server.put(f"/apps/{application_id}", kio) == 200
    patterns = {"whence-demo": OUR_TICKETS, "whence-aggregator": OUR_TICKETS, "greeter": "DEMO-{number}"}
    for application_id, pattern in patterns.items():
        tickets = {"patterns": [pattern], "url": "https://tickets.example.org/browse/{ticket}"}
        assert await server.put(f"/v1/applications/{application_id}/tickets", tickets) == 200


async def _show(server: Aggregator, one: Shown) -> None:
    command = ["trace", one.instance_id, *(["--evidence"] if one.title == "right" else [])]
    print(f"\n=== {one.title}\n$ whence {' '.join(command)}", flush=True)
    _, picture = await server.whence(*command, colour=sys.stdout.isatty())
    print(picture, flush=True)


async def _show_violations(server: Aggregator) -> None:
    print("=== what breaks a rule\n$ whence violations --verdict fail", flush=True)
    _, table = await server.whence("violations", "--verdict", "fail", colour=sys.stdout.isatty())
    print(table, flush=True)


async def _explore(server: Aggregator, shown: list[Shown], image: OwnImage) -> None:
    """Say where to go on."""
    print("=== go on exploring", flush=True)
    _, link = await server.whence("console")
    print(f"  {link.splitlines()[0]}  the console, once, within five minutes")
    for one in shown:
        print(f"  {one.agent.url}/  what on-call sees of {one.instance_id} ({one.title})")
        if one.serves:
            print(f"  {one.serves}  the application of {one.instance_id}")
    print(f"  {server.url}/openapi.yaml  the aggregator's contract")
    print(f"\n  export WHENCE_URL={server.url} WHENCE_TOKEN={server.token}")
    print("  .venv/bin/whence instances")
    print(f"  .venv/bin/whence trace --json {shown[0].instance_id}")
    print("  .venv/bin/whence trace --application greeter")
    print("  .venv/bin/whence trace --application whence-aggregator")
    print(f"  .venv/bin/whence images {image.name}")
    print("  .venv/bin/whence trace DEMO-2", flush=True)


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
