"""Tokens without secrets: by a token that AWS signs, with the client's in its place only while both are wanted."""

from __future__ import annotations

from pathlib import Path

import pytest

from unit.test_credentials import CLIENT, PATIENCE, USER, Kept, Tokens
from whence_agent.ports import SecretUnavailable
from whence_common.user_data.judge import judge
from whence_common.user_data.platform import PlatformRules
from whence_common.user_data.tokens import TokenSource

BASE = (
    "application_id: greeter\napplication_version: '1'\nsource: registry.example.org/team/greeter:1\nruntime: Docker\n"
)
TOKENS = "tokens: {pay: [uid]}\n"
DENIED = SecretUnavailable("web-identity-refused", "AccessDenied", fix="allow it")


@pytest.fixture
def kept(tmp_path: Path) -> Kept:
    return Kept(tmp_path)


def tokens_of(kept: Kept, source: TokenSource, *, bucket: str | None = "mint") -> Tokens:
    found = Tokens(kept)
    kept.keeper.configure(bucket, "app", ["pay"])
    found.sources.configure(source, "app")
    return found


async def test_without_a_bucket_only_token_files_are_published(kept: Kept) -> None:
    tokens = tokens_of(kept, "web-identity", bucket=None)
    async with kept.progress.boot.stage("credentials", seconds_max=30) as stage:
        await tokens.tokens.first(stage, PATIENCE)
    assert kept.files() == {"pay-token-type": b"Bearer", "pay-token-secret": b"token-uid-pay.read-1"}
    assert kept.store.asked == []
    assert tokens.web_identity.audiences == ["https://provider.example.org/token"]
    assert tokens.issuer.exchanged == [("jwt-of-the-role-1", "app")]
    assert kept.state[0] == "current"
    assert kept.redactor.scrub("jwt-of-the-role-1") == "MASKED"


async def test_a_refusal_of_aws_publishes_nothing_and_says_what_to_allow(kept: Kept) -> None:
    tokens = tokens_of(kept, "web-identity", bucket=None)
    tokens.web_identity.fail_with = [DENIED]
    await tokens.tokens.refresh()
    assert kept.files() == {}
    assert not (kept.directory / "credentials").exists(), "no empty generation"
    assert "allow it" in tokens.tokens.error


async def test_web_identity_alone_never_uses_the_client(kept: Kept) -> None:
    await kept.keeper.poll()
    tokens = tokens_of(kept, "web-identity")
    tokens.web_identity.fail_with = [DENIED]
    await tokens.tokens.refresh()
    assert tokens.file("secret") is None


async def test_both_deliver_the_files_of_the_bucket_and_tokens_of_the_role(kept: Kept) -> None:
    tokens = tokens_of(kept, "both")
    await kept.keeper.poll()
    await tokens.tokens.refresh()
    found = kept.files()
    assert (found["user.json"], found["client.json"]) == (USER, CLIENT)
    assert (tokens.file("secret"), found["pay-client-id"]) == (b"token-uid-pay.read-1", b"c")
    assert tokens.issuer.exchanged


async def test_both_fall_back_to_the_client_and_the_status_says_so_until_the_role_works(kept: Kept) -> None:
    tokens = tokens_of(kept, "both")
    await kept.keeper.poll()
    tokens.web_identity.fail_with = [DENIED]
    await tokens.tokens.refresh()
    assert tokens.file("secret") == b"token-uid-pay.read-1"
    assert tokens.issuer.exchanged == []
    await tokens.tokens.refresh()
    assert "token pay: the client's is used: " in tokens.tokens.error, "it stays until the token is renewed"
    tokens.ticks.now += 3600
    await tokens.tokens.refresh()
    assert (tokens.tokens.error, len(tokens.issuer.exchanged)) == ("", 1)


async def test_both_without_any_client_is_the_refusal_of_the_role(kept: Kept) -> None:
    tokens = tokens_of(kept, "both")
    tokens.web_identity.fail_with = [DENIED]
    await tokens.tokens.refresh()
    assert "AccessDenied" in tokens.tokens.error


async def test_the_client_is_the_default_and_needs_no_token_of_aws(kept: Kept) -> None:
    tokens = Tokens(kept)
    await tokens.tokens.refresh()
    assert (tokens.issuer.given, tokens.file("secret")) == (0, None), "client.json was not read yet"
    await kept.keeper.poll()
    await tokens.tokens.refresh()
    assert (tokens.web_identity.audiences, tokens.file("secret")) == ([], b"token-uid-pay.read-1")


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (f"{TOKENS}token_source: other\n", "value-unknown"),
        (f"{TOKENS}token_source: both\n", "token-source-without-mint"),
        (f"{TOKENS}token_source: client\n", "tokens-without-mint"),
        ("token_source: web-identity\n", "token-source-without-tokens"),
        ("mint_bucket: b-1\ntoken_source: both\n", "token-source-without-tokens"),
        (f"{TOKENS}token_source: [client]\n", "text-expected"),
    ],
)
def test_a_source_that_cannot_work_is_an_error_with_a_fix(text: str, code: str) -> None:
    judgement = judge((BASE + text).encode(), PlatformRules(immutable=frozenset({"registry.example.org"})))
    assert judgement.user_data is None
    found = {one.code: one for one in judgement.problems if one.severity == "error"}
    assert found[code].fix


@pytest.mark.parametrize(
    ("text", "source", "bucket"),
    [
        ("", "client", None),
        (f"mint_bucket: b-1\n{TOKENS}", "client", "b-1"),
        (f"{TOKENS}token_source: web-identity\n", "web-identity", None),
        (f"mint_bucket: b-1\n{TOKENS}token_source: web-identity\n", "web-identity", None),
        (f"mint_bucket: b-1\n{TOKENS}token_source: both\n", "both", "b-1"),
    ],
)
def test_the_source_decides_whether_a_bucket_is_read(text: str, source: str, bucket: str | None) -> None:
    judgement = judge((BASE + text).encode(), PlatformRules(immutable=frozenset({"registry.example.org"})))
    assert judgement.user_data is not None
    assert (judgement.user_data.token_source, judgement.user_data.mint_bucket) == (source, bucket)
    warned = [one.code for one in judgement.problems]
    assert ("mint-bucket-unread" in warned) == (source == "web-identity" and "mint_bucket" in text)
