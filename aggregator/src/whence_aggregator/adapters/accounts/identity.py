"""Settings of IAM for the whole account. None of them is read unless it is configured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from botocore.exceptions import ClientError

from whence_aggregator.accounts.resources import Json, StandingResource, WantedResource
from whence_aggregator.accounts.steps.identity import OUTBOUND_WEB_IDENTITY, PASSWORD_POLICY, ROOT_USER
from whence_aggregator.adapters.accounts.place import AwsPlace

_RULES: Mapping[str, tuple[str, Json]] = {
    "minimum_password_length": ("MinimumPasswordLength", 6),
    "require_symbols": ("RequireSymbols", False),
    "require_numbers": ("RequireNumbers", False),
    "require_uppercase_characters": ("RequireUppercaseCharacters", False),
    "require_lowercase_characters": ("RequireLowercaseCharacters", False),
    "allow_users_to_change_password": ("AllowUsersToChangePassword", False),
    "max_password_age": ("MaxPasswordAge", 0),
    "password_reuse_prevention": ("PasswordReusePrevention", 0),
    "hard_expiry": ("HardExpiry", False),
}
"""IAM's names, and what it means when IAM leaves one out (UpdateAccountPasswordPolicy)."""


class _Setting:
    """A setting: it always stands, and is not deleted."""

    def __init__(self, place: AwsPlace) -> None:
        self._place = place

    async def create(self, wanted: WantedResource) -> None:
        raise AssertionError("a setting always stands")

    async def delete(self, standing: StandingResource) -> None:
        raise AssertionError("a setting is not deleted")


class PasswordPolicyProvider(_Setting):
    async def find(self) -> Sequence[StandingResource]:
        return await self.read([WantedResource(kind=PASSWORD_POLICY, name="account", state={})])

    async def read(self, wanted: Sequence[WantedResource]) -> Sequence[StandingResource]:
        if not wanted:
            return []
        iam = await self._place.client("iam")
        rules: Json = None
        try:
            answer = (await iam.get_account_password_policy())["PasswordPolicy"]
            rules = {name: answer.get(theirs, absent) for name, (theirs, absent) in _RULES.items()}
        except ClientError as exc:
            if exc.response.get("Error", {}).get("Code") != "NoSuchEntity":
                raise
        return [
            StandingResource(kind=PASSWORD_POLICY, name=one.name, state={"rules": rules}, is_own=True) for one in wanted
        ]  # fmt: skip

    async def put(self, standing: StandingResource, aspect: str, value: Json) -> None:
        """Write all rules: IAM resets those that a call leaves out, and takes no 0."""
        assert isinstance(value, Mapping)
        iam = await self._place.client("iam")
        rules = {
            theirs: value[name] for name, (theirs, _) in _RULES.items() if value[name] != 0 or value[name] is False
        }
        await iam.update_account_password_policy(**rules)


class OutboundWebIdentityProvider(_Setting):
    async def find(self) -> Sequence[StandingResource]:
        return await self.read([WantedResource(kind=OUTBOUND_WEB_IDENTITY, name="account", state={})])

    async def read(self, wanted: Sequence[WantedResource]) -> Sequence[StandingResource]:
        if not wanted:
            return []
        iam = await self._place.client("iam")
        enabled, outputs = False, {}
        try:
            answer = await iam.get_outbound_web_identity_federation_info()
            enabled = bool(answer.get("JwtVendingEnabled", False))
            outputs = {"issuer": str(answer["IssuerIdentifier"])} if answer.get("IssuerIdentifier") else {}
        except ClientError as exc:
            if not _is(exc, "FeatureDisabled"):
                raise
        return [
            StandingResource(
                kind=OUTBOUND_WEB_IDENTITY, name=one.name, state={"enabled": enabled}, outputs=outputs, is_own=True
            )
            for one in wanted
        ]  # fmt: skip

    async def put(self, standing: StandingResource, aspect: str, value: Json) -> None:
        """Enable it. Where somebody did so meanwhile, IAM answers FeatureEnabled."""
        iam = await self._place.client("iam")
        try:
            await iam.enable_outbound_web_identity_federation()
        except ClientError as exc:
            if not _is(exc, "FeatureEnabled"):
                raise


class RootUserProvider(_Setting):
    async def read(self, wanted: Sequence[WantedResource]) -> Sequence[StandingResource]:
        if not wanted:
            return []
        iam = await self._place.client("iam")
        warnings = _of_root_user((await iam.get_account_summary())["SummaryMap"])
        return [
            StandingResource(kind=ROOT_USER, name=one.name, state={}, is_own=True, warnings=warnings) for one in wanted
        ]  # fmt: skip

    async def put(self, standing: StandingResource, aspect: str, value: Json) -> None:
        raise AssertionError("nothing is configured")


def _of_root_user(summary: Mapping[str, int]) -> tuple[str, ...]:
    """Return what is wrong with the root user, in words.

    A root user without a password cannot sign in, and needs no MFA device: so it is in member accounts whose root
    access an organisation manages (IAM User Guide, "Centralize root access for member accounts").
    """
    warnings = []
    password, device = summary.get("AccountPasswordPresent"), summary.get("AccountMFAEnabled")
    if (password is None and not device) or (password and device is None):
        warnings.append("IAM does not state whether the root user has a password and an MFA device: not checked")
    elif password and not device:
        warnings.append("the root user has no MFA device: register one, or remove the root user's credentials")
    if summary.get("AccountAccessKeysPresent"):
        warnings.append("the root user has access keys: delete them")
    if summary.get("AccountSigningCertificatesPresent"):
        warnings.append("the root user has signing certificates: delete them")
    return tuple(warnings)


def _is(exc: ClientError, code: str) -> bool:
    return exc.response.get("Error", {}).get("Code") in (code, f"{code}Exception")
