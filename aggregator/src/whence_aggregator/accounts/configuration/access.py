"""How the tool gets into an account."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct


class AccountAccess(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the tool gets into the account."""

    role: Annotated[
        Annotated[str, Meta(pattern=r"^[\w+=,.@-]{1,64}(/[\w+=,.@-]{1,64}){0,8}(?!\n)$")] | None,
        Meta(description="Name of the role to assume in the account; empty: the caller's own credentials."),
    ] = "whence-accounts"
    external_id: Annotated[str | None, Meta(description="External id that the role's trust policy requires.")] = None
    profile: Annotated[str | None, Meta(description="Profile of the AWS configuration whose credentials are used.")] = (
        None
    )
