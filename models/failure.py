"""What ends a command of `roomviz-models`."""


class Failure(Exception):
    """Expected, and told to the user in one line: what is wrong, and what to do."""
