"""Records of the gateway, and the taking in of untrusted pictures."""
