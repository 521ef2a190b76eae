"""What runs: durable files, services and signals, log lines, pauses, memory. The only room of common that does I/O."""

from __future__ import annotations
