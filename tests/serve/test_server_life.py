"""A server that is stopped, killed, or given other models."""

import shutil
import signal
from functools import partial

import pytest

from scnas_deploy.export.amending import amend_package
from scnas_deploy.inference.package import open_package
from scnas_deploy.project import ChannelSettings, LabelSettings, Project
from tests.serve.process import wait_until
from tests.serve.running_server import MODEL, jobs_of, models_of, start_server
from tests.serve.sender import send_study
from tests.serve.studies import crop_objects

pytestmark = pytest.mark.soak


@pytest.fixture
def server(tmp_path):
    process = start_server(tmp_path / "server")
    yield process.wait_ready()
    process.end()


def done(server, number):
    return [job.state for job in jobs_of(server)].count("done") == number


def test_it_ends_in_order_and_goes_on_later(server, scnas_data):
    for number in range(1, 6):
        send_study(server.dicom, crop_objects(scnas_data, number))
    assert server.stop() == 0
    assert [event["message"] for event in server.events()][-1] == "stopped"
    assert not [job for job in jobs_of(server) if job.state == "running"]
    server.start().wait_ready()
    wait_until(lambda: done(server, 5), "all five are done")
    assert all(job.num_attempts == 1 for job in jobs_of(server))


def test_one_that_is_killed_loses_nothing(server, scnas_data):
    for number in range(1, 4):
        send_study(server.dicom, crop_objects(scnas_data, number))
    wait_until(lambda: any(job.state == "running" for job in jobs_of(server)), "a study is under way")
    server.kill()
    server.start().wait_ready()
    wait_until(lambda: done(server, 3), "all three are done")


def test_a_model_is_added_and_rules_are_changed_without_a_restart(server, scnas_data):
    path = models_of(server).packages()[MODEL]
    away = path.rename(path.with_suffix(".away"))
    send_study(server.dicom, crop_objects(scnas_data, 1))
    wait_until(lambda: any("a study waits" in event["message"] for event in server.events()), "the study waits")
    away.rename(path)
    server.settings.write_text(server.settings.read_text().replace('name = "head"', 'name = "again"'))
    wait_until(lambda: done(server, 1), "the study is done")
    assert jobs_of(server)[0].payload["rule"] == "again"


def test_a_model_is_replaced_and_taken_back_without_a_restart(server, scnas_data, tmp_path):
    path = models_of(server).packages()[MODEL]
    first, second = shutil.copyfile(path, tmp_path / "first.scnas"), tmp_path / "second.scnas"
    recoloured(first, second)
    for number, package in enumerate((first, second, first), 1):
        models_of(server).install(package, MODEL)
        send_study(server.dicom, crop_objects(scnas_data, number))
        wait_until(partial(done, server, number), f"{number} studies are done")
    used = [job.payload["model_digest"] for job in reversed(jobs_of(server))]
    assert used == [open_package(package).digest for package in (first, second, first)]
    assert used[0] != used[1]


def recoloured(source, target):
    """Another model: the same network, its structures in other colours."""
    plan = open_package(source).plan
    labels = {label.value: LabelSettings(name=label.name, color="#00ff00") for label in plan.labels}
    channels = {0: ChannelSettings(name=plan.channels[0].name, normalisation="zscore")}
    amend_package(source, Project(name=plan.name, dataset=source.parent, labels=labels, channels=channels), target)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_an_idle_server_ends_in_order(server, number):
    server.process.send_signal(number)
    assert server.process.wait(timeout=60) == 0
    assert [event["message"] for event in server.events()][-1] == "stopped"
