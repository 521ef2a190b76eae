"""Stages host and storage: attach volumes, then have the helper set up the host and the disks."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from whence_agent.boot.identity import Identified
from whence_agent.boot.stage import Observation, ObservedSoFar, StageHandle
from whence_agent.boot.user_data import Judged
from whence_agent.machine.protocol import (
    ArrayRequest,
    CustomLogsRequest,
    HostRequest,
    MachineFailed,
    MountRequest,
    Request,
    StorageRequest,
)
from whence_agent.patience import Patience
from whence_agent.ports import Machine, Metadata
from whence_agent.ports_cloud import CloudRefused, Volume, Volumes
from whence_agent.progress.stage import StageProgress
from whence_agent.settings import Settings
from whence_common.errors import RoadError, one_line
from whence_common.identity_document import InstanceIdentity
from whence_common.user_data.host import HostSettings
from whence_common.user_data.storage import Mount, Storage, twins

HOST_TRY_SECONDS_MAX = 20.0
"""Limit of one try of the host's settings, which are fast; disks may take as long as their stage."""
VOLUME_MISSING_FIX = "check the Name tag, the zone, and whether the volume is attached to another instance"
_SUBSTITUTE = re.compile(r"\$\{(local_ipv4|public_ipv4)\}")


class VolumeMissing(RoadError):
    """No volume with this name is available."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attached:
    device: str
    volume: Volume


@dataclass(frozen=True, slots=True, kw_only=True)
class VolumeAttacher:
    """Finds volumes by their Name tag and attaches them, with retries until the stage's deadline."""

    volumes: Volumes
    metadata: Metadata
    patience: Patience

    async def attach(self, storage: Storage, stage: StageProgress, *, identity: InstanceIdentity) -> list[Attached]:
        """Attach every volume; return the volume of each device. Raises VolumeMissing or CloudRefused."""
        addresses: Mapping[str, str] = {}
        if any("${" in name for _, name in storage.volumes):
            addresses = await self.patience.keep_trying(
                self.metadata.addresses, stage, waiting_for="the metadata service"
            )
        attached = []
        for device, written in storage.volumes:
            name = _SUBSTITUTE.sub(lambda match: addresses.get(match[1], match[0]), written)
            volume = await self.patience.keep_trying(
                partial(self._once, device, name, stage, identity),
                stage,
                waiting_for=f"the volume {one_line(name, 80)}",
            )
            attached.append(Attached(device=device, volume=volume))
        return attached

    async def forget_erase_tag(self, volume_id: str, stage: StageProgress) -> None:
        """Delete the tag that requested the formatting, which is done. Raises CloudRefused."""
        try:
            await self.patience.keep_trying(
                lambda: self.volumes.forget_erase_tag(volume_id), stage, waiting_for=f"EC2, to untag {volume_id}"
            )
        except CloudRefused as exc:
            fix = "delete the tag Taupage:erase-on-boot by hand; otherwise the next boot formats the volume again"
            raise CloudRefused(exc.code, f"{volume_id}: {exc.message}", fix=fix, retryable=exc.retryable) from exc

    async def _once(self, device: str, name: str, stage: StageProgress, identity: InstanceIdentity) -> Volume:
        zone, instance_id, shown = identity.availability_zone, identity.instance_id, one_line(name, 80)
        found = await self.volumes.by_name(name, zone=zone, instance_id=instance_id)
        if not found:
            message = f"no volume named {shown} is available in {zone}"
            raise VolumeMissing("volume-missing", message, fix=VOLUME_MISSING_FIX)
        chosen = found[0]
        if chosen.device is None:
            await self.volumes.attach(chosen.volume_id, instance_id=instance_id, device=device)
        elif chosen.device not in twins(device):
            message = f"{chosen.volume_id} ({shown}) is attached as {chosen.device}, not as {device}"
            raise VolumeMissing("volume-elsewhere", message, retryable=False, fix="detach it, or correct volumes.ebs")
        if len(found) > 1:
            stage.reason = f"{len(found)} volumes are named {shown}; the lowest id is used"
        return chosen


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineHelper:
    """Sends requests to the helper, and waits for it if it is unreachable. Requests are idempotent."""

    machine: Machine
    patience: Patience

    async def prepare(self, request: Request, stage: StageProgress, *, seconds_max: float | None = None) -> Observation:
        """Have the helper do the request; return a description of its work. Raises MachineFailed."""

        async def once() -> list[str]:
            try:
                async with asyncio.timeout(seconds_max):
                    return await self.machine.prepare(request)
            except TimeoutError as exc:
                message = f"the helper did not finish within {seconds_max or 0:g} seconds"
                raise MachineFailed("machine-helper-late", message, retryable=True) from exc

        done = await self.patience.keep_trying(once, stage, waiting_for="the machine helper")
        return Observation(note="; ".join(done))


@dataclass(frozen=True, slots=True, kw_only=True)
class HostStage:
    settings: Settings
    helper: MachineHelper
    name: str = "host"

    def is_wanted(self, so_far: ObservedSoFar) -> bool:
        return self._request(so_far) is not None

    async def run(self, so_far: ObservedSoFar, handle: StageHandle) -> Observation:
        """Set up the host. Raises MachineFailed."""
        request = self._request(so_far)
        assert request is not None, "a stage that user data does not need does not run"
        return await self.helper.prepare(request, handle.stage, seconds_max=HOST_TRY_SECONDS_MAX)

    def _request(self, so_far: ObservedSoFar) -> HostRequest | None:
        return host_request(so_far.of(Judged).user_data.host, instance_users=self.settings.instance_users)


@dataclass(frozen=True, slots=True, kw_only=True)
class StorageStage:
    settings: Settings
    gid: int
    helper: MachineHelper
    attacher: VolumeAttacher
    name: str = "storage"

    def is_wanted(self, so_far: ObservedSoFar) -> bool:
        return bool(so_far.of(Judged).user_data.storage)

    async def run(self, so_far: ObservedSoFar, handle: StageHandle) -> Observation:
        """Attach, format and mount. Raises VolumeMissing, CloudRefused, MachineFailed."""
        user_data, stage = so_far.of(Judged).user_data, handle.stage
        storage = user_data.storage
        owner = None if user_data.options.root else (self.settings.application_uid, self.gid)
        try:
            async with handle.part(self.settings.volumes_seconds_max):
                attached = await self.attacher.attach(storage, stage, identity=so_far.of(Identified).identity)
        except TimeoutError as exc:
            raise self._late(stage) from exc
        done = await self.helper.prepare(storage_request(storage, attached, owner=owner), stage)
        for volume_id in tags_to_forget(storage, attached):
            await self.attacher.forget_erase_tag(volume_id, stage)
        return done

    def _late(self, stage: StageProgress) -> CloudRefused:
        last = stage.last_error
        why = last.message if last is not None else "EC2 does not answer"
        message = f"volumes were not attached within {self.settings.volumes_seconds_max:g} seconds: {why}"
        return CloudRefused("volume-missing", message, fix=(last.fix if last is not None else "") or VOLUME_MISSING_FIX)


def storage_request(storage: Storage, attached: list[Attached], *, owner: tuple[int, int] | None) -> StorageRequest:
    """Return the helper's request. Pure. It decides what is formatted, by user data and by the volumes' tags."""
    by_device = {name: one.volume for one in attached for name in twins(one.device)}
    return StorageRequest(
        volumes={device: volume.volume_id for device, volume in by_device.items()},
        arrays=[ArrayRequest(device=one.device, level=one.level, devices=list(one.devices)) for one in storage.arrays],
        mounts=[
            MountRequest(
                path=mount.path,
                device=mount.device,
                file_system=mount.file_system,
                options=list(mount.options),
                erase=_erased(mount, by_device),
                owner=owner,
            )
            for mount in storage.mounts
        ],
    )


def tags_to_forget(storage: Storage, attached: list[Attached]) -> list[str]:
    """Return the volumes whose tag requested one formatting, which is done now."""
    by_device = {name: one.volume for one in attached for name in twins(one.device)}
    volumes = [by_device.get(mount.device or "") for mount in storage.mounts if mount.erase is None]
    return [volume.volume_id for volume in volumes if volume is not None and volume.erase_tag]


def host_request(host: HostSettings, *, instance_users: list[str]) -> HostRequest | None:
    """Return the helper's request for the host's settings; None if there is nothing to do."""
    logs = host.custom_logs
    request = HostRequest(
        sysctl=dict(host.sysctl),
        huge_pages=host.huge_pages,
        ssh_ports=list(host.ssh_ports),
        remove_keys_of=[] if host.keep_instance_users else list(instance_users),
        custom_logs=None
        if logs is None
        else CustomLogsRequest(size_bytes=logs.size_bytes, interval=logs.interval, files=logs.files),
    )
    return None if request == HostRequest() else request


def _erased(mount: Mount, by_device: Mapping[str, Volume]) -> bool:
    if mount.erase is not None:
        return mount.erase
    volume = by_device.get(mount.device or "")
    return volume is not None and volume.erase_tag
