"""The watchdog is fed only while no loop hangs."""

from __future__ import annotations

import asyncio
import signal
import socket
from pathlib import Path

import pytest

from fakes.agent_world import World
from whence_agent.adapters.systemd import SystemdNotifier, machine_is_stopping
from whence_common.runtime.lifecycle import run_until_signal


def test_a_loop_that_completes_its_rounds_feeds_the_watchdog(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.pulse.beat("supervision", silent_seconds_max=10)
    world.ticks.now += 9
    assert world.pulse.feed()
    assert world.notifier.told == ["alive"]


def test_one_hanging_loop_stops_the_feeding_of_the_watchdog(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.pulse.beat("supervision", silent_seconds_max=10)
    world.ticks.now += 11
    world.pulse.beat("delivery", silent_seconds_max=10)
    assert not world.pulse.feed()
    assert world.pulse.silent() == ["supervision"]
    assert world.notifier.told == []


def test_a_loop_that_has_not_started_does_not_count_as_hanging(tmp_path: Path) -> None:
    assert World(tmp_path).pulse.feed()


def test_the_service_manager_receives_its_own_notation(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(5)
        SystemdNotifier(address=str(tmp_path / "notify")).notify(ready=True, alive=True, status="stage pull\nno line")
        assert manager.recv(1000) == b"READY=1\nWATCHDOG=1\nSTATUS=stage pull"


def test_without_a_service_manager_nothing_is_sent(tmp_path: Path) -> None:
    SystemdNotifier(address=None).notify(ready=True)
    SystemdNotifier(address=str(tmp_path / "nobody")).notify(ready=True)


def test_the_machine_is_stopping_once_its_unit_has_created_the_flag(tmp_path: Path) -> None:
    flag = tmp_path / "machine-stops"
    assert not machine_is_stopping(flag)
    flag.touch()
    assert machine_is_stopping(flag)


async def forever() -> None:
    await asyncio.Event().wait()


@pytest.mark.parametrize("accepts", [True, False])
async def test_a_hangup_reloads_only_if_the_settings_are_valid(accepts: bool) -> None:
    asked: list[bool] = []
    stopped: list[bool] = []

    def may_reload() -> bool:
        asked.append(accepts)
        asyncio.get_running_loop().call_soon(signal.raise_signal, signal.SIGTERM)
        return accepts

    async def on_stopping() -> None:
        stopped.append(True)

    asyncio.get_running_loop().call_soon(signal.raise_signal, signal.SIGHUP)
    ended = await run_until_signal({"one": forever}, on_stopping=on_stopping, may_reload=may_reload)
    assert asked == [accepts]
    assert ended == ("reload" if accepts else "stop")
    assert stopped == ([] if accepts else [True])
