"""The configuration: one file for many accounts, its sections, and how it is read."""
