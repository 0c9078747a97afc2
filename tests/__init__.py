"""What a shell says of colours, widths and proxies is not meant for what the tests start on this machine."""

import os

for _name in ("COLUMNS", "FORCE_COLOR", "NO_COLOR"):
    os.environ.pop(_name, None)
os.environ["no_proxy"] = ",".join(filter(None, [os.environ.get("no_proxy"), "127.0.0.1"]))
