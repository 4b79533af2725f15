"""A server on a ledger file, as most tests of whole servers want it."""

from pathlib import Path

from scnas_deploy.inference.models import ModelFolder, user_models
from scnas_deploy.jobs.job import Job
from scnas_deploy.jobs.ledger import Ledger
from scnas_deploy.serve.arrivals import study_key
from scnas_deploy.serve.work import SEGMENT
from tests.serve.process import ServerProcess

MODEL = "hippocampus"
SETTINGS = """
spool = "spool"
models = "models"
audit = "audit.jsonl"
[dicom]
host = "127.0.0.1"
port = {dicom}
peers = [{ ae_title = "SENDER", address = "127.0.0.1/32" }]
quiet_s = 0.5
[grpc]
host = "127.0.0.1"
port = {grpc}
insecure = true
[web]
host = "127.0.0.1"
port = {web}
[disk]
min_free_bytes = 1000000
[work]
lease_s = 5
grace_s = 20
[[rules]]
name = "head"
model = "hippocampus"
match = [{ attribute = "Modality", matches = "MR" }]
"""


def start_server(folder: Path, more: str = "", environment: dict[str, str] | None = None) -> ServerProcess:
    """Start one with the shipped model installed; it is to be ended by whoever starts it.

    Args:
        folder: Of its settings, spool and models.
        more: Lines that follow on the settings: first of the rule, then tables of their own.
        environment: Of the process.
    """
    ModelFolder(folder / "models").install(user_models().packages()[MODEL], MODEL)
    return ServerProcess(folder, SETTINGS + more, environment).start()


def models_of(server: ServerProcess) -> ModelFolder:
    return ModelFolder(server.folder / "models")


def jobs_of(server: ServerProcess, study_uid: str | None = None) -> list[Job]:
    """Jobs that segment, newest first: all, or those of a study that was sent to SCNAS."""
    with Ledger(f"sqlite:///{server.folder}/spool/ledger.db") as ledger:
        jobs = ledger.listed(queues=[SEGMENT], limit=1000)
    if study_uid is None:
        return jobs
    folder = f"incoming/{study_key(study_uid, 'SCNAS')}"
    return [job for job in jobs if job.payload["folder"] == folder]
