import copy
import pickle

import pytest

from scnas_deploy import errors
from scnas_deploy.errors import (
    AccessError,
    ArchitectureError,
    CapacityError,
    ChoiceError,
    ConfigError,
    DataError,
    EngineError,
    ExportError,
    FingerprintError,
    FormatError,
    GeometryError,
    InputError,
    JobError,
    LedgerError,
    MissingExtraError,
    NotFoundError,
    OutputError,
    PackageError,
    ParityError,
    PeerError,
    ProofError,
    RefusedError,
    ScnasError,
    SpoolFullError,
    StaleLeaseError,
    UnreachableError,
)

TREE = {
    ConfigError: (2, ValueError),
    DataError: (3, ValueError),
    FormatError: (3, ValueError),
    GeometryError: (3, ValueError),
    ChoiceError: (3, ValueError),
    FingerprintError: (3, ValueError),
    PackageError: (3, ValueError),
    ArchitectureError: (1, ValueError),
    ExportError: (1, RuntimeError),
    ParityError: (1, RuntimeError),
    CapacityError: (1, MemoryError),
    EngineError: (1, RuntimeError),
    ProofError: (1, RuntimeError),
    LedgerError: (1, RuntimeError),
    StaleLeaseError: (1, RuntimeError),
    JobError: (1, RuntimeError),
    NotFoundError: (1, LookupError),
    AccessError: (1, PermissionError),
    UnreachableError: (1, ConnectionError),
    RefusedError: (1, RuntimeError),
    PeerError: (1, RuntimeError),
    InputError: (1, OSError),
    OutputError: (1, OSError),
    SpoolFullError: (1, OSError),
}
SUBJECT = "/scans/DOE^JOHN.nii"


def make(kind):
    return kind(SUBJECT, expected="a mask", found="a photograph", remedy="Save the mask")


def missing_extra():
    return MissingExtraError("torch", "train", "training")


ALL = [*(make(kind) for kind in TREE), missing_extra()]


def test_every_class_is_tested():
    kinds = {kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, ScnasError)}
    assert kinds == {*TREE, MissingExtraError, ScnasError}


@pytest.mark.parametrize(("kind", "status", "builtin"), [(kind, *rest) for kind, rest in TREE.items()])
def test_each_class_has_its_exit_status_and_its_builtin(kind, status, builtin):
    assert kind.exit_status == status
    assert issubclass(kind, ScnasError)
    assert issubclass(kind, builtin)


def test_the_tree_is_the_documented_one():
    for kind in (FormatError, GeometryError, FingerprintError, PackageError):
        assert kind.__base__ is DataError
    assert ParityError.__base__ is ExportError
    assert StaleLeaseError.__base__ is LedgerError
    assert not issubclass(ConfigError, DataError)


@pytest.mark.parametrize("kind", TREE)
def test_the_message_says_what_was_expected_found_and_to_be_done(kind):
    assert str(make(kind)) == f"{SUBJECT}: expected a mask, found a photograph. Save the mask."


@pytest.mark.parametrize("kind", TREE)
def test_the_redacted_message_has_no_subject(kind):
    assert make(kind).redacted == "expected a mask, found a photograph. Save the mask."


def test_a_missing_extra_says_how_to_install_it():
    error = missing_extra()
    assert error.exit_status == 4
    assert isinstance(error, ImportError)
    assert str(error).startswith("training: expected the Python package 'torch', found it is not installed.")
    assert str(error).endswith("pip install 'scnas-deploy[train]'.")
    assert str(error) == f"training: {error.redacted}"


@pytest.mark.parametrize("error", ALL, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("carry", [lambda error: pickle.loads(pickle.dumps(error)), copy.copy, copy.deepcopy])
def test_an_error_keeps_its_type_and_fields_across_processes(error, carry):
    carried = carry(error)
    assert type(carried) is type(error)
    assert str(carried) == str(error)
    assert carried.redacted == error.redacted
    for field in ("subject", "expected", "found", "remedy", "exit_status"):
        assert getattr(carried, field) == getattr(error, field)


def test_a_missing_extra_keeps_what_is_missing_across_processes():
    carried = pickle.loads(pickle.dumps(missing_extra()))
    assert (carried.module, carried.extra, carried.purpose) == ("torch", "train", "training")


@pytest.mark.parametrize("error", ALL, ids=lambda error: type(error).__name__)
def test_an_error_is_caught_as_its_builtin(error):
    for kind in type(error).__mro__[:-2]:
        with pytest.raises(kind):
            raise error


def test_a_subject_of_any_kind_is_told_as_text(tmp_path):
    assert ConfigError(tmp_path, expected="a", found="b", remedy="C").subject == str(tmp_path)
