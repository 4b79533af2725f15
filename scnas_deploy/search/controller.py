"""The controller of RONASMIS: an LSTM that decides one thing after another, taught by REINFORCE.

Bae et al. 2019 (MICCAI, arXiv 1909.00548) take it from ENAS (Pham et al. 2018, arXiv 1802.03268). Two layers of 100
units, the learning rate, the entropy's weight and the baseline are defaults of a re-implementation.

Legend: N decisions, B sequences of decisions.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

HIDDEN = 100
LAYERS = 2


class Controller(nn.Module):
    """Probabilities of the options of each decision, given those before it.

    Args:
        num_options: How many options each decision has.
    """

    def __init__(self, num_options: Sequence[int]) -> None:
        super().__init__()
        self._num_decisions = len(num_options)
        self.start = nn.Parameter(torch.zeros(HIDDEN))
        self.embeddings = nn.ModuleList(nn.Embedding(count, HIDDEN) for count in num_options[:-1])
        self.lstm = nn.LSTM(HIDDEN, HIDDEN, LAYERS, batch_first=True)
        self.heads = nn.ModuleList(nn.Linear(HIDDEN, count) for count in num_options)

    @torch.no_grad()
    def sample(self, generator: torch.Generator | None) -> tuple[int, ...]:
        """Draw a sequence of option indices; without a generator, the most probable option each time."""
        chosen: list[int] = []
        inputs, state = self.start, None
        for number, head in enumerate(self.heads):
            output, state = self.lstm(inputs[None, None], state)
            probability = head(output[0, 0]).softmax(-1)
            drawn = (
                probability.argmax() if generator is None else torch.multinomial(probability, 1, generator=generator)
            )
            chosen.append(int(drawn))
            if number < len(self.embeddings):
                inputs = self.embeddings[number](drawn.reshape(()))
        return tuple(chosen)

    def judge(self, chosen_BN: Tensor) -> tuple[Tensor, Tensor]:
        """Return the log probability (B) of each sequence, and the mean entropy (B) of its decisions in nats."""
        embedded = [embedding(chosen_BN[:, number]) for number, embedding in enumerate(self.embeddings)]
        start = self.start.expand(len(chosen_BN), -1)
        outputs, _ = self.lstm(torch.stack([start, *embedded], dim=1))
        log_BNO = [head(outputs[:, number]).log_softmax(-1) for number, head in enumerate(self.heads)]
        taken = [log.gather(1, chosen_BN[:, [number]])[:, 0] for number, log in enumerate(log_BNO)]
        entropy = [-(log.exp() * log).sum(-1) for log in log_BNO]
        return torch.stack(taken).sum(0), torch.stack(entropy).mean(0)


class Reinforce:
    """REINFORCE with a moving-average baseline (Williams 1992; ENAS, section 2.2).

    Args:
        controller: What is taught.
        learning_rate: Of Adam.
        entropy_weight: How much a controller is paid to stay undecided.
        baseline_decay: Of the moving average.
    """

    def __init__(
        self, controller: Controller, *, learning_rate: float, entropy_weight: float, baseline_decay: float
    ) -> None:
        self._controller = controller
        self._entropy_weight, self._decay = entropy_weight, baseline_decay
        self._optimizer = torch.optim.Adam(controller.parameters(), lr=learning_rate)
        self.baseline: float | None = None

    def update(self, chosen: Sequence[Sequence[int]], rewards: Sequence[float]) -> float:
        """Take one step from an episode's sequences and rewards; returns the mean entropy before it, in nats."""
        advantages = torch.tensor([self._advantage(reward) for reward in rewards])
        log_probability, entropy = self._controller.judge(torch.tensor(chosen))
        loss = -(advantages * log_probability).mean() - self._entropy_weight * entropy.mean()
        self._optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self._optimizer.step()
        return float(entropy.detach().mean())

    def state(self) -> dict[str, object]:
        """Controller, optimizer and baseline."""
        return {
            "controller": self._controller.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "baseline": self.baseline,
        }

    def restore(self, state: dict[str, object]) -> None:
        """Load what :meth:`state` gave."""
        self._controller.load_state_dict(state["controller"])  # type: ignore[arg-type]
        self._optimizer.load_state_dict(state["optimizer"])  # type: ignore[arg-type]
        self.baseline = state["baseline"]  # type: ignore[assignment]

    def _advantage(self, reward: float) -> float:
        """How much better than expected; then expect a little more of it."""
        baseline = reward if self.baseline is None else self.baseline
        self.baseline = self._decay * baseline + (1 - self._decay) * reward
        return reward - baseline
