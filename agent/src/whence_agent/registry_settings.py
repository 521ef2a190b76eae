"""Platform settings of one registry: how to sign in there, and what its images must show."""

from __future__ import annotations

from typing import Literal

import msgspec

SignInMethod = Literal["auto", "none", "identity", "identity-rsa2048", "mint", "ecr", "whence"]


class Builder(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whose provenance is believed: the builder's id, and the key it signs with."""

    id: str
    key_file: str


class TrustSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an image must show before it runs. Everything that is set is required."""

    signature_key_files: list[str] = []
    """PEM public keys; one cosign signature by any of them is needed."""
    builders: list[Builder] = []
    """One SLSA provenance by any of these is needed."""
    production_ready_header: bool = False
    """The header of Pier One's production-ready service must say true; it is unsigned, so this is a legacy mode."""


class RegistrySettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the platform says of one registry."""

    immutable_tags: bool | Literal["ask"] = False
    """Tags are written once there. Say true only of a registry that enforces it; ask asks ECR."""
    plain_http: bool = False
    """Reached without TLS. Loopback registries always are."""
    single_segment: bool = False
    """Repositories may have no team before the name, as is common in ECR."""
    sign_in: SignInMethod = "auto"
    """auto: ECR's token for ECR, user data's dockercfg elsewhere, nothing without one. Whence's own front: whence."""
    token_hosts: list[str] = []
    """Hosts, beside the registry's own, that may see its credentials to give a token for them."""
    blob_hosts: list[str] = []
    """Hosts with private addresses that its blobs may be redirected to."""
    trust: TrustSettings = TrustSettings()
