"""Who gives jobs to which cluster: only there can be asked what became of them.

Several people may share one folder of results, and several clusters one file system. `squeue` shows the jobs of this
user on this cluster and no others, so that a job which is not in it is lost only if it was submitted from here.
"""

import os
import pwd
import socket
from typing import Self

from jobs.slurm.commands import read_settings
from sentiment.records import Record


class Origin(Record):
    """The user, host and cluster that a job was submitted by, on and to."""

    user: str
    host: str
    cluster: str | None
    """`ClusterName` of `scontrol show config`; None where there is no Slurm."""

    @classmethod
    def of_process(cls, cluster: str | None) -> Self:
        """This process's own; the environment, which anybody can set, has no say in it."""
        return cls(user=user_name(os.geteuid()), host=socket.gethostname(), cluster=cluster)

    def same_queue(self, other: "Origin") -> bool:
        """Whether both see the same jobs."""
        return (self.user, self.cluster) == (other.user, other.cluster)

    def describe(self) -> str:
        """For messages."""
        return f"submitted by {self.user} on cluster {self.cluster or 'of no name'}; ask there"


def read_origin() -> Origin:
    """What this process would submit as.

    Raises:
        SlurmError: there is no Slurm here, or it does not answer.
    """
    return Origin.of_process(read_settings().get("ClusterName"))


def user_name(number: int) -> str:
    """A user's name; the number where this machine knows no name for it, as in a container."""
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)
