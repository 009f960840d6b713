"""One machine's stack: real servers and the four services, as plain processes."""
