"""Authentication at registries: challenges, logins, token requests. No I/O is done here.

RFC 9110, 11.6.1 (challenges); the distribution project's token and OAuth2 documents (realm, service, scope).
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from urllib.parse import quote, urlencode, urlsplit

from whence_common.errors import RoadError, one_line
from whence_common.loose_json import loose
from whence_common.registry_address import RegistryPlace, is_usable_url, same_origin

TOKEN_BYTES_MAX = 64 * 1024
_HEADER_CHARACTERS_MAX = 8 * 1024
_CHALLENGES_MAX = 8
_SECONDS_DEFAULT, _SECONDS_MAX = 60.0, 12 * 3600.0
"""A token without `expires_in` is valid for a minute (distribution's token specification)."""
CATALOG_SCOPE = "registry:catalog:*"
"""The right to list a registry's repositories."""
_CLIENT = "whence"
_PIECE = re.compile(
    r"""[\s,]*(?:
        (?P<name>[A-Za-z0-9!#$%&'*+.^_`|~-]+)\s*=\s*
            (?:"(?P<quoted>(?:[^"\\]|\\.)*)"|(?P<plain>[^\s",=]+))
        |(?P<scheme>[A-Za-z0-9!#$%&'*+.^_`|~-]+)(?=[\s,]|\Z)
        |(?P<blob>[A-Za-z0-9._~+/-]+=*)(?=[\s,]|\Z)
    )""",
    re.VERBOSE,
)
_TOKEN = re.compile(r"[\x21-\x7e]{1,16384}\Z")


class SignInRefused(RoadError):
    """A registry's challenge cannot be used; the message names the registry and contains no secret."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """A login at a registry or Git server. A registry token is sent as it is, without a token request."""

    username: str = ""
    password: str = field(default="", repr=False)
    identity_token: str = field(default="", repr=False)
    registry_token: str = field(default="", repr=False)
    seconds: float | None = field(default=None, compare=False)
    """The validity in seconds from the time of issue; None if the issuer did not state it."""

    def basic(self) -> str:
        """Return the Authorization header of HTTP's Basic scheme."""
        return "Basic " + base64.b64encode(f"{self.username}:{self.password}".encode()).decode("ascii")


@dataclass(frozen=True, slots=True, kw_only=True)
class SignInChallenge:
    """One challenge of a WWW-Authenticate header; `scheme` is in lower case."""

    scheme: str
    realm: str = ""
    service: str = ""
    scope: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenRequest:
    """A request for a token: GET, or POST if there is a form."""

    url: str
    authorization: str = field(default="", repr=False)
    form: Mapping[str, str] | None = field(default=None, repr=False)

    @property
    def method(self) -> str:
        return "GET" if self.form is None else "POST"

    @property
    def headers(self) -> dict[str, str]:
        shown = {"Authorization": self.authorization} if self.authorization else {}
        return {"Accept": "application/json", **shown}


@dataclass(frozen=True, slots=True, kw_only=True)
class BearerToken:
    """A bearer token, and for how many seconds it may be used."""

    value: str = field(repr=False)
    seconds: float

    @property
    def header(self) -> str:
        return bearer(self.value)


def parse_challenges(headers: Iterable[str]) -> list[SignInChallenge]:
    """Parse the challenges of all WWW-Authenticate headers; malformed parts are skipped."""
    found: list[dict[str, str]] = []
    for header in headers:
        text, position, in_scheme = header[:_HEADER_CHARACTERS_MAX], 0, False
        while (match := _PIECE.match(text, position)) is not None and len(found) < _CHALLENGES_MAX:
            position = match.end()
            if match["scheme"]:
                found.append({"scheme": match["scheme"].lower()})
                in_scheme = True
            elif match["name"] and in_scheme:
                value = match["plain"] or re.sub(r"\\(.)", r"\1", match["quoted"] or "")
                found[-1].setdefault(match["name"].lower(), value)
    names = ("scheme", "realm", "service", "scope")
    return [SignInChallenge(**{name: one.get(name, "") for name in names}) for one in found]


def scope_of(path: str, *, push: bool = False) -> str:
    """Return the scope for reading, or for reading and writing, a repository."""
    return f"repository:{path}:{'pull,push' if push else 'pull'}"


def choose(challenges: Iterable[SignInChallenge], login: Login | None, place: RegistryPlace) -> SignInChallenge | None:
    """Return the challenge to answer: Bearer if its realm is allowed, else Basic, else None.

    Raises SignInRefused if Bearer is the only possible scheme and its realm is not allowed.
    """
    listed = list(challenges) or [SignInChallenge(scheme="basic")]  # a 401 without a challenge: try Basic
    basic = next((one for one in listed if one.scheme == "basic"), None) if login and login.username else None
    for one in listed:
        if one.scheme == "bearer":
            try:
                check_realm(one.realm, place, shown=login is not None)
            except SignInRefused:
                if basic is None:
                    raise
            else:
                return one
    return basic


def sign_in(
    challenges: Iterable[SignInChallenge], login: Login | None, scopes: Iterable[str], place: RegistryPlace
) -> str | TokenRequest:
    """Return the Authorization header that answers a registry's challenges, or the request for the token to use.

    The header is empty if no challenge can be answered. Raises SignInRefused.
    """
    if login is not None and login.registry_token:
        return bearer(login.registry_token)
    challenge = choose(challenges, login, place)
    if challenge is None:
        return ""
    if challenge.scheme == "basic":
        assert login is not None, "Basic is chosen with a login only"
        return login.basic()
    return token_request(challenge, login, scopes, place)


def bearer(token: str) -> str:
    """Return the Authorization header for a token (RFC 6750, 2.1)."""
    return f"Bearer {token}"


def shown(place: RegistryPlace, url: str, authorization: str) -> dict[str, str]:
    """Return the headers that authenticate a request; none if the URL is at another host than the registry's."""
    return {"Authorization": authorization} if authorization and same_origin(place, url) else {}


def check_realm(realm: str, place: RegistryPlace, *, shown: bool) -> None:
    """Check a token endpoint. A login is sent to the registry's own hosts only. Raises SignInRefused."""
    schemes = ("http", "https") if place.plain else ("https",)
    if not is_usable_url(realm) or urlsplit(realm).scheme not in schemes:
        raise SignInRefused(
            "registry-realm", f"the token endpoint that {place.registry} names is invalid or not HTTPS", retryable=False
        )
    parts = urlsplit(realm)
    if shown and parts.netloc not in place.own_hosts:
        raise SignInRefused(
            "registry-realm-foreign",
            f"{place.registry} names another host, {one_line(parts.netloc, 80)}, as its token endpoint",
            retryable=False,
            fix=f"if that host may receive the login, add it to token_hosts of {place.registry} "
            "(whence attest: --token-host)",
        )


def token_request(
    challenge: SignInChallenge, login: Login | None, scopes: Iterable[str], place: RegistryPlace
) -> TokenRequest:
    """Return the request for a token. Raises SignInRefused."""
    check_realm(challenge.realm, place, shown=login is not None)
    wanted = sorted(set(scopes))
    service = [("service", challenge.service)] if challenge.service else []
    if login is not None and login.identity_token:
        form = {
            **dict(service), "scope": " ".join(wanted), "grant_type": "refresh_token",
            "refresh_token": login.identity_token, "client_id": _CLIENT,
        }  # fmt: skip
        return TokenRequest(url=challenge.realm, form=form)
    query = urlencode([*service, *(("scope", one) for one in wanted)], quote_via=quote)
    joined = "&" if urlsplit(challenge.realm).query else "?"
    authorization = login.basic() if login is not None and login.username else ""
    return TokenRequest(url=f"{challenge.realm}{joined}{query}", authorization=authorization)


def granted(status: int, content: bytes | None) -> BearerToken | None:
    """Return the token in a token endpoint's response; None if it has none."""
    return parse_token(content) if status == 200 and content is not None else None


def parse_token(content: bytes) -> BearerToken | None:
    """Return the `token` or `access_token` in a token endpoint's body; None if it has neither."""
    document = loose(content)
    value = document.get("token") or document.get("access_token")
    if not isinstance(value, str) or not _TOKEN.match(value):
        return None
    stated = document.get("expires_in")
    seconds = float(stated) if isinstance(stated, int | float) and not isinstance(stated, bool) else _SECONDS_DEFAULT
    seconds = min(max(seconds, 1.0), _SECONDS_MAX)
    return BearerToken(value=value, seconds=seconds - min(30.0, seconds / 4))
