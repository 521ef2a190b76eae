"""Platform settings of one registry: how to sign in, and what is required of its images."""

from __future__ import annotations

from typing import Literal

import msgspec

SignInMethod = Literal["auto", "none", "identity", "identity-rsa2048", "mint", "ecr", "whence"]


class Builder(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A trusted builder of provenance: its id, and its public key."""

    id: str
    key_file: str


class TrustSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is required of an image before it runs. Everything that is set is required."""

    signature_key_files: list[str] = []
    """PEM public keys; one cosign signature by any of them is required."""
    builders: list[Builder] = []
    """SLSA provenance by any one of these is required."""
    production_ready_header: bool = False
    """The header of Pier One's production-ready service must be true; it is unsigned, so this is a legacy mode."""


class RegistrySettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The platform's settings of one registry."""

    immutable_tags: bool | Literal["ask"] = False
    """Whether tags never change. Set true only if the registry enforces it; `ask` asks ECR."""
    plain_http: bool = False
    """Use HTTP without TLS. Loopback registries always do."""
    single_segment: bool = False
    """Repositories may have one segment, without a team, as is common in ECR."""
    sign_in: SignInMethod = "auto"
    """auto: ECR's token for ECR, else dockercfg of user data, else no login. whence: for Whence's registry front."""
    token_hosts: list[str] = []
    """Token hosts, besides the registry's own, that may receive its credentials."""
    blob_hosts: list[str] = []
    """Hosts with private addresses to which its blobs may be redirected."""
    trust: TrustSettings = TrustSettings()
