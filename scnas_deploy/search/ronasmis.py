"""RONASMIS: children of one set of weights, rewarded for their Dice, teach a controller where to look next.

Bae et al. 2019 (MICCAI, arXiv 1909.00548): in each episode 20 children are drawn; each trains the shared weights with
the Dice loss under deep supervision and is rewarded with the mean Dice of whole validation volumes.

Legend: C channels, X Y Z voxels in NIfTI order.
"""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.optim.lr_scheduler import PolynomialLR

from scnas_deploy.data.plan import Plan
from scnas_deploy.networks.ronasmis import RonasmisNetwork
from scnas_deploy.networks.ronasmis_settings import RonasmisArchitecture
from scnas_deploy.networks.weights import load_weights, weights_of
from scnas_deploy.search.controller import Controller, Reinforce
from scnas_deploy.search.found import Found, SearchGap
from scnas_deploy.search.reward import mean_dice
from scnas_deploy.search.ronasmis_config import RonasmisConfig
from scnas_deploy.search.ronasmis_space import RonasmisSpace
from scnas_deploy.training.augmentation import Augmentation
from scnas_deploy.training.checkpoint import State
from scnas_deploy.training.distributed import ALONE, World
from scnas_deploy.training.losses import deeply_supervised, dice_loss
from scnas_deploy.training.patches import PatchStream, Sample
from scnas_deploy.training.prepared import PreparedCase
from scnas_deploy.training.report_patches import ReportPatches
from scnas_deploy.training.seeding import global_seed, torch_generator
from scnas_deploy.training.trainer import mixed_precision, schedule_state, to_device
from scnas_deploy.types import Shape3


class RonasmisTask:
    """The shared weights and the controller, as the loop runs them: a step is a child, an epoch an episode.

    Args:
        config: Settings.
        plan: Patch size, channels and classes.
        weight_cases: Cases that the shared weights learn from.
        reward_cases: Cases that children are rewarded on; no case is in both.
        world: The processes that search together, each on its share of every batch and of the reward's cases.

    Raises:
        ConfigError: If the batch does not fall into equal shares, or the plan's patches are too small.
    """

    def __init__(
        self,
        config: RonasmisConfig,
        plan: Plan,
        weight_cases: Sequence[PreparedCase],
        reward_cases: Sequence[PreparedCase],
        world: World = ALONE,
    ) -> None:
        world.check_batch(config.batch_size)
        self.num_epochs, self.steps_per_epoch = config.num_epochs, config.steps_per_epoch
        self._config, self._plan, self._world = config, plan, world
        self._space = RonasmisSpace(plan.patch_size, config.stem_channels)
        self._steps_per_child = config.steps_per_child or _enough_steps(config, len(weight_cases))
        self._reward_cases = reward_cases[: config.reward_cases]
        with global_seed(config.seed, "ronasmis"):
            network = RonasmisNetwork(
                self._space.everything(), in_channels=len(plan.channels), num_classes=plan.num_classes
            )
            self._controller = Controller(self._space.num_options)
        self._network = network.to(world.device, memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
        self._reinforce = Reinforce(
            self._controller,
            learning_rate=config.controller_learning_rate,
            entropy_weight=config.entropy_weight,
            baseline_decay=config.baseline_decay,
        )
        self._optimizer = torch.optim.Adam(network.parameters(), lr=config.weight_learning_rate)
        self._schedule = PolynomialLR(self._optimizer, total_iters=config.num_epochs, power=0.9)
        self._stream = self._make_stream(weight_cases)
        self._batches: Iterator[Sample] = iter(())
        self._children: list[tuple[int, ...]] = []
        self._rewards: list[float] = []
        self._entropy = 0.0

    def begin(self, first_step: int, num_steps: int) -> None:
        """Start the stream of patches at a child."""
        first, count = first_step * self._steps_per_child, num_steps * self._steps_per_child
        config = self._config
        self._batches = self._stream.batches(first, count, config.batch_size, num_workers=config.num_workers)

    def step(self, number: int) -> float:
        """Draw a child, train the shared weights through it and reward it; returns its mean loss."""
        chosen = self._controller.sample(torch_generator(self._config.seed, "child", number))
        child = self._space.architecture(chosen)
        losses = [self._train(child) for _ in range(self._steps_per_child)]
        self._children.append(chosen)
        self._rewards.append(self._reward(child, self._world))
        return sum(losses) / len(losses)

    def finish_epoch(self, epoch: int, mean_loss: float) -> dict[str, Any]:  # noqa: ARG002
        """Teach the controller what the episode's children have shown."""
        record = {
            "learning_rate": self._optimizer.param_groups[0]["lr"],
            "mean_reward": sum(self._rewards) / len(self._rewards),
            "best_reward": max(self._rewards),
        }
        self._entropy = self._reinforce.update(self._children, self._rewards)
        self._children, self._rewards = [], []
        self._schedule.step()
        return {**record, "baseline": self._reinforce.baseline, "controller_entropy": self._entropy}

    def is_finished(self) -> bool:
        """Run all episodes."""
        return False

    def state(self) -> State:
        """Shared weights, controller, optimizers, schedule and the episode's children so far."""
        return {
            "network": weights_of(self._network),
            "optimizer": self._optimizer.state_dict(),
            "schedule": schedule_state(self._schedule),
            "reinforce": self._reinforce.state(),
            "children": [list(child) for child in self._children],
            "rewards": self._rewards,
            "entropy": self._entropy,
        }

    def restore(self, state: State) -> None:
        """Load what :meth:`state` gave."""
        load_weights(self._network, state["network"])
        self._optimizer.load_state_dict(state["optimizer"])
        self._schedule.load_state_dict(state["schedule"])
        self._reinforce.restore(state["reinforce"])
        self._children = [tuple(child) for child in state["children"]]
        self._rewards, self._entropy = state["rewards"], state["entropy"]

    def derive(self) -> Found:
        """Take the best of the most probable child and some drawn ones, by their reward with the shared weights."""
        generators = [torch_generator(self._config.seed, "final child", n) for n in range(self._config.final_children)]
        drawn = dict.fromkeys(self._controller.sample(generator) for generator in (None, *generators))
        best = max(map(self._space.architecture, drawn), key=partial(self._reward, world=ALONE))
        return Found(best, self._entropy, weights=self._weights(best))

    def measure(self, found: Found, num_steps: int, patches: ReportPatches) -> SearchGap:  # noqa: ARG002 (needs no tau)
        """Score the network found with the shared weights; without a mixture there is no supernet to score."""
        child = found.architecture
        assert isinstance(child, RonasmisArchitecture)
        dice = patches.mean_dice(lambda _, image: self._network.run(image, child), self._world.device)
        return SearchGap(derived_dice=dice, patches=patches.digest())

    def _weights(self, architecture: RonasmisArchitecture) -> dict[str, Tensor]:
        """Return what a network needs of the shared weights."""
        shape = {"in_channels": len(self._plan.channels), "num_classes": self._plan.num_classes}
        with torch.device("meta"):
            needed = weights_of(RonasmisNetwork(architecture, **shape))
        shared = weights_of(self._network)
        return {name: shared[name] for name in needed}

    def _train(self, child: RonasmisArchitecture) -> float:
        image, classes = to_device(_crop(next(self._batches), child.patch_size), self._world.device)
        with mixed_precision(self._world.device):
            maps = self._network.supervised(image, child)
        loss = deeply_supervised(dice_loss, maps, classes)
        self._optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        self._world.average([loss, *(parameter.grad for parameter in self._network.parameters())])
        self._optimizer.step()
        return loss.item()

    def _reward(self, child: RonasmisArchitecture, world: World) -> float:
        return mean_dice(self._network, child, self._reward_cases, self._plan, world)

    def _make_stream(self, cases: Sequence[PreparedCase]) -> PatchStream:
        config, world = self._config, self._world
        flips = tuple(axis for axis in self._plan.mirror_axes if axis == 0)
        augmentation = Augmentation(config.augmentation, self._space.largest_patch, flips)
        stream = partial(PatchStream, foreground=config.foreground, rank=world.rank, world_size=world.world_size)
        return stream(cases, augmentation, key=(config.seed, "search", "weights"))


def _enough_steps(config: RonasmisConfig, num_cases: int) -> int:
    return max(1, num_cases // (config.batch_size * config.steps_per_epoch))


def _crop(sample: Sample, size: Shape3) -> Sample:
    """Cut the middle out of a batch of larger patches."""
    image, classes = sample
    for axis, wanted in enumerate(size, start=-len(size)):
        start = (classes.shape[axis] - wanted) // 2
        image, classes = image.narrow(axis, start, wanted), classes.narrow(axis, start, wanted)
    return image, classes
