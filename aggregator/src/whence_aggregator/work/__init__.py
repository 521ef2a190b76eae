"""Work that waits: the durable queue, its lanes, and the worker. It knows no kind of work; wiring registers handlers."""

from __future__ import annotations
