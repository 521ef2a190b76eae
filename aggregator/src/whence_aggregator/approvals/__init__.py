"""Versions of applications, and who approved the digest that each is bound to. Callers are signed in elsewhere."""
