"""Networks, their training, and the generator of the rooms they are trained on. Nothing here runs in production."""
