"""HTTP/JSON: what web pages and the integrations of older visualizers speak. Translates, and calls the use cases."""
