"""Asymmetric phantoms, oblique affines and small files that several tests of this room share."""

import json
from itertools import permutations, product
from pathlib import Path

import nibabel as nib
import numpy as np

from scnas_deploy.data.plan import Channel, ClippedZScore, InputLimits, Label, Normalisation, Plan, ZScore

ORIENTATIONS = ["".join(codes) for axes in permutations(("RL", "AP", "IS")) for codes in product(*axes)]
"""All 48 ways to name three axes by the directions they run to."""

ANY_MM = ((0.0, 1e6),) * 3


def oblique_affine(spacing_mm, *, degrees=20.0, shear=0.0, offset=(-31.0, 12.0, 57.0)):
    """Axes close to R, A, S, turned about a skew axis by Rodrigues' formula."""
    x, y, z = np.array([2.0, -1.0, 1.5]) / np.linalg.norm([2.0, -1.0, 1.5])
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    angle = np.deg2rad(degrees)
    rotation = np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross
    affine = np.eye(4)
    affine[:3, :3] = rotation @ (np.eye(3) + shear * np.eye(3, k=1)) @ np.diag(spacing_mm)
    affine[:3, 3] = offset
    return affine


def stored_as(codes, voxels, affine):
    """The same patient with axes that run to ``codes``; returns voxels and affine."""
    turn = nib.orientations.ornt_transform(nib.io_orientation(affine), nib.orientations.axcodes2ornt(codes))
    image = nib.Nifti1Image(voxels, affine).as_reoriented(turn)
    return np.asanyarray(image.dataobj), image.affine


def nifti_image(voxels, affine, *, qform=None, sform_code=1, qform_code=1, unit="mm"):
    """An image whose sform is ``affine`` and whose qform is the same unless given."""
    image = nib.Nifti1Image(voxels, affine)
    image.set_sform(affine if sform_code else None, code=sform_code)
    image.set_qform(affine if qform is None else qform, code=qform_code)
    image.header.set_xyzt_units(unit)
    return image


def noise(shape, dtype=np.int16, seed=0):
    return np.random.default_rng(seed).integers(1, 200, shape).astype(dtype)


def make_plan(*normalisations: Normalisation, spacing_mm=(1.0, 1.0, 1.0), crop="nonzero", limits=None) -> Plan:
    """A plan with labels 1 and 3 that allows anything but what ``limits`` forbids."""
    normalisations = normalisations or (ZScore(),)
    allowed = {"spacing_mm": ANY_MM, "extent_mm": ANY_MM, "intensity": (None,) * len(normalisations)}
    return Plan(
        name="drawn",
        dataset_fingerprint="0" * 64,
        spacing_mm=spacing_mm,
        patch_size=(24, 24, 24),
        crop=crop,
        channels=tuple(
            Channel(name=f"channel {index}", normalisation=normalisation)
            for index, normalisation in enumerate(normalisations)
        ),
        labels=(Label(value=1, name="egg", color="#ff0000"), Label(value=3, name="wedge", color="#00ff00")),
        mirror_axes=(),
        limits=InputLimits(**(allowed | (limits or {}))),
    )


CT = ClippedZScore(low=0.0, high=400.0, mean=200.0, std=100.0)


def write_msd(root: Path, cases) -> Path:
    """Write {id: (image, label)} of nibabel images in MSD layout."""
    for folder in ("imagesTr", "labelsTr"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    for case_id, (image, label) in cases.items():
        nib.save(image, root / "imagesTr" / f"{case_id}.nii.gz")
        nib.save(label, root / "labelsTr" / f"{case_id}.nii.gz")
    describe_msd(root, list(cases))
    return root


def describe_msd(root: Path, case_ids, **fields) -> None:
    description = {
        "name": "Drawn",
        "modality": {"0": "MRI"},
        "labels": {"0": "background", "1": "front", "2": "back"},
        "training": [{"image": f"./imagesTr/{i}.nii.gz", "label": f"./labelsTr/{i}.nii.gz"} for i in case_ids],
    } | fields
    (root / "dataset.json").write_text(json.dumps(description), encoding="utf-8")


def write_nnunet(root: Path, case_ids, *, shape=(6, 7, 8), channels=("FLAIR", "T1"), ending=".nii.gz", **fields):
    """Write noise in nnU-Net's raw layout; channel c of every case holds noise of seed c."""
    for folder in ("imagesTr", "labelsTr"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    for case_id in case_ids:
        for index in range(len(channels)):
            image = nib.Nifti1Image(noise(shape, seed=index), np.eye(4))
            nib.save(image, root / "imagesTr" / f"{case_id}_{index:04d}{ending}")
        label = np.zeros(shape, np.uint8)
        label[2:4, 2:4, 2:4] = 1
        nib.save(nib.Nifti1Image(label, np.eye(4)), root / "labelsTr" / f"{case_id}{ending}")
    description = {
        "channel_names": {str(index): name for index, name in enumerate(channels)},
        "labels": {"background": 0, "lesion": 1},
        "numTraining": len(case_ids),
        "file_ending": ending,
    } | fields
    (root / "dataset.json").write_text(json.dumps(description), encoding="utf-8")
    return root


def assert_explains_itself(error, *words):
    """The message says what was expected, what was found and what to do, and names each of ``words``."""
    text = str(error)
    assert "expected " in text
    assert "found " in text
    assert text.endswith(".")
    assert error.expected
    assert error.found
    assert error.remedy[0].isupper()
    for word in words:
        assert word in text
