"""Checks that a figure depends on. Python leaves an `assert` out when it is told to optimise."""


class WrongResultError(AssertionError):
    """A store has not given back what was stored, or not all of it: there is no figure then."""


def require(holds: bool, otherwise: str) -> None:
    """Raise WrongResultError, which says `otherwise`, unless something holds."""
    if not holds:
        raise WrongResultError(otherwise)
