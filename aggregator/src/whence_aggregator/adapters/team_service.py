"""STUPS's team service as a source: its teams with their aliases, and its accounts with their owners."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiohttp
import msgspec

from whence_aggregator.adapters.answers import read_answer
from whence_aggregator.organisation.names import is_team_id, shown
from whence_aggregator.organisation.snapshots import TEAMS_MAX, StatedTeam, snapshot
from whence_aggregator.organisation.values import Account, Snapshot
from whence_aggregator.ports import SourceUnavailable

_SECONDS_MAX = 30.0
ANSWER_BYTES_MAX = 16 * 1024 * 1024
TOKEN_BYTES_MAX = 16 * 1024
_TIMEOUT = aiohttp.ClientTimeout(total=_SECONDS_MAX)
_SECONDS_BETWEEN = 0.02


class TeamServiceSource:
    """GET URL/teams and URL/accounts/aws; teams of which the list has the id alone are asked for one by one."""

    def __init__(
        self,
        *,
        session: aiohttp.ClientSession,
        url: str,
        token_file: str | None,
        wait: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._session = session
        self._url = url.rstrip("/")
        self._token_file = token_file
        self._wait = wait

    async def read(self) -> Snapshot:
        """Read everything. Raises SourceUnavailable unless all of it came."""
        headers = await self._headers()
        listed = await self._list("/teams", headers)
        accounts = await self._list("/accounts/aws", headers)
        if len(listed) > TEAMS_MAX:
            raise SourceUnavailable("organisation-too-large", f"over {TEAMS_MAX} teams are listed")
        teams = []
        for one in listed:
            team_id = str(one.get("id") or "")
            if team_id and "alias" not in one and is_team_id(team_id):
                one = await self._team(team_id, headers) or one
            if team_id:  # entries without an id occur
                teams.append(_team({**one, "id": team_id}))
        return snapshot("team-service", teams=teams, accounts=[_account(one) for one in accounts if one.get("id")])

    async def check(self) -> None:
        """Ask for the accounts, the shorter of the lists. Raises SourceUnavailable."""
        await self._list("/accounts/aws", await self._headers())

    async def _headers(self) -> dict[str, str]:
        if self._token_file is None:
            return {}
        try:
            content = await asyncio.to_thread(_read_start, self._token_file)
        except OSError as exc:
            message = f"organisation.team_service.token_file {self._token_file} cannot be read: {exc.strerror}"
            raise SourceUnavailable("team-service-token", message) from exc
        token = content.decode("ascii", "replace").strip()
        if not token or not token.isascii() or not token.isprintable():
            raise SourceUnavailable("team-service-token", f"{self._token_file} holds no token")
        return {"Authorization": f"Bearer {token}"}

    async def _list(self, path: str, headers: Mapping[str, str]) -> list[dict[str, Any]]:
        found = await self._get(path, headers)
        if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
            raise SourceUnavailable("team-service-malformed", f"the team service's {path} is not a list of objects")
        return found

    async def _team(self, team_id: str, headers: Mapping[str, str]) -> dict[str, Any] | None:
        """Ask for one team; None when it went meanwhile, so that what the list has of it stands."""
        await self._wait(_SECONDS_BETWEEN)
        found = await self._get(f"/teams/{quote(team_id, safe='')}", headers)
        return found if isinstance(found, dict) else None

    async def _get(self, path: str, headers: Mapping[str, str]) -> Any:
        """Return the JSON of an answer, None for 404. Raises SourceUnavailable."""
        try:
            async with self._session.get(
                self._url + path, headers=headers, allow_redirects=False, timeout=_TIMEOUT
            ) as answer:
                if answer.status == 404:
                    return None
                if answer.status != 200:
                    raise SourceUnavailable(
                        "team-service-unavailable", f"the team service answers {path} with HTTP {answer.status}"
                    )
                content = await read_answer(answer, ANSWER_BYTES_MAX)
        except (aiohttp.ClientError, TimeoutError, OSError) as exc:
            name = type(exc).__name__
            raise SourceUnavailable("team-service-unreachable", f"the team service does not answer ({name})") from exc
        if content is None:
            message = f"the team service's {path} is larger than {ANSWER_BYTES_MAX} bytes"
            raise SourceUnavailable("team-service-too-large", message)
        try:
            return msgspec.json.decode(content)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
            raise SourceUnavailable("team-service-malformed", f"the team service's {path} is not JSON") from exc


def _read_start(path: str) -> bytes:
    with Path(path).open("rb") as stream:
        return stream.read(TOKEN_BYTES_MAX)


def _team(one: Mapping[str, Any]) -> StatedTeam:
    aliases, members = one.get("alias"), one.get("member")
    return StatedTeam(
        id=one["id"],
        name=str(one.get("name") or one.get("id_name") or ""),
        aliases=[str(alias) for alias in aliases] if isinstance(aliases, list) else (),
        members=[str(uid) for uid in members] if isinstance(members, list) else None,
    )


def _account(one: Mapping[str, Any]) -> Account:
    return Account(
        account_id=str(one["id"]),
        name=shown(str(one.get("name") or "")),
        status="DISABLED" if one.get("disabled") is True else "",
        owner=shown(str(one.get("owner") or "")),
    )
