"""Shapes as a vocabulary.

Legend: B batch, C channels, K classes, X Y Z voxels in NIfTI order. A name such as ``patches_BCXYZ``
says the order of its axes; the aliases below say dtype and rank. They cost nothing at run time: the
tests check every annotated call with ``--jaxtyping-packages`` (see ``tests/conftest.py``).
"""

from typing import TypeAlias

import numpy as np
from jaxtyping import Bool, Float16, Float32, Float64, Integer, Num

Shape3: TypeAlias = tuple[int, int, int]
"""Voxels along X, Y, Z."""

Spacing: TypeAlias = tuple[float, float, float]
"""Millimetres between voxel centres along X, Y, Z."""

VoxelsXYZ: TypeAlias = Num[np.ndarray, "X Y Z"]
"""One channel's voxels. Any numeric dtype."""

VoxelsCXYZ: TypeAlias = Num[np.ndarray, "C X Y Z"]
"""A study's voxels: channels, then NIfTI order. Any numeric dtype."""

ImageCXYZ: TypeAlias = Float32[np.ndarray, "C X Y Z"]
"""Preprocessed voxels, ready for a network."""

LabelsXYZ: TypeAlias = Integer[np.ndarray, "X Y Z"]
"""Label values, 0 is background."""

MaskXYZ: TypeAlias = Bool[np.ndarray, "X Y Z"]
"""Whether a voxel belongs to a structure."""

LogitsKXYZ: TypeAlias = Float32[np.ndarray, "K X Y Z"]
"""Unnormalised class scores of a volume."""

ProbabilitiesKXYZ: TypeAlias = Float16[np.ndarray, "K X Y Z"]
"""What a network gives each class at each voxel; sums to one over the classes."""

ImageCUVW: TypeAlias = Float32[np.ndarray, "C U V W"]
"""An image on another grid than the function's argument: U V W are its voxels along X, Y, Z."""

LabelsUVW: TypeAlias = Integer[np.ndarray, "U V W"]
"""Labels on another grid than the function's argument."""

ProbabilitiesKUVW: TypeAlias = Float16[np.ndarray, "K U V W"]
"""Probabilities on another grid than the function's argument."""

PatchesBCXYZ: TypeAlias = Float32[np.ndarray, "B C X Y Z"]
"""What an engine takes."""

LogitsBKXYZ: TypeAlias = Float32[np.ndarray, "B K X Y Z"]
"""What an engine answers."""

ClassesBXYZ: TypeAlias = Integer[np.ndarray, "B X Y Z"]
"""Class indices of a batch of patches: 0 is background, 1 the plan's first label."""

AffineRAS: TypeAlias = Float64[np.ndarray, "4 4"]
"""Voxel index -> RAS+ millimetres."""
