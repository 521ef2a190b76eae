"""Whether what a provider has made may be published. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from whence_aggregator.mint.ports import ProviderRefused
from whence_aggregator.mint.values import CredentialKind, MadeCredential, WantedClient
from whence_common.storable import is_storable

_FIELDS: Mapping[CredentialKind, tuple[str, str]] = {
    "user": ("application_username", "application_password"),
    "client": ("client_id", "client_secret"),
}
CHARACTERS_MAX = 2_048
"""Of one value; of a handle: of all its values together."""
_FIX = "see the provider's log; nothing was published, and mint tries again"


class NotTrusted(ProviderRefused):
    """The answer is about another credential: what it names must not be ended."""


def check_made(kind: CredentialKind, made: MadeCredential, wanted: WantedClient) -> None:
    """Raise ProviderRefused unless the document is complete, bounded, and of the application."""
    identity, secret = _FIELDS[kind]
    document = made.document
    if set(document) != {identity, secret}:
        raise _refused("provider-incomplete", f"the provider's answer does not have {identity} and {secret} only")
    if not document[identity]:
        raise _refused("provider-incomplete", f"the provider's answer has an empty {identity}")
    if kind == "user" and document[identity] != wanted.username:
        raise NotTrusted("provider-wrong-id", "the provider answers with the user name of another user", fix=_FIX)
    may_be_absent = kind == "client" and not wanted.is_confidential
    if not document[secret] and not (document[secret] is None and may_be_absent):
        raise _refused("provider-incomplete", f"the provider's answer has an empty {secret}")
    values = [one for one in document.values() if one is not None]
    handle = [*made.handle.items(), *made.secret_handle.items()]
    if max(map(len, values)) > CHARACTERS_MAX or sum(len(one) + len(two) for one, two in handle) > CHARACTERS_MAX:
        raise _refused("provider-too-large", "the provider's answer is too large for a credential")
    if not all(map(is_storable, [*values, *(text for pair in handle for text in pair)])):
        raise _refused("provider-malformed", "the provider's answer has characters that cannot be stored")


def secrets_of(made: MadeCredential, kind: CredentialKind) -> list[str]:
    """Return the values that must not be shown."""
    found = [made.document.get(_FIELDS[kind][1]), *made.secret_handle.values()]
    return [one for one in found if one]


def same_secret(*, is_live: bool) -> ProviderRefused:
    """Return the error of a provider that makes what it made before; `is_live`: to end it would end that one."""
    error = NotTrusted if is_live else ProviderRefused
    return error("provider-same-secret", "the provider answers with a secret that it made before", fix=_FIX)


def wrong_client() -> NotTrusted:
    return NotTrusted("provider-wrong-id", "the provider answers with the client id of another application", fix=_FIX)


def _refused(code: str, message: str) -> ProviderRefused:
    return ProviderRefused(code, message, fix=_FIX)
