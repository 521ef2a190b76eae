"""The application registry in Kio's terms: who owns an application, where its source, tickets and specification are."""

from __future__ import annotations
