"""The specifications of the containers, by digest, and the files at /meta that applications read."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec
import yaml

from whence_agent.ports import ContainerSpec, LogDriver, MountPoint
from whence_agent.settings import Settings
from whence_common.identity_document import InstanceIdentity
from whence_common.runtime.files import write_durably
from whence_common.statement import ImageFacts
from whence_common.user_data.agreement import APPLICATION, shared_network
from whence_common.user_data.judge import Sidecar, UserData
from whence_common.user_data.log_plan import LogPlan
from whence_common.user_data.options import ContainerOptions

META = "/meta"
CREDENTIALS = f"{META}/credentials"
STOP_SECONDS_DEFAULT = 30
_NOT_FOR_APPLICATIONS = ("instance_logs_url", "logsink_username", "logsink_password", "dockercfg")
_ENGINE_SOCKET = "/var/run/docker.sock"
_FILES_TO_COMPRESS = 2
"""The engine compresses rotated logs only; with one file there are none."""


def write_meta(directory: Path, user_data: UserData, *, gid: int) -> None:
    """Write the application's copy of user data, without the platform's secrets; ciphertexts stay encrypted."""
    document = {name: value for name, value in user_data.document.items() if name not in _NOT_FOR_APPLICATIONS}
    content = yaml.safe_dump(document, default_flow_style=False, sort_keys=True, allow_unicode=True).encode()
    directory.mkdir(mode=0o750, parents=True, exist_ok=True)
    mode = 0o444 if user_data.options.root else 0o440
    write_durably(directory / "taupage.yaml", content, mode=mode, group=gid)
    if not (directory / "credentials").exists():
        _empty_credentials(directory)
    os.chmod(directory, 0o755 if user_data.options.root else 0o750)  # noqa: PTH101 - next to chown, which pathlib lacks
    os.chown(directory, -1, gid)


@dataclass(frozen=True, slots=True, kw_only=True)
class PulledImage:
    facts: ImageFacts
    image_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Specifier:
    """Builds the specifications of the containers. Pure: the same inputs have the same fingerprint."""

    settings: Settings
    gid: int
    user_data: UserData
    identity: InstanceIdentity

    def application(self, image: PulledImage, environment: Mapping[str, str]) -> ContainerSpec:
        """Return the specification of the application's container."""
        user_data, settings = self.user_data, self.settings
        merged = {"TOKENINFO_URL": settings.tokeninfo_url} if settings.tokeninfo_url is not None else {}
        merged.update({name: environment[name] for name in sorted(environment)})
        merged |= {**self._names(), "CREDENTIALS_DIR": CREDENTIALS}
        mounts = [
            *(MountPoint(source=f"{settings.mounts_directory}{one.path}", inside=one.path, read_only=False)
              for one in user_data.storage.mounts),
            MountPoint(source=settings.container_directory, inside=META),
        ]  # fmt: skip
        return self._specify(settings.container_name, user_data.options, image, merged, tuple(mounts))

    def sidecar(self, sidecar: Sidecar, image: PulledImage, environment: Mapping[str, str]) -> ContainerSpec:
        """Return the specification of a sidecar. It has neither the credentials nor the application's disks."""
        merged = {**{name: environment[name] for name in sorted(environment)}, **self._names()}
        return self._specify(sidecar_name(self.settings, sidecar), sidecar.options, image, merged, ())

    def _names(self) -> dict[str, str]:
        return {
            "APPLICATION_ID": self.user_data.application_id,
            "APPLICATION_VERSION": self.user_data.application_version,
        }

    def _specify(
        self,
        name: str,
        options: ContainerOptions,
        image: PulledImage,
        environment: Mapping[str, str],
        mounts: tuple[MountPoint, ...],
    ) -> ContainerSpec:
        settings = self.settings
        user = options.user or f"{settings.application_uid}:{self.gid}"
        spec = ContainerSpec(
            name=name,
            image=f"{image.facts.repository}@{image.facts.digest}",
            image_id=image.image_id,
            environment=environment,
            options=replace(options, environment={}),
            network=self._network(options),
            publish_address=settings.publish_address,
            user=None if options.root else user,
            mounts=(*mounts, *_host_mounts(options, settings)),
            log=log_driver(self.user_data.logs, settings, self.identity),
            pids_max=settings.pids_max,
            stop_seconds=STOP_SECONDS_DEFAULT if options.stop_seconds is None else options.stop_seconds,
        )
        return replace(spec, fingerprint=_fingerprint(spec))

    def _network(self, options: ContainerOptions) -> str:
        """Return the engine's network mode, with the container's real name for `application` or a sidecar's name."""
        shared = shared_network(options)
        if not shared:
            return options.networking
        return f"container:{_real_name(shared, self.user_data, self.settings)}"


def joined_networks(user_data: UserData, settings: Settings) -> dict[str, str]:
    """Return the containers that share another container's network, each with that container's name."""
    options = {settings.container_name: user_data.options}
    options |= {sidecar_name(settings, one): one.options for one in user_data.sidecars}
    shared = {name: shared_network(one) for name, one in options.items()}
    return {name: _real_name(one, user_data, settings) for name, one in shared.items() if one}


def _real_name(name: str, user_data: UserData, settings: Settings) -> str:
    if name == APPLICATION:
        return settings.container_name
    known = {one.name: sidecar_name(settings, one) for one in user_data.sidecars}
    return known.get(name, name)


def sidecar_name(settings: Settings, sidecar: Sidecar) -> str:
    return f"{settings.container_name}-{sidecar.name}"


def in_order(user_data: UserData) -> tuple[tuple[Sidecar, ...], tuple[Sidecar, ...]]:
    """Return the sidecars that start before the application, and those that start after it to share its network.

    Within each, a sidecar starts after the one whose network it shares. The judge has refused cycles.
    """
    sidecars = {one.name: one for one in user_data.sidecars}
    networks = {name: _networks_before(one, sidecars) for name, one in sidecars.items()}
    ordered = sorted(user_data.sidecars, key=lambda one: len(networks[one.name]))
    after = tuple(one for one in ordered if APPLICATION in networks[one.name])
    return tuple(one for one in ordered if one not in after), after


def _networks_before(sidecar: Sidecar, sidecars: Mapping[str, Sidecar]) -> list[str]:
    """Return the containers that must run first: each uses the network of the next."""
    found = [shared_network(sidecar.options)]
    while found[-1] in sidecars and len(found) <= len(sidecars):
        found.append(shared_network(sidecars[found[-1]].options))
    return [name for name in found if name]


def log_driver(plan: LogPlan, settings: Settings, identity: InstanceIdentity) -> LogDriver:
    """Return the log driver of the containers: that of user data, else the platform's."""
    if plan.log_group is not None:
        options = {
            "awslogs-group": plan.log_group,
            "awslogs-region": identity.region,
            "awslogs-stream": identity.instance_id,
        }
        return LogDriver(name="awslogs", options=options)
    if plan.driver is not None:
        options = dict(plan.options)
        if plan.aws_metadata:
            options["tag"] = f"{options['tag']}/{identity.account_id}/{identity.region}"
        return LogDriver(name=plan.driver, options=options)
    options = dict(settings.log_options)
    if settings.log_driver in ("json-file", "local"):
        if plan.size_bytes is not None:
            options["max-size"] = str(plan.size_bytes)
        if plan.files is not None:
            options["max-file"] = str(plan.files)
            if plan.files < _FILES_TO_COMPRESS and (settings.log_driver == "local" or "compress" in options):
                options["compress"] = "false"  # the engine refuses the default of `local` for a single file
    return LogDriver(name=settings.log_driver, options=options)


def _host_mounts(options: ContainerOptions, settings: Settings) -> tuple[MountPoint, ...]:
    mounts = []
    if options.mount_var_log:
        mounts.append(MountPoint(source="/var/log", inside="/var/log-host"))
    if options.mount_custom_log:
        mounts.append(MountPoint(source="/var/log-custom", inside="/var/log", read_only=False))
    if options.mount_certs:
        mounts.append(MountPoint(source="/etc/ssl/certs", inside="/etc/ssl/certs"))
    if options.engine_socket:
        socket = "/" + settings.engine_socket.partition("://")[2].lstrip("/")
        mounts.append(MountPoint(source=socket, inside=_ENGINE_SOCKET, read_only=False))
    return tuple(mounts)


def _fingerprint(spec: ContainerSpec) -> str:
    """Return a digest of the whole specification; no value can be read back from it."""
    parts: Any = msgspec.to_builtins(spec)
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _empty_credentials(directory: Path) -> None:
    (directory / "generations" / "0").mkdir(mode=0o750, parents=True, exist_ok=True)
    (directory / "credentials").symlink_to("generations/0")
