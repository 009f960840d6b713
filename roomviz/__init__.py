"""What the services share, and the client that partners use. Imports nothing from `services`."""

from importlib.metadata import version

__version__ = version("roomviz")
