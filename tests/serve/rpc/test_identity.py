"""Who is let in, and that everybody has their own jobs."""

import os

import grpc
import pytest
from grpc_health.v1 import health_pb2
from grpc_health.v1.health_pb2_grpc import HealthStub

from scnas_deploy.errors import AccessError, ConfigError, NotFoundError, UnreachableError
from scnas_deploy.files import sha256_of
from scnas_deploy.serve.rpc import client as client_module
from scnas_deploy.serve.rpc.values import Wish
from scnas_deploy.serve.settings import ClientTls, GrpcSettings
from scnas_deploy.serve.tokens import Tokens
from scnas_deploy.serve.work import StudyWork
from tests.serve.rpc.conftest import OTHER_TOKEN, TOKEN


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr(client_module, "_WAITS_S", ())


def line(name, token):
    return f"{name} {sha256_of(token.encode())}\n"


def test_a_client_is_known_by_its_certificate(place, authority, study):
    place.serve(insecure=False, tls=authority.server())
    job = place.client(tls=authority.client("radiology")).submit([study]).job
    assert StudyWork.model_validate(place.ledger.find(job).payload).submitted_by == "radiology"


def test_a_client_without_a_certificate_is_refused(place, authority):
    place.serve(insecure=False, tls=authority.server())
    with pytest.raises(UnreachableError):
        place.client(tls=ClientTls(ca=authority.path)).models()


def test_a_client_with_a_certificate_of_somebody_else_is_refused(place, authority, foreign_authority):
    place.serve(insecure=False, tls=authority.server())
    with pytest.raises(UnreachableError):
        place.client(tls=foreign_authority.client("radiology", trusts=authority)).models()


def test_a_server_with_a_certificate_of_somebody_else_gets_nothing(place, authority, foreign_authority, study):
    place.serve(insecure=False, tls=foreign_authority.server())
    with pytest.raises(UnreachableError):
        place.client(tls=authority.client("radiology")).submit([study])
    assert place.uploads() == []


def test_a_client_in_the_clear_is_refused_by_a_server_with_tls(place, authority):
    place.serve(insecure=False, tls=authority.server())
    with pytest.raises(UnreachableError):
        place.client().models()


def test_a_client_is_known_by_its_token(place, tokens, study):
    place.serve(insecure=False, tokens=tokens)
    job = place.client(token=TOKEN).submit([study]).job
    assert StudyWork.model_validate(place.ledger.find(job).payload).submitted_by == "workstation"


@pytest.mark.parametrize("token", [None, "", "wrong", TOKEN + " ", sha256_of(TOKEN.encode())])
def test_no_token_or_a_wrong_one_is_refused_before_anything_is_read(place, tokens, study, token, tmp_path):
    place.serve(insecure=False, tokens=tokens)
    client = place.client(token=token)
    for ask in (
        client.models,
        lambda: list(client.jobs()),
        lambda: client.submit([study]),
        lambda: list(client.watch(1)),
        lambda: client.fetch(1, tmp_path / "results"),
        lambda: client.cancel(1),
    ):
        with pytest.raises(AccessError):
            ask()
    assert place.uploads() == []


def test_with_tls_and_tokens_both_are_asked_for(place, authority, tokens):
    place.serve(insecure=False, tls=authority.server(), tokens=tokens)
    shown = authority.client("radiology")
    assert place.client(tls=shown, token=TOKEN).models()
    with pytest.raises(AccessError):
        place.client(tls=shown).models()
    with pytest.raises(UnreachableError):
        place.client(tls=ClientTls(ca=authority.path), token=TOKEN).models()


def test_everybody_sees_their_own_jobs_only(place, authority, study, tmp_path):
    place.serve(insecure=False, tls=authority.server())
    ours, theirs = place.client(tls=authority.client("ours")), place.client(tls=authority.client("theirs"))
    job = ours.submit([study], Wish(idempotency_key="key")).job
    assert [each.job for each in ours.jobs()] == [job]
    assert list(theirs.jobs()) == []
    for ask in (
        lambda: list(theirs.watch(job, cancel_on_end=True)),
        lambda: theirs.fetch(job, tmp_path / "results"),
        lambda: theirs.cancel(job),
    ):
        with pytest.raises(NotFoundError):
            ask()
    assert place.ledger.find(job).state == "queued"
    assert theirs.submit([study], Wish(idempotency_key="key")).job != job


def test_names_cannot_be_put_together_to_another_clients_key(place, authority, study):
    place.serve(insecure=False, tls=authority.server())
    one = place.client(tls=authority.client("a")).submit([study], Wish(idempotency_key="b:c"))
    other = place.client(tls=authority.client("a:b")).submit([study], Wish(idempotency_key="c"))
    assert one.job != other.job


def test_tokens_are_read_again_when_they_change(place, tokens, caplog):
    place.serve(insecure=False, tokens=tokens)
    old, new = place.client(token=TOKEN), place.client(token=OTHER_TOKEN)
    assert old.models()
    replace(tokens, line("other", OTHER_TOKEN))
    assert new.models()
    with pytest.raises(AccessError):
        old.models()
    replace(tokens, "no line of a token\n")
    assert new.models()
    assert caplog.messages == ["refused a call", "the tokens were changed and cannot be used; those before stay"]
    tokens.unlink()
    assert new.models()


def replace(path, text):
    beside = path.with_suffix(".new")
    beside.write_text(text)
    os.replace(beside, path)  # noqa: PTH105


@pytest.mark.parametrize("text", ["name\n", f"name {'0' * 63}\n", f"../name {'0' * 64}\n", f"a b {'0' * 64}\n", "\xff"])
def test_a_file_of_something_else_is_refused(tmp_path, text):
    path = tmp_path / "tokens"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(ConfigError) as refused:
        Tokens(path)
    assert text.strip() not in refused.value.redacted


def test_a_file_of_tokens_that_is_missing_is_refused(tmp_path):
    with pytest.raises(ConfigError):
        Tokens(tmp_path / "nothing")


def test_settings_without_identities_have_to_say_so():
    with pytest.raises(ValueError, match="insecure"):
        GrpcSettings()


def test_health_needs_no_token_and_says_whether_work_is_taken(place, tokens):
    server = place.serve(insecure=False, tokens=tokens)
    with grpc.insecure_channel(place.target) as channel:
        check = HealthStub(channel).Check
        for service in ("", "scnas.v1.Segmentation"):
            request = health_pb2.HealthCheckRequest(service=service)
            assert check(request).status == health_pb2.HealthCheckResponse.SERVING
            server.set_ready(False)
            assert check(request).status == health_pb2.HealthCheckResponse.NOT_SERVING
            server.set_ready(True)


def test_reflection_needs_a_token(place, tokens):
    place.serve(insecure=False, tokens=tokens)
    with grpc.insecure_channel(place.target) as channel:
        with pytest.raises(grpc.RpcError) as refused:
            services(channel, ())
        assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED
        found = services(channel, (("authorization", f"Bearer {TOKEN}"),))
    assert "scnas.v1.Segmentation" in found


def services(channel, metadata):
    from grpc_reflection.v1alpha import reflection_pb2
    from grpc_reflection.v1alpha.reflection_pb2_grpc import ServerReflectionStub

    asked = iter([reflection_pb2.ServerReflectionRequest(list_services="")])
    (answer,) = ServerReflectionStub(channel).ServerReflectionInfo(asked, metadata=metadata)
    return [each.name for each in answer.list_services_response.service]
