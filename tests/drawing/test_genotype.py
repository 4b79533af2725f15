"""What was searched is drawn, and what was not is refused."""

import xml.etree.ElementTree as ElementTree

import pytest

from scnas_deploy.drawing.genotype import draw_genotype
from scnas_deploy.errors import ConfigError
from scnas_deploy.networks.genotype import Genotype, Provenance, UResNetArchitecture
from scnas_deploy.networks.ronasmis_settings import RonasmisArchitecture

SVG = "{http://www.w3.org/2000/svg}"

pytestmark = pytest.mark.usefixtures("dot")

FOUND = RonasmisArchitecture(
    patch_size=(48, 48, 32),
    strides=(2, 1, 2),
    dilations=(1, 2, 3),
    activation="elu",
    skips=(True, False, True, True, False, False),
    dropped=(False, True, False, True),
)


def genotype_of(architecture):
    return Genotype(architecture=architecture, provenance=Provenance(made_by="a test"))


def elements(svg, kind):
    return [
        {"title": group.findtext(f"{SVG}title"), "texts": [text.text for text in group.iter(f"{SVG}text")]}
        for group in ElementTree.fromstring(svg).iter(f"{SVG}g")
        if group.get("class") == kind
    ]


def test_the_stages_say_what_was_found():
    svg = draw_genotype(genotype_of(FOUND))
    stages = {node["title"]: node["texts"] for node in elements(svg, "node")}
    assert stages["e0"] == ["stage 1, 1/1", "2 convs, dilation 1"]
    assert stages["e2"] == ["stage 3, 1/2", "2 convs, dilation 2"]
    assert stages["e3"] == ["stage 4, 1/4", "1 conv, dilation 3"]
    assert stages["d1"] == ["decoder 2, 1/2"]
    assert "patch 48 x 48 x 32 voxels, activation elu" in svg


def test_only_the_skips_that_exist_are_drawn():
    edges = [edge["title"] for edge in elements(draw_genotype(genotype_of(FOUND)), "edge")]
    assert {edge for edge in edges if edge.startswith("e") and "->d" in edge} == {"e0->d0", "e1->d1", "e0->d2"}


def test_what_was_not_searched_is_refused():
    with pytest.raises(ConfigError, match="u_resnet"):
        draw_genotype(genotype_of(UResNetArchitecture()))
