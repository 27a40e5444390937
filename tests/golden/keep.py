"""Keep a finished run as a golden one: `python tests/golden/keep.py RUN SCHEMA`, in the environment of `make install`.

Directories of this machine are taken out: a home or scratch directory in a text becomes `/airflow-stress`. A line of
the history that changes by that is sealed again; all others stay byte for byte. `results.json` is what today's judge
says.
"""

from __future__ import annotations

import lzma
import re
import shutil
import sys
import tempfile
from pathlib import Path

from stress import commands, feed, history

_OWN_PATH = re.compile(rb"/(?:home|root|tmp|work)/[\w./-]*?(?=/airflow|[^\w./-])")
_CRC = re.compile(rb',"crc":"[0-9a-f]{8}"}\n$')


def stripped(line: bytes) -> bytes:
    """A line of a history without own paths; a line without any is returned as it is."""
    body = _CRC.sub(b"}", line)
    changed = _OWN_PATH.sub(b"/airflow-stress", body)
    return line if changed == body else history.sealed(changed)


def keep(run: Path, golden: Path) -> int:
    """Write the files of a golden run; how many lines of its history were changed."""
    golden.mkdir()
    lines = (run / history.FILE_NAME).read_bytes().splitlines(keepends=True)
    written = [stripped(line) for line in lines]
    text = b"".join(written)
    (golden / "history.jsonl.xz").write_bytes(lzma.compress(text, preset=9 | lzma.PRESET_EXTREME))
    (golden / "manifest.json").write_bytes(_OWN_PATH.sub(b"/airflow-stress", (run / "manifest.json").read_bytes()))
    if (run / feed.DIRECTORY).is_dir():  # names of components and ids, and no path of the machine
        shutil.copytree(run / feed.DIRECTORY, golden / feed.DIRECTORY)
    with tempfile.TemporaryDirectory() as scratch:
        judged = Path(scratch)
        if (golden / feed.DIRECTORY).is_dir():
            shutil.copytree(golden / feed.DIRECTORY, judged / feed.DIRECTORY)
        (judged / history.FILE_NAME).write_bytes(text)
        shutil.copy(golden / "manifest.json", judged)
        commands.analyze(scratch)
        shutil.copy(judged / "results.json", golden)
    return sum(left != right for left, right in zip(lines, written, strict=True))


if __name__ == "__main__":
    run, schema = sys.argv[1:]
    print(f"{keep(Path(run), Path(__file__).parent / schema)} lines changed", file=sys.stderr)
