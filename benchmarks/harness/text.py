"""Making text from outside safe to print and to save."""


def one_line(value: object) -> str:
    r"""Any value as one line of text that can be encoded.

    Characters without a glyph are escaped, as \n, \x1b or \ud800: line breaks, control characters,
    halves of surrogate pairs (which JSON and file names can hold, but UTF-8 cannot).
    """
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode()
        for char in str(value)
    )
