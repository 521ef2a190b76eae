"""The process that evaluates users' conditions: it reads them from standard input and answers on output, one by one.

It has bounds on memory and on processor time for each condition, opens no file and no socket, and has no environment.
A message is four octets of length and MessagePack. The process ends when its input ends.
"""

from __future__ import annotations

import resource
import sys
import time
from typing import Any, BinaryIO

import cel
import msgspec

from whence_aggregator.adapters.rule_messages import (
    EVALUATION_CPU_SECONDS_MAX,
    MESSAGE_BYTES_MAX,
    ConditionAnswer,
    ConditionsAsked,
)
from whence_aggregator.compliance.own.expression import EVIDENCE

MEMORY_BYTES_MAX = 1024 * 1024 * 1024
"""Of address space, of which the interpreter with its libraries uses a fifth."""
_COMPILED_MAX = 1_000


_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(ConditionsAsked)


class ConditionEngine:
    """Evaluates conditions; it keeps the compiled ones."""

    def __init__(self) -> None:
        self._compiled: dict[str, cel.Program] = {}

    def evaluate(self, condition: str, document: dict[str, Any]) -> ConditionAnswer:
        """Return whether a condition is true. Nothing that the library raises ends the process."""
        try:
            found = self._program(condition).execute({EVIDENCE: document})
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as exc:  # noqa: BLE001 - the library's panics are no Exception
            return ConditionAnswer(None, _reason(exc))
        if isinstance(found, bool):
            return ConditionAnswer(found, "")
        return ConditionAnswer(None, f"the condition returned {type(found).__name__}, not true or false")

    def _program(self, condition: str) -> cel.Program:
        found = self._compiled.get(condition)
        if found is None:
            if len(self._compiled) >= _COMPILED_MAX:
                self._compiled.clear()
            found = self._compiled[condition] = cel.compile(condition)
        return found


def _reason(exc: BaseException) -> str:
    """Return why a condition could not be evaluated, in words that do not change with the library's version."""
    if isinstance(exc, KeyError):
        return f"not known: {str(exc.args[0])[:100]}"
    if isinstance(exc, IndexError):
        return "not known: a list has fewer items"
    if isinstance(exc, ZeroDivisionError):
        return "the condition divides by zero"
    return f"the condition cannot be evaluated for this evidence ({type(exc).__name__})"


def bound_time() -> None:
    """Have the kernel end this process if the next condition takes too long."""
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (int(time.process_time()) + EVALUATION_CPU_SECONDS_MAX, hard))


def _bound() -> None:
    ConditionEngine().evaluate(
        'timestamp("2024-01-01T00:00:00Z") > timestamp("2023-01-01T00:00:00Z")', {}
    )  # imports modules
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES_MAX, MEMORY_BYTES_MAX))
    for one in (resource.RLIMIT_CORE, resource.RLIMIT_FSIZE):
        resource.setrlimit(one, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, 3))


def serve(source: BinaryIO, sink: BinaryIO) -> None:
    """Answer until the input ends."""
    engine = ConditionEngine()
    while len(head := source.read(4)) == 4:
        asked = _DECODER.decode(source.read(min(int.from_bytes(head, "big"), MESSAGE_BYTES_MAX)))
        for condition in asked.conditions:
            bound_time()
            content = _ENCODER.encode(engine.evaluate(condition, asked.document))
            sink.write(len(content).to_bytes(4, "big") + content)
            sink.flush()


def main() -> int:
    _bound()
    serve(sys.stdin.buffer, sys.stdout.buffer)
    return 0


if __name__ == "__main__":
    sys.exit(main())
