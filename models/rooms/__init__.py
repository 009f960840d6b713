"""Rendered rooms: a training set is a generator version and a seed, never a folder of files."""

# Part of every cached sample's key: raise it whenever the same seed would give another picture.
GENERATOR_VERSION = 2
