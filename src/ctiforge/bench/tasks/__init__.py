"""The tasks, one short module each, and the registry that finds them by name."""
