"""STUPS's token and team services: the owner of a token, and the users who may write for a team."""

from __future__ import annotations

import aiohttp

from whence_aggregator.adapters.answers import read_answer
from whence_aggregator.callers.stups_people import Person
from whence_aggregator.ports import SourceUnavailable
from whence_common.loose_json import loose

_SECONDS_MAX = 5.0
_ANSWER_BYTES_MAX = 64 * 1024
_SCOPES_MAX = 100
_FAILURES = (aiohttp.ClientError, TimeoutError, OSError)
_TIMEOUT = aiohttp.ClientTimeout(total=_SECONDS_MAX)


class StupsTokenInfo:
    """Queries the token service by GET, with the token in the Authorization header: URLs are logged."""

    def __init__(self, *, session: aiohttp.ClientSession, url: str) -> None:
        self._session = session
        self._url = url

    async def person(self, token: str) -> Person | None:
        """Return the owner of a token. Raises SourceUnavailable; its message never contains the token."""
        try:
            async with self._session.get(
                self._url, headers={"Authorization": f"Bearer {token}"}, allow_redirects=False, timeout=_TIMEOUT
            ) as answer:
                if answer.status >= 500 or answer.status == 429:
                    raise SourceUnavailable(
                        "tokeninfo-unavailable", f"the token service responds with HTTP {answer.status}"
                    )
                if answer.status != 200:
                    return None
                stated = loose(await read_answer(answer, _ANSWER_BYTES_MAX) or b"")
        except _FAILURES as exc:
            name = type(exc).__name__
            raise SourceUnavailable("tokeninfo-unreachable", f"the token service does not answer ({name})") from exc
        uid, scopes = stated.get("uid"), stated.get("scope")
        if not isinstance(uid, str) or not uid or not uid.isprintable() or len(uid) > 200:
            return None
        named = scopes.split() if isinstance(scopes, str) else scopes if isinstance(scopes, list) else []
        # The response repeats the scopes as members, which are not used.
        held = {one for one in named[:_SCOPES_MAX] if isinstance(one, str)}
        seconds = stated.get("expires_in")
        return Person(
            uid=uid, realm=str(stated.get("realm") or ""), scopes=frozenset(held),
            expires_in_seconds=float(seconds) if isinstance(seconds, int | float) and 0 <= seconds < 1e9 else None,
        )  # fmt: skip


class StupsTeams:
    """Checks rights by GET URL/auth with the team as JSON and the caller's own token; only 200 allows."""

    def __init__(self, *, session: aiohttp.ClientSession, url: str, policy: str) -> None:
        self._session = session
        self._url = f"{url.rstrip('/')}/auth"
        self._policy = policy

    async def may_write(self, token: str, team: str) -> bool:
        """Return whether the token's owner may write for a team. Raises SourceUnavailable."""
        try:
            async with self._session.get(
                self._url,
                json={"policy": self._policy, "payload": {"team": team}},
                headers={"Authorization": f"Bearer {token}"},
                allow_redirects=False,
                timeout=_TIMEOUT,
            ) as answer:
                status = answer.status
        except _FAILURES as exc:
            name = type(exc).__name__
            raise SourceUnavailable("teams-unreachable", f"the team service does not answer ({name})") from exc
        if status >= 500 or status == 429:
            raise SourceUnavailable("teams-unavailable", f"the team service responds with HTTP {status}")
        return status == 200
