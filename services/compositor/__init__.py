"""Compositor: lays a material on a surface of a room photo, in its perspective and under its light."""
