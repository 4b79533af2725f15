"""A job's result, in parts."""

from collections.abc import Iterator
from typing import Final

from scnas_deploy.errors import JobError, NotFoundError
from scnas_deploy.files import reading
from scnas_deploy.jobs.job import Job, JobState
from scnas_deploy.serve.rpc.v1 import segmentation_pb2 as pb
from scnas_deploy.serve.rpc.words import FORMATS
from scnas_deploy.serve.spool import Spool
from scnas_deploy.serve.work import StudyAnswer

CHUNK_BYTES: Final = 2**20


def parts_of_result(spool: Spool, job: Job) -> Iterator[pb.FetchResponse]:
    """Yield a result's header, and each of its files.

    Raises:
        JobError: If the job is not done.
        NotFoundError: If its result has been removed, as results are after a while.
        InputError: If a file cannot be read just now.
    """
    if job.state is not JobState.DONE:
        why = f" ({job.error})" if job.error else ""
        raise JobError(
            "the job",
            expected="one that is done",
            found=f"one that is {job.state}{why}",
            remedy="See Watch and ListJobs",
        )
    answer = StudyAnswer.model_validate(job.result)
    yield pb.FetchResponse(header=_header(answer))
    for file in answer.files:
        yield pb.FetchResponse(
            file=pb.ResultFile(
                name=file.name, format=FORMATS[file.format], size=file.bytes, sha256=bytes.fromhex(file.sha256)
            )
        )
        path = spool.path(f"{answer.folder}/{file.name}")
        try:
            with reading(path), path.open("rb", buffering=0) as opened:
                while chunk := opened.read(CHUNK_BYTES):
                    yield pb.FetchResponse(chunk=chunk)
        except FileNotFoundError as error:
            raise NotFoundError(
                "the result", expected="its files", found="that they were removed", remedy="Submit the study again"
            ) from error


def _header(answer: StudyAnswer) -> pb.ResultHeader:
    return pb.ResultHeader(
        num_files=len(answer.files),
        volumes_ml=answer.volumes_ml,
        model=answer.model,
        model_digest=answer.model_digest,
        engine=answer.engine,
        corrections=answer.corrections,
        outside_limits=answer.outside_limits,
        notes=answer.notes,
        seconds=answer.seconds,
        engine_seconds=answer.engine_seconds,
    )
