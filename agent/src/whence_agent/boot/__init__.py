"""Boot: from user data to a healthy application, or to no container at all."""

from __future__ import annotations
