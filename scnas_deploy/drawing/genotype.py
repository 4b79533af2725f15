"""A genotype as a picture, whatever was searched."""

from scnas_deploy.drawing.cells import draw_cells
from scnas_deploy.drawing.u_net import draw_u_net
from scnas_deploy.errors import ConfigError
from scnas_deploy.networks.genotype import Genotype, ScnasArchitecture
from scnas_deploy.networks.ronasmis_settings import RonasmisArchitecture


def draw_genotype(genotype: Genotype) -> str:
    """Draw the cells of an SCNAS network, or the stages of a RONASMIS one.

    Returns:
        An SVG picture.

    Raises:
        ConfigError: If nothing in the architecture was searched, or Graphviz' program ``dot`` is not installed.
        MissingExtraError: If the graphviz package is not installed.
    """
    architecture = genotype.architecture
    if isinstance(architecture, ScnasArchitecture):
        return draw_cells(architecture)
    if isinstance(architecture, RonasmisArchitecture):
        return draw_u_net(architecture)
    raise ConfigError(
        "scnas draw", expected="a searched genotype", found=architecture.kind, remedy="Draw one of scnas search"
    )
