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


class ElmoError(SentimentError):
    """An ELMo model is missing, damaged, or not what its options say; or it is asked for what it cannot do."""


class RunDirError(SentimentError):
    """A run directory holds something that does not belong together, or cannot be read or written."""


class LockedError(RunDirError):
    """Another live process does the same thing at this moment.

    Attributes:
        earlier_attempt: whether it is one that Slurm believes to be dead, since it has requeued its job.
        lives: whether it is known to live; if not, that shows within a minute.
        job: its Slurm job; None outside Slurm, and where it is not known who it is.
    """

    def __init__(
        self, message: str, earlier_attempt: bool = False, lives: bool = False, job: str | None = None
    ) -> None:
        super().__init__(message)
        self.earlier_attempt = earlier_attempt
        self.lives = lives
        self.job = job


class TakenOverError(RunDirError):
    """This process gave no sign of life for so long that another one has taken over what it did."""


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
