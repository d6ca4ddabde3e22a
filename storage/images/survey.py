"""What a folder of images holds, by its headers: the table to look at before anything is stored."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from .._errors import ImageFileError, StorageError, printable
from .._progress import Progress
from .decoding import MAX_PIXELS, changes, describe, refusal, refuse_by_start
from .folder import NAMED, ImageFolder
from .headers import HEAD_BYTES, ImageInfo

CLASSES = 20  # in a line
JPEG_START = b"\xff\xd8"


@dataclass
class Survey:
    """What a folder holds, and what will become of it.

    refused: the name of each file that will not be stored, and the reason that its header tells; a
        file can also turn out to be damaged when it is decoded
    """

    images: int = 0
    formats: Counter[str] = field(default_factory=Counter)
    modes: Counter[str] = field(default_factory=Counter)
    sizes: Counter[tuple[int, int]] = field(default_factory=Counter)  # width, height
    classes: dict[str, int] = field(default_factory=dict)  # in the order of their indices
    changed: Counter[str] = field(default_factory=Counter)  # "P to RGB"
    passed_over: Counter[str] = field(default_factory=Counter)
    refused: list[tuple[str, str]] = field(default_factory=list)

    def lines(self) -> list[str]:
        """The table, without a line for what there is not."""
        rows = {
            "formats": counted(self.formats),
            "modes": counted(self.modes),
            "sizes": self._size_range(),
            "classes": self._class_indices(),
            "changed": counted(self.changed),
            "passed over": counted(self.passed_over),
            "refused": f"{len(self.refused):,}" if self.refused else "",
        }
        table = [f"{name:<12}{text}" for name, text in rows.items() if text]
        table += (f"{'':<12}{name}: {reason}" for name, reason in self.refused[:NAMED])
        if len(self.refused) > NAMED:
            table.append(f"{'':<12}and {len(self.refused) - NAMED:,} more")
        return [f"{self.images:,} images", *table]

    def _class_indices(self) -> str:
        shown = [f"{i} {name} ({n:,})" for i, (name, n) in enumerate(self.classes.items())]
        rest = [f"{len(shown) - CLASSES:,} more"] if len(shown) > CLASSES else []
        return ", ".join(shown[:CLASSES] + rest)

    def _size_range(self) -> str:
        if not self.sizes:
            return ""
        by_pixels = sorted(self.sizes, key=lambda size: size[0] * size[1])
        (least, most), n = (by_pixels[i] for i in (0, -1)), len(by_pixels)
        if n == 1:
            return f"all {_size(least)}"
        common, times = self.sizes.most_common(1)[0]
        return f"{n:,} from {_size(least)} to {_size(most)}, most often {_size(common)} ({times:,})"


def survey(
    folder: ImageFolder,
    *,
    mode: str = "rgb",
    orientation: str = "apply",
    max_pixels: int = MAX_PIXELS,
    progress: Progress = iter,
) -> Survey:
    """Look at the header of each file. The options are those of `decode`.

    progress: wraps the numbers of the files, to show how far it is
    """
    found = Survey(len(folder), passed_over=Counter(folder.passed_over))
    counts = Counter(folder.labels.tolist())
    found.classes = {printable(name): counts[i] for i, name in enumerate(folder.classes)}
    for i in progress(range(len(folder))):
        try:
            info = header_of(folder, i, max_pixels)
        except StorageError as error:
            found.refused.append((folder.name(i), str(error)))
            continue
        found.formats[info.format] += 1
        found.modes[f"{info.mode} of {info.bits} bits" if info.bits > 8 else info.mode] += 1
        found.sizes[info.width, info.height] += 1
        if reason := refusal(info, max_pixels):
            found.refused.append((folder.name(i), reason))
        else:
            found.changed.update(changes(info, mode, orientation))
    return found


def header_of(folder: ImageFolder, i: int, max_pixels: int = MAX_PIXELS) -> ImageInfo:
    """What the header of a file says, as `describe`; raises StorageError."""
    data = folder.read(i, HEAD_BYTES)
    if len(data) == HEAD_BYTES:
        try:
            if data.startswith(JPEG_START):
                return describe(data)
        except ImageFileError:
            pass  # its header is longer
        refuse_by_start(data, max_pixels)  # before the rest is read
        data = folder.read(i)
    return describe(data, max_pixels)


def _size(size: tuple[int, int]) -> str:
    return f"{size[0]:,} × {size[1]:,}"


def counted(counts: Mapping[str, int], most: int = 4 * NAMED) -> str:
    """Such as "3 JPEG, 1 PNG", the most frequent first."""
    ordered = Counter(counts).most_common()
    shown = [f"{n:,} {name}" for name, n in ordered[:most]]
    if len(ordered) > most:
        shown.append(f"{len(ordered) - most:,} more kinds")
    return ", ".join(shown)
