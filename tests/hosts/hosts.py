"""Processes that believe to be on different hosts, whose file system passes the kernel's locks between them or not."""

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.processes import Forked, start_python

PRETENDED = Path(__file__).with_name("pretended")
"""As PYTHONPATH, makes a process believe so; see there."""


@dataclass(frozen=True)
class Hosts:
    """Starts processes on hosts of any name; `flock` reaches all hosts ("shared"), or those on one ("local")."""

    folder: Path
    reach: str

    def start(self, host: str, code: str, *arguments: str, environ: dict[str, str]) -> Forked:
        """Start Python code; its output is one stream."""
        pretended = {"HOST_NAME": host, "HOST_LOCKS": self.reach, "HOST_FOLDER": str(self.folder)}
        begin = f"import runpy; runpy.run_path({str(PRETENDED / 'sitecustomize.py')!r})\n"
        environ = os.environ | pretended | environ
        return start_python("-u", "-c", begin + code, *arguments, environ=environ, stdin=subprocess.PIPE)
