"""OpenID Connect as a client, for the command's sign-in and the console's. Pure: no I/O is done here."""

from __future__ import annotations
