"""How many more jobs a site accepts: what its settings and the user's accounts allow, less what is there already.

What cannot be read here, such as the jobs of others where a site hides them, shows when sbatch refuses.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from jobs.slurm.commands import ask
from jobs.slurm.resources import Resources
from jobs.slurm.site.partitions import Partition
from jobs.slurm.site.settings import Finding, number_in
from sentiment.errors import SlurmError

# A tenth of an ordinary site's MaxJobCount: below it grids meet the limit.
_AMPLE = 1000
_ENFORCES = ("limits", "qos", "safe", "all")


@dataclass(frozen=True)
class JobLimit:
    """A largest number of jobs, in which each task of an array counts."""

    name: str
    """In Slurm's words, with what it belongs to."""
    most: int
    used: int
    kept: int = 0
    """How many Slurm keeps back."""

    @property
    def room(self) -> int:
        """How many more are accepted."""
        return max(self.most - self.used - self.kept, 0)

    def describe(self) -> str:
        """For messages."""
        return f"{self.name} {self.most:,}, of which {self.used:,} are taken"


def read_limits(
    settings: Mapping[str, str], resources: Resources, partitions: Iterable[Partition], user: str
) -> list[JobLimit]:
    """The limits that jobs of a user meet, as far as they can be read.

    Args:
        settings: of `commands.read_settings`.
        resources: what the jobs ask for; their account, QOS and partition have limits of their own.
    """
    here = ask("squeue", "--noheader", "--array", "--states=all", "--format=%i").split()
    limits = [JobLimit("MaxJobCount", number_in(settings, "MaxJobCount"), len(here), kept=1)]
    enforced = settings.get("AccountingStorageEnforce", "").split(",")
    if not {*enforced} & {*_ENFORCES}:
        return limits
    named = (resources.partition or "").split(",")
    own = [one for one in partitions if one.name in named or (one.default and not resources.partition)]
    qos = {resources.qos or "normal", *(one.settings.get("QoS", "N/A") for one in own)} - {"N/A"}
    try:
        records = ask("scontrol", "show", "assoc_mgr", f"users={user}", "flags=assoc,qos")
        allowed = ask("sacctmgr", "-nP", "show", "qos", "format=Name,MaxSubmitPU,MaxSubmitPA,GrpSubmit")
    except SlurmError:
        return limits  # the daemon that keeps the accounts is away, or hides them
    account = resources.account or _default_account(records)
    return [*limits, *_of_accounts(records, account), *_of_qos(records, allowed, qos, user, account)]


def most_restrictive(limits: Iterable[JobLimit]) -> JobLimit:
    """The one with the least room."""
    return min(limits, key=lambda limit: limit.room)


def explain_limits(limits: Iterable[JobLimit]) -> Iterator[Finding]:
    """What follows from limits for grids, a sentence each."""
    for limit in limits:
        text = f"{limit.used:,} are taken: a grid of more than {limit.room:,} tasks is submitted in parts"
        yield Finding("ok" if limit.room >= _AMPLE else "note", f"{limit.name} {limit.most}", text)


def _default_account(records: str) -> str:
    found = [one for one in _associations(records) if one["UserName"] and one["DefAssoc"] == "Yes"]
    return found[0]["Account"] if found else ""


def _of_accounts(records: str, account: str) -> Iterator[JobLimit]:
    """Of the user in an account, and of the accounts above."""
    associations = _associations(records)
    for one in associations:
        if one["UserName"] and one["Account"] == account:
            yield from _limit(one, "MaxSubmitJobs", f"of account {account}")
    parents = {one["Account"]: one for one in associations if not one["UserName"]}
    while account in parents:
        one = parents.pop(account)
        yield from _limit(one, "GrpSubmitJobs", f"of account {account}")
        account = one["ParentAccount"].partition("(")[0]


def _of_qos(records: str, allowed: str, names: set[str], user: str, account: str) -> Iterator[JobLimit]:
    blocks = dict(re.findall(r"^QOS=(\S+)\(\d+\)$(.*?)(?=^QOS=|\Z)", records, re.MULTILINE | re.DOTALL))
    for line in allowed.splitlines():
        name, of_user, of_account, of_all = line.split("|")
        if name in names:
            block = blocks.get(name, "")
            for setting, most, owner in (
                ("MaxSubmitJobsPU", of_user, rf"^ +{re.escape(user)}\("),
                ("MaxSubmitJobsPA", of_account, rf"^ +{re.escape(account)}$"),
                ("GrpSubmitJobs", of_all, ""),
            ):
                used = re.search(rf"{owner}[\s\S]*?{setting}=[^(\s]*\((\d+)\)", block, re.MULTILINE)
                if most:
                    yield JobLimit(f"{setting} of QOS {name}", int(most), int(used[1]) if used else 0)


def _associations(records: str) -> list[dict[str, str]]:
    blocks = re.split(r"^(?=ClusterName=)", records.partition("\nQOS Records")[0], flags=re.MULTILINE)
    return [dict(re.findall(r"(\w+)=(\S*)", block)) for block in blocks if block.startswith("ClusterName=")]


def _limit(record: Mapping[str, str], name: str, owner: str) -> Iterator[JobLimit]:
    if match := re.fullmatch(r"(\d+)\((\d+)\)", record.get(name, "")):
        yield JobLimit(f"{name} {owner}", int(match[1]), int(match[2]))
