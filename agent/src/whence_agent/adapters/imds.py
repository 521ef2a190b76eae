"""The EC2 instance metadata service, version 2 only: a session token by PUT, then everything with it."""

from __future__ import annotations

import aiohttp

from whence_agent.adapters.bodies import BodyTooLarge, read_bounded
from whence_agent.ports import InstanceMetadata, MetadataUnavailable

_TOKEN_SECONDS = "300"  # noqa: S105 - a lifetime
_ANSWER_BYTES_MAX = 64 * 1024
_REQUEST_SECONDS_MAX = 5.0


class ImdsMetadata:
    """Reads over one session, with one token. A service that only speaks version 1 is refused."""

    def __init__(self, *, session: aiohttp.ClientSession, url: str) -> None:
        self._session = session
        self._url = url.rstrip("/")
        self._timeout = aiohttp.ClientTimeout(total=_REQUEST_SECONDS_MAX)

    async def read(self) -> InstanceMetadata:
        try:
            token = await self._token()
            document = await self._get("/latest/dynamic/instance-identity/document", token)
            signature = await self._get("/latest/dynamic/instance-identity/rsa2048", token)
            user_data = await self._get("/latest/user-data", token)
        except (aiohttp.ClientError, TimeoutError, OSError) as exc:
            raise MetadataUnavailable(
                "metadata-unreachable", f"the metadata service at {self._url} does not answer ({type(exc).__name__})"
            ) from exc
        except BodyTooLarge as exc:
            raise MetadataUnavailable(
                "metadata-too-large", f"the metadata service sends {exc}", retryable=False
            ) from exc
        if document is None or signature is None:
            raise MetadataUnavailable(
                "metadata-no-identity", "the metadata service has no identity document, or no rsa2048 signature of it"
            )
        return InstanceMetadata(document=document, signature=signature.decode("ascii", "replace"), user_data=user_data)

    async def _token(self) -> str:
        headers = {"X-aws-ec2-metadata-token-ttl-seconds": _TOKEN_SECONDS}
        url = f"{self._url}/latest/api/token"
        async with self._session.put(url, headers=headers, timeout=self._timeout, allow_redirects=False) as answer:
            if answer.status != 200:
                fix = "enable version 2 of the metadata service for this instance"
                raise MetadataUnavailable("metadata-no-token", f"no session token: HTTP {answer.status}", fix=fix)
            return (await read_bounded(answer, 1024)).decode("ascii", "replace").strip()

    async def _get(self, path: str, token: str) -> bytes | None:
        headers = {"X-aws-ec2-metadata-token": token}
        url = self._url + path
        async with self._session.get(url, headers=headers, timeout=self._timeout, allow_redirects=False) as answer:
            if answer.status == 404:
                return None
            if answer.status != 200:
                raise MetadataUnavailable("metadata-refused", f"{path}: HTTP {answer.status}")
            return await read_bounded(answer, _ANSWER_BYTES_MAX)
