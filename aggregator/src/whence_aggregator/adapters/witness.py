"""A witness over HTTP: C2SP tlog-witness, `POST add-checkpoint`."""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence

import aiohttp

from whence_aggregator.adapters.answers import read_answer
from whence_aggregator.ledger.publishing import WitnessBehind
from whence_common.errors import RoadError
from whence_common.note import VerifierKey

_SECONDS_MAX = 10.0
_ANSWER_BYTES_MAX = 16 * 1024
_SIZE = re.compile(r"[0-9]{1,18}\n?\Z")


class HttpWitness:
    """One witness. `size` is the last size that it cosigned, as far as this process knows."""

    def __init__(self, *, session: aiohttp.ClientSession, url: str, key: VerifierKey) -> None:
        self._session = session
        self._url = url.rstrip("/") + "/add-checkpoint"
        self.key = key
        self.size = 0

    async def add_checkpoint(self, proof: Sequence[bytes], note: str) -> str:
        """Return the cosignature lines. Raises WitnessBehind, or RoadError."""
        hashes = "".join(base64.b64encode(one).decode("ascii") + "\n" for one in proof)
        try:
            async with self._session.post(
                self._url,
                data=f"old {self.size}\n{hashes}\n{note}".encode(),
                timeout=aiohttp.ClientTimeout(total=_SECONDS_MAX),
                allow_redirects=False,
            ) as answer:
                content = await read_answer(answer, _ANSWER_BYTES_MAX) or b""
                status, kind = answer.status, answer.content_type
        except (aiohttp.ClientError, TimeoutError, OSError) as exc:
            raise RoadError("witness-unreachable", f"{self._url} does not answer ({type(exc).__name__})") from exc
        text = content.decode("utf-8", "replace")
        if status == 409 and kind == "text/x.tlog.size" and _SIZE.match(text):
            raise WitnessBehind(int(text))
        if status != 200:
            raise RoadError("witness-refused", f"{self._url} answers HTTP {status}: {text[:200]!r}")
        return text
