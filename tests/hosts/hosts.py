"""Processes that believe to be on different hosts, whose file system passes the kernel's locks between them or not."""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

SOURCE = Path(__file__).with_name("hosts.c")
REACHES = ("shared", "local")
"""How far `flock` reaches: to all hosts, or to the processes of one host."""


@dataclass(frozen=True)
class Hosts:
    """Starts processes on hosts of any name."""

    library: Path
    reach: str

    def start(
        self, host: str, code: str, *arguments: str, environ: dict[str, str] | None = None
    ) -> "subprocess.Popen[str]":
        """Start Python code; its output is one stream."""
        preloaded = {
            "LD_PRELOAD": str(self.library),
            "HOST_NAME": host,
            "HOST_LOCKS": self.reach,
            "HOST_FOLDER": str(self.library.parent),
        }
        return subprocess.Popen(
            [sys.executable, "-u", "-c", code, *arguments],
            env=os.environ | preloaded | (environ or {}),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )


def build_library(folder: Path) -> Path:
    """Compile what is preloaded; a test is skipped where that is not possible."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None or sys.platform != "linux":
        pytest.skip("there is no C compiler, or no Linux: hosts cannot be told apart on one machine")
    library = folder / "hosts.so"
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", str(library), str(SOURCE), "-ldl"], check=True)
    return library
