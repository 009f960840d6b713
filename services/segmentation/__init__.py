"""Segmentation: finds the surfaces of a room photo, their masks and their planes."""
