"""The calls to the Engine's socket, against a server that answers what a test says: bytes as they are sent."""

from __future__ import annotations

import json
import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from whence_agent.adapters.engine_client import EngineAway, EngineClient, EngineNotFound, EngineRefusal

_SECONDS_MAX = 10.0


@dataclass
class _Engine:
    """Takes one connection after the other and keeps what was asked."""

    url: str
    asked: list[bytes] = field(default_factory=list)


@contextmanager
def _engine(directory: Path, *answers: bytes, silent: bool = False) -> Iterator[_Engine]:
    path = directory / "engine.sock"
    engine, over = _Engine(f"unix://{path}"), threading.Event()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()

        def serve() -> None:
            for answer in answers:
                connection, _ = listener.accept()
                with connection:
                    engine.asked.append(_request(connection))
                    connection.sendall(answer)
                    if silent:
                        over.wait(_SECONDS_MAX)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield engine
        finally:
            over.set()
            thread.join(_SECONDS_MAX)


def _request(connection: socket.socket) -> bytes:
    """Read one request to the end of its body."""
    asked = b""
    while chunk := connection.recv(65536):
        asked += chunk
        head, end, body = asked.partition(b"\r\n\r\n")
        length = re.search(rb"content-length: ([0-9]+)", head, re.IGNORECASE)
        if end and len(body) >= (int(length[1]) if length else 0):
            break
    return asked


def _answer(body: bytes, status: str = "200 OK", headers: str = "") -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n{headers}\r\n".encode() + body


def _client(engine: _Engine, seconds: float = _SECONDS_MAX) -> EngineClient:
    return EngineClient(base_url=engine.url, version="1.41", timeout=seconds)


def test_the_engines_versions_are_requested_without_an_api_version(tmp_path: Path) -> None:
    with _engine(tmp_path, _answer(b'{"ApiVersion":"1.44"}'), _answer(b'{"Id":"abc"}')) as engine:
        assert _client(engine).version() == {"ApiVersion": "1.44"}
        assert _client(engine).inspect_container("app") == {"Id": "abc"}
    assert engine.asked[0].startswith(b"GET /version HTTP/1.1\r\n")
    assert engine.asked[1].startswith(b"GET /v1.41/containers/app/json HTTP/1.1\r\n")


def test_a_name_cannot_reach_another_path_or_add_a_header(tmp_path: Path) -> None:
    with _engine(tmp_path, _answer(b"{}")) as engine:
        _client(engine).inspect_container("../x?y=1 HTTP/1.1\r\nEvil: 1")

    assert engine.asked[0].startswith(
        b"GET /v1.41/containers/..%2Fx%3Fy%3D1%20HTTP%2F1.1%0D%0AEvil%3A%201/json HTTP/1.1\r\n"
    )


def test_a_container_is_created_by_a_document_and_a_name(tmp_path: Path) -> None:
    with _engine(tmp_path, _answer(b'{"Id":"abc"}', "201 Created")) as engine:
        created = _client(engine).create_container({"Image": "app@sha256:00"}, name="app")

    assert created == {"Id": "abc"}
    head, _, body = engine.asked[0].partition(b"\r\n\r\n")
    assert head.startswith(b"POST /v1.41/containers/create?name=app HTTP/1.1\r\n")
    assert json.loads(body) == {"Image": "app@sha256:00"}


def test_not_found_is_distinguished_from_other_refusals(tmp_path: Path) -> None:
    answers = _answer(b'{"message":"No such container: app"}', "404 Not Found"), _answer(b"broken", "500 Oops")
    with _engine(tmp_path, *answers) as engine:
        with pytest.raises(EngineNotFound, match="No such container: app"):
            _client(engine).start("app")
        with pytest.raises(EngineRefusal, match="HTTP 500: HTTP 500") as refused:
            _client(engine).start("app")
    assert (refused.value.status_code, isinstance(refused.value, EngineNotFound)) == (500, False)


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{",
        _answer(b"[1, 2]"),
        _answer(b"{"),
        _answer(b"[" * 100_000),
    ],
)
def test_a_malformed_response_counts_as_no_response(tmp_path: Path, answer: bytes) -> None:
    with _engine(tmp_path, answer) as engine, pytest.raises(EngineAway):
        _client(engine).inspect_container("app")


def test_a_hanging_engine_fails_after_the_timeout(tmp_path: Path) -> None:
    with _engine(tmp_path, b"HTTP/1.1 200 OK\r\n", silent=True) as engine, pytest.raises(EngineAway, match="Timeout"):
        _client(engine, 0.2).inspect_container("app")


def test_a_missing_socket_keeps_the_systems_error(tmp_path: Path) -> None:
    with pytest.raises(EngineAway, match="FileNotFoundError"):
        EngineClient(base_url=f"unix://{tmp_path}/none", version="1.41", timeout=1).start("app")


def test_an_archive_without_its_stat_is_refused(tmp_path: Path) -> None:
    answers = _answer(b"tar"), _answer(b"tar", headers="X-Docker-Container-Path-Stat: bnVsbA==\r\n")
    with _engine(tmp_path, *answers) as engine:
        for _ in answers:
            with pytest.raises(EngineAway, match="no valid stat header"):
                _client(engine).get_archive("app", "/scm-source.json")
