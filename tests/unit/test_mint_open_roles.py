"""Clients of roles are closed when others were used since, and never while a call is made with them."""

from __future__ import annotations

from dataclasses import dataclass, field

from whence_aggregator.adapters.aws_clients import AssumedRole
from whence_aggregator.adapters.mint.open_roles import OpenRoles


@dataclass
class Releases:
    """Remembers which roles were released."""

    released: list[str] = field(default_factory=list)

    async def release(self, role: AssumedRole) -> None:
        self.released.append(role.arn)


async def use(roles: OpenRoles, *names: str) -> None:
    for name in names:
        async with roles.used(AssumedRole(name)):
            pass


async def test_the_role_that_was_used_longest_ago_is_closed() -> None:
    clients = Releases()
    roles = OpenRoles(clients, open_max=2)
    await use(roles, "a", "b", "a", "c", "d")
    assert clients.released == ["b", "a"]


async def test_a_role_in_use_stays_open() -> None:
    clients = Releases()
    roles = OpenRoles(clients, open_max=1)
    async with roles.used(AssumedRole("a")):
        await use(roles, "b", "c")
        assert clients.released == ["b", "c"]
    await use(roles, "d")
    assert clients.released == ["b", "c", "a"]


async def test_our_own_clients_stay_open() -> None:
    clients = Releases()
    roles = OpenRoles(clients, open_max=0)
    async with roles.used(None):
        pass
    assert clients.released == []
