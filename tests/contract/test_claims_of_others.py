"""What one account states never decides about another one: not about its tags, its base images, nor its verdicts."""

from __future__ import annotations

import pytest

from fakes.in_process import OTHER_ACCOUNT, InProcess
from fakes.kept_blobs import image as pushed_image
from fakes.machine import COMMIT, DIGEST, REPOSITORY, Machine, scm
from whence_aggregator.collect.image_reader import KnownBaseImages
from whence_aggregator.compliance.standing import standing_verdicts
from whence_aggregator.ports import ImageSaid
from whence_aggregator.queries.trace import TAG_DIGESTS
from whence_aggregator.registry.access import Principal
from whence_aggregator.registry.names import Repository
from whence_common.digest import sha256_digest
from whence_common.envelope import seal
from whence_common.errors import InputError
from whence_common.statement import ImageFacts, Statement, UserDataFacts

HOST, ADA = "pierone.example.org", Principal(name="ada", kind="person")
APP = Repository(team="alpha", artifact="app")
FALSE = "sha256:" + "9" * 64
VICTIM, SECOND, RIVAL = "i-00000000000000001", "i-00000000000000002", "i-00000000000000009"


def named(repository: str, digest: str, tag: str = "1.0") -> ImageFacts:
    return ImageFacts(source=f"{repository}:{tag}", repository=repository, digest=digest)


async def runs(house: InProcess, machine: Machine, facts: ImageFacts) -> None:
    digest = sha256_digest(f"{machine.instance_id} {facts}".encode())
    await house.say(machine, image=facts, containers=[], user_data=UserDataFacts(digest=digest, document={}))


async def rival(house: InProcess, instance_id: str = RIVAL) -> Machine:
    return await house.machine(instance_id, accountId=OTHER_ACCOUNT)


async def verdict(house: InProcess, instance_id: str, rule: str = "image-mutable") -> str:
    await house.work()
    standing = await standing_verdicts(house.database, instance_id)
    return next((one["verdict"] for one in standing if one["rule"] == rule), "pass")


async def test_another_accounts_statement_about_a_tag_is_shown_and_contradicts_nothing(house: InProcess) -> None:
    await runs(house, await house.machine(VICTIM), named(REPOSITORY, DIGEST))
    await runs(house, await rival(house), named(REPOSITORY, FALSE))
    link = (await house.lineage(VICTIM)).link("image")
    assert link.state == "asserted"
    assert link.value["tag_stated_elsewhere"] == [  # type: ignore[index]  # it is there
        {"account_id": OTHER_ACCOUNT, "digest": FALSE, "ledger_index": 5}
    ]
    assert await verdict(house, VICTIM) == "pass"


async def test_an_account_that_states_ever_other_images_of_a_tag_is_written_down_a_hundred_times(
    house: InProcess,
) -> None:
    """Every judgement of every account reads these rows, and every statement that adds one looks through them."""
    await runs(house, await house.machine(VICTIM), named(REPOSITORY, DIGEST))
    liar = await rival(house)
    for number in range(103):
        await house.say(liar, image=named(REPOSITORY, f"sha256:{number:064x}"), containers=[])
    rows = await house.database.fetch(TAG_DIGESTS.bind({"references": f'["{REPOSITORY}:1.0"]', "past": 10_000}))
    assert [row["said_by"] for row in rows] == ["123456789012"] + [OTHER_ACCOUNT] * 100
    assert await verdict(house, VICTIM) == "pass"
    assert await verdict(house, RIVAL) == "fail"


async def test_the_registrys_answer_contradicts_every_account(house: InProcess) -> None:
    await runs(house, await house.machine(VICTIM), named(REPOSITORY, DIGEST))
    await runs(house, await rival(house), named(REPOSITORY, FALSE))
    house.sources.tags[f"{REPOSITORY}:1.0"] = FALSE
    house.clock.advance(86_401)
    assert await verdict(house, VICTIM) == "fail"
    link = (await house.lineage(VICTIM)).link("image")
    assert link.reason == f"the tag has moved: {REPOSITORY}:1.0 pointed to 2 different images"


async def test_a_tag_that_moves_within_an_account_fails_the_instances_that_were_judged_before(house: InProcess) -> None:
    await runs(house, await house.machine(VICTIM), named(REPOSITORY, DIGEST))
    assert await verdict(house, VICTIM) == "pass"
    await runs(house, await house.machine(SECOND), named(REPOSITORY, FALSE))
    assert await verdict(house, VICTIM) == "fail"


async def test_the_fronts_own_record_wins_over_every_statement(house: InProcess) -> None:
    pushed = pushed_image(n="1")
    await house.pushes.push(APP, "1.0", pushed, ADA)
    repository = f"{HOST}/{APP}"
    await runs(house, await house.machine(VICTIM), named(repository, pushed.digest))
    await runs(house, await house.machine(SECOND), named(repository, FALSE))
    await runs(house, await rival(house), named(repository, FALSE))
    assert (await house.lineage(VICTIM)).link("image").state != "contradicted"
    assert await verdict(house, VICTIM) == "pass"
    for liar in (SECOND, RIVAL):
        link = (await house.lineage(liar)).link("image")
        assert link.state == "contradicted"
        assert link.reason == f"the registry front never recorded that {repository}:1.0 points to this image"
        assert await verdict(house, liar) == "fail"


async def test_a_front_that_learns_of_a_tag_later_corrects_what_was_judged(house: InProcess) -> None:
    pushed = pushed_image(n="1")
    repository = f"{HOST}/{APP}"
    await runs(house, await house.machine(VICTIM), named(repository, pushed.digest))
    await runs(house, await house.machine(SECOND), named(repository, FALSE))
    assert [await verdict(house, one) for one in (VICTIM, SECOND)] == ["fail", "fail"]
    await house.pushes.push(APP, "1.0", pushed, ADA)
    assert [await verdict(house, one) for one in (VICTIM, SECOND)] == ["pass", "fail"]


@pytest.mark.parametrize(
    "source",
    [
        f"{REPOSITORY}2:1.0",
        "registry.example.org/other/app:1.0",
        f"another.example.org/{REPOSITORY.partition('/')[2]}:1.0",
        f"{REPOSITORY}/../../secret/admin?token=1:x",
        f"{REPOSITORY.upper()}:1.0",
        f" {REPOSITORY}:1.0",
        f"{REPOSITORY}:1.0\n",
        REPOSITORY,
        "",
    ],
)
async def test_a_source_that_does_not_name_the_repository_is_refused(house: InProcess, source: str) -> None:
    machine = await house.machine()
    facts = ImageFacts(source=source, repository=REPOSITORY, digest=DIGEST)
    with pytest.raises(InputError, match="does not name the image's repository") as refused:
        await house.say(machine, image=facts)
    assert refused.value.code == "image-source-of-other"


async def test_an_old_log_with_such_a_source_is_read_and_its_tag_counts_for_no_account(house: InProcess) -> None:
    """What was taken before the refusal existed stays in the log, and `ledger rebuild` derives nothing from it."""
    machine = await rival(house)
    facts = ImageFacts(source=f"{REPOSITORY}:1.0", repository="registry.example.org/rival/app", digest=FALSE)
    envelope = seal(machine.key, Statement.of(machine.predicate(sequence=1, image=facts)).to_wire())
    with pytest.raises(InputError):
        await house.ingest.accept(envelope)
    statement = Statement.from_wire(Statement.of(machine.predicate(sequence=1, image=facts)).to_wire())
    assert statement.predicate.image is not None
    assert not statement.predicate.image.source_names_repository


async def test_an_agents_claim_about_a_base_image_removes_no_source_from_images_built_on_it(house: InProcess) -> None:
    """The rival states that the base image was built from the victim's commit, so that the victim's would be inherited."""
    base, chains = "sha256:" + "b" * 64, ["sha256:" + "e" * 64]
    house.sources.says[base] = ImageSaid(chains=chains)
    await runs(house, await house.machine(SECOND), named("registry.example.org/base/os", base))
    await house.work()
    claims = scm(revision=COMMIT)
    await house.say(await rival(house), image=named("registry.example.org/base/os", base), scm_source=claims)
    await house.work()
    assert await KnownBaseImages(house.database).base_with_commit(chains, COMMIT) is None
