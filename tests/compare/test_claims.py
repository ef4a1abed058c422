import pytest

from lossbench.compare.claims import claim_of, measured, paper, papers
from lossbench.errors import UsageError
from lossbench.render import document
from lossbench.render.claims import paper_document, papers_table
from lossbench.spec import Published
from lossbench.store import Store


def figure(loss, value, **details):
    return Published(loss=loss, metric=details.pop("metric", "top1_acc"), value=value, **details)


def test_one_image_more_or_less():
    found = claim_of("emnist-letters-vgg5", figure("ce", 0.9586), figure("min-ent", 0.9586 + 14 / 20_800))
    assert (found.n, found.test_rows, found.rows_gained) == (1, 20_800, pytest.approx(14))
    assert 100 * found.sampling_se == pytest.approx(0.138, abs=5e-4)
    assert 100 * found.thumb_sd == pytest.approx(0.10, abs=5e-4)
    assert (found.discordance, found.seeds_needed) == (44, 37)
    assert (found.welch, found.largest_sd) == (None, None)


def test_five_trials_without_a_spread():
    ce, adaptive = figure("ce", 0.067, metric="top5_err", n=5), figure("adaptive", 0.062, metric="top5_err", n=5)
    found = claim_of("cifar100-resnet18", ce, adaptive)
    assert 100 * found.gain == pytest.approx(0.5)
    assert 100 * found.largest_sd == pytest.approx(0.403, abs=5e-4)
    assert 100 * found.thumb_sd == pytest.approx(0.18, abs=5e-3)
    assert found.seeds_needed == 5


def test_printed_means_and_spreads():
    ce, mixed = figure("ce", 0.6966, spread=0.0017, n=4), figure("ce-el", 0.7002, spread=0.0021, n=4)
    assert claim_of("cifar100-resnet32-mixing", ce, mixed).welch.p == pytest.approx(0.039, abs=5e-4)


def test_an_unknown_data_set_says_nothing_of_rows():
    found = claim_of("somewhere-else", figure("ce", 0.5), figure("new", 0.6))
    assert (found.test_rows, found.rows_gained, found.discordance, found.seeds_needed) == (None,) * 4


def test_the_mixing_paper_over_all_its_presets():
    joint = {each.loss: each for each in paper("2109.05635").joint}
    assert joint["ce-el:focus=0-0.5"].better == joint["ce-el:focus=0-0.5"].presets
    assert joint["ce-el:focus=0-0.5"].pooled.estimate.interval()[0] > 0


def test_every_paper_is_listed_and_rendered():
    found = papers()
    assert {each.name for each in found} >= {"2109.05635", "2501.13709", "2507.10574"}
    assert len(papers_table(found).rows) == len(found)
    for each in found:
        shown = document(paper_document(each, {}), "table", width=80, color=False)
        assert max(map(len, shown.splitlines())) <= 80
        assert f"claims run {each.name}" in " ".join(shown.split())


def test_runs_of_our_own_stand_beside_the_claim(bench):
    values = (0.0671, 0.0672, 0.0668, 0.0670, 0.0675)
    for loss, shift in (("ce", 0.0), ("adaptive", -0.004)):
        for seed, value in enumerate(values):
            epochs = [{"test/top5_err": value + shift + 1e-5 * seed * (shift < 0)}] * 3
            bench.run(loss, seed, None, preset="cifar100-resnet18", epochs=epochs)
    claims = paper("2507.10574").claims
    with Store.open(bench.home) as store:
        ours = measured(store, claims)
    assert ours["cifar100-resnet18", "adaptive"].n == 5
    shown = " ".join(document(paper_document(paper("2507.10574"), ours), "table", width=None, color=False).split())
    assert "measured here: +0.40 points [+0.40, +0.40] in 5 pairs, better" in shown


def test_an_unknown_paper():
    with pytest.raises(UsageError, match=r"did you mean '2501\.13709'"):
        paper("2501.1370")
