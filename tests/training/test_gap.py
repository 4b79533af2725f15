"""Supernet, derived and retrained network stand side by side only where they saw the same patches."""

from scnas_deploy.networks.genotype import Provenance
from scnas_deploy.training.gap import Gap, load_gap

SOURCE = Provenance(made_by="scnas search", supernet_dice=0.6, derived_dice=0.5, report_patches="abc")


def test_on_the_same_patches_all_three_are_kept(tmp_path):
    Gap.of(SOURCE, "abc", 0.812345).save(tmp_path)
    gap = load_gap(tmp_path)
    assert (gap.supernet, gap.derived, gap.retrained) == (0.6, 0.5, 0.8123)


def test_what_was_measured_on_other_patches_is_left_out():
    gap = Gap.of(SOURCE, "another fold's", 0.8)
    assert (gap.supernet, gap.derived, gap.retrained) == (None, None, 0.8)


def test_a_genotype_that_nobody_searched_has_only_its_training():
    gap = Gap.of(Provenance(made_by="scnas baseline"), "abc", None)
    assert (gap.supernet, gap.derived, gap.retrained) == (None, None, None)
