"""Accounts: the declared state of AWS accounts, plans to reach it, and drift. The successor of Seven Seconds."""
