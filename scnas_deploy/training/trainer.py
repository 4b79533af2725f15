"""Training a network from scratch.

Kim et al. 2019 (arXiv 1906.05956), section 3: Adam, Jaccard distance, the learning rate times 0.2 after 30
epochs without a lower training loss, the end at 500 epochs or below 1e-7.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import PolynomialLR, ReduceLROnPlateau

from scnas_deploy.data.plan import Plan
from scnas_deploy.networks.ronasmis import RonasmisNetwork
from scnas_deploy.networks.weights import load_weights, weights_of
from scnas_deploy.training.augmentation import NO_AUGMENTATION, Augmentation, AugmentationConfig
from scnas_deploy.training.checkpoint import State
from scnas_deploy.training.distributed import ALONE, World
from scnas_deploy.training.losses import deeply_supervised, jaccard_distance
from scnas_deploy.training.patches import PatchStream, Sample
from scnas_deploy.training.prepared import PreparedCase


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainingConfig:
    """How a network is trained; the defaults are the paper's."""

    stem_channels: int = 68
    batch_size: int = 8
    learning_rate: float = 3e-4
    betas: tuple[float, float] = (0.9, 0.999)
    schedule: Literal["plateau", "polynomial"] = "plateau"
    """'plateau' is the paper's rule; 'polynomial' decays to zero over the epochs, for short runs."""
    plateau_factor: float = 0.2
    plateau_epochs: int = 30
    min_learning_rate: float = 1e-7
    num_epochs: int = 500
    steps_per_epoch: int | None = None
    """None: as many as pass once over the cases. The paper does not say."""
    foreground: float = 0.5
    """Part of the patches centred on foreground."""
    validation_batches: int = 4
    augmentation: AugmentationConfig = field(default_factory=AugmentationConfig)
    num_workers: int = 0
    """Processes that make patches, for each process that trains; 0 makes them between the steps."""
    seed: int = 0


PRESETS: dict[str, TrainingConfig] = {
    "paper": TrainingConfig(num_workers=8),
    "fast": TrainingConfig(
        stem_channels=32,
        batch_size=4,
        learning_rate=2e-3,
        schedule="polynomial",
        num_epochs=100,
        steps_per_epoch=100,
        num_workers=4,
    ),
    "cpu": TrainingConfig(
        stem_channels=16,
        batch_size=4,
        learning_rate=4e-3,
        schedule="polynomial",
        num_epochs=20,
        steps_per_epoch=10,
        validation_batches=2,
        foreground=0.9,
    ),
}
"""'fast' takes 10,000 steps and 'cpu' 200, both narrower than the paper and with a rate that decays to zero."""


class TrainingTask:
    """One network, its optimizer and its patches, as the loop runs it.

    Args:
        network: What to train.
        config: Settings.
        plan: Patch size and mirror axes.
        training: Cases to learn from.
        validation: Cases whose loss is reported.
        world: The processes that train the network together, each on its share of every batch.

    Raises:
        ConfigError: If the batch does not fall into equal shares.
    """

    def __init__(
        self,
        network: nn.Module,
        config: TrainingConfig,
        plan: Plan,
        training: Sequence[PreparedCase],
        validation: Sequence[PreparedCase],
        world: World = ALONE,
    ) -> None:
        world.check_batch(config.batch_size)
        self.num_epochs = config.num_epochs
        self.steps_per_epoch = config.steps_per_epoch or max(1, len(training) // config.batch_size)
        self._config, self._world, self._device = config, world, world.device
        self.network = network.to(self._device, memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
        self._optimizer = torch.optim.Adam(network.parameters(), lr=config.learning_rate, betas=config.betas)
        self._schedule = make_schedule(config, self._optimizer)
        patch = Augmentation(config.augmentation, plan.patch_size, plan.mirror_axes)
        plain = Augmentation(NO_AUGMENTATION, plan.patch_size, ())
        stream = partial(PatchStream, rank=world.rank, world_size=world.world_size)
        self._stream = stream(training, patch, foreground=config.foreground, key=(config.seed, "training"))
        self._validation = stream(validation, plain, foreground=1.0, key=(config.seed, "validation"))
        self._batches: Iterator[Sample] = iter(())

    def begin(self, first_step: int, num_steps: int) -> None:
        """Start the stream of patches at a step."""
        config = self._config
        self._batches = self._stream.batches(first_step, num_steps, config.batch_size, num_workers=config.num_workers)

    def step(self, number: int) -> float:  # noqa: ARG002 (the stream counts along)
        """One optimizer step; returns the mean loss of the whole batch."""
        self.network.train()
        self._optimizer.zero_grad(set_to_none=True)
        loss = self._supervised_loss(next(self._batches))
        loss.backward()  # type: ignore[no-untyped-call]
        self._world.average([loss, *(parameter.grad for parameter in self.network.parameters())])
        self._optimizer.step()
        return loss.item()

    def finish_epoch(self, epoch: int, mean_loss: float) -> dict[str, Any]:  # noqa: ARG002
        """Validate, then adjust the learning rate."""
        rate = self._learning_rate
        advance(self._schedule, mean_loss)
        return {"learning_rate": rate, "validation_loss": self._validate()}

    def is_finished(self) -> bool:
        """Whether the learning rate has fallen below the paper's limit."""
        return self._config.schedule == "plateau" and self._learning_rate < self._config.min_learning_rate

    def state(self) -> State:
        """Network, optimizer and schedule."""
        return {
            "network": weights_of(self.network),
            "optimizer": self._optimizer.state_dict(),
            "schedule": schedule_state(self._schedule),
        }

    def restore(self, state: State) -> None:
        """Load network, optimizer and schedule."""
        load_weights(self.network, state["network"])
        self._optimizer.load_state_dict(state["optimizer"])
        self._schedule.load_state_dict(state["schedule"])

    @property
    def _learning_rate(self) -> float:
        return float(self._optimizer.param_groups[0]["lr"])

    @torch.no_grad()
    def _validate(self) -> float:
        self.network.eval()
        count = self._config.validation_batches
        losses = [self._loss(batch) for batch in self._validation.batches(0, count, self._config.batch_size)]
        mean = torch.stack(losses).mean()
        self._world.average([mean])
        return float(mean)

    def _supervised_loss(self, sample: Sample) -> Tensor:
        """The loss of the network's answer and, where it has them, of its coarser maps."""
        if not isinstance(self.network, RonasmisNetwork):
            return self._loss(sample)
        image, classes = to_device(sample, self._device)
        with mixed_precision(self._device):
            maps = self.network.supervised(image)
        return deeply_supervised(jaccard_distance, maps, classes)

    def _loss(self, sample: Sample) -> Tensor:
        image, classes = to_device(sample, self._device)
        with mixed_precision(self._device):
            logits = self.network(image)
        return jaccard_distance(logits, classes)


Schedule = PolynomialLR | ReduceLROnPlateau


def make_schedule(config: TrainingConfig, optimizer: torch.optim.Optimizer) -> Schedule:
    """Build the learning-rate rule of a config."""
    if config.schedule == "polynomial":
        return PolynomialLR(optimizer, total_iters=config.num_epochs, power=0.9)
    return plateau_rule(optimizer, config.plateau_factor, config.plateau_epochs)


def plateau_rule(optimizer: torch.optim.Optimizer, factor: float, epochs: int) -> ReduceLROnPlateau:
    """Multiply the rate by ``factor`` once ``epochs`` epochs in a row have not lowered the loss."""
    return ReduceLROnPlateau(optimizer, factor=factor, patience=epochs - 1, threshold=0.0)


def advance(schedule: Schedule, mean_loss: float) -> None:
    """Take the schedule's step at the end of an epoch."""
    if isinstance(schedule, ReduceLROnPlateau):
        schedule.step(mean_loss)
    else:
        schedule.step()


def schedule_state(schedule: Schedule) -> State:
    """The schedule's state as JSON values."""
    plain = (bool, int, float, str, list, type(None))
    return {name: value for name, value in schedule.state_dict().items() if isinstance(value, plain)}


def to_device(sample: Sample, device: torch.device) -> Sample:
    """Move a batch to the device, channels last."""
    image, classes = sample
    image = image.to(device, non_blocking=True, memory_format=torch.channels_last_3d)
    return image, classes.to(device, non_blocking=True)


def mixed_precision(device: torch.device) -> torch.autocast:
    """bfloat16 autocast on CUDA, nothing on the CPU."""
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=device.type == "cuda")
