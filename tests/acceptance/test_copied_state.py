"""A state directory that was copied to a second machine with an image: two real agents and a real aggregator."""

from __future__ import annotations

import asyncio
import json
import shutil
from pathlib import Path

import pytest

from landscape.programs import Aggregator
from landscape.stage import Stage, user_data
from landscape.whole import Landscape


@pytest.mark.parametrize("recorded", [True, False], ids=["by its own record", "by the aggregator's refusal"])
async def test_an_agent_on_a_copied_state_directory_creates_its_own_key_and_enrols(
    stage: Stage, server: Aggregator, scape: Landscape, recorded: bool
) -> None:
    source = (await scape.build("copied", "1.0", scm=scape.greeter_scm(0))).reference
    await stage.instance(user_data(source))
    first, before = stage.service.instance_id, stage.directory / stage.name / "state"
    async with stage.agent(server.url) as running:
        await running.until("ok")
    await scape.remove_container(stage.name)  # the two machines share one engine here
    await stage.instance(user_data(source))
    second, state = stage.service.instance_id, stage.directory / stage.name / "state"
    state.parent.mkdir()
    await asyncio.to_thread(shutil.copytree, before, state, symlinks=True)
    key = _key(state)
    if not recorded:
        next(state.rglob("machine.json")).unlink()
    async with stage.agent(server.url) as running:
        status = await running.until("ok")
        assert status["statements"]["waiting"] == 0
        said = await stage.said(server, lambda predicate: bool(predicate.get("problems")))
        assert "the key of another machine" in json.dumps(said["problems"])
    assert _key(state) != key
    assert _key(before) == key
    of_first, of_second = [await server.get(f"/v1/instances/{one}") for one in (first, second)]
    digests = [{one["digest"] for one in shown["statements"]} for shown in (of_first, of_second)]
    assert all(digests)
    assert not digests[0] & digests[1]
    async with stage.agent(server.url) as running:
        await running.until("ok")
    assert len(list(state.rglob("key.pem"))) == 1


def _key(state: Path) -> bytes:
    return next(state.rglob("key.pem")).read_bytes()
