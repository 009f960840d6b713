"""The plumbing that is the same in every service."""
