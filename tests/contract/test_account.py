"""What the agent may rely on in its AWS account: the APIs as moto and a small front speak them, and the fake of other tests."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Protocol

import aiohttp
import pytest

from fakes.agent_world import FakeAccount, FakeNotices
from fakes.aws_front import AwsFront
from fakes.clocks import a_day
from fakes.metadata_service import MetadataService
from fakes.signing_authority import SigningAuthority
from landscape.aws import REGION, Aws
from whence_agent.adapters.aws import AwsClients
from whence_agent.adapters.aws_cloud import AwsCloud
from whence_agent.adapters.imds import ImdsMetadata
from whence_agent.adapters.role import RoleKeys
from whence_agent.ports import Notices
from whence_agent.ports_cloud import CloudRefused, Signals
from whence_agent.proxies import Proxies
from whence_common.clock import utc_now


@dataclass
class Account:
    """`heard` returns what was signalled so far; `refuse` makes the next signal a refusal."""

    signals: Signals
    heard: Callable[[], list[tuple[str, str]]]
    refuse: Callable[[], None]
    instance_id: str


def heard_by(front: AwsFront) -> list[tuple[str, str]]:
    return [
        (
            call.get("LogicalResourceId") or call["LifecycleHookName"],
            call.get("Status") or call["LifecycleActionResult"],
        )
        for call in front.told
    ]


@pytest.fixture(params=["aws", "fake"])
async def account(request: pytest.FixtureRequest, moto: Aws, authority: SigningAuthority) -> AsyncIterator[Account]:
    if request.param == "fake":
        fake = FakeAccount()
        refused = CloudRefused("cloud-refused", "AccessDenied", retryable=False)
        yield Account(
            fake, lambda: [(one.split()[2], one.split()[-1]) for one in fake.told],
            lambda: fake.fail_with.append(refused), "i-0123456789abcdef0",
        )  # fmt: skip
        return
    service = MetadataService("i-0123456789abcdef0", b"", authority)
    async with AwsFront(moto.url).serve() as front, aiohttp.ClientSession() as session, service.serve():
        keys = RoleKeys(metadata=ImdsMetadata(session=session, url=service.url), now=utc_now, up_seconds=a_day)
        clients = AwsClients(keys=keys, endpoint_url=front.url, region=lambda: REGION, proxies=Proxies())
        cloud = AwsCloud(clients, now=utc_now, up_seconds=a_day)
        instance_id = await moto.run_instance(b"")
        yield Account(cloud, lambda: heard_by(front), lambda: front.errors.append("AccessDenied"), instance_id)


async def test_a_stack_and_a_hook_hear_how_the_boot_went(account: Account) -> None:
    await account.signals.stack("pay-1", "App", unique_id="i-1", success=True)
    await account.signals.stack("pay-1", "App", unique_id="i-1", success=False)
    await account.signals.lifecycle("pay", "up", instance_id="i-1", proceed=True)
    await account.signals.lifecycle("pay", "up", instance_id="i-1", proceed=False)
    assert account.heard() == [("App", "SUCCESS"), ("App", "FAILURE"), ("up", "CONTINUE"), ("up", "ABANDON")]


async def test_a_refusal_is_final_and_leaves_nothing_behind(account: Account) -> None:
    account.refuse()
    with pytest.raises(CloudRefused) as caught:
        await account.signals.stack("pay-1", "App", unique_id="i-1", success=True)
    assert not caught.value.retryable
    await account.signals.stack("pay-1", "App", unique_id="i-1", success=True)
    assert account.heard() == [("App", "SUCCESS")]


async def test_an_instance_is_terminated(account: Account) -> None:
    await account.signals.terminate(account.instance_id)


class ReadsNotices(Protocol):
    async def notices(self) -> Notices: ...


@pytest.mark.parametrize(
    "found",
    [Notices(lifecycle_state="InService"), Notices(spot_action="stop", rebalance=True, lifecycle_state="InService")],
)
@pytest.mark.parametrize("kind", ["imds", "fake"])
async def test_notices_are_read_as_they_stand_however_often(
    kind: str, found: Notices, authority: SigningAuthority
) -> None:
    service = MetadataService("i-0123456789abcdef0", b"", authority)
    service.spot_action = b'{"action": "stop", "time": "2026-11-22T12:00:00Z"}' if found.spot_action else None
    service.rebalance = b'{"noticeTime": "2026-11-22T12:00:00Z"}' if found.rebalance else None
    async with aiohttp.ClientSession() as session, service.serve():
        reader: ReadsNotices = ImdsMetadata(session=session, url=service.url) if kind == "imds" else FakeNotices(found)
        assert [await reader.notices() for _ in range(2)] == [found, found]
