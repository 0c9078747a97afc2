"""Who may import whom, and that the command line answers before anything heavy is loaded."""

import ast
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "sentiment"

# From the bottom to the top: each module may import those of its own layer and of those before it, and belongs to the
# longest name that it begins with.
LAYERS = [
    {
        "sentiment",
        "sentiment.console",
        "sentiment.errors",
        "sentiment.files",
        "sentiment.processes",
    },
    {
        "sentiment.command_line",
        "sentiment.config",
        "sentiment.config_file",
        "sentiment.runs",
    },
    {"sentiment.data"},
    {"sentiment.encoders"},
    {"sentiment.models", "sentiment.tracking"},
    {"sentiment.training"},
    {"sentiment.inference", "sentiment.model"},
    {"sentiment.__main__"},
]
JOB_LAYERS = [
    {"jobs", "jobs.policy", "jobs.services"},
    {"jobs.grids", "jobs.slurm.resources", "jobs.slurm.commands", "jobs.slurm.endings"},
    {"jobs.submissions", "jobs.grid_jobs"},
    {"jobs.here", "jobs.slurm", "jobs.status"},
    {"jobs.plan"},
    {"jobs.session"},
    {"jobs.tasks", "jobs.dry_run", "jobs.doctor", "jobs.sync"},
    {"jobs.__main__"},
]
HEAVY = {"torch", "sklearn", "scipy", "pandas", "pyarrow", "nltk", "numpy"}


def _module(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {_module(path): path for path in sorted(PACKAGE.rglob("*.py"))}
REPORT = {_module(path): path for path in sorted((PACKAGE.parent / "report").rglob("*.py"))}
JOBS = {_module(path): path for path in sorted((PACKAGE.parent / "jobs").rglob("*.py"))}


def _imports(path: Path, at_import_time: bool = False) -> set[str]:
    """Full names of the modules that a file imports; only those outside of functions if so asked."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    skipped: set[ast.AST] = set()
    if at_import_time:
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                skipped.update(ast.walk(node))
    found = set()
    for node in ast.walk(tree):
        if node in skipped:
            continue
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: relative import"
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            found.update(name if name in MODULES | REPORT | JOBS else str(node.module) for name in names)
    return found


def _layer(module: str, layers: list[set[str]] = LAYERS) -> int:
    parts = module.split(".")
    # The module `sentiment` holds the version; that a name begins with it says nothing.
    names = [".".join(parts[:length]) for length in range(len(parts), 1, -1)] or [module]
    for name in names:
        for number, layer in enumerate(layers):
            if name in layer:
                return number
    raise AssertionError(f"{module}: belongs to no layer; add it to the layers in {__file__}")


@pytest.mark.parametrize("module", MODULES)
def test_module_imports_from_its_own_layer_and_those_below(module: str) -> None:
    for imported in _imports(MODULES[module]):
        if imported.split(".")[0] == "sentiment":
            assert _layer(imported) <= _layer(module), f"{module} imports {imported}"


def test_checker_sees_what_it_should(tmp_path: Path) -> None:
    (tmp_path / "some.py").write_text(
        "import torch.nn as n\nfrom sentiment.data import batches\nfrom sentiment import errors\n"
        "def f():\n    from scipy.stats import norm\n"
    )
    everything = _imports(tmp_path / "some.py")
    assert everything == {"torch.nn", "sentiment.data.batches", "sentiment.errors", "scipy.stats"}
    assert _imports(tmp_path / "some.py", at_import_time=True) == everything - {"scipy.stats"}
    assert _layer("sentiment.data.batches") < _layer("sentiment.training.trainer") < _layer("sentiment.__main__")
    with pytest.raises(AssertionError, match="belongs to no layer"):
        _layer("sentiment.unheard_of")


def test_there_are_no_circles() -> None:
    graph = {name: {other for other in _imports(path) if other in MODULES} for name, path in MODULES.items()}
    finished: set[str] = set()

    def visit(module: str, way: tuple[str, ...]) -> None:
        assert module not in way, " -> ".join((*way[way.index(module) :], module))
        if module not in finished:
            for imported in graph[module]:
                visit(imported, (*way, module))
            finished.add(module)

    for module in graph:
        visit(module, ())


def test_data_layer_does_without_torch_apart_from_batches() -> None:
    users = {
        name
        for name, path in MODULES.items()
        if name.startswith("sentiment.data.") and any(one.split(".")[0] == "torch" for one in _imports(path))
    }
    assert users == {"sentiment.data.batches"}


_BELOW_DATA = {module for module in MODULES if _layer(module) <= 1}


def test_lower_layers_import_nothing_heavy() -> None:
    for name in sorted(_BELOW_DATA):
        heavy = {one for one in _imports(MODULES[name]) if one.split(".")[0] in HEAVY}
        assert heavy == set(), name


def _loaded_by(code: str) -> set[str]:
    script = f"{code}\nimport sys\nprint(*{{name.split('.')[0] for name in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(done.stdout.split("\n")[-2].split())


@pytest.mark.slow
@pytest.mark.parametrize(
    "arguments", [["--help"], ["train", "--help"], ["predict", "--help"], ["show", "nowhere"]], ids=" ".join
)
def test_help_and_usage_errors_load_nothing_heavy(arguments: list[str]) -> None:
    loaded = _loaded_by(f"from sentiment.__main__ import app\ntry:\n    app({arguments!r})\nexcept SystemExit: pass")
    assert "typer" in loaded
    allowed = HEAVY if arguments[0] == "show" else set()
    assert loaded & HEAVY <= allowed & loaded
    assert not loaded & {"sklearn", "pandas", "scipy"}
    if "--help" in arguments:
        assert "ruamel" not in loaded  # nor, with it, the schema and what reads files for it


def test_run_directories_are_read_without_torch() -> None:
    assert not _loaded_by("import sentiment.runs.run_dir, sentiment.config_file, sentiment.runs.records") & HEAVY


def test_elmo_models_are_found_without_torch() -> None:
    assert "torch" not in _loaded_by("import sentiment.encoders.models")


# What knows how runs are executed, and what looks for tweets and models before any run is; the other modules of jobs
# know runs only by their files.
_TRAINS = ("jobs.tasks", "jobs.here")
_LOOKS_FOR_FILES = {
    "jobs.sync": {"sentiment.tracking"},
    "jobs.services": {
        "sentiment.data",
        "sentiment.encoders.models",
        "sentiment.models.baseline",
        "sentiment.training",
    },
    "jobs.grids.grid": {"sentiment.data", "sentiment.encoders.models"},
}


@pytest.mark.parametrize("module", JOBS)
def test_module_of_jobs_imports_from_its_own_layer_and_those_below(module: str) -> None:
    for imported in _imports(JOBS[module]) & {*JOBS}:
        assert _layer(imported, JOB_LAYERS) <= _layer(module, JOB_LAYERS), f"{module} imports {imported}"


def test_jobs_have_no_circles_and_packages_of_at_most_a_dozen_modules() -> None:
    unfinished = {name: _imports(path) & {*JOBS} for name, path in JOBS.items()}
    while free := [name for name, others in unfinished.items() if not (others - {"jobs"}) & unfinished.keys()]:
        for name in free:
            del unfinished[name]
    assert unfinished == {}
    folders = Counter(path.parent for path in JOBS.values() if path.name != "__init__.py")
    assert max(folders.values()) <= 12, folders


@pytest.mark.parametrize(
    "module", sorted({*JOBS} - {"jobs.__main__"})
)  # a command line has as many options as it needs
def test_functions_of_jobs_have_at_most_six_parameters(module: str) -> None:
    for node in ast.walk(ast.parse(JOBS[module].read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef):
            names = {one.arg for one in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)}
            assert len(names - {"self", "cls"}) <= 6, f"{module}.{node.name}"


@pytest.mark.parametrize("module", JOBS)
def test_jobs_know_of_runs_only_their_files(module: str) -> None:
    allowed = {"sentiment.training"} if module.startswith(_TRAINS) else _LOOKS_FOR_FILES.get(module, set())
    for imported in _imports(JOBS[module]):
        assert imported.split(".")[0] != "report", f"{module} imports {imported}"
        if imported in MODULES and imported not in _BELOW_DATA:
            assert any(imported == name or imported.startswith(f"{name}.") for name in allowed), imported


@pytest.mark.parametrize("module", JOBS)
def test_jobs_load_nothing_heavy_before_they_train(module: str) -> None:
    assert not {one.split(".")[0] for one in _imports(JOBS[module], at_import_time=True)} & HEAVY


def test_only_tracking_imports_wandb() -> None:
    root = PACKAGE.parent
    every = [path for folder in ("sentiment", "jobs", "report") for path in (root / folder).rglob("*.py")]
    users = {path.relative_to(root) for path in every if any(one.split(".")[0] == "wandb" for one in _imports(path))}
    assert users == {Path("sentiment/tracking.py")}, "only sentiment/tracking.py imports wandb"


@pytest.mark.slow
def test_training_loads_nothing_of_wandb_and_what_copies_to_it_loads_no_torch() -> None:
    copying = {"wandb", "h5py", "pandas", "sklearn"}
    assert not _loaded_by("import sentiment.training.experiment") & copying
    assert not _loaded_by("import sentiment.tracking") & {*HEAVY, "wandb"}


@pytest.mark.slow
def test_training_without_elmo_loads_nothing_of_the_extra_that_elmo_needs() -> None:
    script = "import sys, sentiment.training.experiment; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert not {"h5py", "sentiment.training.pretraining"} & set(done.stdout.split())


def test_only_jobs_know_submitit() -> None:
    users = {name for name, path in MODULES.items() if any(one.startswith("submitit") for one in _imports(path))}
    assert users == set()


@pytest.mark.parametrize(
    "arguments", [["--help"], ["submit", "--help"], ["status", "--results", "nowhere"]], ids=" ".join
)
def test_jobs_answer_without_anything_heavy(arguments: list[str]) -> None:
    loaded = _loaded_by(f"from jobs.__main__ import app\ntry:\n    app({arguments!r})\nexcept SystemExit: pass")
    assert not loaded & HEAVY


@pytest.mark.parametrize("module", REPORT)
def test_report_knows_runs_only_by_their_files(module: str) -> None:
    for imported in _imports(REPORT[module]):
        assert imported.split(".")[0] not in {"jobs", "torch"}, imported
        if imported in MODULES:
            assert imported in _BELOW_DATA, imported


def test_report_loads_no_torch() -> None:
    assert "torch" not in _loaded_by("import report.build")


# What each part of the report may import of the others; build and __main__ put them together.
_STATISTICS = {"report.statistics"}
_REPORT_MAY_IMPORT = {
    "report.statistics": set[str](),
    "report.read": _STATISTICS,
    "report.render": _STATISTICS,
    "report.compare": _STATISTICS | {"report.read"},
    "report.sections": _STATISTICS | {"report.read", "report.render", "report.compare"},
    "report.questions": _STATISTICS | {"report.read", "report.render", "report.compare", "report.sections"},
    "report.build": _STATISTICS
    | {"report.read", "report.render", "report.compare", "report.sections", "report.questions"},
    "report.__main__": {"report.build"},
}

# Within its packages: from the bottom to the top, as for jobs.
REPORT_LAYERS = [
    {"report.compare"},
    {"report.compare.findings"},
    {"report.sections.names"},
    {"report.sections"},
]


def _part(module: str) -> str:
    return ".".join(module.split(".")[:2])


@pytest.mark.parametrize("module", [name for name in REPORT if name != "report"])
def test_report_is_read_then_analysed_then_written(module: str) -> None:
    allowed = _REPORT_MAY_IMPORT[_part(module)] | {_part(module)}
    for imported in _imports(REPORT[module]):
        if imported.split(".")[0] == "report":
            assert _part(imported) in allowed, f"{module} imports {imported}"


@pytest.mark.parametrize(
    "module", [name for name in REPORT if name.startswith(("report.compare.", "report.sections."))]
)
def test_parts_of_the_report_import_from_their_own_layer_and_those_below(module: str) -> None:
    for imported in _imports(REPORT[module]) & {*REPORT}:
        if imported.startswith(("report.compare", "report.sections")):
            allowed = _layer(module, REPORT_LAYERS)
            assert _layer(imported, REPORT_LAYERS) <= allowed, f"{module} imports {imported}"


@pytest.mark.parametrize("module", [name for name in REPORT if name.startswith("report.sections.")])
def test_sections_read_no_file(module: str) -> None:
    tree = ast.parse(REPORT[module].read_text(encoding="utf-8"))
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    names = {alias.name for node in imports if str(node.module).startswith("report.read") for alias in node.names}
    assert not {name for name in names if name.startswith(("read_", "load_"))}


def test_what_draws_and_writes_the_report_knows_nothing_of_runs() -> None:
    known = {one for name, path in REPORT.items() if _part(name) == "report.render" for one in _imports(path)}
    assert {one for one in known if one in MODULES} == {"sentiment.console", "sentiment.files"}


def test_report_has_no_circles_and_packages_of_at_most_ten_modules() -> None:
    unfinished = {name: {other for other in _imports(path) if other in REPORT} for name, path in REPORT.items()}
    while free := [name for name, others in unfinished.items() if not (others - {"report"}) & unfinished.keys()]:
        for name in free:
            del unfinished[name]
    assert unfinished == {}
    folders = Counter(path.parent for path in REPORT.values() if path.name != "__init__.py")
    assert max(folders.values()) <= 12, folders


@pytest.mark.parametrize("arguments", [["--help"], ["report", "--help"]], ids=" ".join)
def test_report_answers_without_anything_heavy(arguments: list[str]) -> None:
    loaded = _loaded_by(f"from report.__main__ import app\ntry:\n    app({arguments!r})\nexcept SystemExit: pass")
    assert not loaded & HEAVY
