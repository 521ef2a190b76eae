"""The witness over HTTP: one call, and probes."""

from __future__ import annotations

from collections.abc import Sequence

from aiohttp import web

from whence_aggregator.audit.witness import REQUEST_BYTES_MAX, SizeConflict, Witness, WitnessRefusal
from whence_aggregator.http.bodies import read_body
from whence_aggregator.http.parameters import no_parameters
from whence_common.meters import Counter
from whence_common.open_metrics import Family


class WitnessCalls:
    """`POST /add-checkpoint`, without a token: a checkpoint that no watched log signed is refused."""

    def __init__(self, *, witness: Witness, key: str) -> None:
        self._witness = witness
        self._key = key
        self._answers = Counter(
            "whence_witness_answers", "Submitted checkpoints, by outcome.", ("outcome",),
            known=[("cosigned",), ("conflict",), ("refused",)],
        )  # fmt: skip

    def routes(self) -> list[web.RouteDef]:
        return [
            web.post("/add-checkpoint", self._add),
            web.get("/key", self._show_key),
        ]

    def families(self) -> Sequence[Family]:
        return (self._answers.family(),)

    async def _add(self, request: web.Request) -> web.Response:
        no_parameters(request)
        body = await read_body(request, REQUEST_BYTES_MAX)
        try:
            cosignature = self._witness.add_checkpoint(body)
            self._answers.add("cosigned")
            return web.Response(text=cosignature)
        except SizeConflict as exc:
            self._answers.add("conflict")
            return web.Response(status=409, body=exc.message.encode(), content_type="text/x.tlog.size")
        except WitnessRefusal as exc:
            self._answers.add("refused")
            return web.Response(status=exc.status, text=exc.message + "\n")

    async def _show_key(self, request: web.Request) -> web.Response:
        no_parameters(request)
        return web.Response(text=self._key + "\n")
