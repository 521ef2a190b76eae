"""A running replica of this log over HTTP: `GET /v1/log/checkpoint`."""

from __future__ import annotations

import ssl
from pathlib import Path

import aiohttp

from whence_aggregator.adapters.answers import read_answer
from whence_common.errors import RoadError
from whence_common.settings_file import SettingsInvalid

_SECONDS_MAX = 10.0
_ANSWER_BYTES_MAX = 64 * 1024
_TOKEN_CHARACTERS_MAX = 4096


class RunningReplica:
    """One replica, or those behind a load balancer."""

    def __init__(
        self, *, session: aiohttp.ClientSession, url: str, token: str, tls: ssl.SSLContext | None = None
    ) -> None:
        self._session = session
        self._url = url.rstrip("/") + "/v1/log/checkpoint"
        self._token = token
        self._tls = tls

    async def checkpoint(self) -> bytes:
        """Return its last signed checkpoint, not yet verified. Raises RoadError."""
        try:
            async with self._session.get(
                self._url,
                headers={"Authorization": f"Bearer {self._token}"},
                timeout=aiohttp.ClientTimeout(total=_SECONDS_MAX),
                allow_redirects=False,
                ssl=self._tls if self._tls is not None else True,
            ) as answer:
                content = await read_answer(answer, _ANSWER_BYTES_MAX)
                status = answer.status
        except (aiohttp.ClientError, TimeoutError, OSError) as exc:
            raise RoadError("replica-unreachable", f"{self._url} does not answer ({type(exc).__name__})") from exc
        if status != 200 or content is None:
            raise RoadError("replica-refused", f"{self._url} answers HTTP {status}, and no checkpoint")
        return content


def load_token(path: Path) -> str:
    """Return the token in a file. Raises SettingsInvalid, whose message does not quote the file."""
    try:
        with path.open("rb") as stream:
            token = stream.read(_TOKEN_CHARACTERS_MAX + 1).decode("ascii").strip()
    except OSError as exc:
        raise SettingsInvalid("replica-token", f"replicas.token_file {path} cannot be read: {exc.strerror}") from exc
    except UnicodeDecodeError:
        token = ""
    if not token.isprintable() or not token or " " in token or len(token) > _TOKEN_CHARACTERS_MAX:
        message = f"replicas.token_file {path} does not contain a token"
        raise SettingsInvalid("replica-token", message, fix="write one token, and nothing else, to the file")
    return token


def trusting(ca_file: str) -> ssl.SSLContext:
    """Return a context that trusts the system's CAs, and those of a file. Raises SettingsInvalid."""
    context = ssl.create_default_context()
    try:
        context.load_verify_locations(ca_file)
    except (OSError, ssl.SSLError) as exc:
        message = f"replicas.ca_file {ca_file} contains no certificates in PEM, or cannot be read"
        raise SettingsInvalid("replica-ca-file", message) from exc
    return context
