"""Work that waits: the durable queue, its lanes, and the worker. Wiring registers what does each kind."""

from __future__ import annotations
