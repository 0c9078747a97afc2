"""The identity of a run: one id for all spellings of a question, another for another, and the same bits for one id."""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any
from unittest.mock import patch

import pytest

from sentiment.config import OPERATIONAL_FIELDS, ElmoConfig, EncoderConfig, RunConfig, VectorsConfig
from sentiment.config_file import dotted, resolve
from sentiment.errors import ConfigError, RunDirError
from sentiment.runs.run_dir import Results, RunDir
from tests.encoders.random_elmo import write_random_model
from tests.small_runs import SMALL_RUN, Experiment

# Another value of each field that has an effect in every run.
IN_EVERY_RUN: dict[str, Any] = {
    field: value
    for fields, value in (
        ("seed data.train_rows training.batch_size training.epochs", 7),
        ("elmo.dropout model.dropout training.learning_rate training.l2", 0.4),
        ("data.text.lowercase", False),
        ("data.language", "de"),
        ("training.clip training.early_stopping.patience", None),
        ("data.text.urls data.text.mentions", "keep"),
        ("training.precision", "bf16"),
        ("data.source", "sample"),
        ("data.tests", {"other": {"path": "other.csv"}}),
        ("data.extra_train", [{"path": "extra.csv"}]),
        ("data.text.hashtags", "split"),
        ("data.text.stop_words", "all"),
        ("elmo.model", "tiny"),
        ("elmo.layers", "top"),
        ("elmo.combine", "alone"),
        ("elmo.backend", "allennlp"),
        ("model.kind", "feed_forward"),
        ("training.optimizer", "sgd"),
        ("training.early_stopping.metric", "macro_f1"),
    )
    for field in fields.split()
}

FIVE_FOLDS = {"data.folds": 5, "data.fold": 1}
WORD2VEC = {"embedding.pretrained": "word2vec"}
NO_VECTORS_LEARNED = [{}, {"embedding.pretrained": "vectors.txt"}, WORD2VEC | {"elmo.combine": "alone"}]
ALONE = {"elmo.combine": "alone"}
TABLE = {"data.source": "tweets.csv"}
OWN_PARTS = {"data.source": "tweeteval"}
TWO_CLASSES = {"data.labels": {"negative": ["no"], "positive": ["yes"]}}
FEED_FORWARD = {"model.kind": "feed_forward"}
LINEAR = {"model.kind": "linear"}
TOKEN_LAYER = {"elmo.layers": "token"}
HUB = {"elmo.model": "none", "encoder.model": "some/model"}
TWEET = HUB | LINEAR | {"encoder.use": "tweet"}
TUNED = TWEET | {"encoder.use": "finetune"}

# Fields that stand in no file as long as they have their default.
ABSENT_BY_DEFAULT = {"data.columns.part", "data.language"}

# Of each other field: another value, settings under which it has an effect, and settings under which it has none.
IN_SOME_RUNS: dict[str, tuple[Any, dict[str, Any], list[dict[str, Any]]]] = {
    "data.columns.text": ("tweet", TABLE, [{}, {"data.source": "sentiment140"}]),
    "data.columns.label": ("class", TABLE, [{}, {"data.source": "sample"}]),
    "data.columns.user": ("author", TABLE, [{}]),
    "data.columns.id": (0, TABLE, [{}]),
    "data.columns.part": ("split", TABLE, [{}]),
    "data.labels.negative": (("bad",), TABLE | TWO_CLASSES, [TWO_CLASSES]),
    "data.labels.positive": (("good",), TABLE | TWO_CLASSES, [TWO_CLASSES]),
    "data.labels.ignored": (("so so",), TABLE | TWO_CLASSES, [TWO_CLASSES]),
    "data.test_fraction": (0.2, {}, [FIVE_FOLDS, OWN_PARTS, TABLE | {"data.columns.part": "split"}]),
    "data.validation_fraction": (0.2, {}, [OWN_PARTS]),
    "data.folds": (6, FIVE_FOLDS, []),
    "data.fold": (2, FIVE_FOLDS, []),
    "data.vocabulary.min_count": (7, {}, [ALONE, HUB]),
    "data.vocabulary.max_size": (7, {}, [ALONE, HUB]),
    **{f"embedding.{name}": (0.7, {}, [ALONE, HUB]) for name in ("dropout", "token_dropout")},
    "embedding.size": (7, {}, [ALONE, HUB]),
    "embedding.initial_std": (0.7, {}, [ALONE, HUB, {"embedding.pretrained": "vectors.txt"}]),
    "embedding.pretrained": ("vectors.txt", {}, [ALONE, HUB]),
    "embedding.polarity": (True, {}, [ALONE, HUB, {"data.language": "de"}]),
    "vectors.unlabelled": ([{"path": "more.txt"}], WORD2VEC, NO_VECTORS_LEARNED),
    **{f"vectors.{name}": (7, WORD2VEC, NO_VECTORS_LEARNED) for name in ("epochs", "seed")},
    "elmo.state": ("zero", {"elmo.layers": "first"}, [TOKEN_LAYER]),
    "encoder.model": ("other/model", HUB, []),
    "encoder.revision": ("v2", HUB, [HUB | {"encoder.model": "./folder"}]),
    "encoder.use": ("tweet", HUB | LINEAR, []),
    "elmo.precision": ("bf16", {}, [{"elmo.backend": "allennlp"}]),
    "encoder.dropout": (0.7, HUB, [TUNED]),
    "encoder.precision": ("bf16", HUB, [TUNED]),
    "model.hidden_size": (7, {}, [LINEAR]),
    "model.layers": (2, {}, [LINEAR]),
    "model.pooling": ("mean", LINEAR, [TWEET]),
    "model.cell": ("gru", {}, [FEED_FORWARD, LINEAR]),
    "model.bidirectional": (False, {}, [FEED_FORWARD, LINEAR]),
    **{
        f"model.attention.{name}": (7, {"model.pooling": "attention"}, [{}, {"model.pooling": other}])
        for name, other in (("d_a", "mean"), ("r", "max"), ("penalty", "last"))
    },
}


def _config(parameters: Mapping[str, Any]) -> RunConfig:
    return resolve({"elmo": {}}, parameters, "a test")


def test_every_field_of_the_schema_is_classified() -> None:
    """Whoever adds a field says here when it has an effect; if it hasn't always, `unused_fields` must know as well."""
    config = RunConfig(elmo=ElmoConfig(), vectors=VectorsConfig())
    schema = dotted(config.model_dump() | {"encoder": EncoderConfig().model_dump()})
    questions = {name for name in schema if name.split(".")[0] not in OPERATIONAL_FIELDS} - {"training.log_every"}
    assert questions | {"data.tests", *ABSENT_BY_DEFAULT} == IN_EVERY_RUN.keys() | IN_SOME_RUNS.keys()
    assert not IN_EVERY_RUN.keys() & IN_SOME_RUNS.keys()


def test_field_changes_the_id_of_those_runs_only_in_which_it_has_an_effect() -> None:
    every = IN_SOME_RUNS | {field: (value, {}, []) for field, value in IN_EVERY_RUN.items()}
    for field, (value, used, unused) in every.items():
        assert _config(used | {field: value}).run_id != _config(used).run_id, field
        assert not field.startswith(_config(used).unused_fields()), field
        for settings in unused:
            changed = _config(settings | {field: value})
            assert changed == _config(settings), (field, settings)
            assert changed.run_id == _config(settings).run_id, (field, settings)
            is_label = field.startswith("data.labels.")  # names of classes always have an effect, their labels do not
            assert is_label or field.startswith(changed.unused_fields()), (field, settings)


def test_id_does_not_depend_on_the_machine_and_the_description() -> None:
    for parameters in (
        {"description": "another"},
        {"runtime.device": "cpu", "runtime.threads": 3},
        {"runtime.checkpoint.every_steps": 5, "runtime.time_limit_seconds": 9, "runtime.same_hardware": True},
        {"tracking.wandb": "offline", "training.log_every": 7},
    ):
        assert resolve({}, parameters, "file").run_id == RunConfig().run_id


def test_run_id_has_no_white_space_whatever_the_folder_of_the_encoder_is_called() -> None:
    run_id = _config(HUB | {"encoder.model": "./my models/tiny\tbert  2"}).run_id
    assert run_id.startswith("tiny_bert_2_")
    assert run_id.split() == [run_id]


def test_id_is_stable_and_does_not_depend_on_how_a_value_is_written() -> None:
    """Directories of finished runs are named after it: if this fails, every run would be trained again."""
    assert RunConfig().run_id == "bilstm64-mean_max-s1-2806c111"
    assert resolve(RunConfig().model_dump(mode="json"), {}, "file").run_id == RunConfig().run_id
    for field, one, other in (("training.clip", 1, 1.0), ("model.dropout", 0.0, -0.0), ("training.l2", 0, -0.0)):
        assert _config({field: one}).run_id == _config({field: other}).run_id, field
    changed = resolve({}, {"model.kind": "feed_forward", "model.pooling": "mean", "model.layers": 2}, "file")
    assert changed.title == "ff2x64-mean-s1"
    assert _config(TWEET).title == "model_tweet-linear-s1"


def test_an_encoder_of_tweets_goes_with_no_recurrent_net_and_with_no_elmo(project: Path) -> None:
    for parameters in (TWEET | {"model.kind": "rnn"}, TWEET | {"elmo.model": "tiny"}):
        with pytest.raises(ConfigError, match=r"encoder\.use 'tweet' gives|elmo and encoder are both set"):
            _config(parameters)
    assert _config(HUB | {"encoder.model": "none"}).encoder is None
    assert _read_path("encoder.model", "./models/../minilm", HUB) == "./minilm"
    assert _read_path("encoder.model", str(project / "minilm"), HUB) == "./minilm"
    assert _read_path("encoder.model", "models/minilm", HUB) == "models/minilm"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "project" / "data").mkdir(parents=True)
    (tmp_path / "home").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PWD", str(tmp_path / "project"))
    monkeypatch.chdir(tmp_path / "project")
    return tmp_path / "project"


def _read_path(field: str, path: str, parameters: Mapping[str, Any] = MappingProxyType({})) -> str:
    return str(dotted(_config({**parameters, field: path}).model_dump())[field])


def test_a_path_is_spelled_in_one_way(project: Path) -> None:
    home = project.parent / "home"
    (project.parent / "elsewhere" / "inner").mkdir(parents=True)
    (project / "linked").symlink_to(project.parent / "elsewhere" / "inner")
    for spelling, plain in (
        ("tweets.csv", "tweets.csv"),
        ("./tweets.csv", "tweets.csv"),
        ("data/../tweets.csv", "tweets.csv"),
        ("linked/../tweets.csv", "linked/../tweets.csv"),  # which stands elsewhere
        ("data//x.csv", "data/x.csv"),
        (f"{project}/data/x.csv", "data/x.csv"),
        (f"{project}/./tweets.csv", "tweets.csv"),
        ("../home/x.csv", "../home/x.csv"),
        (f"{home}/x.csv", f"{home}/x.csv"),
        ("~/x.csv", f"{home}/x.csv"),
    ):
        for field in ("data.source", "data.tests.mine.path", "embedding.pretrained", "elmo.model"):
            assert _read_path(field, spelling) == plain, field
        further = {"data.extra_train": [{"path": "vader"}, {"path": spelling}]}
        config: Any = _config(WORD2VEC | further | {"vectors.unlabelled": [{"path": spelling}]})
        assert [table.path for table in config.data.extra_train] == ["vader", plain]
        assert [file.path for file in config.vectors.unlabelled] == [plain]


def test_a_path_survives_the_shells_name_of_a_folder_and_a_move(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    link = project.parent / "link"
    link.symlink_to(project)
    monkeypatch.setenv("PWD", str(link))
    assert _read_path("data.source", str(link / "tweets.csv")) == "tweets.csv"
    before = _config({"data.source": str(project / "tweets.csv")}).run_id
    moved = project.rename(project.with_name("moved"))
    monkeypatch.chdir(moved)
    monkeypatch.setenv("PWD", str(moved))
    assert _config({"data.source": str(moved / "tweets.csv")}).run_id == before


def test_a_file_called_like_something_built_in_is_not_taken_for_it(project: Path) -> None:
    for field, name in (
        ("data.source", "vader"),
        ("data.tests.mine.path", "sentiment140"),
        ("embedding.pretrained", "word2vec"),
        ("elmo.model", "small"),
    ):
        assert _read_path(field, name) == name
        assert _read_path(field, f"./{name}") == _read_path(field, str(project / name)) == f"./{name}"
        assert _config({field: f"./{name}"}).run_id != _config({field: name}).run_id


def test_vectors_can_be_none_in_a_word_and_without_a_section_are_those_of_the_defaults(project: Path) -> None:
    assert resolve({}, {"embedding.pretrained": "none"}, "file") == resolve({}, {}, "file")
    assert _read_path("embedding.pretrained", "./none") == "./none"
    plain = resolve({}, WORD2VEC, "file")
    assert plain == resolve({"vectors": {}}, WORD2VEC, "file")
    assert plain.vectors == VectorsConfig()


def test_a_test_set_of_the_runs_own_tweets_has_no_effect() -> None:
    samples = {"data.tests.other.path": "sample"}
    assert _config(samples) == _config({})
    assert _config(samples | {"data.source": "sample"}) == _config({"data.source": "sample"})
    assert _config(samples | {"data.source": "sentiment140"}).data.tests.keys() == {"other"}
    assert _config(TABLE | {"data.tests.other.path": "./tweets.csv"}) == _config(TABLE)


def test_a_column_of_parts_has_no_effect_on_a_built_in_source() -> None:
    for split in ({"data.test_fraction": 0.2}, {"data.validation_fraction": 0.2}, FIVE_FOLDS):
        plain = split | {"data.source": "vader"}
        assert _config(plain | {"data.columns.part": "split"}) == _config(plain)


# Instead of the folder of a model.
ELMO = "a model"


def _as_spelled(parameters: dict[str, Any]) -> RunConfig:
    with patch.object(RunConfig, "canonical", lambda config: config):
        return resolve(SMALL_RUN, parameters, "a test")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("settings", "fields"),
    [
        ({}, "model.attention.d_a model.attention.r model.attention.penalty"),
        (FEED_FORWARD, "model.cell model.bidirectional"),
        (
            ALONE | {"elmo.model": ELMO, "elmo.layers": "top"},
            "data.vocabulary.min_count data.vocabulary.max_size embedding.size embedding.initial_std "
            "embedding.dropout embedding.token_dropout embedding.polarity",
        ),
        (TOKEN_LAYER | {"elmo.model": ELMO}, "elmo.state"),
    ],
    ids=str,
)
def test_unused_fields_change_no_bit_of_a_run(
    settings: dict[str, Any], fields: str, tweets_file: Path, shared_results: Results, tmp_path: Path
) -> None:
    short = {"data.source": str(tweets_file), "training.epochs": 1, "training.batch_size": 256}
    if settings.get("elmo.model") == ELMO:
        write_random_model(tmp_path)
        settings = settings | {"elmo.model": str(tmp_path)}
    plain = _as_spelled(short | settings)
    changed = _as_spelled(short | settings | {field: IN_SOME_RUNS[field][0] for field in fields.split()})
    assert changed != plain
    assert changed.canonical() == plain.canonical()
    first, second = (
        Experiment(one, shared_results, shared_results.run_dir(one.run_id)).complete() for one in (plain, changed)
    )
    assert first == second


@pytest.mark.slow
def test_a_directory_is_of_one_question_and_its_machine_that_of_the_newest_command(tmp_path: Path) -> None:
    run_dir = RunDir(tmp_path / "run")
    run_dir.create(resolve(SMALL_RUN, {"runtime.threads": 3}, "a test"))
    now = run_dir.create(resolve(SMALL_RUN, {"runtime.threads": 1, "description": "another"}, "a test"))
    assert (now.runtime.threads, now.description) == (1, "another")
    assert run_dir.read_config().runtime.threads == 3
    with pytest.raises(RunDirError, match=r"belongs to run .*-s1-\w+, not to .*-s2-"):
        run_dir.create(resolve(SMALL_RUN, {"seed": 2}, "a test"))
