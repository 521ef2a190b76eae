"""Pushes, statements, registrations and approvals in any order: what is derived live is what a replay derives."""

from __future__ import annotations

import tempfile
from contextlib import suppress
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fakes.auditor import dumped
from fakes.in_process import InProcess
from fakes.kept_blobs import image as pushed_image
from fakes.machine import REPOSITORY
from fakes.signing_authority import SigningAuthority
from whence_aggregator.approvals.shown import shown_version
from whence_aggregator.approvals.versions import ApprovalAsked
from whence_aggregator.audit.rebuild import rebuild
from whence_aggregator.callers.caller import Caller
from whence_aggregator.ports import Conflict, NotFound
from whence_aggregator.registry.access import Principal
from whence_aggregator.registry.names import Repository
from whence_aggregator.registry.refusals import RegistryRefusal
from whence_aggregator.storage.sqlite import SqliteDatabase
from whence_common.statement import ApplicationFacts, ImageFacts

DIGESTS = ["sha256:" + one * 64 for one in "abc"]
ROOT = Caller(name="root", teams=None)
_STEP = st.one_of(
    st.tuples(st.just("push"), st.sampled_from(["hello", "evil"]), st.sampled_from("12")),
    st.tuples(st.just("seen"), st.sampled_from("01"), st.sampled_from(DIGESTS)),
    st.tuples(st.just("state"), st.just(""), st.sampled_from([*DIGESTS, ""])),
    st.tuples(st.just("approve"), st.sampled_from(["ada", "bob"]), st.sampled_from(["TEST", "DEPLOY"])),
)


async def take(house: InProcess, step: tuple[str, str, str], order: int) -> None:
    what, who, which = step
    if what == "push":
        repository = Repository(team=who, artifact="greeter")
        with suppress(RegistryRefusal):  # a tag is written once
            await house.pushes.push(repository, "1.0", pushed_image(n=which), Principal(name="ci", kind="person"))
    elif what == "seen":
        image = ImageFacts(source=f"{REPOSITORY}:1.0", repository=REPOSITORY, digest=which)
        machine = await house.machine(f"i-{order:017x}", accountId=("123456789012", "210987654321")[int(who)])
        await house.say(machine, image=image, application=ApplicationFacts(id="greeter", version="1.0"), containers=[])
    elif what == "state":
        artifact = f"docker://{REPOSITORY}@{which}" if which else "docker://hello/greeter:1.0"
        await house.versions.state("greeter", "1.0", artifact, None, ROOT)
    else:
        by = Caller(name=who, teams=frozenset({"hello"}), realm="people")
        with suppress(Conflict, NotFound):  # nothing to approve, or not plain what
            await house.versions.approve("greeter", "1.0", ApprovalAsked(type=which), by)


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(_STEP, max_size=10))
async def test_what_is_derived_live_is_what_a_replay_derives(
    authority: SigningAuthority, steps: list[tuple[str, str, str]]
) -> None:
    with tempfile.TemporaryDirectory() as directory:
        database = await SqliteDatabase.open(Path(directory) / "ledger.db")
        async with InProcess(database, authority).running() as house:
            await house.register()
            given_then: list[tuple[str, str, str]] = []
            for order, step in enumerate(steps):
                await take(house, step, order)
                house.clock.advance(1)
                kept = [(one["digest"], one["approval_type"], one["user_id"]) for one in await approvals(house)]
                assert kept[: len(given_then)] == given_then, "no approval is ever deleted or changed"
                given_then = kept
            assert len(set(given_then)) == len(given_then)
            before, shown = await dumped(database), await approvals(house)
            await rebuild(database, house.reader)
            assert (await dumped(database), await approvals(house)) == (before, shown)
        await database.close()


async def approvals(house: InProcess) -> list[dict[str, str]]:
    try:
        found = shown_version(await house.versions.read("greeter", "1.0"))
    except NotFound:
        return []
    both: list[dict[str, str]] = [*found["approvals"], *found["superseded"]]  # type: ignore[misc]  # lists, as shown
    return sorted(both, key=lambda one: one["ledger_index"])
