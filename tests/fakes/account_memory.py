"""An account in memory, as providers reach it: resources by address, counted writes, and faults at a chosen write."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from whence_aggregator.accounts.account import Target
from whence_aggregator.accounts.resources import Json, ResourceKind, StandingResource, State, WantedResource, address_of
from whence_common.errors import WhenceError


class Killed(BaseException):
    """The process dies here: no handler of ours may see it."""


@dataclass
class Resource:
    state: dict[str, Json]
    own: bool = True
    output: str = ""
    foreign: tuple[str, ...] = ()


@dataclass
class MemoryAccount:
    """`bare` are the aspects that a creation sets; the others are None until they are put. `fault` sees each write."""

    account_id: str = "123456789012"
    alias: str | None = None
    resources: dict[str, Resource] = field(default_factory=dict)
    bare: frozenset[str] = frozenset({"one"})
    fault: Callable[[int, str, str], None] = lambda *_: None
    unreadable: dict[str, WhenceError] = field(default_factory=dict)
    writes: list[tuple[str, str]] = field(default_factory=list)
    answers_creations: bool = False
    """The answer of a creation states the resource, so that it is not read again."""
    reads: list[tuple[str, str | None]] = field(default_factory=list)
    """Kind and region of each read."""
    hidden_reads: int = 0
    """How many reads do not list what was created since: AWS is eventually consistent."""
    _hidden: set[str] = field(default_factory=set)
    _serial: int = 0

    def of(self, kind: ResourceKind, target: Target, region: str | None) -> MemoryProvider:
        return MemoryProvider(self, kind, region)

    async def find(self, kind: ResourceKind, target: Target, region: str | None) -> Sequence[StandingResource]:
        return []

    async def identity(self, target: Target) -> str:
        return self.account_id

    async def aliases(self, target: Target) -> Sequence[str]:
        return [] if self.alias is None else [self.alias]

    async def release(self, target: Target) -> None:
        """Nothing is open."""

    def write(self, what: str, address: str) -> None:
        """Count a write. A fault of an even number hits before it acts, the caller's business otherwise."""
        self.writes.append((what, address))
        self.fault(len(self.writes), what, address)

    def of_one_pass(self) -> MemoryAccount:
        return self

    def next_output(self) -> str:
        self._serial += 1
        return f"id-{self._serial}"


@dataclass
class MemoryProvider:
    account: MemoryAccount
    kind: ResourceKind
    region: str | None

    async def read(self, wanted: Sequence[WantedResource]) -> Sequence[StandingResource]:
        self.account.reads.append((self.kind.name, self.region))
        if self.kind.name in self.account.unreadable:
            raise self.account.unreadable[self.kind.name]
        self.account.hidden_reads -= 1
        if self.account.hidden_reads < 0:
            self.account._hidden.clear()
        asked = {one.address for one in wanted}
        prefix = address_of(self.kind.name, "", self.region)
        return [
            StandingResource(
                kind=self.kind, name=address.removeprefix(prefix), region=self.region, is_own=one.own,
                state=copy.deepcopy(one.state), outputs={"id": one.output}, foreign=one.foreign,
            )
            for address, one in self.account.resources.items()
            if address.startswith(prefix) and (address in asked or one.own) and address not in self.account._hidden
        ]  # fmt: skip

    async def create(self, wanted: WantedResource) -> StandingResource | None:
        assert wanted.address not in self.account.resources, f"{wanted.address} is created twice"
        self.account.write("create", wanted.address)
        state = {name: value for name, value in wanted.state.items() if name in self.account.bare}
        self.account.resources[wanted.address] = Resource(state, output=self.account.next_output())
        if self.account.hidden_reads > 0:
            self.account._hidden.add(wanted.address)
        if not self.account.answers_creations:
            return None
        made = self.account.resources[wanted.address]
        return StandingResource(
            kind=self.kind, name=wanted.name, region=self.region, is_own=True, state=copy.deepcopy(made.state),
            outputs={"id": made.output},
        )  # fmt: skip

    async def put(self, standing: StandingResource, aspect: str, value: Json) -> None:
        self.account.write(f"put {aspect}", standing.address)
        self.account.resources[standing.address].state[aspect] = value

    async def delete(self, standing: StandingResource) -> None:
        self.account.write("delete", standing.address)
        self.account.resources.pop(standing.address, None)


def resources_of(states: Mapping[str, State]) -> dict[str, Resource]:
    """Return resources of ours by address."""
    return {address: Resource(dict(state), output=f"was-{number}") for number, (address, state) in
            enumerate(states.items())}  # fmt: skip
