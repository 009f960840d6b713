"""roomseg: surfaces, junctions and surface normals of a room photo, in one pass."""
