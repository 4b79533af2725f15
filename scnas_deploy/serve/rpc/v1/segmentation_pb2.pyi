import datetime

from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Format(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    FORMAT_UNSPECIFIED: _ClassVar[Format]
    FORMAT_NIFTI: _ClassVar[Format]
    FORMAT_DICOM_SEG: _ClassVar[Format]
    FORMAT_DICOM_LABELMAP: _ClassVar[Format]
    FORMAT_SR: _ClassVar[Format]
    FORMAT_RTSTRUCT: _ClassVar[Format]
    FORMAT_PREVIEW: _ClassVar[Format]

class Priority(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    PRIORITY_UNSPECIFIED: _ClassVar[Priority]
    PRIORITY_CLINICAL: _ClassVar[Priority]
    PRIORITY_ARCHIVE: _ClassVar[Priority]

class Correction(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    CORRECTION_UNSPECIFIED: _ClassVar[Correction]
    CORRECTION_RESAMPLE_GAPS: _ClassVar[Correction]
    CORRECTION_SHEAR_TILT: _ClassVar[Correction]
    CORRECTION_SPLIT_MOSAIC: _ClassVar[Correction]

class FileKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    FILE_KIND_UNSPECIFIED: _ClassVar[FileKind]
    FILE_KIND_NIFTI: _ClassVar[FileKind]
    FILE_KIND_NIFTI_GZ: _ClassVar[FileKind]
    FILE_KIND_DICOM: _ClassVar[FileKind]

class JobState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    JOB_STATE_UNSPECIFIED: _ClassVar[JobState]
    JOB_STATE_QUEUED: _ClassVar[JobState]
    JOB_STATE_RUNNING: _ClassVar[JobState]
    JOB_STATE_DONE: _ClassVar[JobState]
    JOB_STATE_FAILED: _ClassVar[JobState]
    JOB_STATE_DEAD: _ClassVar[JobState]
    JOB_STATE_CANCELLED: _ClassVar[JobState]

class Stage(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    STAGE_UNSPECIFIED: _ClassVar[Stage]
    STAGE_WAITING: _ClassVar[Stage]
    STAGE_READING: _ClassVar[Stage]
    STAGE_SEGMENTING: _ClassVar[Stage]
    STAGE_WRITING: _ClassVar[Stage]
    STAGE_FINISHED: _ClassVar[Stage]
FORMAT_UNSPECIFIED: Format
FORMAT_NIFTI: Format
FORMAT_DICOM_SEG: Format
FORMAT_DICOM_LABELMAP: Format
FORMAT_SR: Format
FORMAT_RTSTRUCT: Format
FORMAT_PREVIEW: Format
PRIORITY_UNSPECIFIED: Priority
PRIORITY_CLINICAL: Priority
PRIORITY_ARCHIVE: Priority
CORRECTION_UNSPECIFIED: Correction
CORRECTION_RESAMPLE_GAPS: Correction
CORRECTION_SHEAR_TILT: Correction
CORRECTION_SPLIT_MOSAIC: Correction
FILE_KIND_UNSPECIFIED: FileKind
FILE_KIND_NIFTI: FileKind
FILE_KIND_NIFTI_GZ: FileKind
FILE_KIND_DICOM: FileKind
JOB_STATE_UNSPECIFIED: JobState
JOB_STATE_QUEUED: JobState
JOB_STATE_RUNNING: JobState
JOB_STATE_DONE: JobState
JOB_STATE_FAILED: JobState
JOB_STATE_DEAD: JobState
JOB_STATE_CANCELLED: JobState
STAGE_UNSPECIFIED: Stage
STAGE_WAITING: Stage
STAGE_READING: Stage
STAGE_SEGMENTING: Stage
STAGE_WRITING: Stage
STAGE_FINISHED: Stage

class SubmitRequest(_message.Message):
    __slots__ = ("header", "file", "chunk")
    HEADER_FIELD_NUMBER: _ClassVar[int]
    FILE_FIELD_NUMBER: _ClassVar[int]
    CHUNK_FIELD_NUMBER: _ClassVar[int]
    header: SubmitHeader
    file: FileStart
    chunk: bytes
    def __init__(self, header: _Optional[_Union[SubmitHeader, _Mapping]] = ..., file: _Optional[_Union[FileStart, _Mapping]] = ..., chunk: _Optional[bytes] = ...) -> None: ...

class SubmitHeader(_message.Message):
    __slots__ = ("model", "formats", "priority", "idempotency_key", "series", "allow", "force", "time_limit", "num_files")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    FORMATS_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    IDEMPOTENCY_KEY_FIELD_NUMBER: _ClassVar[int]
    SERIES_FIELD_NUMBER: _ClassVar[int]
    ALLOW_FIELD_NUMBER: _ClassVar[int]
    FORCE_FIELD_NUMBER: _ClassVar[int]
    TIME_LIMIT_FIELD_NUMBER: _ClassVar[int]
    NUM_FILES_FIELD_NUMBER: _ClassVar[int]
    model: str
    formats: _containers.RepeatedScalarFieldContainer[Format]
    priority: Priority
    idempotency_key: str
    series: _containers.RepeatedScalarFieldContainer[str]
    allow: _containers.RepeatedScalarFieldContainer[Correction]
    force: bool
    time_limit: _duration_pb2.Duration
    num_files: int
    def __init__(self, model: _Optional[str] = ..., formats: _Optional[_Iterable[_Union[Format, str]]] = ..., priority: _Optional[_Union[Priority, str]] = ..., idempotency_key: _Optional[str] = ..., series: _Optional[_Iterable[str]] = ..., allow: _Optional[_Iterable[_Union[Correction, str]]] = ..., force: _Optional[bool] = ..., time_limit: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., num_files: _Optional[int] = ...) -> None: ...

class FileStart(_message.Message):
    __slots__ = ("size", "sha256", "kind")
    SIZE_FIELD_NUMBER: _ClassVar[int]
    SHA256_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    size: int
    sha256: bytes
    kind: FileKind
    def __init__(self, size: _Optional[int] = ..., sha256: _Optional[bytes] = ..., kind: _Optional[_Union[FileKind, str]] = ...) -> None: ...

class SubmitResponse(_message.Message):
    __slots__ = ("job_id", "known", "state")
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    KNOWN_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    job_id: int
    known: bool
    state: JobState
    def __init__(self, job_id: _Optional[int] = ..., known: _Optional[bool] = ..., state: _Optional[_Union[JobState, str]] = ...) -> None: ...

class WatchRequest(_message.Message):
    __slots__ = ("job_id", "cancel_on_end")
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    CANCEL_ON_END_FIELD_NUMBER: _ClassVar[int]
    job_id: int
    cancel_on_end: bool
    def __init__(self, job_id: _Optional[int] = ..., cancel_on_end: _Optional[bool] = ...) -> None: ...

class WatchResponse(_message.Message):
    __slots__ = ("state", "stage", "fraction", "patches_per_s", "error")
    STATE_FIELD_NUMBER: _ClassVar[int]
    STAGE_FIELD_NUMBER: _ClassVar[int]
    FRACTION_FIELD_NUMBER: _ClassVar[int]
    PATCHES_PER_S_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    state: JobState
    stage: Stage
    fraction: float
    patches_per_s: float
    error: str
    def __init__(self, state: _Optional[_Union[JobState, str]] = ..., stage: _Optional[_Union[Stage, str]] = ..., fraction: _Optional[float] = ..., patches_per_s: _Optional[float] = ..., error: _Optional[str] = ...) -> None: ...

class FetchRequest(_message.Message):
    __slots__ = ("job_id",)
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    job_id: int
    def __init__(self, job_id: _Optional[int] = ...) -> None: ...

class FetchResponse(_message.Message):
    __slots__ = ("header", "file", "chunk")
    HEADER_FIELD_NUMBER: _ClassVar[int]
    FILE_FIELD_NUMBER: _ClassVar[int]
    CHUNK_FIELD_NUMBER: _ClassVar[int]
    header: ResultHeader
    file: ResultFile
    chunk: bytes
    def __init__(self, header: _Optional[_Union[ResultHeader, _Mapping]] = ..., file: _Optional[_Union[ResultFile, _Mapping]] = ..., chunk: _Optional[bytes] = ...) -> None: ...

class ResultHeader(_message.Message):
    __slots__ = ("num_files", "volumes_ml", "model", "model_digest", "engine", "corrections", "outside_limits", "notes", "seconds", "engine_seconds")
    class VolumesMlEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    NUM_FILES_FIELD_NUMBER: _ClassVar[int]
    VOLUMES_ML_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    MODEL_DIGEST_FIELD_NUMBER: _ClassVar[int]
    ENGINE_FIELD_NUMBER: _ClassVar[int]
    CORRECTIONS_FIELD_NUMBER: _ClassVar[int]
    OUTSIDE_LIMITS_FIELD_NUMBER: _ClassVar[int]
    NOTES_FIELD_NUMBER: _ClassVar[int]
    SECONDS_FIELD_NUMBER: _ClassVar[int]
    ENGINE_SECONDS_FIELD_NUMBER: _ClassVar[int]
    num_files: int
    volumes_ml: _containers.ScalarMap[str, float]
    model: str
    model_digest: str
    engine: str
    corrections: _containers.RepeatedScalarFieldContainer[str]
    outside_limits: _containers.RepeatedScalarFieldContainer[str]
    notes: _containers.RepeatedScalarFieldContainer[str]
    seconds: float
    engine_seconds: float
    def __init__(self, num_files: _Optional[int] = ..., volumes_ml: _Optional[_Mapping[str, float]] = ..., model: _Optional[str] = ..., model_digest: _Optional[str] = ..., engine: _Optional[str] = ..., corrections: _Optional[_Iterable[str]] = ..., outside_limits: _Optional[_Iterable[str]] = ..., notes: _Optional[_Iterable[str]] = ..., seconds: _Optional[float] = ..., engine_seconds: _Optional[float] = ...) -> None: ...

class ResultFile(_message.Message):
    __slots__ = ("name", "format", "size", "sha256")
    NAME_FIELD_NUMBER: _ClassVar[int]
    FORMAT_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    SHA256_FIELD_NUMBER: _ClassVar[int]
    name: str
    format: Format
    size: int
    sha256: bytes
    def __init__(self, name: _Optional[str] = ..., format: _Optional[_Union[Format, str]] = ..., size: _Optional[int] = ..., sha256: _Optional[bytes] = ...) -> None: ...

class CancelRequest(_message.Message):
    __slots__ = ("job_id",)
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    job_id: int
    def __init__(self, job_id: _Optional[int] = ...) -> None: ...

class CancelResponse(_message.Message):
    __slots__ = ("state",)
    STATE_FIELD_NUMBER: _ClassVar[int]
    state: JobState
    def __init__(self, state: _Optional[_Union[JobState, str]] = ...) -> None: ...

class ListJobsRequest(_message.Message):
    __slots__ = ("states", "page_size", "page_token")
    STATES_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    states: _containers.RepeatedScalarFieldContainer[JobState]
    page_size: int
    page_token: str
    def __init__(self, states: _Optional[_Iterable[_Union[JobState, str]]] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListJobsResponse(_message.Message):
    __slots__ = ("jobs", "next_page_token")
    JOBS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    jobs: _containers.RepeatedCompositeFieldContainer[Job]
    next_page_token: str
    def __init__(self, jobs: _Optional[_Iterable[_Union[Job, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class Job(_message.Message):
    __slots__ = ("job_id", "state", "stage", "fraction", "model", "model_digest", "num_attempts", "enqueued_at", "changed_at", "error")
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    STAGE_FIELD_NUMBER: _ClassVar[int]
    FRACTION_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    MODEL_DIGEST_FIELD_NUMBER: _ClassVar[int]
    NUM_ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    ENQUEUED_AT_FIELD_NUMBER: _ClassVar[int]
    CHANGED_AT_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    job_id: int
    state: JobState
    stage: Stage
    fraction: float
    model: str
    model_digest: str
    num_attempts: int
    enqueued_at: _timestamp_pb2.Timestamp
    changed_at: _timestamp_pb2.Timestamp
    error: str
    def __init__(self, job_id: _Optional[int] = ..., state: _Optional[_Union[JobState, str]] = ..., stage: _Optional[_Union[Stage, str]] = ..., fraction: _Optional[float] = ..., model: _Optional[str] = ..., model_digest: _Optional[str] = ..., num_attempts: _Optional[int] = ..., enqueued_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., changed_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., error: _Optional[str] = ...) -> None: ...

class ListModelsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListModelsResponse(_message.Message):
    __slots__ = ("models",)
    MODELS_FIELD_NUMBER: _ClassVar[int]
    models: _containers.RepeatedCompositeFieldContainer[Model]
    def __init__(self, models: _Optional[_Iterable[_Union[Model, _Mapping]]] = ...) -> None: ...

class Model(_message.Message):
    __slots__ = ("name", "digest", "is_default", "labels", "channels", "dice", "precisions", "problem")
    NAME_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    IS_DEFAULT_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    CHANNELS_FIELD_NUMBER: _ClassVar[int]
    DICE_FIELD_NUMBER: _ClassVar[int]
    PRECISIONS_FIELD_NUMBER: _ClassVar[int]
    PROBLEM_FIELD_NUMBER: _ClassVar[int]
    name: str
    digest: str
    is_default: bool
    labels: _containers.RepeatedScalarFieldContainer[str]
    channels: _containers.RepeatedScalarFieldContainer[str]
    dice: float
    precisions: _containers.RepeatedScalarFieldContainer[str]
    problem: str
    def __init__(self, name: _Optional[str] = ..., digest: _Optional[str] = ..., is_default: _Optional[bool] = ..., labels: _Optional[_Iterable[str]] = ..., channels: _Optional[_Iterable[str]] = ..., dice: _Optional[float] = ..., precisions: _Optional[_Iterable[str]] = ..., problem: _Optional[str] = ...) -> None: ...

class ErrorDetail(_message.Message):
    __slots__ = ("kind", "expected", "found", "remedy", "module", "extra")
    KIND_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_FIELD_NUMBER: _ClassVar[int]
    FOUND_FIELD_NUMBER: _ClassVar[int]
    REMEDY_FIELD_NUMBER: _ClassVar[int]
    MODULE_FIELD_NUMBER: _ClassVar[int]
    EXTRA_FIELD_NUMBER: _ClassVar[int]
    kind: str
    expected: str
    found: str
    remedy: str
    module: str
    extra: str
    def __init__(self, kind: _Optional[str] = ..., expected: _Optional[str] = ..., found: _Optional[str] = ..., remedy: _Optional[str] = ..., module: _Optional[str] = ..., extra: _Optional[str] = ...) -> None: ...
