"""Makes the committed code of the protocol: ``python proto/generate.py``.

It lies in our package, where ``protoc`` would not put it, so its import lines are written anew.
``python proto/generate.py --baseline`` also renews ``proto/baseline.binpb``, which later versions are compared with.
"""

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

FOLDER: Final = Path(__file__).resolve().parent
TARGET: Final = FOLDER.parent / "scnas_deploy" / "serve" / "rpc" / "v1"
BASELINE: Final = FOLDER / "baseline.binpb"
BUF: Final = Path(sys.executable).with_name("buf")
_PROTO: Final = "scnas/v1/segmentation.proto"
_MADE: Final = "scnas.v1"
_OURS: Final = "scnas_deploy.serve.rpc.v1"


def generate(target: Path) -> None:
    """Write the protocol's modules into a folder."""
    with tempfile.TemporaryDirectory() as folder:
        outputs = [f"--{kind}_out={folder}" for kind in ("python", "pyi", "grpc_python")]
        subprocess.run(  # noqa: S603  # our own arguments
            [sys.executable, "-m", "grpc_tools.protoc", f"-I{FOLDER}", *outputs, _PROTO], cwd=FOLDER, check=True
        )
        for made in sorted((Path(folder) / "scnas" / "v1").iterdir()):
            text = made.read_text(encoding="utf-8")
            text = text.replace(f"from {_MADE} import", f"from {_OURS} import")
            (target / made.name).write_text(text, encoding="utf-8")


def renew_baseline() -> None:
    """Have ``buf breaking`` compare with the protocol as it is now."""
    subprocess.run([BUF, "build", ".", "-o", BASELINE], cwd=FOLDER, check=True)  # noqa: S603  # our own arguments


if __name__ == "__main__":
    generate(TARGET)
    if "--baseline" in sys.argv[1:]:
        renew_baseline()
