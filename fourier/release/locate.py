"""Where a released model lies: the registry, a run, or a file; and a predictor from it.

Not here: what is in the registry and who is champion (`fourier.release.registry`).
"""

import os
import tempfile
from pathlib import Path

from fourier.errors import ReleaseError
from fourier.release.commands import promote_command
from fourier.release.packaging import PROGRAM_FILE
from fourier.release.predict import Predictor
from fourier.release.program import Program, load_program
from fourier.release.registry import Registry
from fourier.tracking import Tracker

SCHEMES = ("models:/", "runs:/")


def champion_of(task: str) -> str:
    """The address of the model in use for a task, as MLflow's own tools take it.

    Args:
        task: ``deam``, ``gtzan``, either with ``-demo``, or the name of a labelled folder.
    """
    return f"models:/fourier-{task}@champion"


def load_predictor(where: str | Path, *, task: str | None = None) -> Predictor:
    """A predictor from an address or a file.

    Args:
        where: ``models:/NAME@ALIAS``, ``models:/NAME/VERSION``, ``models:/ID``, ``runs:/ID/model``,
            an MLflow model's folder, or a ``.pt2`` file.
        task: what the model must be for, or the corpus that it must be of; None takes any.

    Raises:
        ReleaseError: there is no model there, it is none of this project's, or one of another task.
        TrackingError: the registry does not answer.
    """
    text = str(where)
    program = _from_mlflow(text) if text.startswith(SCHEMES) else _from_path(Path(where))
    corpus = program.metadata["corpus"]["name"]
    if task not in (None, program.task, corpus):
        what = program.task if corpus.startswith(program.task) else f"{program.task} ({corpus})"
        raise ReleaseError(
            f"{where} is a model for {what}, not for {task}; leave --task out, or name "
            "another model"
        )
    return Predictor(program)


def _from_path(path: Path) -> Program:
    return load_program(path / PROGRAM_FILE if path.is_dir() else path)


def _from_mlflow(where: str) -> Program:
    """The model is fetched to a folder that goes away."""
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    import mlflow.artifacts
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    tracker = Tracker.connect()
    if where.startswith("models:/"):
        Registry.connect(tracker)  # else MLflow asks one that is away for minutes
    name, at, alias = where.removeprefix("models:/").partition("@")
    if at and where.startswith("models:/"):
        _require_alias(tracker, name, alias)
    with tempfile.TemporaryDirectory() as folder:
        try:
            path = mlflow.artifacts.download_artifacts(
                where, dst_path=folder, tracking_uri=tracker.uri
            )
        except (MlflowException, SQLAlchemyError, OSError) as error:
            reason = str(error).strip().partition("\n")[0] or type(error).__name__
            raise ReleaseError(
                f"{where} cannot be fetched from MLflow at {tracker.shown_uri} ({reason}); "
                "`fourier models` lists what there is"
            ) from error
        return _from_path(Path(path))


def _require_alias(tracker: Tracker, name: str, alias: str) -> None:
    """Say what to type where a registered model or its alias is missing."""
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    try:
        models = tracker.client.search_registered_models()
    except (MlflowException, SQLAlchemyError, OSError) as error:
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        raise ReleaseError(
            f"the model registry at {tracker.shown_uri} does not answer ({reason}); check "
            "MLFLOW_TRACKING_URI, or unset it to use ./mlflow.db"
        ) from error
    bearers = sorted(model.name for model in models if alias in model.aliases)
    if name in bearers:
        return
    others = f", or use --model models:/{bearers[0]}@{alias}" if bearers else ""
    raise ReleaseError(f"{name} has no {alias}; run a sweep, then {promote_command(name)}{others}")
