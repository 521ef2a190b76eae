"""The providers of all kinds, and the errors of AWS as ours."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TypeVar

from whence_aggregator.accounts.account import Target
from whence_aggregator.accounts.ports import Provider
from whence_aggregator.accounts.resources import Json, Kind, Standing, Wanted
from whence_aggregator.adapters.accounts.alias import AliasProvider
from whence_aggregator.adapters.accounts.flow_logs import FlowLogGroupProvider, FlowLogProvider
from whence_aggregator.adapters.accounts.internet_gateways import InternetGatewayProvider
from whence_aggregator.adapters.accounts.nat import ElasticAddressProvider, NatGatewayProvider
from whence_aggregator.adapters.accounts.place import AwsPlace
from whence_aggregator.adapters.accounts.prefix_lists import PrefixListProvider
from whence_aggregator.adapters.accounts.route_tables import RouteTableProvider
from whence_aggregator.adapters.accounts.security_groups import SecurityGroupProvider
from whence_aggregator.adapters.accounts.subnet_groups import CacheSubnetGroupProvider, DbSubnetGroupProvider
from whence_aggregator.adapters.accounts.subnets import SubnetProvider
from whence_aggregator.adapters.accounts.vpc_endpoints import VpcEndpointProvider
from whence_aggregator.adapters.accounts.vpcs import VpcProvider
from whence_aggregator.adapters.aws_clients import CALL_FAILURES, ServiceClients
from whence_aggregator.adapters.aws_refusals import refusal, why
from whence_common.errors import RoadError

T = TypeVar("T")
GLOBAL_REGION = "us-east-1"
"""Where services without regions are asked, and where an account without a region of its own is."""

PROVIDERS: Mapping[str, Callable[[AwsPlace], Provider]] = {
    "alias": AliasProvider,
    "vpc": VpcProvider,
    "internet-gateway": InternetGatewayProvider,
    "subnet": SubnetProvider,
    "route-table": RouteTableProvider,
    "elastic-address": ElasticAddressProvider,
    "nat-gateway": NatGatewayProvider,
    "vpc-endpoint": VpcEndpointProvider,
    "flow-log-group": FlowLogGroupProvider,
    "flow-log": FlowLogProvider,
    "prefix-list": PrefixListProvider,
    "security-group": SecurityGroupProvider,
    "db-subnet-group": DbSubnetGroupProvider,
    "cache-subnet-group": CacheSubnetGroupProvider,
}


class AwsProviders:
    """Providers for accounts of AWS."""

    def __init__(self, clients: ServiceClients) -> None:
        self._clients = clients

    def of(self, kind: Kind, target: Target, region: str | None) -> Provider:
        """Return the provider of a kind; its errors name the account, the region and the kind."""
        where = " ".join(filter(None, (target.name, region, kind.name)))
        return _Refusing(PROVIDERS[kind.name](self._place(target, region)), where, kind)

    async def identity(self, target: Target) -> str:
        async def ask() -> str:
            sts = await self._place(target, None).client("sts")
            return str((await sts.get_caller_identity())["Account"])

        return await _asked(ask(), target.name, "sts:GetCallerIdentity")

    async def aliases(self, target: Target) -> Sequence[str]:
        async def ask() -> list[str]:
            iam = await self._place(target, None).client("iam")
            return list((await iam.list_account_aliases())["AccountAliases"])

        return await _asked(ask(), target.name, "iam:ListAccountAliases")

    def _place(self, target: Target, region: str | None) -> AwsPlace:
        return AwsPlace(target=target, region=region or target.regions[0], clients=self._clients)


class _Refusing:
    """A provider whose errors are RoadErrors."""

    def __init__(self, provider: Provider, where: str, kind: Kind) -> None:
        self._provider = provider
        self._where = where
        self._kind = kind

    async def read(self, wanted: Sequence[Wanted]) -> Sequence[Standing]:
        return await _asked(self._provider.read(wanted), self._where, ", ".join(self._kind.reads))

    async def create(self, wanted: Wanted) -> None:
        await self._write(self._provider.create(wanted))

    async def put(self, standing: Standing, aspect: str, value: Json) -> None:
        await self._write(self._provider.put(standing, aspect, value))

    async def delete(self, standing: Standing) -> None:
        await self._write(self._provider.delete(standing))

    async def _write(self, call: Awaitable[None]) -> None:
        await _asked(call, self._where, ", ".join(self._kind.writes))


async def _asked(call: Awaitable[T], where: str, actions: str) -> T:
    try:
        return await call
    except CALL_FAILURES as exc:
        error = refusal(exc)
        kind = error.kind if error is not None else None
        if kind == "denied":
            fix = f"allow {actions}, or check the role of the account's access and its external id"
            raise RoadError("account-denied", f"{where}: AWS denies it: {error}", fix=fix, retryable=False) from exc
        if kind == "throttled":
            fix = "run it again, with fewer accounts at once (--max-procs)"
            raise RoadError("account-throttled", f"{where}: AWS throttles requests: {error}", fix=fix) from exc
        raise RoadError("account-unreachable", f"{where}: {why(exc)}", retryable=kind != "final") from exc
