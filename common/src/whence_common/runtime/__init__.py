"""Durable files, services and signals, logs, pauses, memory. The only package of common that does I/O."""

from __future__ import annotations
