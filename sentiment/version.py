"""The program's version, and the stamp of every file that it reads again: which version wrote it, in which format.

The format's number is that of the major version: what one version 1.x writes, all of them read. A stamp is at the end
of a record (see `sentiment.runs.run_dir.sealed`), in the first line of a checkpoint, and in the ids on a sheet. Caches
are named by all that their content depends on: those of other versions are not found, but made anew.
"""

import re

from sentiment.errors import FormatError

__version__ = "1.0.0"

FORMAT = 1
STAMP_KEY = "written_by"  # in a record
STAMP = f"sentiment-grids {__version__}, format {FORMAT}"
_STAMP = re.compile(r"sentiment-grids (?P<version>\S+), format (?P<format>\d+)")


def check_stamp(text: str, origin: str) -> str:
    """Check that a text is the stamp of a file that this version reads.

    Args:
        origin: names the file, for messages.

    Returns:
        What names the file in further messages: with the version, if another one wrote it.

    Raises:
        FormatError: it is of another format, or no stamp.
    """
    stamp = _STAMP.fullmatch(text)
    if stamp is None:
        raise FormatError(
            f"{origin}: names no version that wrote it, or its end is lost; write it again with this one, {__version__}"
        )
    if int(stamp["format"]) != FORMAT:
        raise FormatError(
            f"{origin}: was written by version {stamp['version']}, in format {stamp['format']}; this is version "
            f"{__version__}, which reads format {FORMAT}: use that version, or write the file again with this one"
        )
    return origin if stamp["version"] == __version__ else f"{origin}, of version {stamp['version']}"
