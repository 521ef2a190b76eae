"""The organisation: teams and accounts, as their sources state them, with every change an entry of the ledger.

Nothing here asks another system: sources stand behind one port (source.py), and collect/ has them asked.
"""

from __future__ import annotations
