"""The subcommands schema, explain and import."""
