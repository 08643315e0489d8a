"""What pigan's own code may never do, what it opens to the network, and which words can reach a shell."""

import ast
import json
import re
import shlex
import subprocess
import sys
import unicodedata
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from pigan import config

ROOT = Path(__file__).parents[1]
SOURCES = sorted((ROOT / "pigan").rglob("*.py"))
# what can run code that a file holds; none of them is imported anywhere
UNPICKLERS = {"pickle", "_pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
# servers; `socket` may be imported for names of hosts and for a rendezvous that is on loopback
SERVERS = {"http.server", "socketserver", "xmlrpc", "asyncio", "flask", "aiohttp", "uvicorn", "fastapi"}
CODE = {"eval", "exec", "compile", "__import__"}
SHELLS = {"os.system", "os.popen", "subprocess.getoutput", "subprocess.getstatusoutput", "pty.spawn", "os.spawnl"}
STARTS = {"subprocess.run", "subprocess.Popen", "subprocess.call", "subprocess.check_output", "subprocess.check_call"}
# runs what a file holds: only a file whose SHA-256 the params or this package name comes there
TORCHSCRIPT = {"pigan/evaluation/networks.py"}
# on loopback; tests/view and tests/stages look where they listen
LISTENERS = {"pigan/training/distributed.py", "pigan/view/server.py"}
VIEWER = "pigan/view/"


def dotted(node: ast.expr) -> str:
    """`a.b.c` of an expression that is only names."""
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def imports(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""
            yield from (f"{node.module}.{name.name}" for name in node.names)


def faults(source: str, where: str) -> list[str]:
    """What a module does that it must not."""
    tree = ast.parse(source)
    banned = UNPICKLERS if where.startswith(VIEWER) else UNPICKLERS | SERVERS
    found = [f"imports {name}" for name in imports(tree) if name in banned or name.split(".")[0] in banned]
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        name = dotted(node.func)
        keys = {key.arg: key.value for key in node.keywords}

        def stated(key: str, keys: dict[str | None, ast.expr] = keys) -> object:
            return keys[key].value if isinstance(keys.get(key), ast.Constant) else None

        if name in CODE | SHELLS | {"pd.read_pickle", "pandas.read_pickle"}:
            found.append(f"calls {name}")
        if name == "torch.load" and stated("weights_only") is not True:
            found.append("calls torch.load without weights_only=True")
        if name in ("np.load", "numpy.load") and "allow_pickle" in keys and stated("allow_pickle") is not False:
            found.append("lets numpy unpickle")
        if name == "torch.jit.load" and where not in TORCHSCRIPT:
            found.append("loads TorchScript")
        if "shell" in keys and stated("shell") is not False:
            found.append("starts a shell")
        if name in STARTS and node.args and isinstance(node.args[0], ast.Constant | ast.JoinedStr | ast.BinOp):
            found.append("starts a command that is a string")
        if name == "YAML" and stated("typ") == "unsafe":
            found.append("reads YAML that makes objects")
        if name in ("socket.socket", "socket.create_server") and where not in LISTENERS:
            found.append(f"calls {name}")
    return found


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_module_runs_no_code_of_others(path: Path) -> None:
    assert faults(path.read_text(encoding="utf-8"), path.relative_to(ROOT).as_posix()) == []


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from pickle import loads",
        "import http.server",
        "eval(text)",
        "torch.load(path)",
        "torch.load(path, weights_only=False)",
        "np.load(path, allow_pickle=True)",
        "torch.jit.load(path)",
        "subprocess.run(command, shell=True)",
        "subprocess.run(f'ls {name}')",
        "subprocess.run('ls ' + name)",
        "os.system(text)",
        "YAML(typ='unsafe')",
        "socket.create_server(('', 80))",
    ],
)
def test_scan_finds(source: str) -> None:
    assert faults(source, "pigan/x.py")


def test_scan_leaves_alone() -> None:
    fine = "model.eval(); np.load(p); torch.load(p, weights_only=True); subprocess.run(['ls', name]); re.compile('a')"
    assert faults(fine, "pigan/x.py") == []


# a stage with a hook that Python itself calls for every socket
WATCHED = """
import json, sys
opened = []
def watch(event, arguments):
    if event in ("socket.bind", "socket.listen", "socket.connect"):
        opened.append(f"{event} {arguments[1:]}")
sys.addaudithook(watch)
from pigan import cli
for command in json.loads(sys.argv[1]):
    sys.argv = ["pigan", *command]
    try:
        cli.main()
    except SystemExit as left:
        assert not left.code, command
print(json.dumps(opened))
"""


def test_stages_of_one_process_open_no_socket(tiny_file: Path, tmp_path: Path) -> None:
    run, who = "runs/cars/baseline/seed0", ["--arm", "baseline", "--seed", "0"]
    data = ["--data", "data/prepared/cars"]
    commands = [
        ["download", "--workers", "1", "--out", "data/raw/cars"],
        ["crop", "--workers", "1", "--raw", "data/raw/cars", "--out", "data/prepared/cars"],
        ["init", *who, "--out", f"{run}/init"],
        ["train", *who, "--resolution", "8", *data, "--init", f"{run}/init", "--out", f"{run}/r8"],
        ["train", *who, "--resolution", "16", *data, "--init", f"{run}/r8", "--out", f"{run}/r16"],
        ["generate", *who, "--model", f"{run}/r16", *data, "--out", f"{run}/generated"],
        ["report", *data, "--runs", "runs/cars", "--out", "reports/tiny"],
    ]
    done = subprocess.run(
        [sys.executable, "-c", WATCHED, json.dumps(commands)],
        cwd=tiny_file.parent,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    # urllib3 asks whether there is IPv6 by binding, without listening
    assert set(json.loads(done.stdout.splitlines()[-1])) <= {"socket.bind (('::1', 0),)"}


NAMES = ("dataset.name", "experiment", "arm")


def with_name(values: dict, key: str, name: str) -> dict:
    changes = {
        "dataset.name": {"dataset": {"name": name}},
        "experiment": {"experiment": name},
        "arm": {"report": {"main_arm": name}},
    }[key]
    merged = config.merge(values, changes)
    return {**merged, "arms": {name: {}}} if key == "arm" else merged


@pytest.fixture(scope="module")
def values(tiny_params: config.Params) -> dict:
    return tiny_params.model_dump()


TRICKS = [
    "a b",
    "-x",
    "../x",
    "a/b",
    "a;b",
    "$(id)",
    "a\n",
    "\na",
    "a\0",
    "ａ",
    "а",
    "a{b}",
    "a'b",
    'a"',
    "~",
    ".",
    "",
    "a|b",
]


@pytest.mark.parametrize("key", NAMES)
@given(name=st.one_of(st.text(max_size=12), st.from_regex(r"\A[A-Za-z][A-Za-z0-9_-]*.?\Z"), st.sampled_from(TRICKS)))
@example(name="baseline\n")
@settings(max_examples=150)
def test_names_that_are_accepted_are_safe_words_and_paths(values: dict, key: str, name: str) -> None:
    try:
        config.parse(with_name(values, key, name))
    except config.ParamsError:
        return
    assert shlex.quote(name) == name and shlex.split(name) == [name]
    assert name.isascii() and unicodedata.normalize("NFKC", name) == name
    assert not name.startswith(("-", ".")) and Path(name).parts == (name,)
    # neither a placeholder of Snakemake's nor of DVC's, and no option
    assert not set(name) & set("{}$*?[]~!#&;|<>\\'\"()` \t\n")


@pytest.mark.parametrize("key", NAMES)
def test_tricks_are_refused_and_plain_names_are_not(values: dict, key: str) -> None:
    for name in TRICKS:
        with pytest.raises(config.ParamsError):
            config.parse(with_name(values, key, name))
    config.parse(with_name(values, key, "My-name_2"))


def test_a_name_that_is_no_file_name_is_refused(values: dict) -> None:
    """Longer than file systems take with what is put behind it."""
    with pytest.raises(config.ParamsError):
        config.parse(with_name(values, "arm", "a" * 101))


# what a command of a rule may hold: paths, wildcards of the patterns above, numbers
PLACEHOLDER = re.compile(r"(?<!\{)\{([^{}]+)\}(?!\})")
ALLOWED = re.compile(
    r"(input|output|log|threads|wildcards\.(arm|seed|extractor)|(input|output|params|resources)(\.|\[)?[a-z_0-9\]]*)"
)
RUNS = re.compile(r"\$\(|`|\beval\b|sh -c")
FREE = re.compile(r"source|kind|citation|description|licence|terms|weights|path")


def commands(text: str) -> list[str]:
    """The shell commands of a Snakemake file."""
    found = re.findall(r"\n {4,}shell:\n((?: +f?\"[^\n]*\"\n?)+)", text)
    return ["".join(re.findall(r"\"([^\"]*)\"", block)) for block in found]


@pytest.mark.parametrize("path", sorted((ROOT / "workflow/rules").glob("*.smk")), ids=lambda path: path.name)
def test_rules_hand_no_free_text_to_a_shell(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    found = commands(text)
    assert len(found) == len(re.findall(r"\n +shell:", text))
    for command in found:
        for name in PLACEHOLDER.findall(command):
            assert ALLOWED.fullmatch(name) and not FREE.search(name), f"{path.name}: {{{name}}} in {command}"
        assert not RUNS.search(command)


def test_pipeline_of_dvc_hands_no_free_text_to_a_shell() -> None:
    stages = YAML(typ="safe").load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    for name, stage in stages.items():
        body = stage.get("do", stage)
        given_to_shell = body["cmd"] if isinstance(body["cmd"], list) else [body["cmd"]]
        for command in given_to_shell:
            for placeholder in re.findall(r"\$\{([^}]+)\}", command):
                assert not FREE.search(placeholder), f"{name}: ${{{placeholder}}}"
            assert not RUNS.search(command), name
