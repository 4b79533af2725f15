"""An exported repository on a real tritonserver: it answers what this machine's engine does, or says why not."""

import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import nibabel
import numpy as np
import pytest
from tritonclient.utils import InferenceServerException

from scnas_deploy.data.study import load_study
from scnas_deploy.errors import ConfigError, EngineError
from scnas_deploy.inference.engines.onnxruntime import OnnxRuntimeEngine
from scnas_deploy.inference.engines.triton import TritonEngine
from scnas_deploy.inference.engines.triton_server import TritonServer
from scnas_deploy.inference.model import SegmentOptions, load_model
from scnas_deploy.inference.package import open_package
from scnas_deploy.inference.triton_config import Serving
from scnas_deploy.inference.triton_repository import CONFIG, write_repository
from tests.inference.conftest import SHIPPED
from tests.ports import free_port
from tests.triton.server import RunningTriton

T = TypeVar("T")
PATCHES = np.random.default_rng(0).standard_normal((5, 1, 24, 24, 24), dtype=np.float32)


@pytest.fixture
def own(tmp_path, installation, phantom):
    """A server with the phantom's network, for one test to break."""
    write_repository(tmp_path / "repository", phantom)
    server = RunningTriton(installation, tmp_path / "repository", tmp_path / "tritonserver.log")
    yield server
    server.kill()


@pytest.fixture(scope="module")
def local(phantom) -> OnnxRuntimeEngine:
    return OnnxRuntimeEngine(phantom.model)


def test_a_study_gets_the_labels_that_this_machines_engine_gives_it(triton, exported, study):
    served = load_model(exported.package, engine=triton.url("phantom"))
    labels = served.segment(load_study([study])).labels_XYZ
    here = load_model(exported.package, engine="onnxruntime").segment(load_study([study]))
    np.testing.assert_array_equal(labels, here.labels_XYZ)
    assert len(np.unique(labels)) > 1
    assert served.engine.name.startswith("triton 2.")
    assert served.engine_reason == "asked for; version 1 of its model phantom holds this network"


def test_a_real_study_on_the_shipped_model_from_the_shell(triton, scnas, scnas_data):
    study = next((scnas_data / "Task04_Hippocampus" / "imagesTr").glob("hippocampus_*.nii.gz"))
    said = scnas("export", SHIPPED, "--triton", triton.repository).stdout
    assert f"Wrote version 1 of model hippocampus in {triton.repository}" in said
    triton.client.load_model("hippocampus")
    result = scnas("segment", study, "-m", "hippocampus", "--engine", triton.url("hippocampus"), "-o", "mask.nii")
    assert "version 1 of its model hippocampus holds this network" in result.stderr
    here = load_model(SHIPPED, engine="onnxruntime").segment(load_study([study]))
    np.testing.assert_array_equal(np.asanyarray(nibabel.load(scnas.folder / "mask.nii").dataobj), here.labels_XYZ)


def test_several_calls_are_on_the_server_at_a_time(triton, phantom, local):
    """It computes four requests of one patch as one batch: none of them was answered before the last had arrived."""
    write_repository(triton.repository, phantom, Serving(name="patient", max_batch_size=4, queue_delay_us=60_000_000))
    edit(triton.repository / "patient", "preferred_batch_size: [2, 4]", "preferred_batch_size: [4]")
    triton.client.load_model("patient")
    before = batches_of_four(triton)
    engine = TritonEngine(triton.url("patient"), phantom.models)
    with ThreadPoolExecutor(engine.concurrency) as calls:
        answers = list(calls.map(engine.run, PATCHES[:4, None]))
    np.testing.assert_allclose(np.concatenate(answers), local.run(PATCHES[:4]), atol=1e-4)
    wait_until(lambda: batches_of_four(triton) > before)  # the server counts after it has answered
    assert batches_of_four(triton) == before + 1


def spied_batches(monkeypatch) -> list[int]:
    """Patches of each request from now on."""
    sent, infer = [], TritonServer.infer

    def spy(server, version, input_name, output_name, patches_BCXYZ):
        sent.append(len(patches_BCXYZ))
        return infer(server, version, input_name, output_name, patches_BCXYZ)

    monkeypatch.setattr(TritonServer, "infer", spy)
    return sent


def batches_of_four(triton) -> int:
    """Computed by now, the server's own warm-up included."""
    batches = triton.client.get_inference_statistics("patient").model_stats[0].batch_stats
    return next(batch.compute_infer.count for batch in batches if batch.batch_size == 4)


def edit(model: Path, old: str, new: str) -> None:
    """Change a configuration as a person does."""
    text = (model / CONFIG).read_text()
    assert old in text
    (model / CONFIG).write_text(text.replace(old, new))


def test_more_patches_than_the_server_takes_at_once_come_back_in_their_order(triton, phantom, local, monkeypatch):
    engine = TritonEngine(triton.url("phantom"), phantom.models)
    many, sent = np.concatenate([PATCHES] * 8), spied_batches(monkeypatch)
    logits = engine.run(many)
    assert sent == [32, 8]
    assert logits[:32].nbytes > 4 * 2**20  # what gRPC carries unless told otherwise
    np.testing.assert_allclose(logits, local.run(many), atol=1e-4)


def test_what_one_message_cannot_carry_goes_in_several(triton, phantom, local, monkeypatch):
    engine = TritonEngine(triton.url("phantom"), phantom.models)
    of_a_patch = 3 * PATCHES[0].nbytes
    monkeypatch.setattr("scnas_deploy.inference.engines.triton.MAX_MESSAGE_BYTES", 2**20 + 2 * of_a_patch)
    sent = spied_batches(monkeypatch)
    np.testing.assert_allclose(engine.run(PATCHES), local.run(PATCHES), atol=1e-4)
    assert sent == [2, 2, 1]
    monkeypatch.setattr("scnas_deploy.inference.engines.triton.MAX_MESSAGE_BYTES", 2**20 + of_a_patch - 1)
    with pytest.raises(EngineError, match="expected patches that one gRPC message can carry"):
        engine.run(PATCHES)


def test_a_study_whose_server_dies_ends_with_an_error_and_runs_again_on_the_restarted_one(own, exported, study):
    model = load_model(exported.package, engine=own.url("phantom"))
    volume, done = load_study([study]), []

    def kill(patches, _):
        done.append(patches)
        own.kill()

    with pytest.raises(EngineError, match=r"expected a Triton server that answers, found .*run the study again"):
        model.segment(volume, SegmentOptions(progress=kill))
    assert done
    own.start()
    here = load_model(exported.package, engine="onnxruntime").segment(volume)
    np.testing.assert_array_equal(retried(lambda: model.segment(volume)).labels_XYZ, here.labels_XYZ)


def retried(action: Callable[[], T], seconds: float = 10) -> T:
    """As the ledger of a batch does."""
    end = time.monotonic() + seconds
    while True:
        try:
            return action()
        except EngineError:
            if time.monotonic() > end:
                raise
            time.sleep(0.2)


def wait_until(condition: Callable[[], bool], seconds: float = 10) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_a_server_that_hangs_is_given_up(triton, phantom):
    engine = TritonEngine(triton.url("phantom"), phantom.models, timeout_s=0.5)
    triton.signal(signal.SIGSTOP)
    try:
        with pytest.raises(EngineError, match=r"expected an answer within 0\.5 s"):
            engine.run(PATCHES[:1])
    finally:
        triton.signal(signal.SIGCONT)
    TritonEngine(triton.url("phantom"), phantom.models).run(PATCHES[:1])


def test_a_study_ends_on_the_network_it_began_with_while_the_server_takes_up_another(
    triton, exported, other, phantom, study
):
    write_repository(triton.repository, phantom, Serving(name="rolling"))
    triton.client.load_model("rolling")
    model = load_model(exported.package, engine=triton.url("rolling"))
    volume = load_study([study])

    added = []

    def roll_forward(patches, total):
        if not added:
            assert patches < total
            added.append(write_repository(triton.repository, other, Serving(name="rolling")).version)
            triton.client.load_model("rolling")

    labels = model.segment(volume, SegmentOptions(progress=roll_forward)).labels_XYZ
    assert added == [2]
    here = load_model(exported.package, engine="onnxruntime").segment(volume)
    np.testing.assert_array_equal(labels, here.labels_XYZ)
    for package, version, sign in ((phantom, 1, 1), (other, 2, -1)):
        engine = TritonEngine(triton.url("rolling"), package.models)
        assert f"version {version} " in engine.reason
        np.testing.assert_allclose(engine.run(PATCHES[:1]), sign * model.engine.run(PATCHES[:1]), atol=1e-4)
    with pytest.raises(EngineError, match="another network: version 2 with ONNX"):
        TritonEngine(triton.url("rolling") + "/2", phantom.models)


@pytest.mark.soak
def test_other_files_behind_the_proven_version_are_noticed(own, phantom, other):
    engine = TritonEngine(own.url("phantom"), phantom.models)
    own.kill()
    own.repository.rename(own.repository.with_name("before"))
    write_repository(own.repository, other)
    own.start()
    with pytest.raises(EngineError, match="another network: version 1 with ONNX"):
        engine.run(PATCHES[:1])


def test_a_server_with_another_network_is_refused(triton, other):
    with pytest.raises(
        EngineError, match="expected the package's own network, found another network: version 1 with ONNX"
    ):
        TritonEngine(triton.url("phantom"), other.models)


def test_a_model_that_says_nothing_of_its_network_has_to_pass_the_canary(triton, phantom, other):
    write_repository(triton.repository, phantom, Serving(name="silent"))
    config = triton.repository / "silent" / CONFIG
    config.write_text(config.read_text().partition("parameters")[0])
    triton.client.load_model("silent")
    reason = load_model(phantom.path, engine=triton.url("silent")).engine_reason
    assert reason.endswith("does not say what it holds: only the canary has proven it")
    with pytest.raises(EngineError, match="expected the package's canary answer"):
        load_model(other.path, engine=triton.url("silent"))


def test_half_precision_is_served_and_told_from_float32(triton, in_all_precisions):
    package = open_package(in_all_precisions.package)
    write_repository(triton.repository, package, Serving(name="half", precision="float16"))
    triton.client.load_model("half")
    model = load_model(package.path, engine=triton.url("half"))
    assert model.engine.precision == "float16"
    patches = in_all_precisions.patches[0].patches_BCXYZ
    here = OnnxRuntimeEngine(package.models["float16"], precision="float16")
    np.testing.assert_array_equal(model.engine.run(patches).argmax(axis=1), here.run(patches).argmax(axis=1))
    with pytest.raises(EngineError, match="expected the package's own network, found another network"):
        TritonEngine(triton.url("half"), package.models, precision="float32")


def refused_by_the_server(triton, phantom, old: str, new: str) -> str:
    write_repository(triton.repository, phantom, Serving(name="wrong"))
    edit(triton.repository / "wrong", old, new)
    said = len(triton.log.read_bytes())
    with pytest.raises(InferenceServerException):
        triton.client.load_model("wrong")
    shutil.rmtree(triton.repository / "wrong")
    return triton.log.read_bytes()[said:].decode()


def test_the_server_refuses_a_configuration_that_does_not_fit_the_network(triton, phantom):
    """Which shows that it reads ours."""
    assert "image" in refused_by_the_server(triton, phantom, "dims: [1, 24, 24, 24]", "dims: [1, 24, 24, 32]")
    assert "dynamic_batch" in refused_by_the_server(triton, phantom, "dynamic_batching", "dynamic_batch")


@pytest.mark.soak
@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("dims: [3, 24, 24, 24]", "dims: [2, 24, 24, 24]", "logits"),
        ("max_batch_size: 8", "max_batch_size: 0", "batch size"),
        ('name: "image"', 'name: "picture"', "picture"),
        ("TYPE_FP32", "TYPE_FP16", "image"),
        ('name: "wrong"', 'name: "another"', "another"),
        ("zero_data: true", "zero_data: maybe", "zero_data"),
    ],
)
def test_and_every_other_part_of_it(triton, phantom, old, new, complaint):
    assert complaint in refused_by_the_server(triton, phantom, old, new)


def test_a_name_that_is_not_served_is_an_error_that_lists_what_is(triton, phantom):
    with pytest.raises(EngineError, match=r"expected the model fantom, found .*phantom version 1"):
        TritonEngine(triton.url("fantom"), phantom.models)
    with pytest.raises(EngineError, match=r"expected the model phantom version 7, found .*phantom version 1"):
        TritonEngine(triton.url("phantom/7"), phantom.models)


def test_a_precision_that_the_package_lacks_is_refused(triton, phantom):
    with pytest.raises(ConfigError, match="expected auto or one of the package's, float32, found 'float16'"):
        TritonEngine(triton.url("phantom"), phantom.models, precision="float16")


def test_no_server_is_one_line_on_the_command_line(scnas, exported, study):
    arguments = ("segment", study, "-m", exported.package, "--engine", f"triton://127.0.0.1:{free_port()}/phantom")
    message = scnas.refused(*arguments, status=1)
    assert "expected a Triton server that answers, found failed to connect" in message
    assert "gRPC port (8001 unless it was changed)" in message


def test_the_http_port_is_not_taken_for_the_grpc_port(triton, phantom):
    with pytest.raises(EngineError, match=r"expected a Triton server that answers, .* gRPC port"):
        TritonEngine(triton.http_url("phantom"), phantom.models)


@pytest.mark.soak
def test_an_encrypted_connection_to_a_server_whose_certificate_is_trusted(own, scnas, exported, study, monkeypatch):
    certificate, key = scnas.folder / "certificate.pem", scnas.folder / "key.pem"
    make = "openssl req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=test -addext subjectAltName=IP:127.0.0.1"
    subprocess.run([*make.split(), "-keyout", key, "-out", certificate], check=True, capture_output=True)
    own.kill()
    own.start("--grpc-use-ssl=1", "--grpc-server-cert", certificate, "--grpc-server-key", key)
    encrypted = own.url("phantom").replace("triton://", "tritons://")
    for address in (own.url("phantom"), encrypted):
        message = scnas.refused("segment", study, "-m", exported.package, "--engine", address, status=1)
        assert "expected a Triton server that answers" in message
    monkeypatch.setenv("GRPC_DEFAULT_SSL_ROOTS_FILE_PATH", str(certificate))
    scnas("segment", study, "-m", exported.package, "--engine", encrypted)
