"""Stage run: the container that user data specifies, by digest, and the files at /meta that applications read."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from whence_agent.files import write_durably
from whence_agent.ports import ContainerSpec
from whence_agent.settings import Settings
from whence_common.statement import ImageFacts
from whence_common.user_data.judge import UserData

META = "/meta"
CREDENTIALS = f"{META}/credentials"
_NOT_FOR_APPLICATIONS = ("instance_logs_url", "logsink_username", "logsink_password", "dockercfg")


def write_meta(directory: Path, user_data: UserData, *, gid: int) -> None:
    """Write the application's copy of its user data: without others' secrets, ciphertext left encrypted."""
    document = {name: value for name, value in user_data.document.items() if name not in _NOT_FOR_APPLICATIONS}
    content = yaml.safe_dump(document, default_flow_style=False, sort_keys=True, allow_unicode=True).encode()
    directory.mkdir(mode=0o750, parents=True, exist_ok=True)
    mode = 0o444 if user_data.root else 0o440
    write_durably(directory / "taupage.yaml", content, mode=mode, group=gid)
    if not (directory / "credentials").exists():
        _empty_credentials(directory)
    os.chmod(directory, 0o755 if user_data.root else 0o750)  # noqa: PTH101 - beside chown, which pathlib lacks
    os.chown(directory, -1, gid)


def container_spec(
    user_data: UserData,
    image: ImageFacts,
    image_id: str,
    environment: Mapping[str, str],
    *,
    settings: Settings,
    gid: int,
) -> ContainerSpec:
    """Say exactly which container is meant. Pure: the same inputs give the same fingerprint."""
    spec = ContainerSpec(
        name=settings.container_name,
        image=f"{image.repository}@{image.digest}",
        image_id=image_id,
        environment=_environment(user_data, environment, settings),
        ports=user_data.ports,
        publish_address=settings.publish_address,
        user=None if user_data.root else f"{settings.application_uid}:{gid}",
        read_only=user_data.read_only,
        mounts={settings.container_directory: META},
        fingerprint="",
    )
    return replace(spec, fingerprint=_fingerprint(spec))


def _environment(user_data: UserData, environment: Mapping[str, str], settings: Settings) -> dict[str, str]:
    """Order as stock: token info, the user's by name, then what the platform insists on; later wins."""
    merged = {"TOKENINFO_URL": settings.tokeninfo_url} if settings.tokeninfo_url is not None else {}
    merged.update({name: environment[name] for name in sorted(environment)})
    merged["APPLICATION_ID"] = user_data.application_id
    merged["APPLICATION_VERSION"] = user_data.application_version
    merged["CREDENTIALS_DIR"] = CREDENTIALS
    return merged


def _fingerprint(spec: ContainerSpec) -> str:
    """Digest everything that makes the container what it is; values are hashed, so none can be read back."""
    parts: list[Any] = [spec.image_id, sorted(spec.environment.items()), spec.user, spec.read_only]
    parts += [[(port.host, port.container, port.protocol) for port in spec.ports], spec.publish_address]
    parts += [sorted(spec.mounts.items())]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _empty_credentials(directory: Path) -> None:
    (directory / "generations" / "0").mkdir(mode=0o750, parents=True, exist_ok=True)
    (directory / "credentials").symlink_to("generations/0")
