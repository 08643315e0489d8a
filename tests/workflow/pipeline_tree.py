"""A copy of the pipeline in a temporary folder, with a stand-in `pigan` that makes every declared output at once."""

import os
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
COPIED = (
    "Makefile",
    "constraints.txt",
    "pyproject.toml",
    ".dvc/.gitignore",
    ".dvc/config",
    ".dvc/plots",
    ".dvcignore",
    ".gitignore",
    "data/README.md",
    "dvc.yaml",
    "params.yaml",
    "pigan",
    "reports/README.md",
    "workflow",
)

STAND_IN = '''#!{python} -IS
"""Makes what a stage declares, checks that its inputs are there, and notes the call in work/calls.txt."""
import hashlib, json, sys
from pathlib import Path

stage, rest = sys.argv[1], [word for word in sys.argv[2:] if word != "--quick"]
options = dict(zip(rest[::2], rest[1::2]))
Path("work").mkdir(exist_ok=True)
with open("work/calls.txt", "a") as calls:
    place = options["--out"].split("/")
    arm, side = place[2:3] if place[0] == "runs" and stage != "bench" else [], place[4:] if stage == "train" else []
    calls.write(" ".join([stage, *arm, *side]) + "\\n")

digest = hashlib.sha256(Path("params.yaml").read_bytes()).hexdigest()
out = Path(options["--out"])
read = [options[key] for key in ("--raw", "--data", "--stats", "--generated", "--runs") if key in options]
read += [options[key] + "/" + name for key in ("--init", "--model") if key in options
         for name in ("checkpoint.safetensors", "state.json", "snapshots/index.json")]
missing = [path for path in read if not Path(path).exists()]
if missing:
    sys.exit("missing: " + ", ".join(missing))
score = str(int(digest[:6], 16) % 200)
made = {{
    "download": ["transforms.json"],
    "crop": ["dataset.json", "images_16.npy"],
    "real-stats": [""],
    "init": ["checkpoint.safetensors", "state.json", "snapshots/index.json"],
    "train": ["checkpoint.safetensors", "state.json", "log.jsonl", "snapshots/index.json"],
    "generate": ["generated.json"],
    "evaluate": [""],
    "bench": [""],
    "report": ["report.html"],
}}[stage]
for name in made:
    path = out / name if name else out
    path.parent.mkdir(parents=True, exist_ok=True)
    # Snakemake looks into small files, and goes by the times of those above 1 MB
    filling = " " * 1_100_000 if name == "checkpoint.safetensors" else ""
    # cropped again, the same images are the same bytes
    told = {{}} if stage == "crop" else {{"fid": int(score), "params": digest}}
    path.write_text(json.dumps({{"call": " ".join(sys.argv[1:]), **told}}) + filling)
if stage == "evaluate":
    Path(options["--pictures"]).mkdir(parents=True, exist_ok=True)
    (Path(options["--pictures"]) / "neighbours.png").write_text(digest)
if stage == "report":
    if not (Path(options["--runs"]) / "speed.json").exists():
        sys.exit("missing: speed.json")
    arms = sorted(path.parts[-3] for path in Path(options["--runs"]).glob("*/seed*/metrics.json"))
    rows = "".join(f"{{arm}},0,{{score}}\\n" for arm in arms)
    curves = "".join(f"{{arm}},0,{{step}},{{5 / step}},{{1 + 1 / step}}\\n" for arm in arms for step in range(1, 30))
    (out / "tables").mkdir(exist_ok=True)
    (out / "tables/metrics.csv").write_text("arm,seed,fid_efficientnet_lite0\\n" + rows)
    (out / "tables/ablation.csv").write_text("arm,seeds,fid_efficientnet_lite0\\n" + rows)
    (out / "tables/training.csv").write_text("arm,seed,global_step,loss_d,loss_g\\n" + curves)
    (out / "tables/curve.csv").write_text("arm,seed,images_seen,fid_efficientnet_lite0,kid\\n" + curves)
    for name in ("summary.md", "summary.json", "tables/ablation.tex", "tables/headline.tex"):
        (out / name).write_text(digest)
    for table in "intervals incomplete data_facts data_rejects data_duplicates".split():
        (out / f"tables/{{table}}.csv").write_text("what,value\\n")
    (out / "figures").mkdir(exist_ok=True)
    drawing = '<svg xmlns="http://www.w3.org/2000/svg" width="90" height="40"><rect width="90" height="40"/></svg>'
    figures = "fid kid precision_recall curve training depth geometry cost budget speed roofline scaling"
    figures += " data_poses data_depth"
    for figure in figures.split():
        (out / f"figures/{{figure}}.svg").write_text(drawing)
        if not (out / f"tables/{{figure}}.csv").exists():
            (out / f"tables/{{figure}}.csv").write_text("what,value\\n")
    pixel = bytes.fromhex("89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de"
                          "0000000c4944415408d763e8d80d0002e201b2d4f8b3f30000000049454e44ae426082")
    for picture in ("samples", "views", "depth", "truncation", "turntable", "neighbours", "mesh"):
        for arm in arms:
            (out / f"figures/{{picture}}_{{arm}}.png").write_bytes(pixel)
'''


class Tree:
    """A work tree with both engines."""

    def __init__(self, path: Path, env: dict[str, str]) -> None:
        self.path = path
        self.env = env

    def run(self, *command: str, fails: bool = False) -> str:
        """What the command printed, on either stream."""
        done = subprocess.run(
            command,
            cwd=self.path,
            env=self.env,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
        )
        assert (done.returncode != 0) == fails, f"{' '.join(command)}\n{done.stdout[-4000:]}"
        return done.stdout

    def dvc(self, *arguments: str) -> str:
        return self.run(sys.executable, "-m", "dvc", *arguments)

    def snakemake(self, *arguments: str, fails: bool = False) -> str:
        return self.run(sys.executable, "-m", "snakemake", "--cores", "4", *arguments, fails=fails)

    def make(self, target: str, fails: bool = False) -> str:
        return self.run("make", target, f"BIN={self.env['PATH'].split(os.pathsep)[0]}", fails=fails)

    def git(self, *arguments: str) -> str:
        return self.run("git", "-c", "user.name=t", "-c", "user.email=t@example.org", *arguments)

    def commit(self) -> None:
        """Everything that git does not ignore, committed."""
        self.git("add", "-A")
        self.git("commit", "-qm", "state")

    def calls(self) -> Counter[str]:
        """The stages that ran since the last time this was asked, each with its arm and resolution."""
        file = self.path / "work/calls.txt"
        lines = file.read_text().splitlines() if file.exists() else []
        file.unlink(missing_ok=True)
        return Counter(lines)

    def edit(self, old: str, new: str) -> None:
        """Replace a passage of params.yaml that is there once."""
        file = self.path / "params.yaml"
        text = file.read_text()
        assert text.count(old) == 1, old
        file.write_text(text.replace(old, new))

    def with_two_arms(self) -> "Tree":
        """This tree with two arms, the demo's, and one of its seeds, for speed."""
        self.edit("seeds:\n  - 0\n  - 1\n", "seeds:\n  - 0\n")
        return self


def copy_pipeline(path: Path) -> None:
    """Everything that the engines need of the repository, copied to `path`."""
    for item in COPIED:
        source, target = ROOT / item, path / item
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, target)


class TreeMaker:
    """Makes fresh git repositories of the pipeline below one folder."""

    def __init__(self, base: Path) -> None:
        self.base = base
        stand_in = base / "bin/pigan"
        stand_in.parent.mkdir()
        stand_in.write_text(STAND_IN.format(python=sys.executable))
        stand_in.chmod(0o755)
        self.env = {
            **os.environ,
            "PATH": os.pathsep.join([str(stand_in.parent), str(Path(sys.executable).parent), os.environ["PATH"]]),
            "CORES": "4",
            "XDG_CACHE_HOME": str(base / "cache"),
            "DVC_SITE_CACHE_DIR": str(base / "site"),
            "DVC_NO_ANALYTICS": "1",
            "PIGAN_GPU": "0",
            "PYTHONWARNINGS": "ignore",
        }

    def __call__(self, name: str) -> Tree:
        """A copy of the repository's pipeline in a folder of this name."""
        path = self.base / name
        copy_pipeline(path)
        tree = Tree(path, self.env)
        tree.git("init", "-q")
        return self.installed(tree)

    def clone(self, tree: Tree, name: str) -> Tree:
        """What a colleague gets with `git clone`."""
        tree.git("clone", "-q", ".", str(self.base / name))
        return self.installed(Tree(self.base / name, self.env))

    def installed(self, tree: Tree) -> Tree:
        """The tree with the mark of `make .venv`, so that make uses the Python that runs the tests."""
        (tree.path / ".venv").mkdir()
        (tree.path / ".venv/.installed").write_text(f"{tree.path.resolve()}\n")
        return tree
