"""AWS for the account tool: one provider per kind of resource."""
