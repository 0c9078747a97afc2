"""Read by an interpreter that starts with this folder on its path: it has itself stood in for."""

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.processes import stand_in

os.environ["PYTHONPATH"] = os.environ["PYTHONPATH"].partition(os.pathsep)[2]
if not os.environ["PYTHONPATH"]:
    del os.environ["PYTHONPATH"]
stand_in()
