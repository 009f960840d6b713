"""One class a port; each hides a server."""
