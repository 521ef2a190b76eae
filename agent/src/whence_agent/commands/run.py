"""whence-agent run: the agent; SIGHUP reads the settings again."""

from __future__ import annotations

import asyncio
import logging
import sys
from dataclasses import dataclass
from importlib import import_module

from whence_agent.commands.files import read_document
from whence_agent.proxies import Proxies
from whence_agent.redaction import Redactor
from whence_agent.settings import Settings
from whence_agent.start import answering
from whence_common.errors import WhenceError, leaves, one_line
from whence_common.runtime import logs
from whence_common.runtime.lifecycle import Ended
from whence_common.settings_file import Document, SettingsInvalid

log = logging.getLogger(__name__)

SETTINGS_WRONG = 78
_LINE_CHARACTERS_MAX = 400


@dataclass(slots=True)
class _Held:
    """The settings in use. An invalid file changes nothing: the agent continues with the present settings."""

    path: str
    document: Document[Settings]

    def reload(self) -> bool:
        found = read_document(self.path)
        if found is None:
            log.error("the settings are invalid; continuing with the present ones")
            return False
        self.document = found
        return True


@dataclass(frozen=True, slots=True)
class _Console:
    """One line for the machine's console, where the unit's standard output goes and standard error does not.

    `shown` is false at a terminal, which has both.
    """

    shown: bool

    def __call__(self, reason: str) -> None:
        if self.shown:
            print(f"ERROR: {one_line(reason, _LINE_CHARACTERS_MAX)}", flush=True)


def run(config: str, *, verbose: bool, notify_socket: str | None, watchdog_usec: str | None, proxies: Proxies) -> int:
    """Run until a signal; return 0 after SIGTERM, 1 on failure, 78 for invalid settings."""
    tell = _Console(shown=notify_socket is not None)
    document = read_document(config)
    if document is None:
        tell(f"the settings {config} are missing or invalid: see journalctl -u whence-agent")
        return SETTINGS_WRONG
    redactor = Redactor()
    logs.set_up(verbose=verbose, scrub=redactor.scrub)
    held = _Held(config, document)

    async def run_once() -> Ended:
        settings = held.document.settings
        async with answering(settings, redactor, notify_socket=notify_socket) as started:
            await asyncio.to_thread(import_module, "whence_agent.wiring.agent")  # the status is answered meanwhile
            from whence_agent.wiring.agent import run_agent
            from whence_agent.wiring.process import Process

            process = Process(
                notify_socket=notify_socket,
                watchdog_seconds=_seconds(watchdog_usec),
                redactor=redactor,
                may_reload=held.reload,
                console=lambda line: print(line, flush=True),
                proxies=proxies,
            )
            return await run_agent(settings, process, started)

    try:
        while asyncio.run(run_once()) == "reload":
            log.info("settings read again")
    except SettingsInvalid as exc:
        print(f"whence-agent: {held.document.explain(exc)}", file=sys.stderr)
        tell(f"the settings {config} are invalid: see journalctl -u whence-agent")
        return SETTINGS_WRONG
    except (OSError, WhenceError) as exc:
        print(f"whence-agent: cannot run: {exc}", file=sys.stderr)
        tell(f"cannot run: {exc}")
        return 1
    except BaseExceptionGroup as group:
        if group.split((OSError, WhenceError))[1] is not None:
            raise
        reason = "; ".join(map(str, leaves(group)))
        print(f"whence-agent: cannot run: {reason}", file=sys.stderr)
        tell(f"cannot run: {reason}")
        return 1
    return 0


def _seconds(usec: str | None) -> float | None:
    return int(usec) / 1e6 if usec is not None and usec.isdigit() else None
