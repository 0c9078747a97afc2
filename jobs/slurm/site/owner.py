"""Whose jobs a folder of results has, and on which cluster: one user on one cluster; everybody else may read.

`squeue` shows the jobs of this user on this cluster and no others. For anybody else a job that is not in it would seem
to be lost, and would be submitted again.
"""

import os
import pwd
from typing import Self

from jobs.slurm.commands import read_settings
from sentiment.errors import UsageError
from sentiment.files import write_json
from sentiment.record_files import read_record
from sentiment.records import Record
from sentiment.run_dir import Results


class QueueOwner(Record):
    """`results/slurm/owner.json`, written when something is submitted for the first time."""

    user: str
    cluster: str
    """`ClusterName` of `scontrol show config`."""

    @classmethod
    def here(cls) -> Self:
        """This process's user; the environment, which anybody can set, has no say in it.

        Raises:
            SlurmError: there is no Slurm here, or it does not answer.
        """
        return cls(user=_user_name(os.geteuid()), cluster=read_settings()["ClusterName"])

    def describe(self) -> str:
        """For messages."""
        return f"submitted by {self.user} on cluster {self.cluster}; ask there"


def read_owner(results: Results) -> QueueOwner | None:
    """Whose jobs they are; None before the first.

    Raises:
        RunDirError: the file cannot be read.
    """
    return read_record(results.slurm / "owner.json", QueueOwner)


def insist_on_ownership(results: Results) -> None:
    """Let only one user on one cluster submit and cancel; the first one to do so.

    Raises:
        UsageError: it is somebody else.
        SlurmError: there is no Slurm here, or it does not answer.
    """
    here, owner = QueueOwner.here(), read_owner(results)
    if owner is None:
        results.slurm.mkdir(parents=True, exist_ok=True)
        write_json(results.slurm / "owner.json", here.model_dump(mode="json"))
    elif owner != here:
        raise UsageError(
            f"{results.slurm / 'owner.json'}: these are the jobs of {owner.user} on cluster {owner.cluster}, not of "
            f"{here.user} on {here.cluster}: give this command there, or use another folder (--results DIR)"
        )


def _user_name(number: int) -> str:
    """A user's name; the number where this machine knows no name for it, as in a container."""
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)
