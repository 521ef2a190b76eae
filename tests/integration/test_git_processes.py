"""The aggregator's runs of git: few at once, bounded in all they may take, and no process outlives them."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from fakes.roads import git_reader
from landscape.processes import eventually
from whence_aggregator.adapters.git_process import GitBounds, GitRuns, GitTooMuch, GitTooSlow
from whence_common.scm_source import SourceRepository

SHORT = GitBounds(seconds_max=1.0, file_bytes_max=1024)
LONG = GitBounds(seconds_max=120.0, file_bytes_max=1024)


def program(directory: Path, script: str) -> str:
    """Write a program that stands for git; it is started in `directory`."""
    path = directory / "git"
    path.write_text(f"#!/bin/sh\n{script}\n", encoding="ascii")
    path.chmod(0o755)
    return str(path)


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in ("Z", "X")


def children(directory: Path) -> list[int]:
    return [int(one.read_text(encoding="ascii")) for one in directory.glob("child*") if one.read_text(encoding="ascii")]


CHILD = "sleep 600 & echo $! > child"


async def test_a_run_that_takes_too_long_ends_with_its_children(tmp_path: Path) -> None:
    runs = GitRuns(program=program(tmp_path, f"{CHILD}; wait"))
    with pytest.raises(GitTooSlow, match="git fetch took over 1 seconds"):
        await runs.run(str(tmp_path), "fetch", bounds=SHORT)
    (child,) = children(tmp_path)
    await eventually(lambda: not is_alive(child))
    assert runs.under_way == 0


@pytest.mark.parametrize("end", ["exit 3", "kill -9 $$"])
async def test_a_child_ends_when_git_has_ended_before_it(tmp_path: Path, end: str) -> None:
    """It holds git's pipes as git-remote-http does: who waits for their end waits for the child."""
    runs = GitRuns(program=program(tmp_path, f"{CHILD}; echo said; {end}"))
    status, output, _ = await runs.run(str(tmp_path), "fetch", bounds=LONG)
    assert (status, output) == (3 if end == "exit 3" else -9, b"said\n")
    (child,) = children(tmp_path)
    await eventually(lambda: not is_alive(child))


async def test_a_cancelled_run_ends_with_its_children(tmp_path: Path) -> None:
    runs = GitRuns(program=program(tmp_path, f"{CHILD}; wait"))
    running = asyncio.create_task(runs.run(str(tmp_path), "fetch", bounds=LONG))
    await eventually(lambda: len(children(tmp_path)) == 1)
    assert runs.under_way == 1
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    (child,) = children(tmp_path)
    await eventually(lambda: not is_alive(child))
    assert runs.under_way == 0


async def test_a_run_that_is_cancelled_while_it_starts_leaves_nothing(tmp_path: Path) -> None:
    runs = GitRuns(program=program(tmp_path, f"echo $$ > child; {CHILD}2; wait"))
    running = asyncio.create_task(runs.run(str(tmp_path), "fetch", bounds=LONG))
    await asyncio.sleep(0)  # it has begun, and its program has not
    await asyncio.sleep(0)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    await eventually(lambda: not any(is_alive(one) for one in children(tmp_path)))
    assert runs.under_way == 0


async def test_only_so_many_run_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "go")
    runs = GitRuns(program=program(tmp_path, "echo $$ > child$$; cat go > /dev/null"), at_once_max=2)
    running = [asyncio.create_task(runs.run(str(tmp_path), "fetch", bounds=LONG)) for _ in range(5)]
    await eventually(lambda: len(children(tmp_path)) == 2)
    assert runs.under_way == 2
    for one in running:
        one.cancel()
    await asyncio.gather(*running, return_exceptions=True)
    assert (runs.under_way, len(children(tmp_path))) == (0, 2)


async def test_output_without_end_is_neither_kept_nor_waited_for(tmp_path: Path) -> None:
    runs = GitRuns(program=program(tmp_path, "yes refs"))
    with pytest.raises(GitTooMuch, match="4 MiB"):
        await runs.run(str(tmp_path), "ls-remote", bounds=LONG)


async def test_of_endless_error_output_the_end_is_kept(tmp_path: Path) -> None:
    runs = GitRuns(program=program(tmp_path, "head -c 3000000 /dev/zero | tr '\\0' x >&2; echo the end >&2; exit 1"))
    status, _, error = await runs.run(str(tmp_path), "fetch", bounds=LONG)
    assert (status, len(error), error[-9:]) == (1, 8192, "xthe end\n")


async def test_git_is_given_no_variable_of_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("WHENCE_DATABASE", "WHENCE_KEY_PASSWORD", "AWS_SECRET_ACCESS_KEY", "GIT_DIR", "GIT_EXEC_PATH", "LD_PRELOAD",
                 "https_proxy", "GIT_TRACE"):  # fmt: skip
        monkeypatch.setenv(name, "hunter2" if name != "LD_PRELOAD" else "")
    runs = GitRuns(program=program(tmp_path, "cat /proc/$$/environ"))
    _, output, _ = await runs.run(str(tmp_path), "fetch", bounds=LONG)
    given = dict(one.split("=", 1) for one in output.decode().split("\0") if one)
    assert "hunter2" not in output.decode()
    assert sorted(name for name in given if not name.startswith("GIT_")) == [
        "HOME", "LC_ALL", "PATH", "SSH_ASKPASS", "XDG_CONFIG_HOME",
    ]  # fmt: skip
    assert (given["GIT_ALLOW_PROTOCOL"], given["GIT_TERMINAL_PROMPT"]) == ("http:https", "0")


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc",
        "/etc",
        "ext::touch% ran",
        "ssh://127.0.0.1/x",
        "git://127.0.0.1:1/x",
        "fd::0",
        "ftp://127.0.0.1/x",
    ],
)
async def test_git_speaks_http_and_nothing_else(tmp_path: Path, url: str) -> None:
    status, _, error = await GitRuns().run(str(tmp_path), "ls-remote", url, bounds=LONG)
    assert status != 0
    assert "not allowed" in error
    assert not (tmp_path / "ran").exists()


async def test_a_server_that_hangs_leaves_no_process(tmp_path: Path) -> None:
    connected = asyncio.Event()

    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connected.set()
        await reader.read()
        writer.close()

    server = await asyncio.start_server(hang, "127.0.0.1", 0)
    async with server:
        host = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        git = git_reader(host, seconds_max=2.0)
        with pytest.raises(GitTooSlow, match=f"http://{host}/app.git: git fetch took over"):
            await git.commit(SourceRepository(host=host, path="app"), "a" * 40)
        assert connected.is_set()
        await eventually(_nothing_speaks_to(host))


def _nothing_speaks_to(host: str) -> Callable[[], bool]:
    def look() -> bool:
        for one in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                if host.encode() in one.read_bytes() and is_alive(int(one.parent.name)):
                    return False
            except OSError:
                continue
        return True

    return look
