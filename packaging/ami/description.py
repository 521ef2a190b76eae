"""image.yaml as values, and what a builder's settings make of it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import yaml

_T = TypeVar("_T")
_DISK_MIB_LEAST = 1024
FILE = Path(__file__).resolve().parent / "image.yaml"


class DescriptionInvalid(Exception):
    """image.yaml, or a choice from it, is wrong; the message names the place and the fix."""


class Distribution(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One distribution. `kernel` is a package by architecture; `cloud_name` and `owner` find its own AMI."""

    suite: str
    kernel: dict[str, str]
    packages: list[str]
    cloud_name: str
    owner: str


class Architecture(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One architecture by Debian's name; `ec2_name` is EC2's, `machine_type` is what Packer builds on."""

    packages: list[str]
    machine_type: str
    ec2_name: str


class ImageSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a builder may set. `disk_mib` is the size of the raw disk in MiB."""

    sshd: bool
    unattended_upgrades: bool
    encrypted: bool
    kms_key_id: str
    disk_mib: int


class ImageDescription(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole file."""

    name: str
    expires_after_days: int
    default_distribution: str
    default_architecture: str
    distributions: dict[str, Distribution]
    architectures: dict[str, Architecture]
    packages: list[str]
    removed: list[str]
    enabled: list[str]
    settings: ImageSettings


class ImagePlan(msgspec.Struct, frozen=True, kw_only=True):
    """One image: what is installed, removed and enabled in it, and from which suite."""

    distribution: str
    architecture: str
    suite: str
    packages: tuple[str, ...]
    removed: tuple[str, ...]
    enabled: tuple[str, ...]
    settings: ImageSettings

    def environment(self) -> dict[str, str]:
        """Return what provision.sh reads."""
        return {
            "WHENCE_PACKAGES": " ".join(self.packages),
            "WHENCE_REMOVED": " ".join(self.removed),
            "WHENCE_ENABLED": " ".join(self.enabled),
        }


def read_description(file: Path = FILE) -> ImageDescription:
    """Read image.yaml. Raises DescriptionInvalid."""
    try:
        return msgspec.convert(yaml.safe_load(file.read_text(encoding="utf-8")), ImageDescription)
    except (OSError, ValueError, yaml.YAMLError, msgspec.ValidationError) as exc:
        raise DescriptionInvalid(f"{file}: {exc}") from exc


def plan_image(
    description: ImageDescription,
    *,
    distribution: str | None = None,
    architecture: str | None = None,
    settings: Mapping[str, Any] | None = None,
) -> ImagePlan:
    """Return what one image has. `settings` replace defaults by name. Raises DescriptionInvalid."""
    distribution = distribution or description.default_distribution
    architecture = architecture or description.default_architecture
    chosen = _one_of("distribution", distribution, description.distributions)
    machine = _one_of("architecture", architecture, description.architectures)
    kernel = _one_of(f"architecture of {distribution}", architecture, chosen.kernel)
    held = {**msgspec.to_builtins(description.settings), **(settings or {})}
    try:
        merged = msgspec.convert(held, ImageSettings)
    except msgspec.ValidationError as exc:
        raise DescriptionInvalid(f"settings: {exc}; the settings are those of {FILE.name}") from exc
    if merged.disk_mib < _DISK_MIB_LEAST:
        raise DescriptionInvalid(f"settings: disk_mib must be at least {_DISK_MIB_LEAST}, what the image needs")
    kept = {
        name
        for name, wanted in (("openssh-server", merged.sshd), ("unattended-upgrades", merged.unattended_upgrades))
        if wanted
    }
    return ImagePlan(
        distribution=distribution, architecture=architecture, suite=chosen.suite,
        packages=tuple(sorted({*description.packages, *chosen.packages, *machine.packages, kernel, *kept})),
        removed=tuple(name for name in description.removed if name not in kept),
        enabled=tuple(description.enabled), settings=merged,
    )  # fmt: skip


def _one_of(what: str, name: str, known: Mapping[str, _T]) -> _T:
    if name not in known:
        raise DescriptionInvalid(f"unknown {what} {name!r}: {FILE.name} has {', '.join(sorted(known))}")
    return known[name]
