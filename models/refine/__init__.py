"""Corrections by simulated clicks on rendered rooms, whose truth is known: to fit the scoring of superpixels, and to
measure how well corrections do (`bench/refine.py`). Needs no torch."""
