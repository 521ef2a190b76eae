"""A running front with `pulls: own-teams`: what its instances pull, and what they are told about the rest."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from fakes.machine import Machine
from fakes.pulls import pull_request
from fakes.signing_authority import SigningAuthority
from landscape.front import RunningFront, registry_front
from whence_aggregator.settings.server import parse_settings
from whence_common.runtime.pause import pause
from whence_common.settings_file import SettingsInvalid

ORGANISATION = {
    "teams": [{"id": "alpha"}, {"id": "beta"}, {"id": "gamma"}, {"id": "platform"}],
    "accounts": [{"id": "123456789012", "owner": "alpha", "allows": ["gamma"]}],
}


@pytest.fixture
async def front(authority: SigningAuthority, tmp_path: Path) -> AsyncIterator[RunningFront]:
    file = tmp_path / "organisation.yaml"
    file.write_text(json.dumps(ORGANISATION), encoding="utf-8")
    async with registry_front(
        tmp_path, tmp_path, authority_pem={"eu-central-1": authority.pem}, pulls="own-teams", shared_teams=["platform"],
        aggregator_settings={"organisation": {"file": str(file)}},
    ) as running:  # fmt: skip
        yield running


class Instance:
    """An instance of account 123456789012 that enrols at a front."""

    def __init__(self, front: RunningFront, authority: SigningAuthority) -> None:
        self.front, self.machine = front, Machine(authority, "i-00000000000000001")
        self._audience = f"registry:{front.host}"

    async def post(self, path: str, body: bytes) -> tuple[int, Any]:
        async with self.front.session.post(f"{self.front.url}/v2/_whence/v1/{path}", data=body) as answer:
            return answer.status, await answer.json(content_type=None)

    async def enrol(self) -> None:
        _, challenge = await self.post("challenges", b"{}")
        self.machine.launch_now()
        request = self.machine.request(challenge["challenge"], self._audience)
        assert (await self.post("enrolments", msgspec.json.encode(request)))[0] == 201

    async def token(self, repository: str) -> tuple[int, Any]:
        _, challenge = await self.post("challenges", b"{}")
        request = pull_request(self.machine, challenge["challenge"], self._audience, repository)
        return await self.post("tokens", msgspec.json.encode(request))


async def test_instances_pull_the_images_of_their_accounts_teams_alone(
    front: RunningFront, authority: SigningAuthority
) -> None:
    for team in ("alpha", "beta", "gamma", "platform"):
        await front.client().push(f"{team}/app", "1.0", team.encode())
    instance = Instance(front, authority)
    await instance.enrol()
    async with asyncio.timeout(60):
        while (await instance.token("alpha/app"))[1].get("code") == "account-owner-unknown":
            await pause(0.05)  # the organisation is read soon after the start
    for team in ("alpha", "gamma", "platform"):
        status, given = await instance.token(f"{team}/app")
        assert status == 201, given
        pulled = await front.client(given["token"]).ask("GET", f"/v2/{team}/app/manifests/1.0")
        assert pulled.status == 200, pulled.body
    status, said = await instance.token("beta/app")
    assert (status, said["code"]) == (403, "pull-other-team")
    assert said["detail"].startswith("account 123456789012 is of team alpha (read at ")
    assert said["detail"].endswith("): its instances may not pull images of team beta")
    assert said["fix"].startswith("push the image for team alpha, list beta in the account's `allows`")
    assert (await front.client().ask("GET", "/v2/beta/app/manifests/1.0")).status == 200, "people pull as before"


@pytest.mark.parametrize(
    "front_settings, organisation, said",
    [
        ({"pulls": "own-teams"}, None, "registry_front.pulls: own-teams needs organisation, which states who owns"),
        ({"pulls": "own-teams", "public_read": True}, {"file": "x"}, "own-teams has no effect with public_read"),
        ({"shared_teams": ["platform"]}, {"file": "x"}, "registry_front.shared_teams needs registry_front.pulls"),
        ({"pulls": "own-teams", "shared_teams": ["a/b"]}, {"file": "x"}, "shared_teams: 'a/b' is not a team"),
        ({"owners_seconds_max": 1}, None, "registry_front.owners_seconds_max must be from 60 to 2592000"),
        ({"pulls": "some"}, None, "registry_front.pulls"),
    ],
)
def test_settings_that_would_not_restrict_pulls_are_refused(
    front_settings: dict[str, object], organisation: object, said: str
) -> None:
    registry = {"name": "pierone.example.org", "backend": "http://127.0.0.1:5000", **front_settings}
    document: dict[str, object] = {
        "audience": "https://w.example.org",
        "accounts": ["123456789012"],
        "registry_front": registry,
    }
    document |= {"organisation": organisation} if organisation is not None else {}
    with pytest.raises(SettingsInvalid) as caught:
        parse_settings(json.dumps(document).encode(), name="a.yaml")
    assert said in str(caught.value)
