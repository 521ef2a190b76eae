"""The boot stages, one module each. A stage decides in pure code and acts through ports."""

from __future__ import annotations
