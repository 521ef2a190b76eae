"""Tokens in user data: their names and scopes, how they are obtained, and the bucket of the credentials for that."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from whence_common.errors import one_line
from whence_common.user_data.section import Section

TokenSource = Literal["client", "web-identity", "both"]
_TOKEN_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,60}[A-Za-z0-9])?\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedTokens:
    """`bucket` is the bucket to read; None if there is none, or if no secret is to be read."""

    bucket: str | None = None
    scopes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    source: TokenSource = "client"


def read_tokens(root: Section) -> WantedTokens:
    """Read mint_bucket, tokens and token_source together."""
    bucket, scopes, source = _bucket(root), _scopes(root), _source(root)
    has_bucket = root.get("mint_bucket") is not None
    if scopes and not has_bucket and source == "client":
        root.error(
            "tokens",
            "tokens-without-mint",
            "tokens are requested with client.json, which is read from mint_bucket",
            "add mint_bucket, or write token_source: web-identity",
        )
    if source == "both" and not has_bucket:
        root.error(
            "token_source",
            "token-source-without-mint",
            "token_source: both delivers the files of mint_bucket too, and there is none",
            "add mint_bucket, or write token_source: web-identity",
        )
    if source != "client" and not scopes:
        root.error(
            "token_source",
            "token-source-without-tokens",
            f"token_source: {source} obtains the tokens of tokens, and there are none",
            "name the tokens and their scopes in tokens",
        )
    if source == "web-identity" and has_bucket:
        root.warning(
            "mint_bucket",
            "mint-bucket-unread",
            "mint_bucket is not read with token_source: web-identity",
            "remove mint_bucket, or write token_source: both while applications still need its files",
        )
        bucket = None
    return WantedTokens(bucket=bucket, scopes=scopes, source=source)


def _source(root: Section) -> TokenSource:
    value = root.choice("token_source", "client", "web-identity", "both")
    if value == "web-identity":
        return "web-identity"
    return "both" if value == "both" else "client"


def _bucket(root: Section) -> str | None:
    bucket = root.text("mint_bucket")
    if bucket is not None and not _is_bucket(bucket):
        root.error(
            "mint_bucket",
            "mint-bucket-malformed",
            "mint_bucket is not a valid bucket name",
            "write only the name, without s3://",
        )
        return None
    return bucket


def _is_bucket(text: str) -> bool:
    """Return whether a text is a valid bucket name."""
    shaped = re.fullmatch(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", text) is not None
    return shaped and ".." not in text and not re.fullmatch(r"[0-9]{1,3}(\.[0-9]{1,3}){3}", text)


def _scopes(root: Section) -> dict[str, tuple[str, ...]]:
    section = root.section("tokens")
    read: dict[str, tuple[str, ...]] = {}
    for name in section.node.entries if section is not None else ():
        assert section is not None
        if not _TOKEN_NAME.match(name):
            section.error(
                name,
                "token-name-malformed",
                f"{one_line(name, 40)!r} is not a valid token name",
                "use letters, digits and -",
            )
        else:
            read[name] = section.texts(name)
    return read
