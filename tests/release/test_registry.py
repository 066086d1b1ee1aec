import sqlite3

import pytest

from fourier.errors import ReleaseError, TrackingError
from fourier.release.registry import KEY, Registry, model_name
from fourier.tracking import Tracker


@pytest.fixture
def registry(workplace):
    return Registry.connect(Tracker.connect())


@pytest.fixture
def add(registry):
    """Register a version that refers to a run of its own."""
    tracker = registry.tracker
    experiment = tracker.open_experiment("gtzan", {})

    def register(champion, model="fourier-gtzan", key="k", **further):
        run = tracker.open_run(experiment, "promotion", {})
        uri = tracker.client.get_run(run.id).info.artifact_uri
        return registry.register(
            model,
            source=uri,
            run_id=run.id,
            model_id=None,
            tags={KEY: key, "test/ccc": "0.5 [0.4, 0.6]"},
            description="# a card",
            champion=champion,
            **further,
        )

    return register


def aliases(registry, model="fourier-gtzan"):
    return {alias: v.number for v in registry.versions(model) for alias in v.aliases}


def break_writes(folder, table, event):
    """Make the database refuse a kind of write from now on."""
    with sqlite3.connect(folder / "mlflow.db") as database:
        database.execute(
            f"CREATE TRIGGER broken BEFORE {event} ON {table} "
            "BEGIN SELECT RAISE(ABORT, 'the disk is full'); END"
        )


def test_a_model_is_named_after_its_corpus_so_a_demo_never_passes_for_the_real_one():
    assert model_name("gtzan") == "fourier-gtzan"
    assert model_name("gtzan-demo") == "fourier-gtzan-demo"


def test_a_version_carries_what_it_was_registered_with(registry, add):
    version = add(champion=True)
    assert (version.number, version.aliases, version.settled) == (1, ("champion",), True)
    assert version.tags["test/ccc"] == "0.5 [0.4, 0.6]"
    stored = registry.tracker.client.get_model_version("fourier-gtzan", "1")
    assert stored.description == "# a card"
    assert registry.with_key("fourier-gtzan", "k") == version
    assert registry.with_key("fourier-gtzan", "other") is None


def test_the_alias_moves_only_for_a_champion_and_the_one_before_keeps_its_figures(registry, add):
    add(champion=True)
    add(champion=False, key="b")
    assert aliases(registry) == {"champion": 1}
    add(champion=True, key="c", succeeded={"fourier.succeeded_in": "run"})
    assert aliases(registry) == {"champion": 3, "previous": 1}
    tags = {v.number: v.tags for v in registry.versions("fourier-gtzan")}
    assert tags[1]["fourier.succeeded_in"] == "run"
    assert "fourier.succeeded_in" not in tags[2]


def test_a_rollback_swaps_and_the_same_again_undoes_it(registry, add):
    add(champion=True)
    add(champion=True, key="b")
    was, now = registry.rollback("fourier-gtzan")
    assert (was.number, now.number) == (2, 1)
    assert aliases(registry) == {"champion": 1, "previous": 2}
    registry.rollback("fourier-gtzan")
    assert aliases(registry) == {"champion": 2, "previous": 1}


def test_without_anybody_before_there_is_nothing_to_roll_back_to(registry, add):
    with pytest.raises(
        ReleaseError, match="fourier-gtzan has no champion.*`fourier promote gtzan`"
    ):
        registry.rollback("fourier-gtzan")
    add(champion=True)
    with pytest.raises(ReleaseError, match="no champion before fourier-gtzan version 1"):
        registry.rollback("fourier-gtzan")


def test_a_missing_champion_names_those_that_there_are(registry, add):
    add(champion=True, model="fourier-gtzan-demo")
    with pytest.raises(ReleaseError, match="there is one of fourier-gtzan-demo"):
        registry.require_champion("fourier-gtzan")


def test_all_models_of_the_project_are_listed_newest_first_and_no_others(registry, add):
    add(champion=True)
    add(champion=False, key="b")
    add(champion=True, model="fourier-deam-demo")
    registry.tracker.client.create_registered_model("somebody-elses")
    listed = [(version.model, version.number) for version in registry.versions()]
    assert listed == [("fourier-deam-demo", 1), ("fourier-gtzan", 2), ("fourier-gtzan", 1)]


TABLES = {
    "the alias": ("registered_model_aliases", "INSERT"),
    "the version": ("model_versions", "INSERT"),
    "the last tag": ("model_version_tags", "INSERT"),
}


@pytest.mark.parametrize(("table", "event"), TABLES.values(), ids=TABLES)
def test_what_fails_in_the_middle_leaves_no_trace_of_a_new_model(
    table, event, registry, add, workplace
):
    break_writes(workplace, table, event)
    with pytest.raises(ReleaseError, match="fourier-gtzan could not be registered"):
        add(champion=True)
    assert registry.versions() == []
    assert registry.tracker.client.search_registered_models() == []


def test_what_fails_in_the_middle_leaves_the_champion_as_it_was(registry, add, workplace):
    add(champion=True)
    add(champion=True, key="b")
    before = registry.versions()
    # Only the very last write, the mark of being settled, fails: everything has to be undone.
    with sqlite3.connect(workplace / "mlflow.db") as database:
        database.execute(
            "CREATE TRIGGER broken BEFORE INSERT ON model_version_tags "
            "WHEN NEW.key = 'fourier.settled' "
            "BEGIN SELECT RAISE(ABORT, 'the disk is full'); END"
        )
    with pytest.raises(ReleaseError, match="disk is full"):
        add(champion=True, key="c", succeeded={"fourier.succeeded_in": "run"})
    assert registry.versions() == before
    assert aliases(registry) == {"champion": 2, "previous": 1}


def test_a_version_that_was_cut_off_before_its_aliases_can_be_settled(registry, add):
    add(champion=True)
    add(champion=False, key="b")
    client = registry.tracker.client
    client.delete_model_version_tag("fourier-gtzan", "2", "fourier.settled")
    torn = registry.with_key("fourier-gtzan", "b")
    assert not torn.settled
    assert registry.settle(torn, champion=True).settled
    assert aliases(registry) == {"champion": 2, "previous": 1}


def test_a_version_that_was_registered_by_hand_is_listed_like_any_other(registry):
    client = registry.tracker.client
    client.create_registered_model("fourier-gtzan")
    client.create_model_version("fourier-gtzan", "/somewhere")
    (version,) = registry.versions("fourier-gtzan")
    assert (version.aliases, version.run_id, version.settled) == ((), "", True)


def test_a_registry_that_does_not_answer_is_one_line(workplace, monkeypatch):
    tracker = Tracker.connect()
    monkeypatch.setenv("MLFLOW_REGISTRY_URI", "http://127.0.0.1:9")
    with pytest.raises(TrackingError, match="127.0.0.1:9.*MLFLOW_REGISTRY_URI"):
        Registry.connect(tracker)


def test_a_database_that_breaks_is_one_line(registry, workplace):
    with sqlite3.connect(workplace / "mlflow.db") as database:
        database.execute("PRAGMA foreign_keys = OFF")
        database.execute("DROP TABLE registered_models")
    with pytest.raises(ReleaseError, match="does not answer.*MLFLOW_TRACKING_URI") as caught:
        registry.versions()
    assert "\n" not in str(caught.value)
