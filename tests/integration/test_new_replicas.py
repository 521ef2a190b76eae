"""A replica without a checkpoint file copies that of one that runs, if the log's own keys signed it; else it does not start."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest
from aiohttp import web

from fakes.in_process import ORIGIN
from fakes.loopback import loopback
from fakes.misbehaving import Answer, misbehaving
from fakes.signing_authority import SigningAuthority
from landscape.decisions import refusal, spoken
from landscape.installation import Installation
from landscape.processes import free_port
from whence_aggregator.settings.replicas import ReplicaSettings, wrong_in_replicas
from whence_aggregator.settings.server import parse_settings
from whence_common.errors import WhenceError
from whence_common.note import Checkpoint, Note, Signer
from whence_common.settings_file import SettingsInvalid

_TOKEN = "w" * 43


@dataclass
class Place:
    """A new replica of a log with entries, and what a replica that runs has kept."""

    new: Installation
    kept: str

    def asks(self, *urls: str) -> None:
        """Have the new replica ask these."""
        replicas = ReplicaSettings(urls=list(urls), token_file=str(self.new.home / "replica.token"))
        self.new.settings = msgspec.structs.replace(self.new.settings, replicas=replicas)

    def copied(self) -> str:
        return self.new.checkpoint_file.read_text().partition("\0")[0]


@pytest.fixture
async def place(tmp_path: Path, authority: SigningAuthority) -> Place:
    new = Installation(tmp_path, authority, None)
    await spoken(new)
    kept = new.checkpoint_file.read_text().partition("\0")[0]
    new.checkpoint_file.unlink()
    (tmp_path / "replica.token").write_text(f"{_TOKEN}\n", encoding="ascii")
    return Place(new, kept)


@asynccontextmanager
async def replica(note: str) -> AsyncIterator[str]:
    """Run a replica that gives its checkpoint to callers with the token; give its URL."""

    async def respond(request: web.Request) -> web.Response:
        known = request.headers.get("Authorization") == f"Bearer {_TOKEN}"
        return web.Response(text=note) if known else web.Response(status=401)

    application = web.Application()
    application.router.add_get("/v1/log/checkpoint", respond)
    async with loopback(application) as host:
        yield f"http://{host}"


async def test_a_new_replica_starts_with_the_checkpoint_of_one_that_runs(place: Place) -> None:
    async with replica(place.kept) as url:
        place.asks(f"http://127.0.0.1:{free_port()}", f"{url}/")
        assert "checkpoint-missing" not in await place.new.found_by_check()
        assert not place.new.checkpoint_file.exists()
        async with place.new.started():
            assert place.copied()
    assert await place.new.findings() == []


async def test_the_newest_of_several_is_copied(place: Place) -> None:
    older = place.kept
    place.new.checkpoint_file.write_text(older, encoding="utf-8")
    await spoken(place.new)
    newer = place.copied()
    place.new.checkpoint_file.unlink()
    async with replica(newer) as one, replica(older) as other:
        place.asks(one, other)
        async with place.new.started() as (ledger, _):
            assert ledger.signed.size >= Checkpoint.parse(Note.parse(newer.encode()).text).size


async def test_a_checkpoint_that_is_there_is_kept_and_no_replica_is_asked(place: Place) -> None:
    place.new.checkpoint_file.write_text(place.kept, encoding="utf-8")
    place.asks(f"http://127.0.0.1:{free_port()}")
    (place.new.home / "replica.token").unlink()
    async with place.new.started():
        pass


async def test_a_log_that_has_not_begun_needs_no_copy(tmp_path: Path, authority: SigningAuthority) -> None:
    new = Installation(tmp_path, authority, None)
    replicas = ReplicaSettings(urls=[f"http://127.0.0.1:{free_port()}"], token_file="/none")
    new.settings = msgspec.structs.replace(new.settings, replicas=replicas)
    async with new.started():
        pass


@pytest.mark.parametrize(
    "answer",
    [
        Answer(status=401), Answer(status=503), Answer(status=302, headers={"Location": "http://192.0.2.1/"}),
        Answer(body=b"no note"), Answer(body=b"\xff\xfe"), Answer(endless=True), Answer(body=b"x" * 100, cut_off=True),
    ],
    ids=["refused", "not-ready", "elsewhere", "no-note", "no-text", "endless", "cut-off"],
)  # fmt: skip
async def test_a_start_is_refused_when_no_replica_gives_a_checkpoint(place: Place, answer: Answer) -> None:
    async with misbehaving(answer) as host:
        place.asks(f"http://{host}")
        assert await refusal(place.new) == "checkpoint-missing"
        assert "checkpoint-missing" in await place.new.found_by_check()
    assert not place.new.checkpoint_file.exists()


async def test_a_checkpoint_that_another_key_signed_or_of_another_log_is_not_copied(place: Place) -> None:
    text = Note.parse(place.kept.encode()).text
    forged = f"{text}\n{Signer(ORIGIN, b'f' * 32).sign(text)}\n"
    elsewhere = text.replace(ORIGIN, f"{ORIGIN}/2", 1)
    renamed = f"{elsewhere}\n{Signer(f'{ORIGIN}/2', b'l' * 32).sign(elsewhere)}\n"
    for note in (forged, renamed):
        async with replica(note) as url:
            place.asks(url)
            assert await refusal(place.new) == "checkpoint-missing"
    assert not place.new.checkpoint_file.exists()


async def test_a_database_that_is_older_than_the_copy_is_refused(place: Place) -> None:
    saved = await place.new.save()
    place.new.checkpoint_file.write_text(place.kept, encoding="utf-8")
    await spoken(place.new)
    newer = place.copied()
    place.new.checkpoint_file.unlink()
    await place.new.restore(saved)
    async with replica(newer) as url:
        place.asks(url)
        assert await refusal(place.new) == "ledger-inconsistent"


@pytest.mark.parametrize("content", [b"", b"two words", b"\xff", b"t" * 5000, b"a\nb"])
async def test_a_token_file_without_a_token_is_refused_and_not_quoted(place: Place, content: bytes) -> None:
    (place.new.home / "replica.token").write_bytes(content)
    place.asks("http://127.0.0.1:1")
    with pytest.raises(SettingsInvalid) as caught:
        async with place.new.started():
            pass
    assert "replica.token does not contain a token" in caught.value.message
    assert "words" not in caught.value.message
    assert "replica-token" in await place.new.found_by_check()


async def test_files_that_are_missing_are_named(place: Place) -> None:
    place.asks("http://127.0.0.1:1")
    assert place.new.settings.replicas is not None
    ca = msgspec.structs.replace(place.new.settings.replicas, ca_file="/none.pem")
    none = msgspec.structs.replace(place.new.settings.replicas, token_file="/none.token")
    for replicas, said in ((ca, "replicas.ca_file /none.pem"), (none, "replicas.token_file /none.token")):
        place.new.settings = msgspec.structs.replace(place.new.settings, replicas=replicas)
        with pytest.raises(WhenceError) as caught:
            async with place.new.started():
                pass
        assert said in caught.value.message


@pytest.mark.parametrize(
    "urls", [[], ["ftp://a"], ["http://me:pw@a"], ["http://a?b"], ["http://[::1"], ["http://"], ["http://a:99999"]]
)
def test_urls_that_are_none_are_refused(urls: list[str]) -> None:
    assert wrong_in_replicas(ReplicaSettings(urls=urls, token_file="/t")) != []
    text = f"audience: https://w.example.org\naccounts: ['123456789012']\nreplicas: {{urls: {urls}, token_file: /t}}\n"
    with pytest.raises(SettingsInvalid) as caught:
        parse_settings(text.encode(), name="a.yaml")
    assert "replicas.urls" in caught.value.diagnostics()
    assert "pw" not in caught.value.message
