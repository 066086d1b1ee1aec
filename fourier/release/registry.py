"""Models in MLflow's registry: versions, their figures, and who is champion.

A model is named after its corpus (``fourier-gtzan``, ``fourier-gtzan-demo``). Its alias
``champion`` is the version in use, ``previous`` the one that was before. A change of several writes
is undone if one of them fails, so nothing stands half-registered. Not here: who deserves to be
champion (`fourier.release.promote`).
"""

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from fourier.errors import ReleaseError
from fourier.release.commands import promote_command
from fourier.tracking import Tracker, require_answer

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion, RegisteredModel

CHAMPION, PREVIOUS = "champion", "previous"
PREFIX = "fourier-"
KEY = "fourier.promotion"
"""The tag that names what a version was promoted from; see `fourier.release.promote`."""
SETTLED = "fourier.settled"
"""The tag that a version gets last; without it a promotion was cut off before its aliases."""
TAG_CHARS = 5000
"""MLflow refuses longer values."""


@contextlib.contextmanager
def registry_errors(tracker: Tracker, what: str) -> Iterator[None]:
    """Turn what MLflow and its database raise into one line.

    Args:
        tracker: the store that is asked.
        what: how the message begins.
    """
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (MlflowException, SQLAlchemyError, OSError) as error:
        reason = str(error).strip().partition("\n")[0].rstrip(".") or type(error).__name__
        raise ReleaseError(
            f"{what} in MLflow at {tracker.shown_uri}: {reason}; check MLFLOW_TRACKING_URI, or "
            "unset it to use ./mlflow.db"
        ) from error


@dataclass(frozen=True)
class Version:
    """One version of a registered model.

    Attributes:
        model: its model's name.
        number: 1, 2, ….
        aliases: ``champion``, ``previous``, or others that people gave it.
        tags: where it comes from and its figures.
        run_id: the promotion that made it; empty for one that was registered by hand.
        created: when, ISO 8601 in UTC.
    """

    model: str
    number: int
    aliases: tuple[str, ...]
    tags: Mapping[str, str]
    run_id: str
    created: str

    @property
    def uri(self) -> str:
        """The address that MLflow's own tools take."""
        return f"models:/{self.model}/{self.number}"

    @property
    def settled(self) -> bool:
        """Whether its promotion came to its end; one made by hand has nothing to finish."""
        return KEY not in self.tags or SETTLED in self.tags

    def __str__(self) -> str:
        return f"{self.model} version {self.number}"


@dataclass(frozen=True)
class Registry:
    """MLflow's model registry beside a tracking store.

    Attributes:
        tracker: the store.
    """

    tracker: Tracker

    @classmethod
    def connect(cls, tracker: Tracker) -> "Registry":
        """Open the registry beside a store, or the one that ``MLFLOW_REGISTRY_URI`` names.

        Raises:
            TrackingError: it does not answer.
        """
        uri = os.environ.get("MLFLOW_REGISTRY_URI", "")
        if uri.startswith(("http://", "https://")):
            require_answer(uri, "MLFLOW_REGISTRY_URI")
        return cls(tracker)

    def versions(self, model: str | None = None) -> list[Version]:
        """All versions of a model, or of all of this project's, newest first within each."""
        with registry_errors(self.tracker, "the model registry does not answer"):
            query = f"name = '{model}'" if model else f"name LIKE '{PREFIX}%'"
            found = [
                _read(of, each)
                for of in self._search_models(query)
                for each in self._search(of.name)
            ]
        return sorted(found, key=lambda each: (each.model, -each.number))

    def with_alias(self, model: str, alias: str) -> Version | None:
        """The version that carries an alias, if there is one."""
        return next((each for each in self.versions(model) if alias in each.aliases), None)

    def champion(self, model: str) -> Version | None:
        """The version in use, if there is one."""
        return self.with_alias(model, CHAMPION)

    def with_key(self, model: str, key: str) -> Version | None:
        """The version that was promoted from exactly this, if there is one."""
        return next((each for each in self.versions(model) if each.tags.get(KEY) == key), None)

    def register(
        self,
        model: str,
        *,
        source: str,
        run_id: str,
        model_id: str | None,
        tags: Mapping[str, str],
        description: str,
        champion: bool,
        succeeded: Mapping[str, str] | None = None,
    ) -> Version:
        """Add a version, with its aliases if it is to be champion; all of it or nothing.

        Args:
            model: name of the registered model; made where there is none.
            source: where the logged model lies, ``models:/m-…``.
            run_id: the promotion's run.
            model_id: MLflow's id of the logged model.
            tags: of the version.
            description: Markdown.
            champion: whether it takes the alias; who had it becomes ``previous``.
            succeeded: tags for who had it.

        Raises:
            ReleaseError: the registry does not take it; then it is as it was.
        """
        client = self.tracker.client
        with self._all_or_nothing(f"{model} could not be registered") as undo:
            if not self._search_models(f"name = '{model}'"):
                client.create_registered_model(model)
                undo.callback(client.delete_registered_model, model)
            made = client.create_model_version(
                model,
                source,
                run_id,
                tags={key: value[:TAG_CHARS] for key, value in tags.items()},
                description=description,
                model_id=model_id,
            )
            undo.callback(client.delete_model_version, model, made.version)
            if champion:
                self._tag_reigning(model, succeeded or {}, undo)
                self._crown(model, int(made.version), undo)
            client.set_model_version_tag(model, str(made.version), SETTLED, "true")
        return self._get(model, int(made.version))

    def settle(self, version: Version, *, champion: bool) -> Version:
        """Finish what a promotion that was cut off had begun for a version."""
        with self._all_or_nothing(f"{version} could not be finished") as undo:
            if champion:
                self._crown(version.model, version.number, undo)
            self.tracker.client.set_model_version_tag(
                version.model, str(version.number), SETTLED, "true"
            )
        return self._get(version.model, version.number)

    def rollback(self, model: str) -> tuple[Version, Version]:
        """Exchange ``champion`` and ``previous``, so that the same again undoes it.

        Returns:
            Who was champion, and who is.

        Raises:
            ReleaseError: there is no champion or nobody before, or the registry does not answer.
        """
        champion, previous = self.require_champion(model), self.with_alias(model, PREVIOUS)
        if previous is None or previous.number == champion.number:
            raise ReleaseError(
                f"there was no champion before {champion}; `fourier models` lists all versions"
            )
        with self._all_or_nothing(f"{model} could not be rolled back") as undo:
            self._crown(model, previous.number, undo)
        return champion, previous

    def require_champion(self, model: str) -> Version:
        """The version in use.

        Raises:
            ReleaseError: there is none.
        """
        found = self.champion(model)
        if found is None:
            with_one = sorted({v.model for v in self.versions() if CHAMPION in v.aliases})
            others = f" (there is one of {', '.join(with_one)})" if with_one else ""
            raise ReleaseError(
                f"{model} has no champion{others}; run a sweep, then {promote_command(model)}"
            )
        return found

    def _crown(self, model: str, number: int, undo: contextlib.ExitStack) -> None:
        """Give a version the alias ``champion``, and ``previous`` to whoever had it."""
        before = {alias: self.with_alias(model, alias) for alias in (CHAMPION, PREVIOUS)}
        reigning = before[CHAMPION]
        if reigning is not None and reigning.number == number:
            return
        if reigning is not None:
            undo.callback(self._point, model, PREVIOUS, before[PREVIOUS])
            self._point(model, PREVIOUS, reigning)
        undo.callback(self._point, model, CHAMPION, reigning)
        self.tracker.client.set_registered_model_alias(model, CHAMPION, str(number))

    def _tag_reigning(
        self, model: str, tags: Mapping[str, str], undo: contextlib.ExitStack
    ) -> None:
        reigning, client = self.champion(model), self.tracker.client
        if reigning is None:
            return
        number = str(reigning.number)
        for key, value in tags.items():
            client.set_model_version_tag(model, number, key, value[:TAG_CHARS])
            undo.callback(client.delete_model_version_tag, model, number, key)

    def _point(self, model: str, alias: str, version: Version | None) -> None:
        client = self.tracker.client
        if version is None:
            client.delete_registered_model_alias(model, alias)
        else:
            client.set_registered_model_alias(model, alias, str(version.number))

    @contextlib.contextmanager
    def _all_or_nothing(self, what: str) -> Iterator[contextlib.ExitStack]:
        """What is put on the stack is called, last first, unless the block ends well."""
        with registry_errors(self.tracker, what), contextlib.ExitStack() as undo:
            yield undo
            undo.pop_all()

    def _get(self, model: str, number: int) -> Version:
        return next(each for each in self.versions(model) if each.number == number)

    def _search_models(self, query: str) -> "list[RegisteredModel]":
        return list(_pages(self.tracker.client.search_registered_models, query))

    def _search(self, model: str) -> "list[ModelVersion]":
        return list(_pages(self.tracker.client.search_model_versions, f"name = '{model}'"))


def model_name(corpus: str) -> str:
    """The registered model of a corpus: ``fourier-gtzan``, ``fourier-gtzan-demo``."""
    return f"{PREFIX}{corpus}"


def _read(model: "RegisteredModel", found: "ModelVersion") -> Version:
    created = datetime.fromtimestamp(found.creation_timestamp / 1000, UTC)
    number = int(found.version)
    return Version(
        model=model.name,
        number=number,
        # A search for versions leaves their aliases out; the model has them.
        aliases=tuple(sorted(a for a, of in model.aliases.items() if int(of) == number)),
        tags=dict(found.tags),
        run_id=found.run_id or "",
        created=created.isoformat(timespec="seconds"),
    )


def _pages(search: Callable[..., Any], query: str) -> Iterator[Any]:
    token: str | None = None
    while True:
        page = search(filter_string=query, page_token=token)
        yield from page
        token = page.token
        if not token:
            return
