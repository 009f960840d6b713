"""Rendered rooms: a training set is a generator version and a seed, never a folder of files."""

# Part of every cached sample's key: raise it whenever the same seed would give another picture.
GENERATOR_VERSION = 4
# Of the rooms that accuracy is told of, so that what is told stays comparable.
MEASURED_VERSION = 2
