"""Gateway: the public API. Rooms, visualizations, operations; who calls, and what came of it."""
