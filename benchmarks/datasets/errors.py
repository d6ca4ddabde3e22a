"""What can go wrong with a data set; each error is also the built-in that a caller would catch."""


class DatasetError(Exception):
    """A data set cannot be used; the message is one line that says which, why and what to do."""


class DatasetNotFoundError(DatasetError, FileNotFoundError):
    """There is nothing at the path that was named, or no batches in it."""


class DatasetOptionError(DatasetError, ValueError):
    """An option or a number of images that does not go with the data set."""


class BatchError(DatasetError, ValueError):
    """A file is not a CIFAR-10 batch: damaged, incomplete, or of something else."""


class UnsafePickleError(BatchError):
    """A batch's pickle asks for more than the few constructors of a numpy array."""


class ArchiveError(DatasetError, OSError):
    """A file is not a whole .tar.gz archive, or unreasonably large."""


class UnsafeArchiveError(ArchiveError):
    """An archive has a member that points outside it, or a batch that is not a plain file."""


class ChecksumError(DatasetError, ValueError):
    """A cached or downloaded archive is not the official one."""
