"""What moto lacks of IAM: tags of SAML providers, and outbound web identity federation. One world for each account.

Answers are those of IAM's query protocol, held to botocore's service model by tests/contract/test_account_identity.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from xml.sax.saxutils import escape

from aiohttp import web

from fakes.counted_aws import Answer, AwsCall

_NAMESPACE = "https://iam.amazonaws.com/doc/2010-05-08/"
_DATE = "2026-11-27T08:00:00Z"


@dataclass
class _Provider:
    metadata: str
    tags: dict[str, str]


@dataclass
class IdentityOfAccounts:
    """`extensions` go into CountedAws.extensions."""

    issuers: dict[str, str] = field(default_factory=dict)
    """Issuer by account, where outbound web identity is enabled."""
    _providers: dict[str, dict[str, _Provider]] = field(default_factory=dict)

    @property
    def extensions(self) -> Mapping[str, Answer]:
        return {
            "iam:CreateSAMLProvider": self._create,
            "iam:DeleteSAMLProvider": self._delete,
            "iam:EnableOutboundWebIdentityFederation": self._enable,
            "iam:GetOutboundWebIdentityFederationInfo": self._info,
            "iam:GetSAMLProvider": self._get,
            "iam:ListSAMLProviders": self._list,
            "iam:TagSAMLProvider": self._tag,
            "iam:UpdateSAMLProvider": self._update,
        }

    def saml(self, account_id: str) -> dict[str, _Provider]:
        """Return the SAML providers of an account by ARN, to look and to change by hand."""
        return self._providers.setdefault(account_id, {})

    def add_saml(self, account_id: str, name: str, metadata: str, tags: Mapping[str, str]) -> None:
        """Create a provider by hand."""
        self.saml(account_id)[f"arn:aws:iam::{account_id}:saml-provider/{name}"] = _Provider(metadata, dict(tags))

    def _enable(self, call: AwsCall) -> web.Response:
        if call.account_id in self.issuers:
            return _refused(409, "FeatureEnabled", "outbound identity federation is already enabled")
        self.issuers[call.account_id] = f"https://{call.account_id}.tokens.sts.global.api.aws"
        return _answer(call, f"<IssuerIdentifier>{self.issuers[call.account_id]}</IssuerIdentifier>")

    def _info(self, call: AwsCall) -> web.Response:
        if call.account_id not in self.issuers:
            return _refused(404, "FeatureDisabled", "outbound identity federation is disabled")
        issuer = self.issuers[call.account_id]
        return _answer(
            call,
            f"<IssuerIdentifier>{issuer}</IssuerIdentifier><JwtVendingEnabled>true</JwtVendingEnabled>",
        )

    def _create(self, call: AwsCall) -> web.Response:
        arn = f"arn:aws:iam::{call.account_id}:saml-provider/{call.form['Name']}"
        if arn in self.saml(call.account_id):
            return _refused(409, "EntityAlreadyExists", f"{arn} exists")
        self.saml(call.account_id)[arn] = _Provider(call.form["SAMLMetadataDocument"], _tags(call.form))
        return _answer(call, f"<SAMLProviderArn>{arn}</SAMLProviderArn>")

    def _list(self, call: AwsCall) -> web.Response:
        members = "".join(
            f"<member><Arn>{arn}</Arn><ValidUntil>{_DATE}</ValidUntil><CreateDate>{_DATE}</CreateDate></member>"
            for arn in self.saml(call.account_id)
        )
        return _answer(call, f"<SAMLProviderList>{members}</SAMLProviderList>")

    def _get(self, call: AwsCall) -> web.Response:
        found = self.saml(call.account_id).get(call.form["SAMLProviderArn"])
        if found is None:
            return _missing(call)
        tags = "".join(
            f"<member><Key>{escape(key)}</Key><Value>{escape(value)}</Value></member>"
            for key, value in sorted(found.tags.items())
        )
        return _answer(
            call,
            f"<SAMLMetadataDocument>{escape(found.metadata)}</SAMLMetadataDocument><CreateDate>{_DATE}</CreateDate>"
            f"<ValidUntil>{_DATE}</ValidUntil><Tags>{tags}</Tags>",
        )

    def _update(self, call: AwsCall) -> web.Response:
        arn = call.form["SAMLProviderArn"]
        if arn not in self.saml(call.account_id):
            return _missing(call)
        self.saml(call.account_id)[arn].metadata = call.form["SAMLMetadataDocument"]
        return _answer(call, f"<SAMLProviderArn>{arn}</SAMLProviderArn>")

    def _tag(self, call: AwsCall) -> web.Response:
        found = self.saml(call.account_id).get(call.form["SAMLProviderArn"])
        if found is None:
            return _missing(call)
        found.tags |= _tags(call.form)
        return _answer(call, "")

    def _delete(self, call: AwsCall) -> web.Response:
        found = self.saml(call.account_id).pop(call.form["SAMLProviderArn"], None)
        return _answer(call, "") if found is not None else _missing(call)


def _tags(form: Mapping[str, str]) -> dict[str, str]:
    count = sum(name.startswith("Tags.member.") and name.endswith(".Key") for name in form)
    return {form[f"Tags.member.{n}.Key"]: form.get(f"Tags.member.{n}.Value", "") for n in range(1, count + 1)}


def _answer(call: AwsCall, result: str) -> web.Response:
    body = (
        f'<{call.action}Response xmlns="{_NAMESPACE}"><{call.action}Result>{result}</{call.action}Result>'
        f"<ResponseMetadata><RequestId>r</RequestId></ResponseMetadata></{call.action}Response>"
    )
    return web.Response(body=body.encode(), content_type="text/xml")


def _missing(call: AwsCall) -> web.Response:
    return _refused(404, "NoSuchEntity", f"{call.form['SAMLProviderArn']} does not exist")


def _refused(status: int, code: str, message: str) -> web.Response:
    body = (
        f'<ErrorResponse xmlns="{_NAMESPACE}"><Error><Type>Sender</Type><Code>{code}</Code><Message>{message}</Message>'
        "</Error><RequestId>r</RequestId></ErrorResponse>"
    )
    return web.Response(status=status, body=body.encode(), content_type="text/xml")
