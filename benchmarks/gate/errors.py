"""Why the gate can say nothing."""


class InvalidError(Exception):
    """The two sides cannot be compared; the message is one line that says why and what to do."""
