"""Stages of the boot that observe what a test says, and a boot that is made of them."""

from __future__ import annotations
