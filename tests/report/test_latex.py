"""The LaTeX tables: sound structure, aligned columns, nothing that a name could break."""

import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from pigan.config import Params
from pigan.report.collect import Collected, collect
from pigan.report.latex import ablation_tex, escape, headline_tex, number_tex
from pigan.report.tables import ablation_table

Tree = Callable[[Params], tuple[Path, Path]]
MakeParams = Callable[..., Params]


def both(collected: Collected) -> list[str]:
    ablation = ablation_table(collected)
    return [ablation_tex(collected, ablation, "demo"), headline_tex(collected, ablation, "demo")]


def checked(text: str) -> list[list[str]]:
    """The rows of each tabular, once it is known that LaTeX reads them: groups and columns add up."""
    code = "\n".join(line for line in text.splitlines() if not line.startswith("%"))
    bare = re.sub(r"\\[\\{}$&#%_]", "", code)
    depth = 0
    for letter in bare:
        depth += {"{": 1, "}": -1}.get(letter, 0)
        assert depth >= 0
    assert depth == 0 and bare.count("$") % 2 == 0 and code.isascii()
    tables = re.findall(r"\\begin\{tabular\}\{(.*?)\}\n(.*?)\\end\{tabular\}", code, flags=re.S)
    assert len(tables) == code.count(r"\begin{tabular}") == code.count(r"\bottomrule") > 0
    found = []
    for columns, body in tables:
        count = len(re.findall("[lcr]", columns.replace(r"@{\,}", "").replace("@{\\,", "").replace("}", "")))
        rows = [
            row for row in re.split(r"\\\\\n", re.sub(r"\\(top|mid|bottom)rule\n|\\addlinespace\n", "", body)) if row
        ]
        for row in rows:
            spans = [int(span) for span in re.findall(r"\\multicolumn\{(\d)\}", row)]
            cells = len(re.findall(r"(?<!\\)&", row)) + 1 + sum(spans) - len(spans)
            assert cells == count, row
        found.append(rows)
    return found


@pytest.mark.parametrize("seeds", [[0], [0, 1, 2]])
def test_tables_are_sound(params_with: MakeParams, run_tree: Tree, seeds: list[int]) -> None:
    params = params_with(seeds=seeds)
    ablation, headline = both(collect(params, *run_tree(params)))
    tables = checked(ablation)
    assert len(tables) == 2 and all(len(rows) == 1 + len(params.arms) for rows in tables)
    (rows,) = checked(headline)
    assert r"\emph{Image quality, EfficientNet-Lite0 features}" in rows[1]
    for text in (ablation, headline):
        assert "% \\usepackage{booktabs}" in text and "% \\caption{" in text and "% \\label{tab:demo-" in text


@pytest.mark.skipif(
    not all(map(shutil.which, ("pdflatex", "kpsewhich")))
    or subprocess.run(["kpsewhich", "booktabs.sty"], check=False, stdout=subprocess.DEVNULL).returncode != 0,
    reason="LaTeX with booktabs is not installed (texlive-latex-recommended)",
)
def test_latex_sets_them_with_no_more_than_booktabs(params_with: MakeParams, run_tree: Tree, tmp_path: Path) -> None:
    body = []
    for number, seeds in enumerate(([0], [0, 1, 2])):
        params = params_with(seeds=seeds, experiment="a_b", report={"main_arm": "odd_name"}, arms={"odd_name": {}})
        for text in both(collect(params, *run_tree(params))):
            name = f"table{number}{len(body)}.tex"
            (tmp_path / name).write_text(text, encoding="utf-8")
            body.append(f"\\noindent\\input{{{name}}}\\par")
    lines = [
        r"\documentclass[landscape]{article}",
        r"\usepackage[a3paper,margin=1cm]{geometry}",
        r"\usepackage{booktabs}",
    ]
    document = "\n".join([*lines, r"\begin{document}", *body, r"\end{document}", ""])
    (tmp_path / "document.tex").write_text(document, encoding="utf-8")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "document.tex"]
    done = subprocess.run(command, cwd=tmp_path, check=False, capture_output=True, text=True, errors="replace")
    assert done.returncode == 0, done.stdout[-2000:]
    assert "Overfull" not in done.stdout and "Missing character" not in done.stdout
    assert (tmp_path / "document.pdf").read_bytes().startswith(b"%PDF")


def test_values_are_those_of_the_report_and_the_best_is_bold(demo: Params, run_tree: Tree) -> None:
    collected = collect(demo, *run_tree(demo))
    text, _ = both(collected)
    fid = ablation_table(collected).set_index("arm")["fid_efficientnet_lite0_mean"]
    low, high = collected.first_seed("baseline").intervals["fid_efficientnet_lite0"]  # type: ignore[union-attr]
    assert (
        f"baseline (main) & \\textbf{{{fid['baseline']:.1f}}} & {{\\scriptsize {{[}}{low:.1f}, {high:.1f}{{]}}}}"
        in text
    )
    assert f"relu-pe & {fid['relu-pe']:.1f} &" in text
    assert "FID $\\downarrow$" in text and "Precision $\\uparrow$" in text
    assert "one seed, in brackets" in text


def test_spread_and_seeds_are_told(params_with: MakeParams, run_tree: Tree) -> None:
    params = params_with(seeds=[0, 1, 2])
    text, _ = both(collect(params, *run_tree(params)))
    assert "mean $\\pm$ standard deviation over 3 seeds" in text
    assert "{\\scriptsize $\\pm$ " in text


def test_metric_without_a_value_is_a_dash(demo: Params, run_tree: Tree) -> None:
    data, runs = run_tree(demo)
    path = runs / "concat" / "seed0" / "metrics.json"
    path.write_text(
        re.sub(r'"recall_efficientnet_lite0": [\d.]+', '"recall_efficientnet_lite0": null', path.read_text())
    )
    text, _ = both(collect(demo, data, runs))
    assert re.search(r"concat & .* & -- & &", text)
    checked(text)


def test_special_characters_are_text() -> None:
    assert escape(r"a_b & 50% #1 $x$ {y} \z ^ ~") == (
        r"a\_b \& 50\% \#1 \$x\$ \{y\} \textbackslash{}z \textasciicircum{} \textasciitilde{}"
    )
    assert escape("δ < 1.25\n±") == r"$\delta$ \textless{} 1.25 $\pm$"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("1,234.5", "1,234.5"),
        ("−3.2", "$-$3.2"),
        ("–", "--"),
        ("1.20e−07", r"$1.20\times10^{-7}$"),
        ("[−1.20e−07, 2.00e−06]", r"{[}$-1.20\times10^{-7}$, $2.00\times10^{-6}${]}"),
    ],
)
def test_numbers(text: str, shown: str) -> None:
    assert number_tex(text) == shown
