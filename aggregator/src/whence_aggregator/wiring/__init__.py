"""Wiring: the only room that knows concrete classes. It builds the programs out of the other rooms."""

from __future__ import annotations
