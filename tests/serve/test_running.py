"""Jobs that run in this process."""

from scnas_deploy.serve.running import Running
from scnas_deploy.serve.work import StudyProgress


def test_a_job_is_known_while_it_runs():
    running = Running()
    with running.run(7) as job:
        job.progress = StudyProgress(stage="segmenting", fraction=0.5)
        assert running.progress(7).fraction == 0.5
        assert len(running) == 1
    assert running.progress(7) is None


def test_it_is_told_to_stop():
    running = Running()
    with running.run(7) as job, running.run(8) as other:
        running.halt(7)
        assert job.halted.is_set()
        assert not other.halted.is_set()


def test_what_does_not_run_here_cannot_be_stopped_here():
    Running().halt(7)
