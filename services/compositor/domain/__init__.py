"""Pure functions on arrays: texture, shading, compose."""
