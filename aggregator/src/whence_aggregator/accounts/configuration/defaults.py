"""Sections of defaults that an account has per region."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct


class MetadataDefaults(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Defaults of the metadata service for new instances. None leaves one as it is."""

    http_tokens: Annotated[
        Literal["required", "optional"] | None,
        Meta(description="Whether the metadata service requires a session token: required is IMDSv2 only."),
    ] = "required"
    hop_limit: Annotated[
        Annotated[int, Meta(ge=1, le=64)] | None,
        Meta(description="Hops that an answer may take; containers on a bridge network need 2."),
    ] = None
    http_endpoint: Annotated[
        Literal["enabled", "disabled"] | None, Meta(description="Whether the metadata service is reachable.")
    ] = None
    instance_tags: Annotated[
        Literal["enabled", "disabled"] | None, Meta(description="Whether the service shows an instance's tags.")
    ] = None
