"""Errors of data sets; each is also the built-in that a caller would catch."""


class DatasetError(Exception):
    """A data set cannot be used; the message is one line that says which, why and what to do."""


class DatasetNotFoundError(DatasetError, FileNotFoundError):
    """The path does not exist, or has no batches."""


class DatasetOptionError(DatasetError, ValueError):
    """An option or a number of images does not suit the data set."""


class BatchError(DatasetError, ValueError):
    """A file is not a CIFAR-10 batch: it is damaged, incomplete, or something else."""


class UnsafePickleError(BatchError):
    """A batch's pickle requests more than the few constructors of a numpy array."""


class ArchiveError(DatasetError, OSError):
    """A file is not a complete .tar.gz archive, or it is unreasonably large."""


class UnsafeArchiveError(ArchiveError):
    """An archive has a member that points outside it, or a batch that is not a plain file."""


class PictureError(DatasetError, ValueError):
    """A file of the user's folder of pictures cannot be stored, or not be read."""


class ChecksumError(DatasetError, ValueError):
    """A cached or downloaded archive is not the official one."""


class NotAvailableError(Exception):
    """CIFAR-10 is not available now, without any error of the user; the message says why.

    The message is saved with runs, so it names no directory of the machine.
    """
