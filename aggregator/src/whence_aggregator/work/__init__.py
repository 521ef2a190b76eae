"""The durable queue of tasks, its lanes, and the worker. Wiring registers the handler of each kind."""

from __future__ import annotations
