"""Stochastic bi-level optimization: steps on the weights and on the architecture in turns.

Kim et al. 2019 (arXiv 1906.05956), section 2: Theta descends the loss on its part of the training cases,
alpha (first order) the loss on its own part, each with operations drawn anew.
"""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor

from scnas_deploy.data.plan import Plan
from scnas_deploy.networks.costs import Costs
from scnas_deploy.networks.genotype import NUM_EDGES, CellType, ScnasArchitecture
from scnas_deploy.search.budget import Constraint, cost_function
from scnas_deploy.search.config import SearchConfig
from scnas_deploy.search.derivation import derive_cells
from scnas_deploy.search.fitting import fit_budget
from scnas_deploy.search.found import Found, SearchGap
from scnas_deploy.search.gap import derived_dice, supernet_dice
from scnas_deploy.search.monitor import Monitor, mean_entropy
from scnas_deploy.search.sampling import CellDraw, draw_cell, temperature
from scnas_deploy.search.supernet import Supernet
from scnas_deploy.training.augmentation import Augmentation
from scnas_deploy.training.checkpoint import State
from scnas_deploy.training.distributed import ALONE, World
from scnas_deploy.training.losses import jaccard_distance
from scnas_deploy.training.patches import PatchStream, Sample
from scnas_deploy.training.prepared import PreparedCase
from scnas_deploy.training.report_patches import ReportPatches
from scnas_deploy.training.seeding import torch_generator
from scnas_deploy.training.trainer import mixed_precision, plateau_rule, schedule_state, to_device

Part = Literal["weights", "architecture"]


class BilevelTask:
    """The supernet, its architecture parameters and their two optimizers, as the loop runs them.

    Args:
        config: Settings.
        plan: Patch size, channels and classes.
        weight_cases: Cases whose loss the weights descend.
        architecture_cases: Cases whose loss the architecture parameters descend; no case is in both.
        world: The processes that search together, each on its share of every batch; all draw the same operations.
        costs: What was measured on an engine, for a budget in milliseconds.

    Raises:
        ConfigError: If the batch does not fall into equal shares.
    """

    def __init__(
        self,
        config: SearchConfig,
        plan: Plan,
        weight_cases: Sequence[PreparedCase],
        architecture_cases: Sequence[PreparedCase],
        world: World = ALONE,
        costs: Costs | None = None,
    ) -> None:
        world.check_batch(config.batch_size)
        self.num_epochs = config.num_epochs
        self.steps_per_epoch = config.steps_per_epoch or max(1, len(weight_cases) // config.batch_size)
        self._config, self._world, self._device = config, world, world.device
        self._supernet = _make_supernet(config, plan)
        self._supernet.to(self._device, memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
        self.alpha_TEO = _initial_alpha(config).requires_grad_()
        """Architecture parameters: cell types, edges, operations. On the CPU, where the draws are made."""
        self._weight_optimizer = torch.optim.Adam(
            self._supernet.parameters(), lr=config.weight_learning_rate, betas=config.weight_betas
        )
        self._alpha_optimizer = torch.optim.Adam(
            [self.alpha_TEO], lr=config.alpha_learning_rate, betas=config.alpha_betas
        )
        self._schedule = plateau_rule(self._weight_optimizer, config.plateau_factor, config.plateau_epochs)
        augmentation = Augmentation(config.augmentation, plan.patch_size, plan.mirror_axes)
        stream = partial(PatchStream, foreground=config.foreground, rank=world.rank, world_size=world.world_size)
        self._streams = {
            part: stream(cases, augmentation, key=(config.seed, "search", part))
            for part, cases in (("weights", weight_cases), ("architecture", architecture_cases))
        }
        self._batches: dict[str, Iterator[Sample]] = {}
        self.monitor = Monitor(config.operations)
        self._plan, self._costs = plan, costs
        self._constraint = self._make_constraint()
        self._alpha_losses = 0.0
        self._single_edges = 0
        self._num_alpha_steps = 0
        self._num_warmup_steps = round(config.warmup * self.num_epochs * self.steps_per_epoch)

    def begin(self, first_step: int, num_steps: int) -> None:
        """Start both streams of patches at a step."""
        config = self._config
        end = first_step + num_steps
        for part, stream in self._streams.items():
            first = max(first_step, self._num_warmup_steps) if part == "architecture" else first_step
            self._batches[part] = stream.batches(
                first, max(0, end - first), config.batch_size, num_workers=config.num_workers // 2
            )

    def step(self, number: int) -> float:
        """One step on the weights, then, after the warm-up, one on the architecture; returns the weights' loss."""
        loss = self._loss("weights", number)
        _descend(self._weight_optimizer, loss, self._world)
        if number >= self._num_warmup_steps:
            self._architecture_step(number)
        return loss.item()

    def _architecture_step(self, number: int) -> None:
        alpha_loss = self._loss("architecture", number)
        penalty = torch.zeros(()) if self._constraint is None else self._constraint.penalty(self.alpha_TEO, number)
        alpha_loss = alpha_loss + penalty.to(self._device)
        _descend(self._alpha_optimizer, alpha_loss, self._world)
        self._alpha_losses += alpha_loss.item() - penalty.item()
        self._num_alpha_steps += 1

    def finish_epoch(self, epoch: int, mean_loss: float) -> dict[str, Any]:
        """Adjust the weights' learning rate; report loss, temperature and what the monitor saw."""
        self._schedule.step(mean_loss)
        record = {
            "learning_rate": self._weight_optimizer.param_groups[0]["lr"],
            "tau": self.tau((epoch + 1) * self.steps_per_epoch - 1),
        }
        if self._num_alpha_steps:
            record |= self._architecture_record()
        self._alpha_losses, self._single_edges, self._num_alpha_steps = 0.0, 0, 0
        return record

    def _architecture_record(self) -> dict[str, Any]:
        """Of an epoch that took steps on the architecture."""
        return {
            "architecture_loss": self._alpha_losses / self._num_alpha_steps,
            **self.monitor.observe(self.alpha_TEO),
            **({} if self._constraint is None else self._constraint.record(self.alpha_TEO)),
            "edges_without_alpha_gradient": self._single_edges / (self._num_alpha_steps * len(CellType) * NUM_EDGES),
        }

    @property
    def supernet(self) -> Supernet:
        """The network that the steps train."""
        return self._supernet

    def is_finished(self) -> bool:
        """Whether the strongest operations have not changed for as many epochs as the settings ask."""
        limit = self._config.stop_after_stable_epochs
        return limit is not None and self.monitor.stable_epochs >= limit

    def derive(self) -> Found:
        """Take the strongest operations at the supernet's width, or the likeliest network that keeps the budget."""
        config = self._config
        certainty = mean_entropy(self.alpha_TEO), self.monitor.warnings
        if config.budget is None:
            cells = derive_cells(self.alpha_TEO, config.operations)
            return Found(ScnasArchitecture(cells=cells, stem_channels=config.stem_channels), *certainty)
        spend = self._constraint is not None and self._constraint.was_violated
        found, kept = fit_budget(self.alpha_TEO, config.operations, config.budget, self._plan, self._costs, spend=spend)
        return Found(found, *certainty, budget=kept)

    def measure(self, found: Found, num_steps: int, patches: ReportPatches) -> SearchGap:
        """Score the supernet as its last step ran it, and the found cells with its weights."""
        config = self._config
        assert isinstance(found.architecture, ScnasArchitecture)
        return SearchGap(
            supernet_dice=supernet_dice(self.supernet, self.alpha_TEO, config, self.tau(num_steps - 1), patches),
            derived_dice=derived_dice(self.supernet, found.architecture.cells, config, patches),
            patches=patches.digest(),
        )

    def state(self) -> State:
        """Weights, architecture, optimizers, schedule and the running figures of the epoch."""
        return {
            "supernet": self._supernet.state_dict(),
            "alpha": self.alpha_TEO,
            "weight_optimizer": self._weight_optimizer.state_dict(),
            "alpha_optimizer": self._alpha_optimizer.state_dict(),
            "schedule": schedule_state(self._schedule),
            "monitor": self.monitor.state(),
            "alpha_losses": self._alpha_losses,
            "single_edges": self._single_edges,
            "num_alpha_steps": self._num_alpha_steps,
            "constraint": None if self._constraint is None else self._constraint.state(),
        }

    def restore(self, state: State) -> None:
        """Load what :meth:`state` gave."""
        self._supernet.load_state_dict(state["supernet"])
        self.alpha_TEO.data.copy_(state["alpha"])
        self._weight_optimizer.load_state_dict(state["weight_optimizer"])
        self._alpha_optimizer.load_state_dict(state["alpha_optimizer"])
        self._schedule.load_state_dict(state["schedule"])
        self.monitor.restore(state["monitor"])
        self._alpha_losses, self._single_edges = state["alpha_losses"], state["single_edges"]
        self._num_alpha_steps = state["num_alpha_steps"]
        if self._constraint is not None:
            self._constraint.restore(state["constraint"])

    def _loss(self, part: Part, number: int) -> Tensor:
        image, classes = to_device(next(self._batches[part]), self._device)
        draws = self._draw(part, number)
        with mixed_precision(self._device):
            logits = self._supernet(image, draws)
        return jaccard_distance(logits, classes)

    def _make_constraint(self) -> Constraint | None:
        config, budget = self._config, self._config.budget
        if budget is None:
            return None
        cost = cost_function(budget.kind, config.operations, budget.stem_channels, self._plan, self._costs)
        return Constraint(cost, budget.limit, self.num_epochs * self.steps_per_epoch)

    def _draw(self, part: Part, number: int) -> dict[CellType, CellDraw]:
        """Draw each cell type's operations; only the architecture step needs their gradient."""
        generator = torch_generator(self._config.seed, "operations", part, number)
        alpha = self.alpha_TEO if part == "architecture" else self.alpha_TEO.detach()
        draws = {
            cell_type: draw_cell(alpha_EO, self.tau(number), self._config.sampling, generator)
            for cell_type, alpha_EO in zip(CellType, alpha, strict=True)
        }
        if part == "architecture":
            self._single_edges += sum(edge.is_single for draw in draws.values() for edge in draw)
        return draws

    def tau(self, number: int) -> float:
        """Temperature of a step; it begins to fall after the warm-up."""
        config, warmup = self._config, self._num_warmup_steps
        num_steps = self.num_epochs * self.steps_per_epoch - warmup
        return temperature(max(0, number - warmup), num_steps, config.tau_start, config.tau_end, config.tau_schedule)


def _descend(optimizer: torch.optim.Optimizer, loss: Tensor, world: World) -> None:
    """Step on the parameters of this optimizer only; gradients of the others are neither computed nor kept.

    The loss and its gradients become those of the whole batch.
    """
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    gradients = torch.autograd.grad(loss, parameters, allow_unused=True)
    world.average([loss, *gradients])
    for parameter, gradient in zip(parameters, gradients, strict=True):
        parameter.grad = gradient
    optimizer.step()


def _make_supernet(config: SearchConfig, plan: Plan) -> Supernet:
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(torch_generator(config.seed, "supernet").initial_seed())
        return Supernet(
            config.operations,
            in_channels=len(plan.channels),
            num_classes=plan.num_classes,
            stem_channels=config.stem_channels,
            checkpointing=config.checkpointing,
        )


def _initial_alpha(config: SearchConfig) -> Tensor:
    """Near zero, so that every operation starts equal (DARTS' scale; the paper does not say)."""
    generator = torch_generator(config.seed, "alpha")
    return 1e-3 * torch.randn(len(CellType), NUM_EDGES, len(config.operations), generator=generator)
