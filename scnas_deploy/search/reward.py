"""The reward of a child: the mean Dice of whole volumes."""

from collections.abc import Sequence

import numpy as np
import torch

from scnas_deploy.data.plan import Plan
from scnas_deploy.inference.manifest import Precision
from scnas_deploy.inference.predictor import Predictor, label_values
from scnas_deploy.networks.ronasmis import RonasmisNetwork
from scnas_deploy.networks.ronasmis_settings import RonasmisArchitecture
from scnas_deploy.training.distributed import World
from scnas_deploy.training.evaluation import dice, mean_of_known
from scnas_deploy.training.prepared import PreparedCase
from scnas_deploy.types import LogitsBKXYZ, PatchesBCXYZ


def mean_dice(
    network: RonasmisNetwork, child: RonasmisArchitecture, cases: Sequence[PreparedCase], plan: Plan, world: World
) -> float:
    """Return the mean over patients of the mean Dice over their structures.

    Args:
        network: A supernet.
        child: The way through it.
        cases: Patients, prepared; of several processes each takes its share.
        plan: Label values.
        world: The processes; all return the same.
    """
    predictor = Predictor(
        _ChildEngine(network, child), plan.with_patch_size(child.patch_size), whole_multiple=child.resolutions[-1]
    )
    scores = torch.zeros(len(cases), dtype=torch.float64)
    for number in range(world.rank, len(cases), world.world_size):
        scores[number] = world.world_size * _score(predictor, cases[number], plan)
    world.average([scores])
    return float(scores.mean())


def _score(predictor: Predictor, case: PreparedCase, plan: Plan) -> float:
    predicted = predictor.predict(np.asarray(case.image_CXYZ))
    truth = label_values(plan)[case.classes_XYZ]
    scores = [dice(truth == label.value, predicted == label.value) for label in plan.labels]
    return mean_of_known(scores) or 0.0


class _ChildEngine:
    """A way through a supernet as an engine."""

    name, preferred_batch, concurrency = "supernet", 1, 1
    precision: Precision = "float32"

    def __init__(self, network: RonasmisNetwork, child: RonasmisArchitecture) -> None:
        self._network, self._child = network, child
        self._device = next(network.parameters()).device
        self.device = self._device.type.upper()

    @torch.inference_mode()
    def run(self, patches_BCXYZ: PatchesBCXYZ) -> LogitsBKXYZ:
        """Answer whole volumes."""
        image = torch.from_numpy(patches_BCXYZ).to(self._device, memory_format=torch.channels_last_3d)
        logits: LogitsBKXYZ = self._network.run(image, self._child).float().cpu().contiguous().numpy()
        return logits
