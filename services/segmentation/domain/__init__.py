"""Pure functions on arrays and frozen records: from a photo and the network's answer to surfaces."""
