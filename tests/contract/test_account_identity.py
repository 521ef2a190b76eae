"""IAM of a whole account: SAML providers, the password policy, outbound web identity and the root user."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import boto3
import botocore.loaders
import pytest
from aiohttp import web

from fakes.account_world import REGION, AccountWorld, account_world
from fakes.aws_identity import IdentityOfAccounts
from fakes.aws_refusals import denied
from fakes.counted_aws import Answer, AwsCall
from landscape.aws import Aws
from whence_aggregator.accounts.account import Target
from whence_aggregator.accounts.importing import import_account
from whence_aggregator.accounts.plan import AccountPlan
from whence_aggregator.accounts.ports import ResourceProvider
from whence_aggregator.accounts.resources import ResourceKind, StandingResource
from whence_aggregator.accounts.steps import identity, roles
from whence_aggregator.adapters.accounts.providers import AwsProviders
from whence_aggregator.adapters.accounts.saml_metadata import SamlMetadataProvider
from whence_common.errors import InputError, RoadError

_DENIED = (
    b"<ErrorResponse><Error><Type>Sender</Type><Code>AccessDenied</Code><Message>not for you</Message></Error>"
    b"<RequestId>r</RequestId></ErrorResponse>"
)


def _metadata(key: str) -> str:
    return (
        '<EntityDescriptor xmlns="urn:oasis:names:tc:SAML:2.0:metadata" entityID="https://idp.example.org">'
        f"<X509Certificate>{key * 1000}</X509Certificate></EntityDescriptor>"
    )


@asynccontextmanager
async def _world(moto: Aws, **settings: Any) -> AsyncIterator[tuple[AccountWorld, IdentityOfAccounts]]:
    async with account_world(moto.url, steps=(identity.STEP,), settings=settings) as world:
        fake = IdentityOfAccounts()
        world.aws.extensions |= fake.extensions
        yield world, fake


def _deny(*names: str) -> Any:
    def answer(call: AwsCall) -> web.Response | None:
        return web.Response(status=403, body=_DENIED, content_type="text/xml") if call.name in names else None

    return answer


def _changes(plan: AccountPlan) -> list[tuple[str, str, list[str]]]:
    return [(one.address, one.action, sorted(one.after or ())) for one in plan.changes]


def _remarks(plan: AccountPlan) -> list[tuple[str, str, str]]:
    return [(one.kind, one.address, one.message) for one in plan.remarks]


def _declared() -> set[str]:
    always = {"sts:AssumeRole", "sts:GetCallerIdentity", "iam:ListAccountAliases"}
    return always | {action for kind in identity.STEP.kinds for action in (*kind.reads, *kind.writes)}


def _arn(world: AccountWorld, name: str) -> str:
    return f"arn:aws:iam::{world.account_id}:saml-provider/{name}"


async def test_an_account_that_configures_nothing_is_asked_for_its_saml_providers_only(moto: Aws) -> None:
    async with _world(moto) as (world, _):
        assert (await world.plan()).changes == ()
        assert [one.name for one in world.aws.calls if one.name.startswith("iam:")] == ["iam:ListSAMLProviders"]


async def test_a_fresh_account_gets_everything_and_is_converged(moto: Aws) -> None:
    settings = {
        "saml_providers": {"idp": _metadata("a"), "none": None}, "password_policy": {"max_password_age": 90},
        "outbound_web_identity": True,
    }  # fmt: skip
    async with _world(moto, **settings) as (world, fake):
        assert _changes(await world.plan()) == [
            ("outbound-web-identity/account", "update", ["enabled"]), ("password-policy/account", "update", ["rules"]),
            ("saml-provider/idp", "create", ["metadata", "tags"]),
        ]  # fmt: skip
        assert world.aws.writes == []
        await world.apply(await world.plan())
        assert world.aws.writes == [
            "iam:EnableOutboundWebIdentityFederation", "iam:UpdateAccountPasswordPolicy", "iam:CreateSAMLProvider",
        ]  # fmt: skip
        assert {one.name for one in world.aws.calls} <= _declared()
        await world.converge()
        assert fake.saml(world.account_id)[_arn(world, "idp")].tags == {"whence:managed-by": "whence-accounts"}


async def test_other_metadata_is_drift_and_other_spelling_of_the_same_is_not(moto: Aws) -> None:
    async with _world(moto, saml_providers={"idp": _metadata("a")}) as (world, fake):
        await world.converge()
        provider = fake.saml(world.account_id)[_arn(world, "idp")]
        provider.metadata = '<?xml version="1.0"?>\n' + _metadata("a").replace('xmlns="urn', 'xmlns  =\n"urn')
        assert (await world.plan()).changes == ()
        provider.metadata = _metadata("b")
        assert _changes(await world.plan()) == [("saml-provider/idp", "update", ["metadata"])]
        await world.converge()
        assert provider.metadata == _metadata("a")
        provider.metadata = "not XML"
        await world.converge()


async def test_foreign_saml_providers_are_left_and_changed_only_where_they_are_adopted(moto: Aws) -> None:
    async with _world(moto, saml_providers={"idp": _metadata("a")}) as (world, fake):
        fake.add_saml(world.account_id, "idp", _metadata("b"), {"team": "them"})
        fake.add_saml(world.account_id, "other", _metadata("b"), {})
        await world.converge()
        assert _remarks(await world.plan()) == [
            ("foreign", "saml-provider/idp", "it exists without our tag and differs in metadata, tags: not changed")
        ]
        await world.converge(adopt=("saml-provider/idp",))
        assert fake.saml(world.account_id)[_arn(world, "idp")].tags == {
            "team": "them", "whence:managed-by": "whence-accounts",
        }  # fmt: skip
        world.settings["saml_providers"] = {}
        await world.converge(delete=("*",))
        assert list(fake.saml(world.account_id)) == [_arn(world, "other")]


async def test_a_provider_that_is_deleted_while_it_is_read_is_created_again(moto: Aws) -> None:
    async with _world(moto, saml_providers={"idp": _metadata("a")}) as (world, fake):
        await world.converge()

        def vanish(call: AwsCall) -> None:
            if call.name == "iam:GetSAMLProvider":
                fake.saml(world.account_id).clear()

        world.aws.before = vanish
        assert _changes(await world.plan()) == [("saml-provider/idp", "create", ["metadata", "tags"])]


async def test_a_saml_provider_is_made_before_the_roles_that_trust_it(moto: Aws) -> None:
    trust = {"Statement": [{
        "Effect": "Allow", "Principal": {"Federated": "arn:aws:iam::123456789012:saml-provider/idp"},
        "Action": "sts:AssumeRoleWithSAML", "Condition": {"StringEquals": {"SAML:aud": "https://signin.aws.amazon.com/saml"}},
    }]}  # fmt: skip
    settings = {"saml_providers": {"idp": _metadata("a")}, "roles": {"People": {"assume_role_policy": trust}}}
    async with account_world(moto.url, steps=(roles.step(lambda: ()), identity.STEP), settings=settings) as world:
        world.aws.extensions |= IdentityOfAccounts().extensions
        assert [one.address for one in (await world.plan()).changes] == ["saml-provider/idp", "role/People"]
        await world.converge()


@dataclass
class _WithDocuments:
    """The providers of AWS, with documents by URL in place of HTTPS. `asked` are the URLs that were read."""

    aws: AwsProviders
    documents: dict[str, str]
    asked: list[str] = field(default_factory=list)

    def of_one_pass(self) -> _WithDocuments:
        return _WithDocuments(self.aws.of_one_pass(), self.documents, self.asked)

    def of(self, kind: ResourceKind, target: Target, region: str | None) -> ResourceProvider:
        if kind is identity.SAML_METADATA:
            return SamlMetadataProvider(self._fetch)
        return self.aws.of(kind, target, region)

    async def _fetch(self, url: str) -> str:
        self.asked.append(url)
        if url not in self.documents:
            raise RoadError("saml-metadata", "the SAML metadata of idp.example.org answers with 404")
        return self.documents[url]

    async def find(self, kind: ResourceKind, target: Target, region: str | None) -> Sequence[StandingResource]:
        return await self.aws.find(kind, target, region)

    async def identity(self, target: Target) -> str:
        return await self.aws.identity(target)

    async def aliases(self, target: Target) -> Sequence[str]:
        return await self.aws.aliases(target)

    async def release(self, target: Target) -> None:
        await self.aws.release(target)


async def test_metadata_at_a_url_is_in_the_plan_and_updated_when_it_changes(moto: Aws) -> None:
    url = "https://idp.example.org/metadata"
    async with _world(moto, saml_providers={"a": f" {url}\n", "b": url}) as (world, fake):
        world.providers = providers = _WithDocuments(world.providers, {url: "\n" + _metadata("a")})  # type: ignore[assignment]  # the same port
        plan = await world.plan()
        assert [(one.address, (one.after or {})["metadata"]) for one in plan.changes] == [
            ("saml-provider/a", _metadata("a")), ("saml-provider/b", _metadata("a")),
        ]  # fmt: skip
        assert providers.asked == [url]
        providers.documents[url] = _metadata("b")
        assert (await world.apply(plan)).succeeded
        assert fake.saml(world.account_id)[_arn(world, "a")].metadata == _metadata("a")
        assert _changes(await world.plan()) == [
            ("saml-provider/a", "update", ["metadata"]), ("saml-provider/b", "update", ["metadata"]),
        ]  # fmt: skip
        await world.converge()


async def test_a_provider_whose_metadata_cannot_be_read_is_not_changed(moto: Aws) -> None:
    url = "https://idp.example.org/metadata"
    async with _world(moto, saml_providers={"a": url, "b": _metadata("b")}) as (world, _):
        world.providers = providers = _WithDocuments(world.providers, {})  # type: ignore[assignment]  # the same port
        plan = await world.plan()
        assert [one.address for one in plan.changes] == ["saml-provider/b"]
        assert _remarks(plan) == [
            ("unread", "saml-metadata/*", "the SAML metadata of idp.example.org answers with 404"),
            ("unread", "saml-provider/a", f"create is not planned: saml-metadata/{url} could not be read"),
        ]
        assert not plan.is_whole
        providers.documents[url] = "<html>sign in</html>"
        remark = (await world.plan()).remarks[0]
        assert remark.message.startswith(f"the document at {url} has 20 characters")


@pytest.mark.parametrize(
    "metadata, message",
    [
        ("http://idp.example.org/metadata", "is neither XML nor an https URL"),
        ("file:///etc/passwd", "is neither XML nor an https URL"),
        ("https://idp.example.org/a b", "is neither XML nor an https URL"),
        ("https://user:word@idp.example.org/metadata", "has a login in its URL, which plans show"),
        ("<a>" + "x" * 2000, "is not XML"),
        ("<a>short</a>", "has 12 characters; 1000 to 1000000 are taken"),
        ('<!DOCTYPE a [<!ENTITY b "bb">]><a>&b;</a>', "has a document type"),
    ],
)
async def test_metadata_that_iam_would_refuse_is_named_with_its_key(moto: Aws, metadata: str, message: str) -> None:
    async with _world(moto, saml_providers={"idp": metadata}) as (world, _):
        with pytest.raises(InputError, match=message) as refused:
            await world.plan()
        assert refused.value.message.startswith("accounts.hello.saml_providers.idp ")
        assert world.aws.writes == []


async def test_a_password_policy_that_was_changed_by_hand_is_put_right_whole(moto: Aws) -> None:
    settings = {"password_policy": {"require_symbols": True, "max_password_age": 30}}
    async with _world(moto, **settings) as (world, _):
        await world.converge()
        iam = world.client("iam")
        iam.update_account_password_policy(MinimumPasswordLength=6)
        (change,) = (await world.plan()).changes
        assert change.before == {"rules": {
            "allow_users_to_change_password": False, "hard_expiry": False, "max_password_age": 0,
            "minimum_password_length": 6, "password_reuse_prevention": 0, "require_lowercase_characters": False,
            "require_numbers": False, "require_symbols": False, "require_uppercase_characters": False,
        }}  # fmt: skip
        await world.converge()
        policy = iam.get_account_password_policy()["PasswordPolicy"]
        assert (policy["MinimumPasswordLength"], policy["PasswordReusePrevention"], policy["MaxPasswordAge"]) == (
            14,
            24,
            30,
        )
        assert (policy["RequireSymbols"], policy["RequireNumbers"]) == (True, False)


async def test_a_password_policy_that_is_not_configured_is_left(moto: Aws) -> None:
    async with _world(moto) as (world, _):
        world.client("iam").update_account_password_policy(MinimumPasswordLength=6)
        await world.converge()


async def test_outbound_web_identity_has_its_issuer_as_output(moto: Aws) -> None:
    async with _world(moto, outbound_web_identity=True) as (world, fake):
        await world.converge()
        issuer = fake.issuers[world.account_id]
        assert [one.outputs for one in (await world.plan()).standing] == [{"issuer": issuer}]
        world.settings["outbound_web_identity"] = False
        await world.converge()
        assert fake.issuers == {world.account_id: issuer}


async def test_outbound_web_identity_that_somebody_enables_meanwhile_is_converged(moto: Aws) -> None:
    async with _world(moto, outbound_web_identity=True) as (world, fake):
        plan = await world.plan()

        def overtake(call: AwsCall) -> None:
            if call.name == "iam:EnableOutboundWebIdentityFederation":
                fake.issuers[world.account_id] = "https://theirs.example.org"

        world.aws.before = overtake
        assert (await world.apply(plan)).succeeded
        await world.converge()


async def test_settings_that_cannot_be_read_are_unread_each_and_unchanged(moto: Aws) -> None:
    settings = {
        "saml_providers": {"idp": _metadata("a")}, "password_policy": {}, "outbound_web_identity": True,
        "check_root_user": True,
    }  # fmt: skip
    async with _world(moto, **settings) as (world, _):
        world.aws.before = _deny(
            "iam:ListSAMLProviders", "iam:GetAccountPasswordPolicy", "iam:GetOutboundWebIdentityFederationInfo",
            "iam:GetAccountSummary",
        )  # fmt: skip
        plan = await world.plan()
        assert plan.changes == ()
        assert [(one.kind, one.address) for one in plan.remarks] == [
            ("unread", "outbound-web-identity/*"), ("unread", "password-policy/*"), ("unread", "root-user/*"),
            ("unread", "saml-provider/*"),
        ]  # fmt: skip


async def test_a_refused_write_leaves_the_others_reported_and_the_next_apply_goes_on(moto: Aws) -> None:
    settings = {"saml_providers": {"a": _metadata("a"), "b": _metadata("b")}, "outbound_web_identity": True}
    async with _world(moto, **settings) as (world, _):
        plan = await world.plan()
        world.aws.before = _deny("iam:EnableOutboundWebIdentityFederation")
        report = await world.apply(plan)
        assert [(one.address, one.outcome) for one in report.changes] == [
            ("outbound-web-identity/account", "failed"), ("saml-provider/a", "done"), ("saml-provider/b", "done"),
        ]  # fmt: skip
        world.aws.before = lambda _: None
        assert (await world.apply(plan)).succeeded
        await world.converge()


async def test_what_stands_is_imported_and_differs_in_our_tag_only(moto: Aws) -> None:
    async with _world(moto) as (world, fake):
        empty = await import_account(world.account.target, world.steps, world.providers)
        assert (empty.section, empty.unread) == ({}, ())
        fake.add_saml(world.account_id, "idp", _metadata("a"), {})
        fake.issuers[world.account_id] = "https://issuer.example.org"
        world.client("iam").update_account_password_policy(MinimumPasswordLength=20)
        found = await import_account(world.account.target, world.steps, world.providers)
        assert sorted(found.section) == ["outbound_web_identity", "password_policy", "saml_providers"]
        world.settings |= found.section
        plan = await world.plan()
        assert plan.changes == ()
        assert _remarks(plan) == [
            ("foreign", "saml-provider/idp", "it exists without our tag and differs in tags: not changed")
        ]


_NO_MFA = "the root user has no MFA device: register one, or remove the root user's credentials"
_KEYS = "the root user has access keys: delete them"
_UNKNOWN = "IAM does not state whether the root user has a password and an MFA device: not checked"


def _summary(**entries: int) -> Answer:
    """Return what answers GetAccountSummary with these entries."""
    listed = "".join(f"<entry><key>{key}</key><value>{value}</value></entry>" for key, value in entries.items())
    body = (
        f"<GetAccountSummaryResponse><GetAccountSummaryResult><SummaryMap>{listed}</SummaryMap>"
        "</GetAccountSummaryResult></GetAccountSummaryResponse>"
    )
    return lambda _: web.Response(body=body.encode(), content_type="text/xml")


@pytest.mark.parametrize(
    ("entries", "warnings"),
    [
        ({"AccountMFAEnabled": 0, "AccountPasswordPresent": 1}, [_NO_MFA]),
        ({"AccountMFAEnabled": 1, "AccountPasswordPresent": 1}, []),
        ({"AccountMFAEnabled": 1, "AccountPasswordPresent": 1, "AccountAccessKeysPresent": 1}, [_KEYS]),
        ({"AccountMFAEnabled": 0, "AccountPasswordPresent": 1, "AccountAccessKeysPresent": 1}, [_KEYS, _NO_MFA]),
        ({"AccountMFAEnabled": 1, "AccountAccessKeysPresent": 0}, []),
        (
            {"AccountMFAEnabled": 1, "AccountSigningCertificatesPresent": 1},
            ["the root user has signing certificates: delete them"],
        ),
        ({"AccountMFAEnabled": 0}, [_UNKNOWN]),
        ({"AccountPasswordPresent": 1}, [_UNKNOWN]),
        ({"AccountPasswordPresent": 0, "AccountAccessKeysPresent": 1}, [_KEYS]),
        ({}, [_UNKNOWN]),
    ],
)
async def test_what_is_wrong_with_the_root_user_is_a_warning_and_no_change(
    moto: Aws, entries: dict[str, int], warnings: list[str]
) -> None:
    async with _world(moto, check_root_user=True) as (world, _):
        world.aws.extensions["iam:GetAccountSummary"] = _summary(**entries)
        plan = await world.plan()
        assert (plan.changes, world.aws.writes) == ((), [])
        assert _remarks(plan) == [("warning", "root-user/account", one) for one in sorted(warnings)]


async def test_the_root_user_of_a_member_account_without_credentials_is_no_warning(moto: Aws) -> None:
    async with _world(moto, check_root_user=True) as (world, _):
        world.aws.extensions["iam:GetAccountSummary"] = _summary(AccountMFAEnabled=0, AccountPasswordPresent=0)
        assert _remarks(await world.plan()) == []


async def test_a_root_user_that_cannot_be_read_is_unknown_and_no_warning(moto: Aws) -> None:
    async with _world(moto, check_root_user=True) as (world, _):
        world.aws.before = denied("iam:GetAccountSummary")
        plan = await world.plan()
        assert [(one.kind, one.address) for one in plan.remarks] == [("unread", "root-user/*")]
        assert not plan.is_whole


async def test_a_root_user_is_not_looked_at_unless_it_is_asked_for(moto: Aws) -> None:
    async with _world(moto) as (world, _):
        await world.plan()
        assert "iam:GetAccountSummary" not in {one.name for one in world.aws.calls}


async def test_the_fake_answers_as_the_service_model_of_iam_has_it(moto: Aws) -> None:
    async with _world(moto) as (world, fake):
        operations = botocore.loaders.Loader().load_service_model("iam", "service-2")["operations"]
        assert {name.removeprefix("iam:") for name in fake.extensions} <= set(operations)
        iam = boto3.client(
            "iam", endpoint_url=world.aws.url, region_name=REGION, aws_access_key_id="a", aws_secret_access_key="b"
        )

        async def ask(operation: str, **asked: Any) -> dict[str, Any]:
            answer: dict[str, Any] = await asyncio.to_thread(getattr(iam, operation), **asked)
            assert answer.pop("ResponseMetadata")["HTTPStatusCode"] == 200
            return answer

        arn = (await ask("create_saml_provider", Name="x", SAMLMetadataDocument=_metadata("a"), Tags=[_TAG]))[
            "SAMLProviderArn"
        ]
        assert await ask("update_saml_provider", SAMLProviderArn=arn, SAMLMetadataDocument=_metadata("b")) == {
            "SAMLProviderArn": arn
        }
        await ask("tag_saml_provider", SAMLProviderArn=arn, Tags=[{"Key": "c", "Value": "<d>"}])
        found = await ask("get_saml_provider", SAMLProviderArn=arn)
        assert (found["SAMLMetadataDocument"], found["Tags"]) == (_metadata("b"), [_TAG, {"Key": "c", "Value": "<d>"}])
        assert [one["Arn"] for one in (await ask("list_saml_providers"))["SAMLProviderList"]] == [arn]
        assert await ask("delete_saml_provider", SAMLProviderArn=arn) == {}
        with pytest.raises(iam.exceptions.NoSuchEntityException):
            await ask("get_saml_provider", SAMLProviderArn=arn)
        with pytest.raises(iam.exceptions.FeatureDisabledException):
            await ask("get_outbound_web_identity_federation_info")
        issuer = (await ask("enable_outbound_web_identity_federation"))["IssuerIdentifier"]
        assert await ask("get_outbound_web_identity_federation_info") == {
            "IssuerIdentifier": issuer, "JwtVendingEnabled": True,
        }  # fmt: skip
        with pytest.raises(iam.exceptions.FeatureEnabledException):
            await ask("enable_outbound_web_identity_federation")


_TAG = {"Key": "a", "Value": "b"}
