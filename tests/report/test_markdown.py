"""summary.md: the page's numbers and sentences, as Markdown that nothing in them can break."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from pigan.config import Params
from pigan.report import verdict
from pigan.report.collect import collect
from pigan.report.markdown import escape, summary_markdown
from pigan.report.tables import ablation_table

Tree = Callable[[Params], tuple[Path, Path]]
MakeParams = Callable[..., Params]


def written(params: Params, tree: tuple[Path, Path]) -> str:
    collected = collect(params, *tree)
    return summary_markdown(collected, ablation_table(collected), "abc123", "2026-02-03 10:00")


def test_one_seed_has_intervals_and_the_page_s_sentences(demo: Params, run_tree: Tree) -> None:
    text = written(demo, run_tree(demo))
    collected = collect(demo, *run_tree(demo))
    ablation = ablation_table(collected)
    for sentence in (verdict.headline(collected, ablation), verdict.comparison(collected, ablation)):
        assert escape(sentence) in text
    assert all(escape(note) in text for note in verdict.cautions(collected, ablation))
    fid = ablation.set_index("arm")["fid_efficientnet_lite0_mean"]
    low, high = collected.first_seed("concat").intervals["fid_efficientnet_lite0"]  # type: ignore[union-attr]
    away = fid["concat"] - fid["baseline"]
    assert f"| {fid['concat']:.1f} [{low:.1f}, {high:.1f}]<br><sub>Δ +{away:.1f}</sub> |" in text
    assert "±" not in text
    assert (
        "**Protocol:** EfficientNet-Lite0 features; protocol clean; 32 px; lanczos filter; 1,024 real images;" in text
    )
    assert "measured 2026-02-03 10:00 UTC, commit abc123" in text


def test_several_seeds_have_their_spread_and_number(params_with: MakeParams, run_tree: Tree) -> None:
    params = params_with(seeds=[0, 1, 2])
    text = written(params, run_tree(params))
    collected = collect(params, *run_tree(params))
    row = ablation_table(collected).set_index("arm").loc["baseline"]
    mean, spread = (row[f"fid_efficientnet_lite0_{part}"] for part in ("mean", "std"))
    assert f"**{mean:.1f}** ± {spread:.1f} [" in text
    assert "n = 3" in text and "paired by seed" in text


def test_tables_have_as_many_cells_in_every_row(demo: Params, run_tree: Tree) -> None:
    blocks = re.findall(r"(?:^\|.*\|\n)+", written(demo, run_tree(demo)), flags=re.M)
    assert len(blocks) == 3
    for block in blocks:
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines()}) == 1


def test_single_arm_has_no_ablation(params_with: MakeParams, run_tree: Tree) -> None:
    single = params_with().model_copy(update={"arms": {"baseline": {}}})
    text = written(single, run_tree(single))
    assert "### Ablation" not in text and "Best arm" not in text


def test_incomplete_runs_are_a_table(demo: Params, run_tree: Tree) -> None:
    data, runs = run_tree(demo)
    (runs / "concat" / "seed0" / "metrics.json").unlink()
    text = written(demo, (data, runs))
    assert "### Runs that are in no number" in text
    assert "| concat | 0 | evaluate | metrics.json: no such file | pigan evaluate" in text.replace("\\", "")


def test_markup_in_a_title_is_text(params_with: MakeParams, run_tree: Tree) -> None:
    params = params_with(report={"title": "<script>x</script> [a](b) *c* | `d`\n# e @someone"})
    title = written(params, run_tree(params)).splitlines()[0]
    assert title == ("## &lt;script&gt;x&lt;/script&gt; \\[a\\](b) \\*c\\* \\| \\`d\\` \\# e @\u2060someone")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("43.3 ± 0.6", "43.3 ± 0.6"),
        ("1. one", "1\\. one"),
        ("- one", "\\- one"),
        ("-0.5", "-0.5"),
        ("--- a", "\\--- a"),
        ("=== a", "\\=== a"),
        ("a\n\n# b", "a \\# b"),
        ("&amp;", "&amp;amp;"),
        ("a_b", "a\\_b"),
    ],
)
def test_escape(text: str, shown: str) -> None:
    assert escape(text) == shown
