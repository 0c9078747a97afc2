"""One family of errors: each message names the value, the place and what would be valid."""


class SentimentError(Exception):
    """Base of all errors that a user can cause or mend; shown as one message, never as a traceback."""

    exit_code = 1


class UsageError(SentimentError):
    """What was asked for does not exist or contradicts itself: the command line or its paths are at fault."""

    exit_code = 2


class ConfigError(SentimentError):
    """A configuration file or an override is invalid; the message lists every mistake at once."""

    exit_code = 2


class DataError(SentimentError):
    """The input data cannot be used: missing, truncated, of the wrong form, or with unknown labels."""


class DownloadError(SentimentError):
    """A file could not be fetched, or what arrived is not the file that was expected."""


class EncoderError(SentimentError):
    """An encoder is missing, damaged, of a kind that is not read, or asked for what it cannot do."""


class RunDirError(SentimentError):
    """A run directory holds something that does not belong together, or cannot be read or written."""


class LockedError(RunDirError):
    """Another process does the same thing at this moment.

    Attributes:
        job: its Slurm job; None outside Slurm, and where it is not known who it is.
    """

    def __init__(self, message: str, job: str | None = None) -> None:
        super().__init__(message)
        self.job = job


class TakenOverError(RunDirError):
    """Another process has begun a later attempt at the same run."""


class CheckpointError(SentimentError):
    """A checkpoint is truncated, altered, or belongs to another configuration or other data."""


class MemoryExhaustedError(SentimentError):
    """The GPU's memory does not hold the run."""


class DivergedError(SentimentError):
    """Training ran away: the loss is infinite or not a number."""


class UnfinishedRungError(SentimentError):
    """Trials of a rung cannot be ranked: one of them has not ended, or none has got to the rung's end."""


class SlurmError(SentimentError):
    """Slurm refuses what it was asked, or does not answer."""


class UnansweredError(SlurmError):
    """Slurm did not answer, or not as it should: what it has is unknown, and so is whether it did what it was told."""


class QueueFullError(SlurmError):
    """Slurm has as many jobs as it or an account may have; the same command goes on later."""

    exit_code = 3


class NoSlurmError(SlurmError):
    """There is no Slurm on this machine."""

    exit_code = 4
