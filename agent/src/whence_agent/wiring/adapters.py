"""The adapters to every service outside the agent. None of them sends a request before it is called."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass

import aiohttp

from whence_agent.adapters.aggregator import HttpAggregator
from whence_agent.adapters.aws import AwsClients
from whence_agent.adapters.aws_cloud import AwsCloud
from whence_agent.adapters.aws_http import SignedHttp
from whence_agent.adapters.by_proxy import ByProxy
from whence_agent.adapters.docker_engine import DockerEngine
from whence_agent.adapters.http_probe import HttpProbe
from whence_agent.adapters.identity_prover import IdentityProver
from whence_agent.adapters.imds import ImdsMetadata
from whence_agent.adapters.machine import MachineSocket
from whence_agent.adapters.oauth import OAuthIssuer
from whence_agent.adapters.oci_registry import OciRegistry
from whence_agent.adapters.registry_connection import system_lookup
from whence_agent.adapters.registry_reads import RegistryReads
from whence_agent.adapters.role import RoleKeys
from whence_agent.adapters.this_processor import this_processor
from whence_agent.proxies import Proxies
from whence_agent.settings import Settings
from whence_agent.wiring.process import up_seconds
from whence_common.clock import utc_now
from whence_common.image_reference import registry_name
from whence_common.registry_address import RegistryPlace


@dataclass(frozen=True, slots=True, kw_only=True)
class Adapters:
    session: aiohttp.ClientSession
    """Uses the proxies, if there are any."""
    metadata: ImdsMetadata
    cloud: AwsCloud
    aws: SignedHttp
    engine: DockerEngine
    machine: MachineSocket
    probe: HttpProbe
    issuer: OAuthIssuer
    prover: IdentityProver
    registry: OciRegistry
    places: Mapping[str, RegistryPlace]

    def front_of(self, registry: str, key_id: Callable[[], str]) -> HttpAggregator:
        """Return the client of a registry front, which serves pull tokens and a part of the aggregator's calls."""
        place = self.places.get(registry_name(registry)) or RegistryPlace(registry=registry)
        return HttpAggregator(session=self.session, url=f"{place.origin}/v2/_whence", ca_file=None, key_id=key_id)


async def make_adapters(
    settings: Settings, proxies: Proxies, *, region: Callable[[], str], stack: AsyncExitStack
) -> Adapters:
    """Create the adapters; `stack` closes them. `region` is called only after the identity is known."""
    session = direct = await stack.enter_async_context(_session())
    if proxies:
        session = await stack.enter_async_context(_session(ByProxy(proxies)))
    metadata = ImdsMetadata(session=direct, url=settings.metadata_url)
    keys = RoleKeys(metadata=metadata, now=utc_now, up_seconds=up_seconds)
    clients = AwsClients(keys=keys, endpoint_url=settings.aws_endpoint_url, region=region, proxies=proxies)
    engine = DockerEngine(socket=settings.engine_socket, pull_stall_seconds_max=settings.pull_stall_seconds_max)
    stack.push_async_callback(engine.close)
    places = _places(settings)
    http = RegistryReads(
        session=session, direct=direct, proxy_for=proxies.url_for, places=places, lookup=system_lookup, now=utc_now
    )
    return Adapters(
        session=session,
        metadata=metadata,
        cloud=AwsCloud(clients, now=utc_now, up_seconds=up_seconds),
        aws=SignedHttp(
            session=session, keys=keys, region=region, endpoint_url=settings.aws_endpoint_url, now=utc_now,
            up_seconds=up_seconds,
        ),
        engine=engine,
        machine=MachineSocket(path=settings.machine_socket, disks_path=settings.disks_socket),
        probe=HttpProbe(session=direct),
        issuer=OAuthIssuer(session=session, url=settings.oauth_token_url),
        prover=IdentityProver(metadata=metadata, now=utc_now),
        registry=OciRegistry(http=http, processor=this_processor()),
        places=places,
    )  # fmt: skip


def _places(settings: Settings) -> dict[str, RegistryPlace]:
    return {
        registry_name(host): RegistryPlace(
            registry=registry_name(host),
            plain_http=one.plain_http,
            token_hosts=frozenset(one.token_hosts),
            blob_hosts=frozenset(one.blob_hosts),
        )
        for host, one in settings.registries.items()
    }


def _session(*middlewares: ByProxy) -> aiohttp.ClientSession:
    """Return a session that does not read the environment, because aiohttp would then use ~/.netrc."""
    return aiohttp.ClientSession(trust_env=False, auto_decompress=False, middlewares=middlewares)
