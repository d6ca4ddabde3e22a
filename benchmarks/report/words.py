"""The words that a page explains once, and links to wherever it uses them."""

import re

from markupsafe import Markup, escape

from benchmarks.results.ratio import CONFIDENCE

WORDS = {
    "limit": Markup(
        "The raw pixels in one plain file, without checksums, ids or transactions. A store of raw"
        " pixels can hardly be faster, so it shows what a store costs beyond the disk and the"
        " memory. It has only the operations that one file can have."
    ),
    "tutorial": Markup(
        '<a href="https://realpython.com/storing-images-in-python/">Three Ways of Storing and'
        " Accessing Lots of Images in Python</a>, the article that this experiment comes from. The"
        " rows called <code>article-</code> are its ways, mended only where they fail or return"
        " wrong results. They have no checksums, and its PNG and HDF5 do not wait for the disk when"
        " storing."
    ),
    "stand-in": Markup(
        "Images that this project paints, of the size, number, classes and compressibility of"
        " CIFAR-10. They are measured where CIFAR-10 cannot be had, or if they are asked for. Runs"
        " on them are never compared with runs on CIFAR-10."
    ),
    "sweep": Markup(
        "One pass over all benchmarks. A run makes many, some seconds apart, and what is compared is"
        " measured close together in each, mostly in turns. So the machine's changes of speed cancel"
        " in a ratio, and the spread between sweeps shows how sure the ratio is."
    ),
}
"""What each word means."""
WORDS_OF_PICTURES = {
    "bytes": Markup(
        "Reading the files of pictures without decoding them, which is all that storage does. What"
        " the same row without this word takes beyond that is decoding."
    ),
    "files": Markup(
        "The folder of pictures as it is: its files, opened and decoded one after the other with"
        " Pillow. Storing copies them."
    ),
    "limit-encoded": Markup(
        "The files of pictures end to end in one plain file, without checksums, ids or"
        " transactions. It is to the stores that keep files what the limit is to those of pixels."
    ),
}
"""What the words mean that only a run of a folder of pictures needs."""
LINKED = {"the limit": "limit", "tutorial": "tutorial", "stand-in": "stand-in", "sweeps?": "sweep"}
"""Patterns of the texts that link to a word."""


def linked(text: object) -> Markup:
    """The text as HTML; where it first has one of `WORDS`, that links to its meaning."""
    html = str(escape(text))
    for pattern, word in LINKED.items():
        html = re.sub(rf"\b{pattern}\b", rf'<a href="#{word}">\g<0></a>', html, count=1)
    return Markup(html)  # noqa: S704  # escaped above


def percentage(fraction: float) -> str:
    """A fraction as a page writes it: 95 %, with a space that does not break."""
    return f"{fraction * 100:.0f}\N{NO-BREAK SPACE}%"


CONFIDENCE_SHOWN = percentage(CONFIDENCE)
