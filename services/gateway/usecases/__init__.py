"""What the gateway does: rooms, visualizations, operations, and how the platform is."""
