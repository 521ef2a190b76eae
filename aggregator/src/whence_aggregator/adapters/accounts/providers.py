"""The providers of all kinds, and the errors of AWS as ours."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from whence_aggregator.accounts.account import Target
from whence_aggregator.accounts.configuration.access import AccountAccess
from whence_aggregator.accounts.limits import ServiceLimit
from whence_aggregator.accounts.ports import Finds, ResourceProvider
from whence_aggregator.accounts.resources import Json, ResourceKind, StandingResource, WantedResource
from whence_aggregator.adapters.accounts.alias import AliasProvider
from whence_aggregator.adapters.accounts.buckets import BucketProvider
from whence_aggregator.adapters.accounts.budgets import BudgetProvider
from whence_aggregator.adapters.accounts.certificate import CertificateProvider
from whence_aggregator.adapters.accounts.config_recorders import RecorderProvider, ServiceRoleProvider
from whence_aggregator.adapters.accounts.defaults import (
    EbsProvider,
    ImageSharingProvider,
    InstanceMetadataProvider,
    PublicAccessProvider,
    SnapshotSharingProvider,
)
from whence_aggregator.adapters.accounts.delegation import DelegationProvider
from whence_aggregator.adapters.accounts.flow_logs import FlowLogProvider
from whence_aggregator.adapters.accounts.guardduty import DetectorProvider
from whence_aggregator.adapters.accounts.identity import (
    OutboundWebIdentityProvider,
    PasswordPolicyProvider,
    RootUserProvider,
)
from whence_aggregator.adapters.accounts.instance_profiles import InstanceProfileProvider
from whence_aggregator.adapters.accounts.internet_gateways import InternetGatewayProvider
from whence_aggregator.adapters.accounts.keys import KeyProvider
from whence_aggregator.adapters.accounts.launch_permission import LaunchPermissionProvider
from whence_aggregator.adapters.accounts.limits import LIMIT_ACTIONS, read_limits
from whence_aggregator.adapters.accounts.log_groups import FlowLogGroupProvider, LogGroupProvider
from whence_aggregator.adapters.accounts.nat import ElasticAddressProvider, NatGatewayProvider
from whence_aggregator.adapters.accounts.permissions import denied_actions
from whence_aggregator.adapters.accounts.place import AwsPlace
from whence_aggregator.adapters.accounts.prefix_lists import PrefixListProvider
from whence_aggregator.adapters.accounts.queues import QueueProvider
from whence_aggregator.adapters.accounts.refusals import road_error
from whence_aggregator.adapters.accounts.roles import RoleProvider
from whence_aggregator.adapters.accounts.route_tables import RouteTableProvider
from whence_aggregator.adapters.accounts.saml_metadata import SamlMetadataProvider, read_document
from whence_aggregator.adapters.accounts.saml_providers import SamlProviderProvider
from whence_aggregator.adapters.accounts.security_groups import SecurityGroupProvider
from whence_aggregator.adapters.accounts.settling import Settling
from whence_aggregator.adapters.accounts.shared_reads import SharedReads
from whence_aggregator.adapters.accounts.subnet_groups import CacheSubnetGroupProvider, DbSubnetGroupProvider
from whence_aggregator.adapters.accounts.subnets import SubnetProvider
from whence_aggregator.adapters.accounts.subscriptions import SubscriptionProvider
from whence_aggregator.adapters.accounts.topics import TopicProvider
from whence_aggregator.adapters.accounts.trails import OtherTrailsProvider, TrailProvider, TrustedAccessProvider
from whence_aggregator.adapters.accounts.vpc_endpoints import VpcEndpointProvider
from whence_aggregator.adapters.accounts.vpcs import VpcProvider
from whence_aggregator.adapters.accounts.zone import ZoneProvider
from whence_aggregator.adapters.aws_clients import CALL_FAILURES, ServiceClients
from whence_common.errors import RoadError, one_line

T = TypeVar("T")
_SESSION_NAME = "whence-accounts"
_ATTEMPTS_MAX = 8
"""Of one call, with the SDK's jittered pauses, which grow to 20 seconds."""
_REQUEST_SECONDS_MAX = 20.0
_SECONDS_MAX = 1_800.0
"""Of reading or writing one kind, also where an answer trickles in."""
_UNEXPECTED = (AttributeError, LookupError, RecursionError, TypeError, ValueError)
"""Of reading what AWS answered, or a plan that another version wrote: the other resources are still applied."""

PROVIDERS: Mapping[str, Callable[[AwsPlace], ResourceProvider]] = {
    "alias": AliasProvider,
    "instance-profile": InstanceProfileProvider,
    "outbound-web-identity": OutboundWebIdentityProvider,
    "password-policy": PasswordPolicyProvider,
    "role": RoleProvider,
    "root-user": RootUserProvider,
    "saml-metadata": lambda _: SamlMetadataProvider(read_document),
    "saml-provider": SamlProviderProvider,
    "bucket": BucketProvider,
    "ebs-encryption": EbsProvider,
    "image-sharing": ImageSharingProvider,
    "instance-metadata": InstanceMetadataProvider,
    "budget": BudgetProvider,
    "config-recorder": RecorderProvider,
    "service-linked-role": ServiceRoleProvider,
    "guardduty-detector": DetectorProvider,
    "key": KeyProvider,
    "public-access": PublicAccessProvider,
    "snapshot-sharing": SnapshotSharingProvider,
    "trusted-access": TrustedAccessProvider,
    "topic": TopicProvider,
    "queue": QueueProvider,
    "subscription": SubscriptionProvider,
    "log-group": LogGroupProvider,
    "trail": TrailProvider,
    "other-trails": OtherTrailsProvider,
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
    "zone": ZoneProvider,
    "delegation": DelegationProvider,
    "certificate": CertificateProvider,
    "launch_permission": LaunchPermissionProvider,
    "db-subnet-group": DbSubnetGroupProvider,
    "cache-subnet-group": CacheSubnetGroupProvider,
}


class AwsProviders:
    """Providers for accounts of AWS. `clients` opens the clients of a profile; None is the SDK's usual credentials."""

    def __init__(self, clients: Callable[[str | None], ServiceClients]) -> None:
        self._open = clients
        self._clients: dict[str | None, ServiceClients] = {}
        self._reads: SharedReads | None = None
        self._identities: dict[tuple[str, AccountAccess], str] = {}

    @classmethod
    def opened(
        cls, *, endpoint_url: str | None, clock: Callable[[], float],
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep, told: Callable[[str], None] = lambda _: None,
        request_seconds_max: float = _REQUEST_SECONDS_MAX, attempts_max: int = _ATTEMPTS_MAX,
    ) -> AwsProviders:  # fmt: skip
        """Return providers with clients of their own; call `close` at the end.

        `pause` waits, in seconds, before a write call is repeated that may settle; `told` is told of it.
        """
        settling = Settling(pause=pause, told=told)
        return cls(
            lambda profile: ServiceClients(
                endpoint_url=endpoint_url, session_name=_SESSION_NAME, clock=clock, attempts_max=attempts_max,
                request_seconds_max=request_seconds_max, profile=profile, prepare=settling.watch,
            )
        )  # fmt: skip

    def of_one_pass(self) -> AwsProviders:
        """Return providers with the same clients that make identical reads once."""
        found = AwsProviders(self._open)
        found._clients, found._reads = self._clients, SharedReads()
        return found

    async def close(self) -> None:
        """Close all clients."""
        for one in self._clients.values():
            await one.close()

    def of(self, kind: ResourceKind, target: Target, region: str | None) -> ResourceProvider:
        """Return the provider of a kind; its errors name the account, the region and the kind."""
        return _Refusing(PROVIDERS[kind.name](self.place(target, region)), _where(kind, target, region), kind)

    async def find(self, kind: ResourceKind, target: Target, region: str | None) -> Sequence[StandingResource]:
        """Return what stands of a kind, whoever made it; nothing of kinds that are not imported. Raises RoadError."""
        provider = PROVIDERS[kind.name](self.place(target, region))
        if not isinstance(provider, Finds):
            return []
        return await _asked(provider.find(), _where(kind, target, region), ", ".join(kind.reads))

    async def identity(self, target: Target) -> str:
        """Return the account of the credentials. It is asked once for a role, which is in one account for ever."""

        async def ask() -> str:
            sts = await self.place(target, None).client("sts")
            return str((await sts.get_caller_identity())["Account"])

        key = target.account_id, target.access
        if key in self._identities:
            return self._identities[key]
        found = await _asked(ask(), target.name, "sts:GetCallerIdentity")
        if target.access.role is not None:
            self._identities[key] = found
        return found

    async def aliases(self, target: Target) -> Sequence[str]:
        async def ask() -> list[str]:
            iam = await self.place(target, None).client("iam")
            return list((await iam.list_account_aliases())["AccountAliases"])

        return await _asked(ask(), target.name, "iam:ListAccountAliases")

    async def release(self, target: Target) -> None:
        """Close the clients of an account's role. Those of the caller's own credentials are kept."""
        await self.place(target, None).release()

    async def denied(self, target: Target, actions: Sequence[str]) -> Sequence[str]:
        """Return the actions that the credentials of an account lack. Raises RoadError."""
        return await _asked(
            denied_actions(self.place(target, None), actions), target.name, "iam:SimulatePrincipalPolicy, iam:GetRole"
        )

    async def limits(self, target: Target, region: str) -> Sequence[ServiceLimit]:
        """Return the service quotas of a region, and those of the account with its first one. Raises RoadError."""
        place = self.place(target, region)
        return await _asked(read_limits(place), f"{target.name} {region}", ", ".join(LIMIT_ACTIONS))

    def place(self, target: Target, region: str | None) -> AwsPlace:
        """Return where a provider calls; without a region, in the first of the account."""
        profile = target.access.profile
        if profile not in self._clients:
            self._clients[profile] = self._open(profile)
        return AwsPlace(
            target=target, region=region or target.regions[0], clients=self._clients[profile], reads=self._reads
        )


def _where(kind: ResourceKind, target: Target, region: str | None) -> str:
    return " ".join(filter(None, (target.name, region, kind.name)))


class _Refusing:
    """A provider whose errors are RoadErrors."""

    def __init__(self, provider: ResourceProvider, where: str, kind: ResourceKind) -> None:
        self._provider = provider
        self._where = where
        self._kind = kind

    async def read(self, wanted: Sequence[WantedResource]) -> Sequence[StandingResource]:
        return await _asked(self._provider.read(wanted), self._where, ", ".join(self._kind.reads))

    async def create(self, wanted: WantedResource) -> StandingResource | None:
        return await self._write(self._provider.create(wanted))

    async def put(self, standing: StandingResource, aspect: str, value: Json) -> None:
        await self._write(self._provider.put(standing, aspect, value))

    async def delete(self, standing: StandingResource) -> None:
        await self._write(self._provider.delete(standing))

    async def _write(self, call: Awaitable[T]) -> T:
        return await _asked(call, self._where, ", ".join(self._kind.writes))


async def _asked(call: Awaitable[T], where: str, actions: str) -> T:
    try:
        async with asyncio.timeout(_SECONDS_MAX):
            return await call
    except CALL_FAILURES as exc:
        raise road_error(exc, where, actions) from exc
    except _UNEXPECTED as exc:
        found = traceback.extract_tb(exc.__traceback__)[-1]
        what = one_line(f"{type(exc).__name__} {exc}", 200)
        message = f"{where}: an answer of AWS or a state has another form than expected: {what}"
        fix = f"report it with this place: {Path(found.filename).name}:{found.lineno}"
        raise RoadError("account-unexpected", message, fix=fix, retryable=False) from exc
