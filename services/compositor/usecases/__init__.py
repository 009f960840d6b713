"""What the compositor does: a module a use case."""
