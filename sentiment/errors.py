"""The exceptions of the package; the message on a bad value says where it was found and what would be valid."""

# The exit codes of all commands; 0 means done.
EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_UNFINISHED = 3  # unfinished or interrupted; the same command resumes
EXIT_NO_SLURM = 4


class SentimentError(Exception):
    """Base class of all errors that a user can cause or fix; shown as one message, never as a traceback."""

    exit_code = EXIT_FAILED


class UsageError(SentimentError):
    """Command-line arguments are invalid or contradict each other, or a path does not exist."""

    exit_code = EXIT_USAGE


class ConfigError(SentimentError):
    """A configuration file or an override is invalid; the message lists every mistake at once."""

    exit_code = EXIT_USAGE


class UnfinishedBaseError(UsageError):
    """A grid starts from runs of another one, which may still get results."""


class DataError(SentimentError):
    """The input data cannot be used: missing, truncated, in the wrong format, or with unknown labels."""


class MissingFileError(DataError, UsageError):
    """A file with input data does not exist at the path that the user gave."""


class DownloadError(SentimentError):
    """A file could not be fetched, or what arrived is not the file that was expected."""


class EncoderError(SentimentError):
    """An encoder is missing or damaged, of an unsupported type, or used with an unsupported option."""


class RunDirError(SentimentError):
    """The files of a run directory contradict each other, or cannot be read or written."""


class FormatError(RunDirError):
    """A file has the format of another version of this program, or does not say which version wrote it."""


class CopiedGridError(RunDirError):
    """The folder of a grid holds the plan of a grid of another name, as a copy does."""


class LockedError(RunDirError):
    """Another process holds the lock for this work.

    Attributes:
        job: Slurm job of the process that holds the lock; None outside Slurm or if the process is unknown.
    """

    def __init__(self, message: str, job: str | None = None) -> None:
        super().__init__(message)
        self.job = job


class UnwritableError(RunDirError):
    """The file of a lock cannot be made, as on a full disk."""


class TakenOverError(RunDirError):
    """Another process has started a later attempt at the same run."""


class CheckpointError(SentimentError):
    """A checkpoint is truncated, altered, or belongs to another configuration or other data."""


class MemoryExhaustedError(SentimentError):
    """The run does not fit into GPU memory or main memory."""


class DivergedError(SentimentError):
    """Training diverged: the loss is infinite or NaN."""


class NoProgressError(SentimentError):
    """Repeated attempts at a run, or repeated starts of a job, made no progress."""


class KilledError(SentimentError):
    """A run's process was killed (SIGKILL), usually by the out-of-memory killer."""


class CrashedError(SentimentError):
    """A run's process was ended by a signal other than SIGKILL."""


class UnrankedError(SentimentError):
    """The trials of a search cannot be ranked: one is unfinished, or none has a score."""


class StoppedError(SentimentError):
    """Work on this machine was stopped, as by Ctrl+C; the message says how to go on."""

    exit_code = EXIT_UNFINISHED


class SlurmError(SentimentError):
    """A Slurm command failed or timed out."""


class UnansweredError(SlurmError):
    """Slurm did not answer, or its output cannot be parsed: it is unknown whether the request took effect."""


class QueueFullError(SlurmError):
    """The job limit of the cluster or of the account is reached; run the same command again later."""

    exit_code = EXIT_UNFINISHED


class NoSlurmError(SlurmError):
    """There is no Slurm on this machine."""

    exit_code = EXIT_NO_SLURM


_MEMORY_ADVICE = (
    "main memory is full; a smaller training.batch_size may fit, fewer runs at a time (`at_once`, or --at-once), or "
    "more memory (`memory_gb` in configs/cluster.yaml)"
)


def with_memory_advice(error: MemoryError) -> str:
    """The message of an error, if it has one, and what to change."""
    message = in_one_line(error)
    return f"{message}; {_MEMORY_ADVICE}" if message else _MEMORY_ADVICE


def shortened(text: str, limit: int = 200) -> str:
    return text if len(text) <= limit else f"{text[:limit]}… ({len(text):,} characters)"


def in_one_line(error: BaseException) -> str:
    """The message of an error, with spaces in place of its line breaks."""
    return " ".join(str(error).split())
