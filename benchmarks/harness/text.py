"""Text that came from elsewhere, made fit to be printed and saved."""


def one_line(value: object) -> str:
    r"""A value as text that is one line and can be encoded, whatever it was.

    What has no glyph is escaped, as \n, \x1b or \ud800: line breaks, control characters, halves of
    surrogate pairs (which JSON and the names of files can hold, but UTF-8 cannot).
    """
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode()
        for char in str(value)
    )
