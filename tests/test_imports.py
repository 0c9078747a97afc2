"""Who may import whom, and that the command line answers before anything heavy is loaded."""

import ast
import re
import subprocess
import sys
from collections import Counter
from functools import cache

import pytest

from sentiment.files import ROOT

# From the bottom to the top, below the package's name: each module may import those of its own layer and of those
# before it, and belongs to the longest name that it begins with. The package itself is at the bottom.
LAYERS = {
    "sentiment": [
        "errors console files processes tokens version",
        "config config_file data.built_in data.classes data.table download runs statistics answers.table "
        "answers.recommendation blocks",
        "command_line data",
        "encoders",
        "models",
        "training",
        "predicting",
        "answers api",
        "commands",
        "__main__",
    ],
    "jobs": [
        "policy job_kinds",
        "grids slurm.resources slurm.commands slurm.endings",
        "submissions",
        "slurm",
        "grid_jobs requested",
        "launch.local_runner status",
        "launch.plan launch.locked_grid bases",
        "launch.backends study launch.cancelling",
        "launch",
        "tasks dry_run doctor sync",
        "__main__",
    ],
    "report": [
        "render",
        "evaluated",
        "read",
        "compare",
        "compare.findings",
        "sections.names",
        "sections",
        "questions",
        "build",
        "verify",
        "__main__",
    ],
}
HEAVY = {"torch", "sklearn", "scipy", "pandas", "pyarrow", "nltk", "numpy"}
MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for package in LAYERS
    for path in sorted((ROOT / package).rglob("*.py"))
}


@cache
def _tree(module: str) -> ast.Module:
    return ast.parse(MODULES[module].read_text(encoding="utf-8"))


@cache
def _imports(module: str) -> set[str]:
    """Full names of the modules that a file imports, within functions too."""
    found = set()
    for node in ast.walk(_tree(module)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {name if name in MODULES else str(node.module) for name in names}
    return found


def _layer(module: str) -> int:
    package, *parts = module.split(".")
    names = [".".join(parts[:length]) for length in range(len(parts), 0, -1)]
    layers = [number for name in names for number, layer in enumerate(LAYERS[package]) if name in layer.split()]
    assert layers or not parts, f"{module}: belongs to no layer; add it to the layers in {__file__}"
    return layers[0] if parts else 0


@pytest.mark.slow
def test_module_imports_from_its_own_layer_and_those_below() -> None:
    wrong = [
        f"{module} imports {imported}"
        for module in MODULES
        for imported in _imports(module)
        if imported in MODULES and imported.split(".")[0] == module.split(".")[0]
        if _layer(imported) > _layer(module)
    ]
    assert wrong == []


@pytest.mark.slow
def test_there_are_no_circles_and_packages_hold_a_dozen_modules_at_most() -> None:
    unfinished = {name: {one for one in _imports(name) if one in MODULES} for name in MODULES}
    while free := [name for name, others in unfinished.items() if not (others - {*LAYERS}) & unfinished.keys()]:
        for name in free:
            del unfinished[name]
    assert unfinished == {}
    folders = Counter(path.parent for path in MODULES.values() if not path.name.startswith("__"))
    assert max(folders.values()) <= 12, folders


_BELOW_DATA = {module for module in MODULES if module.startswith("sentiment") and _layer(module) <= 1}
_BELOW_DATA.add("sentiment.command_line")  # which looks at data only if an option names some
_ABOVE = "|".join(
    map(
        re.escape, sorted({one for one in MODULES if one.startswith("sentiment")} - _BELOW_DATA - {"sentiment.answers"})
    )
)
# Which modules import nothing of what, but for others of them; patterns of whole names, with all that is below them.
RULES = [
    (r"sentiment", r"jobs|report|submitit", "sentiment.__main__"),
    (r"sentiment\.data", r"torch", ""),
    (
        "|".join(map(re.escape, sorted(_BELOW_DATA - {"sentiment"}))),
        "|".join(sorted(HEAVY)),
        r"sentiment\.(statistics|tokens|answers\.table)",
    ),
    (r"sentiment|jobs|report", r"wandb", r"sentiment\.training\.tracking"),
    (r"report", rf"jobs|torch|{_ABOVE}", ""),
    (r"report\.render", r"sentiment\.(?!blocks|console|files|statistics)", ""),
    (r"report\.(evaluated|read|compare)", r"report\.render|sentiment\.blocks", ""),
    # What knows how runs are executed, and what looks for tweets and models before any run is, know more than files.
    (r"jobs", r"report", ""),
    (r"jobs", r"submitit", r"jobs\.slurm\.sbatch"),
    (r"jobs", r"jobs\.slurm\.(commands|endings|sbatch)", r"jobs\.slurm"),
    (r"jobs", _ABOVE, r"jobs\.(tasks|launch\.local_runner|sync|job_kinds|grids\.grid)"),
    (
        r"jobs\.(tasks|launch\.local_runner)",
        r"sentiment\.(data|encoders|models|training\.tracking|predicting|answers|model)",
        "",
    ),
    (r"jobs\.sync", r"sentiment\.(data|encoders|models|training(?!\.tracking)|predicting|answers|model)", ""),
    (r"jobs\.job_kinds", r"sentiment\.(training\.tracking|predicting|answers|model)", ""),
    (r"jobs\.grids\.grid", r"sentiment\.(models|training|predicting|answers|model)", ""),
]


@pytest.mark.slow
@pytest.mark.parametrize(("who", "what", "but"), RULES, ids=[f"{who[:40]} not {what[:40]}" for who, what, _ in RULES])
def test_what_has_no_business_with_something_does_not_import_it(who: str, what: str, but: str) -> None:
    modules = [one for one in MODULES if re.match(rf"({who})(\.|$)", one) and not (but and re.match(but, one))]
    assert modules
    wrong = [
        f"{one} imports {other}" for one in modules for other in _imports(one) if re.match(rf"({what})(\b)", other)
    ]
    assert wrong == []


def test_sections_of_the_report_read_no_file() -> None:
    for module in (one for one in MODULES if one.startswith("report.sections.")):
        imports = [node for node in ast.walk(_tree(module)) if isinstance(node, ast.ImportFrom)]
        names = {alias.name for node in imports if str(node.module).startswith("report.read") for alias in node.names}
        assert not {name for name in names if name.startswith(("read_", "load_"))}, module


_COMMAND = "from {}.__main__ import app\ntry:\n    app({})\nexcept SystemExit: pass"
_SECOND_HAND = {"sklearn", "pandas"}
# What a process does in turn, and what it has not loaded by then.
_LOADS = {
    "commands": [
        (_COMMAND.format("sentiment", ["--help"]), {*HEAVY, "ruamel"}),
        (_COMMAND.format("sentiment", ["train", "--help"]), {*HEAVY, "ruamel"}),
        ("import sentiment; assert not hasattr(sentiment, 'lode')", HEAVY),
        (_COMMAND.format("report", ["report", "--help"]), HEAVY),
        (_COMMAND.format("jobs", ["status", "--results", "nowhere"]), HEAVY),
        ("import sentiment.training.tracking", {*HEAVY, "wandb"}),
        ("import sentiment.encoders.pretrained", {"torch"}),
        ("import sentiment.predicting.stored", {"torch", "scipy.sparse", "scipy.special", *_SECOND_HAND}),
        (_COMMAND.format("sentiment", ["predict", "nowhere", "x"]), _SECOND_HAND),
        ("import sentiment.training.experiment", {"wandb", "h5py", *_SECOND_HAND}),
    ],
    "a plan": [
        (_COMMAND.format("jobs", ["submit", "smoke", "--dry-run", "--results", "nowhere"]), {"torch", "sklearn"})
    ],
}


@pytest.mark.slow
@pytest.mark.parametrize("process", _LOADS)
def test_a_command_loads_no_more_than_it_needs(process: str) -> None:
    code = "import sys\n"
    for step, not_loaded in _LOADS[process]:
        code += f"{step}\nassert not {not_loaded!r} & {{*sys.modules}}, {step!r}\n"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
