"""The error of an invalid run."""


class InvalidError(Exception):
    """The two sides cannot be compared; the message says in one line why and what to do."""
