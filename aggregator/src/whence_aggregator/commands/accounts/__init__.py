"""The command whence-accounts."""
