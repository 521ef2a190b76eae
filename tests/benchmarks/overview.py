"""The console's overview of 100,000 instances: how long a visitor waits for the page, and how large it is."""

from __future__ import annotations

import statistics
import time
from pathlib import Path

from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from aiohttp.typedefs import Handler

from benchmarks.summary import RunningClock, filled, summary_calls
from contract.test_change_record import arrivals_of
from fakes.in_process import ROOT, InProcess
from fakes.signing_authority import SigningAuthority
from whence_aggregator.callers.caller import Caller
from whence_aggregator.changes.newest import NewestRecord
from whence_aggregator.changes.record import ChangeRecord
from whence_aggregator.collect.presence_total import PresenceTotal
from whence_aggregator.console.frame import Frame
from whence_aggregator.console.overview import show_overview
from whence_aggregator.console.page import Visit, Visitor
from whence_aggregator.http.changes import ChangeCalls
from whence_aggregator.http.errors import REQUEST_ID
from whence_aggregator.http.inside import Inside
from whence_aggregator.http.shared_answers import SharedAnswers
from whence_aggregator.storage.sqlite import SqliteDatabase
from whence_common.runtime.pause import pause

_ASKED = 300
_BETWEEN_SECONDS = 0.05
_LIMIT_MILLIS = 50.0
_EVERYBODY = Visitor(name="root", teams=None, rights=frozenset())


class _Known:
    """Everybody is the same caller: what is measured is not the sign-in."""

    async def caller(self, token: str, *, address: str) -> Caller:
        del token, address
        return ROOT


async def measure(directory: Path, *, rounds: int, limit: Path) -> None:
    """Print the time of the first page, of those after it, and their size."""
    del limit
    path = directory / "ledger.db"
    database = await SqliteDatabase.open(path)
    filled(path)
    house = InProcess(database, SigningAuthority.make(), clock=RunningClock())
    application = web.Application()
    application.router.add_get("/overview", _page(house))
    async with TestClient(TestServer(application)) as client:

        async def ask() -> tuple[float, int]:
            began = time.perf_counter()
            async with client.get("/overview") as answer:
                assert answer.status == 200, await answer.text()
                size = len(await answer.read())
            return (time.perf_counter() - began) * 1000, size

        first, size = await ask()
        taken = []
        for _ in range(_ASKED * rounds):
            taken.append((await ask())[0])
            await pause(_BETWEEN_SECONDS)
    await database.close()
    slowest = statistics.quantiles(taken, n=100)[98]
    over = "" if slowest <= _LIMIT_MILLIS else f"; MORE than {_LIMIT_MILLIS:.0f} ms"
    print(
        f"overview: first {first:.0f} ms, then median {statistics.median(taken):.1f} ms, p99 {slowest:.1f} ms, "
        f"{size} bytes{over}"
    )


def _page(house: InProcess) -> Handler:
    record = ChangeRecord(database=house.database, arrivals=arrivals_of(house))
    newest = NewestRecord(database=house.database, record=record)
    presence = PresenceTotal(database=house.database, listening=house.listening, now=house.clock)
    changes = ChangeCalls(record=record, newest=newest, moments=house.tracer.moments)
    inside = Inside([*summary_calls(house, presence).routes(), *changes.routes()], _Known())  # type: ignore[arg-type]  # no class of its own for one method
    shared, frame = SharedAnswers(), Frame()

    async def show(request: web.Request) -> web.Response:
        request[REQUEST_ID] = "overview"
        ask = inside.asking(request, "token")
        visit = Visit(
            ask=ask, visitor=_EVERYBODY, now=house.clock(), shared=shared.asking(ask, ("organisation", None, ()))
        )
        page = await show_overview(visit)
        text = frame.render(page, visitor=_EVERYBODY, csrf="c" * 64, address="/console/")
        return web.Response(text=text, content_type="text/html")

    return show
