"""Damaged files through the reader, in a process of its own: ``python -m tests.data.dicom.damage FOLDER COUNT``.

Prints a line of JSON: how many files there were, what became of them, the longest time one took, and peak memory.
"""

import json
import os
import resource
import sys
import tempfile
import time
import zlib
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np

from scnas_deploy.data.dicom.reading import read_series
from scnas_deploy.data.dicom.scan import scan
from scnas_deploy.data.dicom.verdicts import VerdictError
from tests.dicom_drawing import Drawing

Damage = Callable[[bytes, np.random.Generator], bytes]


def flip(data: bytes, rng: np.random.Generator) -> bytes:
    """Turn some bits, most of them in the header."""
    changed = bytearray(data)
    reach = len(data) if rng.random() < 0.3 else min(len(data), 4000)
    for place in rng.integers(128, max(reach, 129), int(rng.integers(1, 60))):
        if place < len(changed):
            changed[place] ^= 1 << int(rng.integers(8))
    return bytes(changed)


def truncate(data: bytes, rng: np.random.Generator) -> bytes:
    """Cut it off."""
    return data[: int(rng.integers(0, len(data)))]


def absurd_lengths(data: bytes, rng: np.random.Generator) -> bytes:
    """Write lengths near four gigabytes over some of it."""
    changed = bytearray(data)
    for place in rng.integers(132, min(len(data) - 4, 4000), int(rng.integers(1, 4))):
        changed[place : place + 4] = rng.integers(0xF0000000, 0xFFFFFFFF, dtype=np.uint32).tobytes()
    return bytes(changed)


def bomb(_: bytes, rng: np.random.Generator) -> bytes:
    """Deflate a gigabyte, or half of one, of zeros into an object."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    block = bytes(1 << 24)
    body = b"".join(packer.compress(block) for _ in range(int(rng.integers(32, 64)))) + packer.flush()
    syntax = b"1.2.840.10008.1.2.1.99"
    meta = b"\x02\x00\x10\x00UI" + len(syntax).to_bytes(2, "little") + syntax
    return bytes(128) + b"DICM\x02\x00\x00\x00UL\x04\x00" + len(meta).to_bytes(4, "little") + meta + body


def originals(folder: Path) -> list[bytes]:
    """Sound objects of all sorts and transfer syntaxes."""
    sorts = ("STS_002/CT/mask", "STS_002/PET/image", "mr_enhanced/In/Siemens/XA10", "mr_classic_and_enhanced/In/enh")
    paths = [sorted(path for path in (folder / sort).iterdir())[0] for sort in sorts]
    paths += sorted((folder / "mr_transfer_syntaxes/In").iterdir())
    drawn = Drawing()
    with tempfile.TemporaryDirectory() as scratch:
        paths += [drawn.save_enhanced(Path(scratch)), *sorted(drawn.save(Path(scratch)).iterdir())[:3]]
        return [path.read_bytes() for path in paths]


def main() -> None:
    folder, count = Path(sys.argv[1]), int(sys.argv[2])
    rng, sound, outcomes, longest = np.random.default_rng(0), originals(folder), Counter[str](), 0.0
    damages = [flip, truncate, absurd_lengths]
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch, "damaged.dcm")
        for number in range(count):
            damage: Damage = bomb if number % 100 == 99 else damages[number % len(damages)]
            path.write_bytes(damage(sound[int(rng.integers(len(sound)))], rng))
            started = time.monotonic()
            outcomes[outcome_of(path)] += 1
            longest = max(longest, time.monotonic() - started)
    peak = max(own_peak(), resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024)
    sys.stdout.write(json.dumps({"outcomes": outcomes, "longest_s": longest, "peak_bytes": peak}))
    os._exit(0)  # what a native library might still do at the end is no matter of this test


def own_peak() -> int:
    """Highest resident bytes of this program; what rusage tells counts the process that has started it, too."""
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


def outcome_of(path: Path) -> str:
    """What the reader says of a file."""
    found = scan([path])
    if found.left:
        (left,) = found.left
        return "damaged" if left.damaged else "left out"
    (series,) = found.series
    try:
        read_series(series, ["split-mosaic"])
    except VerdictError as error:
        return error.verdicts[0].rule
    return "read"


if __name__ == "__main__":
    main()
