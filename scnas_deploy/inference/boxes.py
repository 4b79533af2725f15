"""Boxes of voxels: a slice with start and stop along X, Y and Z each."""

from scnas_deploy.types import Shape3

Box = tuple[slice, slice, slice]


def whole(shape: Shape3) -> Box:
    """The box of a whole volume."""
    x, y, z = (slice(0, size) for size in shape)
    return x, y, z


def size_of(box: Box) -> Shape3:
    """Voxels along X, Y, Z."""
    x, y, z = (int(part.stop - part.start) for part in box)
    return x, y, z


def touch(box: Box, other: Box) -> bool:
    """Whether two boxes share a voxel."""
    return all(a.start < b.stop and b.start < a.stop for a, b in zip(box, other, strict=True))


def meet(box: Box, other: Box) -> Box:
    """The voxels that two boxes share."""
    x, y, z = (slice(max(a.start, b.start), min(a.stop, b.stop)) for a, b in zip(box, other, strict=True))
    return x, y, z


def within(box: Box, frame: Box) -> Box:
    """A box as it lies in a frame: counted from the frame's first voxel."""
    x, y, z = (slice(a.start - b.start, a.stop - b.start) for a, b in zip(box, frame, strict=True))
    return x, y, z


def with_part(box: Box, axis: int, part: slice) -> Box:
    """The box with another range along one axis."""
    x, y, z = (part if number == axis else other for number, other in enumerate(box))
    return x, y, z
