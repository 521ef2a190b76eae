"""The application registry in Kio's terms: an application's owner, source, tickets and specification."""

from __future__ import annotations
