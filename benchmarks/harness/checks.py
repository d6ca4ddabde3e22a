"""Checks that a figure depends on. They are no `assert`, since `python -O` leaves those out."""


class WrongResultError(AssertionError):
    """A store did not return all that was stored, so there is no figure."""


def require(holds: bool, otherwise: str) -> None:
    """Raise WrongResultError with the message `otherwise` unless `holds`."""
    if not holds:
        raise WrongResultError(otherwise)
