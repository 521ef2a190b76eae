"""Wiring: the only package that knows concrete classes. It builds the programs from the other packages."""

from __future__ import annotations
