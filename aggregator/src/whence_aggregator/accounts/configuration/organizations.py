"""Where the accounts come from, if AWS Organizations lists them."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct


class Organizations(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    role: Annotated[
        Annotated[str, Meta(max_length=2048)] | None,
        Meta(description="ARN of the role that lists; null: the caller's own credentials."),
    ] = None
    region: Annotated[str, Meta(min_length=1, max_length=30, description="Region of the calls.")] = "us-east-1"
    units: Annotated[
        tuple[str, ...],
        Meta(
            max_length=1000,
            description="Shell patterns of paths of units, such as Root/prod*, with all below; empty: all.",
        ),
    ] = ()
    exclude: Annotated[
        tuple[str, ...], Meta(max_length=10_000, description="Shell patterns of names, or ids, that are left out.")
    ] = ()
