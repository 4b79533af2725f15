"""The controller is a distribution over sequences, and reward moves it."""

from itertools import product

import pytest
import torch

from scnas_deploy.search.controller import Controller, Reinforce


@pytest.fixture
def controller():
    torch.manual_seed(0)
    return Controller((2, 3, 2))


def all_sequences():
    return list(product(range(2), range(3), range(2)))


def test_the_probabilities_of_all_sequences_sum_to_one(controller):
    log_probability, entropy = controller.judge(torch.tensor(all_sequences()))
    assert log_probability.exp().sum().item() == pytest.approx(1, abs=1e-5)
    assert (entropy > 0).all()


def test_sequences_are_drawn_as_often_as_they_are_probable(controller):
    generator = torch.Generator().manual_seed(0)
    draws = [controller.sample(generator) for _ in range(2000)]
    probability = controller.judge(torch.tensor(all_sequences()))[0].exp().tolist()
    for sequence, expected in zip(all_sequences(), probability, strict=True):
        assert draws.count(sequence) / len(draws) == pytest.approx(expected, abs=0.04)


def test_without_a_generator_each_decision_is_the_most_probable_given_the_ones_before(controller):
    """Checked where the first decision is; the rest follows from the same rule."""
    best = controller.sample(None)
    log_probability, _ = controller.judge(torch.tensor(all_sequences()))
    first = [log_probability[[s[0] == value for s in all_sequences()]].exp().sum() for value in range(2)]
    assert best[0] == int(torch.stack(first).argmax())


def test_it_learns_to_decide_what_is_rewarded(controller):
    reinforce = Reinforce(controller, learning_rate=0.01, entropy_weight=1e-4, baseline_decay=0.95)
    for episode in range(40):
        generator = torch.Generator().manual_seed(episode)
        chosen = [controller.sample(generator) for _ in range(20)]
        reinforce.update(chosen, [float(c[0] == c[2]) for c in chosen])
    log_probability, _ = controller.judge(torch.tensor(all_sequences()))
    rewarded = [s[0] == s[2] for s in all_sequences()]
    assert log_probability[rewarded].exp().sum().item() > 0.9


def test_the_baseline_is_a_moving_average_of_the_rewards(controller):
    reinforce = Reinforce(controller, learning_rate=0.0, entropy_weight=0.0, baseline_decay=0.9)
    reinforce.update([(0, 0, 0), (1, 1, 1)], [0.5, 0.7])
    assert reinforce.baseline == pytest.approx(0.9 * 0.5 + 0.1 * 0.7)


def test_a_restored_teacher_goes_on_as_if_nothing_had_happened(controller):
    def taught(interrupted):
        torch.manual_seed(1)
        pupil = Controller((2, 3, 2))
        teacher = Reinforce(pupil, learning_rate=0.01, entropy_weight=1e-3, baseline_decay=0.9)
        teacher.update([(0, 0, 0), (1, 1, 1)], [0.5, 0.7])
        if interrupted:
            state = teacher.state()
            pupil = Controller((2, 3, 2))
            teacher = Reinforce(pupil, learning_rate=0.01, entropy_weight=1e-3, baseline_decay=0.9)
            teacher.restore(state)
        teacher.update([(0, 2, 0), (1, 0, 1)], [0.6, 0.2])
        return pupil.judge(torch.tensor(all_sequences()))[0]

    assert torch.equal(taught(interrupted=False), taught(interrupted=True))
