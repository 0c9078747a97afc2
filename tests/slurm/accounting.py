"""Slurm's accounting for a test cluster: slurmdbd and a MariaDB of its own, without any network port of the latter."""

import getpass
import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.limits import limit, wait_for
from tests.slurm.cluster import Cluster, free_ports

PROGRAMS = ("slurmdbd", "mariadbd", "mariadb-install-db", "mariadb", "sacctmgr")


def missing_for_accounting() -> str | None:
    """Which programs are missing, if any."""
    path = f"{os.environ.get('PATH', '')}:/usr/sbin"
    missing = [name for name in PROGRAMS if shutil.which(name, path=path) is None]
    return f"not installed: {', '.join(missing)} (Debian: slurmdbd mariadb-server)" if missing else None


@contextmanager
def cluster_with_accounting(root: Path, orders: Iterable[Sequence[str]]) -> Iterator[Cluster]:
    """A cluster with slurmdbd as long as the block lasts; the test that asks is skipped where programs are missing.

    Args:
        root: the cluster's folder, which must not exist.
        orders: arguments of sacctmgr, for accounts and limits that are there before Slurm starts.
    """
    if missing := missing_for_accounting():
        pytest.skip(missing)
    accounting = Accounting(root)
    cluster = Cluster(root, accounting.settings)
    try:
        cluster.start_munge()
        accounting.start(cluster)
        for order in orders:
            cluster.run("sacctmgr", "-i", *order)
        cluster.start_slurm()
        yield cluster
    finally:
        cluster.stop_slurm()
        accounting.stop()
        cluster.stop_munge()


@dataclass
class Accounting:
    """The daemons beside a cluster, which must be started before its slurmctld and stopped after it."""

    root: Path
    port: int = field(default_factory=lambda: free_ports(1)[0])
    _processes: list["subprocess.Popen[bytes]"] = field(default_factory=list)

    @property
    def settings(self) -> dict[str, str]:
        """For the cluster's slurm.conf."""
        return {
            "AccountingStorageType": "accounting_storage/slurmdbd",
            "AccountingStorageHost": "localhost",
            "AccountingStoragePort": str(self.port),
            "AccountingStoragePass": f"{self.root}/munge/munge.socket",
            "AccountingStorageTRES": "gres/gpu",
            "AccountingStorageEnforce": "associations,limits,qos",
        }

    def start(self, cluster: Cluster) -> None:
        """Start the database, then slurmdbd, and make the cluster known to it."""
        data, socket = self.root / "database", self.root / "database" / "socket"
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        options = ["--no-defaults", f"--datadir={data}"]
        install = ["mariadb-install-db", *options, "--auth-root-authentication-method=normal", "--user=root"]
        subprocess.run(install, check=True, **quiet)  # type: ignore[call-overload]
        server = ["mariadbd", *options, "--user=root", "--skip-networking", f"--socket={socket}"]
        self._start([*server, "--innodb-buffer-pool-size=64M"], cluster.environ)
        sql = ["mariadb", "--no-defaults", f"--socket={socket}", "--user=root", "-e"]
        _wait(lambda: subprocess.run([*sql, "create database if not exists slurm_acct"], **quiet).returncode == 0)  # type: ignore[call-overload]
        conf = self.root / "etc" / "slurmdbd.conf"
        conf.touch(0o600)
        conf.write_text("\n".join(f"{name}={value}" for name, value in self._slurmdbd().items()) + "\n")
        self._start(["slurmdbd", "-D"], cluster.environ | {"MYSQL_UNIX_PORT": str(socket)})
        add = ("sacctmgr", "-i", "add", "cluster", "test")
        _wait(
            lambda: (
                cluster.run(*add, check=False).returncode == 0
                or "test" in cluster.run("sacctmgr", "-n", "show", "cluster", check=False).stdout
            )
        )

    def stop(self) -> None:
        """End both."""
        for process in reversed(self._processes):
            process.send_signal(signal.SIGTERM)
            process.wait(timeout=limit())

    def _slurmdbd(self) -> dict[str, str]:
        return {
            "DbdHost": "localhost",
            "DbdAddr": "127.0.0.1",
            "DbdPort": str(self.port),
            "SlurmUser": getpass.getuser(),
            "AuthType": "auth/munge",
            "AuthInfo": f"socket={self.root}/munge/munge.socket",
            "LogFile": f"{self.root}/log/slurmdbd.log",
            "PidFile": f"{self.root}/run/slurmdbd.pid",
            "StorageType": "accounting_storage/mysql",
            "StorageHost": "localhost",
            "StorageUser": "root",
            "StorageLoc": "slurm_acct",
        }

    def _start(self, command: list[str], environ: dict[str, str]) -> None:
        log = open(self.root / "log" / f"{command[0]}.start.log", "ab")  # noqa: SIM115 - the daemon's own
        self._processes.append(subprocess.Popen(command, env=environ, stdout=log, stderr=log))
        log.close()


def _wait(condition: Callable[[], bool]) -> None:
    wait_for(condition, "slurmdbd or its database")
