"""CI jobs sign in by their own tokens: by ids and refs, once, for a team's pushes, and for nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from fakes.issuer import AUDIENCE, OTHER_RSA_KEY, RSA_KEY
from fakes.sign_in_house import RULE, SignInHouse, sign_in_house

ATTACKED: dict[str, tuple[dict[str, Any], tuple[int, str]]] = {
    "a fork, of another id": ({"repository_id": "1002"}, (403, "workload-project")),
    "a repository that took over the name": (
        {"repository_id": "9", "repository": "hello/greeter"}, (403, "workload-project")),
    "another ref": ({"ref": "refs/heads/feature"}, (403, "workload-ref")),
    "a ref that begins like one": ({"ref": "refs/heads/main2"}, (403, "workload-ref")),
    "a ref in another case": ({"ref": "refs/heads/Main"}, (403, "workload-ref")),
    "a branch named like a tag": ({"ref": "refs/heads/refs/tags/v1"}, (403, "workload-ref")),
    "a tag that a pattern does not cover": ({"ref": "refs/tags/w1"}, (403, "workload-ref")),
    "a pull request's ref": ({"ref": "refs/pull/7/merge"}, (403, "workload-ref")),
    "no ref": ({"ref": None}, (403, "workload-ref")),
    "a ref that is not protected": ({"ref_protected": "false"}, (403, "workload-ref-unprotected")),
    "a ref of which that is unknown": ({"ref_protected": None}, (403, "workload-ref-unprotected")),
    "another environment": ({"environment": "staging"}, (403, "workload-environment")),
    "no environment": ({"environment": None}, (403, "workload-environment")),
    "pull_request_target": ({"event_name": "pull_request_target"}, (403, "workload-event")),
    "issue_comment": ({"event_name": "issue_comment"}, (403, "workload-event")),
    "workflow_run": ({"event_name": "workflow_run"}, (403, "workload-event")),
    "pull_request": ({"event_name": "pull_request"}, (403, "workload-event")),
    "an event that nobody listed": ({"event_name": "discussion"}, (403, "workload-event")),
    "no event": ({"event_name": None}, (403, "workload-event")),
    "a runner of somebody's own": ({"runner_environment": "self-hosted"}, (403, "workload-runner")),
    "no id": ({"repository_id": None}, (401, "workload-claims")),
    "an id that is a list": ({"repository_id": ["1001"]}, (401, "workload-claims")),
    "the default audience": ({"aud": "https://github.com/hello"}, (401, "token-audience")),
    "expired": ({"exp": 1}, (401, "token-expired")),
}  # fmt: skip


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[SignInHouse]:
    async with sign_in_house(tmp_path) as opened:
        yield opened


@pytest.mark.parametrize("name", ATTACKED)
async def test_a_job_that_no_rule_fits_is_refused_with_what_it_lacks(house: SignInHouse, name: str) -> None:
    changes, said = ATTACKED[name]
    assert (await house.exchange(house.job(**changes))).said == said


@pytest.mark.parametrize(
    "sub",
    [
        "repo:hello/greeter:ref:refs/heads/main",
        "repo:hello@77/greeter@1001:ref:refs/heads/main",
        "repo:hello/greeter:environment:production",
        "anything:that:an:admin:sets",
    ],
)
async def test_a_job_is_known_by_ids_whatever_its_subject_looks_like(house: SignInHouse, sub: str) -> None:
    given = await house.exchange(house.job(sub=sub, ref="refs/tags/v1.0"))
    found = await house.whoami(given.body["access_token"])
    assert (found["teams"], found["realm"], found["subject"]) == (["alpha"], "services", "1001")
    assert found["job"]["ref"] == "refs/tags/v1.0"


async def test_of_a_hundred_exchanges_of_one_token_at_once_one_succeeds(house: SignInHouse) -> None:
    token = house.job()
    heard = await asyncio.gather(*(house.exchange(token) for _ in range(100)))
    assert sorted({one.said for one in heard}) == [(200, ""), (401, "token-used")]
    assert sum(one.status == 200 for one in heard) == 1


async def test_two_tokens_with_one_id_count_as_one(house: SignInHouse) -> None:
    assert (await house.exchange(house.job(jti="same", run_id="1"))).status == 200
    assert (await house.exchange(house.job(jti="same", run_id="2"))).said == (401, "token-used")


async def test_a_token_without_an_id_counts_once_by_what_it_says(house: SignInHouse) -> None:
    token = house.job(jti=None)
    assert [(await house.exchange(token)).status for _ in range(2)] == [200, 401]


async def test_a_token_that_was_used_stays_used_as_long_as_it_is_valid(house: SignInHouse) -> None:
    token = house.job()
    await house.exchange(token)
    house.advance(300 + 59)
    assert (await house.exchange(token)).said == (401, "token-used")
    house.advance(1)
    assert (await house.exchange(token)).said == (401, "token-expired")


async def test_a_session_is_over_after_its_time(house: SignInHouse) -> None:
    session = (await house.exchange(house.job())).body["access_token"]
    house.advance(899)
    assert (await house.ask(session)).status == 200
    house.advance(1)
    assert await house.refused(session) == (401, "session-over")


async def test_a_session_asks_nothing_of_the_trace(house: SignInHouse) -> None:
    session = (await house.exchange(house.job())).body["access_token"]
    assert (await house.ask(session, "/v1/thing", method="POST", body=b"x")).said == (403, "read-forbidden")


async def test_a_session_that_was_changed_is_none(house: SignInHouse) -> None:
    session = (await house.exchange(house.job())).body["access_token"]
    assert (await house.refused(session[:-8] + "AAAAAAAA"))[0] == 401


async def test_the_exchange_takes_nothing_but_a_jobs_token(house: SignInHouse) -> None:
    token = house.job()
    assert (await house.exchange(token, grant_type="client_credentials")).said == (400, "grant-unknown")
    assert (await house.exchange(token, subject_token_type="saml2")).said == (400, "token-type-unknown")
    assert (await house.exchange("x" * 40_000)).said == (413, "body-too-large")
    assert (await house.exchange("")).said == (401, "token-malformed")
    assert (await house.exchange(house.ci.mint(key=OTHER_RSA_KEY, header={"typ": "JWT"}))).said == (
        401, "token-signature",
    )  # fmt: skip
    assert (await house.exchange(token)).status == 200


GITLAB = {
    "sub": "project_path:hello/greeter:ref_type:branch:ref:main", "project_id": "1001", "project_path": "hello/greeter",
    "namespace_id": "77", "ref": "main", "ref_type": "branch", "ref_path": "refs/heads/main", "ref_protected": "true",
    "pipeline_source": "push", "pipeline_id": "5", "job_id": "6", "runner_id": 3, "runner_environment": "self-hosted",
    "sha": "b" * 40, "ci_config_ref_uri": None, "environment": None,
}  # fmt: skip
BUILDKITE = {
    "sub": "organization:o:pipeline:p:ref:refs/heads/main:commit:c:step:s", "organization_id": "org-1", "pipeline_id": "1001",
    "organization_slug": "hello", "pipeline_slug": "greeter", "build_branch": "main", "build_commit": "c" * 40,
    "build_number": 9, "job_id": "j", "build_source": "webhook",
}  # fmt: skip
CIRCLECI = {
    "sub": "org/o/project/1001/user/u", "oidc.circleci.com/project-id": "1001",
    "oidc.circleci.com/vcs-ref": "refs/heads/main", "oidc.circleci.com/ssh-rerun": False,
}  # fmt: skip
ROLE = "arn:aws:iam::123456789012:role/builder"
AWS = {
    "sub": ROLE,
    "https://sts.amazonaws.com/": {"aws_account": "123456789012", "org_id": "o-1", "principal_id": ROLE},
}


def inner(**changes: str) -> dict[str, object]:
    return {"https://sts.amazonaws.com/": {"aws_account": "123456789012", "principal_id": ROLE, **changes}}


@pytest.mark.parametrize(
    "provider, claims, changes, said",
    [
        ("gitlab", GITLAB, {}, (200, "")),
        ("gitlab", GITLAB, {"project_id": 1001}, (200, "")),
        ("gitlab", GITLAB, {"ref_path": None}, (200, "")),
        ("gitlab", GITLAB, {"ref_path": None, "ref_type": "tag"}, (403, "workload-ref")),
        ("gitlab", GITLAB, {"ref_protected": "false"}, (403, "workload-ref-unprotected")),
        ("gitlab", GITLAB, {"project_id": "1002"}, (403, "workload-project")),
        ("gitlab", GITLAB, {"pipeline_source": "merge_request_event"}, (403, "workload-event")),
        ("gitlab", GITLAB, {"pipeline_source": "external_pull_request_event"}, (403, "workload-event")),
        ("buildkite", BUILDKITE, {}, (200, "")),
        ("buildkite", BUILDKITE, {"organization_id": None}, (401, "workload-claims")),
        ("buildkite", BUILDKITE, {"build_branch": "mallory:main"}, (403, "workload-ref")),
        ("buildkite", BUILDKITE, {"build_tag": "main"}, (403, "workload-ref")),
        ("circleci", CIRCLECI, {}, (200, "")),
        ("circleci", CIRCLECI, {"oidc.circleci.com/ssh-rerun": True}, (401, "workload-ssh")),
        ("circleci", CIRCLECI, {"oidc.circleci.com/ssh-rerun": None}, (401, "workload-ssh")),
        ("aws", AWS, {}, (200, "")),
        ("aws", AWS, {"sub": "ada@example.org"}, (401, "workload-subject")),
        ("aws", AWS, inner(aws_account="210987654321"), (401, "workload-subject")),
        ("aws", AWS, inner(principal_id="arn:aws:iam::123456789012:role/other"), (401, "workload-subject")),
    ],
)
async def test_other_systems_jobs_are_known_by_their_ids_too(
    tmp_path: Path, provider: str, claims: dict[str, object], changes: dict[str, object], said: tuple[int, str]
) -> None:
    rule: dict[str, Any] = {"team": "alpha", "project_id": ROLE if provider == "aws" else "1001"}
    rule |= {"refs": ["refs/heads/main"]} if provider != "aws" else {}
    workload = {"issuer": "{issuer}", "provider": provider, "audiences": [AUDIENCE], "rules": [rule]}
    async with sign_in_house(tmp_path, issuers=[], workloads=[workload]) as house:
        stated: dict[str, Any] = {"client_id": None, "groups": None, **claims, **changes}
        token = house.issuer.mint(key=RSA_KEY, header={"typ": "JWT"}, **stated)
        assert (await house.exchange(token)).said == said


async def test_a_rule_may_name_owner_workflow_and_events(tmp_path: Path) -> None:
    workflow = "hello/greeter/.github/workflows/release.yml@refs/heads/main"
    rule = {**RULE, "owner_id": "77", "workflows": [workflow], "events": ["release"], "ref_protected": False}
    workload = {"issuer": "{issuer}", "provider": "github", "audiences": [AUDIENCE], "rules": [rule]}
    async with sign_in_house(tmp_path, issuers=[], workloads=[workload]) as house:
        house.ci.url = house.issuer.url

        async def said(**changes: object) -> tuple[int, str]:
            return (await house.exchange(house.job(**{"event_name": "release", **changes}))).said

        assert await said(ref_protected="false") == (200, "")
        assert await said(repository_owner_id="78") == (403, "workload-owner")
        assert await said(job_workflow_ref="evil/x/.github/workflows/release.yml@refs/heads/main") == (
            403, "workload-workflow",
        )  # fmt: skip
        assert await said(event_name="push") == (403, "workload-event")
