"""Things in a room: where a cut-out goes, what hides it, what shadow it throws, how it is lit."""
