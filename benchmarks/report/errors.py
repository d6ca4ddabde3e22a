"""What the user can mend."""


class ReportError(Exception):
    """Why there is no report, in one line."""
