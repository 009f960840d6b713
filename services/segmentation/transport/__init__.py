"""Translates calls and messages for the use cases, and decides nothing."""
