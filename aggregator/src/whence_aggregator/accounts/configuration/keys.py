"""Section of KMS keys."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct


class KeyTag(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A tag in the form of KMS's API, as Seven Seconds has it."""

    TagKey: Annotated[str, Meta(min_length=1, max_length=128, description="Name of the tag.")]
    TagValue: Annotated[str, Meta(max_length=256, description="Value of the tag.")]


class KeySection(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    drop: Annotated[
        bool, Meta(description="Whether the key must not exist: its deletion is scheduled if --delete names it.")
    ] = False
    description: Annotated[
        Annotated[str, Meta(max_length=8_192)] | None, Meta(description="Description; null: left as it is.")
    ] = None
    key_usage: Annotated[
        Literal["ENCRYPT_DECRYPT", "SIGN_VERIFY", "GENERATE_VERIFY_MAC", "KEY_AGREEMENT"],
        Meta(description="What the key is for; AWS sets it at creation only."),
    ] = "ENCRYPT_DECRYPT"
    key_spec: Annotated[
        Annotated[str, Meta(max_length=64)],
        Meta(description="Kind of key material, such as RSA_2048; AWS sets it at creation only."),
    ] = "SYMMETRIC_DEFAULT"
    key_policy: Annotated[
        dict[str, Any] | None, Meta(description="Key policy; null: AWS's default, the account's IAM policies.")
    ] = None
    tags: Annotated[Annotated[tuple[KeyTag, ...], Meta(max_length=40)], Meta(description="Tags, besides our own.")] = ()
    rotation: Annotated[
        bool | None, Meta(description="Whether AWS replaces the key material every year; null: left as it is.")
    ] = None
