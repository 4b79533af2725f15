"""A finished job in the viewer: the mask that was found, in memory that is there, one study at a time."""

import threading
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus

import numpy as np
import pytest

from scnas_deploy.data.study import load_study
from scnas_deploy.errors import FormatError
from scnas_deploy.inference.model import load_model
from scnas_deploy.jobs.job import JobState
from scnas_deploy.results.formats import Format
from scnas_deploy.serve.admission import Admission
from scnas_deploy.serve.page import view as module
from scnas_deploy.serve.page.jobs import study_answer, study_work
from scnas_deploy.serve.page.masks import read_mask
from scnas_deploy.serve.page.sights import Sights
from scnas_deploy.serve.page.view import Viewer
from tests.serve.page.conftest import claim, new_answer, new_study
from tests.serve.test_segmenting import ledger, shop, submit, troubles, work  # noqa: F401  # fixtures

MASKS = (Format.NIFTI, Format.LABELMAP, Format.SEG)


@pytest.fixture
def viewer(place):
    def make(limit=4_000_000_000, patience_s=0.3):
        admission = Admission(limit)
        told = {name: getattr(place.sights, name) for name in Sights.__slots__} | {"admission": admission}
        return Viewer(Sights(**told), patience_s=patience_s), admission

    return make


@pytest.fixture
def done(submit, work):  # noqa: F811
    """A real study, segmented by the shipped model into every form."""
    return work(submit(formats=(*MASKS, Format.SR, Format.RTSTRUCT), destinations=()))


def test_every_form_of_a_mask_is_read_back_as_it_was_found(done, spool, catalog):
    model = load_model(catalog.pin("hippocampus").path, num_threads=1)
    study = load_study([spool.incoming("study")], model.package.plan)
    found, answer = model.segment(study), study_answer(done)
    for form in MASKS:
        alone = answer.model_copy(update={"files": tuple(each for each in answer.files if each.format is form)})
        read_XYZ = read_mask(alone, (form,), spool, study, model.package.plan.labels)
        assert read_XYZ.any()
        np.testing.assert_array_equal(read_XYZ, found.labels_XYZ)
    nothing = answer.model_copy(update={"files": ()})
    assert not read_mask(nothing, (Format.SEG,), spool, study, model.package.plan.labels).any()
    with pytest.raises(FormatError, match="a mask of voxels"):
        read_mask(nothing, (Format.RTSTRUCT,), spool, study, model.package.plan.labels)


@pytest.mark.parametrize("form", MASKS)
def test_a_file_that_was_changed_since_is_not_shown(done, viewer, spool, form):
    answer, wanted = study_answer(done), {Format.NIFTI: MASKS, Format.LABELMAP: MASKS[1:], Format.SEG: MASKS[2:]}[form]
    kept = tuple(each for each in answer.files if each.format in wanted)
    (file,) = [each for each in kept if each.format is form]
    with spool.path(f"{answer.folder}/{file.name}").open("ab") as changed:
        changed.write(b"\0")
    done.result.update(files=[each.model_dump(mode="json") for each in kept])
    shown = viewer()[0].open(done, "me")
    assert shown.status is HTTPStatus.UNPROCESSABLE_ENTITY
    assert b"as it was proven, found another content" in shown.content


def test_what_is_gone_is_said(done, viewer, spool):
    spool.remove(spool.incoming("study"))
    shown = viewer()[0].open(done, "me")
    assert shown.status is HTTPStatus.UNPROCESSABLE_ENTITY
    assert str(spool.root).encode() not in shown.content


def test_memory_is_held_while_a_page_is_made_and_given_back(done, viewer, monkeypatch):
    made, admission = viewer()
    held, page = [], module.viewer_page
    monkeypatch.setattr(module, "viewer_page", lambda scene: held.append(admission.held_bytes()) or page(scene))
    assert made.open(done, "me").status is HTTPStatus.OK
    assert held[0] >= 8 * 34 * 50 * 40
    assert admission.held_bytes() == 0


def test_a_study_larger_than_the_memory_there_is_is_refused_in_words(done, viewer):
    shown = viewer(limit=100_000)[0].open(done, "me")
    assert shown.status is HTTPStatus.UNPROCESSABLE_ENTITY
    assert b"expected one that is shown within 0.00 GB" in shown.content


def test_studies_in_work_go_first_and_whoever_looks_is_told_to_come_again(done, viewer):
    made, admission = viewer(limit=10_000_000)
    with admission.study(9_999_999, lambda: None):
        shown = made.open(done, "me")
    assert (shown.status, dict(shown.headers)["Retry-After"]) == (HTTPStatus.SERVICE_UNAVAILABLE, "10")
    assert made.open(done, "me").status is HTTPStatus.OK


def test_one_study_is_opened_at_a_time(done, viewer, monkeypatch):
    made, _ = viewer(patience_s=60.0)
    page, together, most = module.viewer_page, [], []

    def watched(scene):
        together.append(1)
        most.append(len(together))
        threading.Event().wait(0.1)
        together.pop()
        return page(scene)

    monkeypatch.setattr(module, "viewer_page", watched)
    with ThreadPoolExecutor(4) as pool:
        assert {each.status for each in pool.map(lambda _: made.open(done, "me"), range(4))} == {HTTPStatus.OK}
    assert most == [1, 1, 1, 1]


def test_nothing_of_a_failure_is_kept(done, viewer, monkeypatch):
    made, admission = viewer()
    monkeypatch.setattr(module, "viewer_page", lambda _: 1 / 0)
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            made.open(done, "me")
    assert admission.held_bytes() == 0


def test_a_job_told_by_another_version_has_nothing_to_show(place, viewer):
    place.ledger.enqueue("segment", [new_study("one")])
    lease = claim(place.ledger)
    place.ledger.done(lease, {**new_answer(), "schema": 2})
    job = place.ledger.find(lease.job.id)
    assert job.state is JobState.DONE
    assert study_work(job) is not None
    assert viewer()[0].open(job, "me").status is HTTPStatus.CONFLICT
