"""The labels of the index map, shared by the generator, the network and `labels.png`."""

OTHER, FLOOR, WALL, CEILING, FURNITURE, WINDOW, DOOR = range(7)
NAMES = ("other", "floor", "wall", "ceiling", "furniture", "window", "door")
