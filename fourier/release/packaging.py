"""A program as an MLflow model: what the registry keeps and ``mlflow models serve`` answers with.

MLflow's own PyTorch flavour in its ``pt2`` format, so that loading takes torch, numpy and MLflow
and not this package. The file in it is the exported program itself, which the flavour would else
export once more without what it says of itself. Not here: names, versions and aliases.
"""

import contextlib
import json
import logging
import shutil
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from fourier.errors import ReleaseError
from fourier.release.program import Program, load_program
from fourier.tracking import TrackedRun

if TYPE_CHECKING:
    from mlflow.models import ModelSignature

PROGRAM_FILE = "data/model.pt2"
"""Where the flavour keeps a program, in the model's folder."""


def log_exported(
    run: TrackedRun, path: Path, *, name: str = "model", tags: Mapping[str, str] | None = None
) -> str:
    """Log a program as a model of a run; whole or not at all.

    The model says what it takes (clips of its length and rate, any number at a time) and gives,
    carries an example, and lists what to install. It serves on the CPU, also where there is a GPU.

    Args:
        run: the run that it belongs to, in the store that it goes to.
        path: what `export_program` wrote.
        name: of the model.
        tags: of the model.

    Returns:
        MLflow's model id; ``models:/ID`` names it.

    Raises:
        ReleaseError: the path holds no program.
        MlflowException: the store does not take it; whoever promotes knows what that undoes.
    """
    from mlflow.entities import LoggedModelOutput

    program = load_program(path)
    with tempfile.TemporaryDirectory() as temporary:
        client = run.tracker.client
        experiment = client.get_run(run.id).info.experiment_id
        logged = client.create_logged_model(
            experiment, name, source_run_id=run.id, tags=dict(tags or {}), model_type="pytorch"
        )
        try:
            folder = Path(temporary) / "model"
            about = {
                "artifact_path": logged.artifact_location,
                "model_uuid": logged.model_id,
                "model_id": logged.model_id,
                "run_id": run.id,
            }
            package_program(program, path, folder, about)
            client.log_model_artifacts(logged.model_id, str(folder))
            client.log_outputs(run.id, [LoggedModelOutput(logged.model_id, step=0)])
        except BaseException:
            client.finalize_logged_model(logged.model_id, "FAILED")
            raise
        client.finalize_logged_model(logged.model_id, "READY")
    return str(logged.model_id)


def package_program(
    program: Program, path: Path, folder: Path, about: Mapping[str, Any] | None = None
) -> None:
    """Write a program as an MLflow model.

    Args:
        program: what is in the file.
        path: the file.
        folder: to write; must not exist.
        about: further fields of MLflow's ``Model``.

    Raises:
        ReleaseError: MLflow's flavour keeps its file elsewhere than it used to.
    """
    fields = {key: program.metadata[key] for key in ("task", "corpus", "targets", "classes")}
    with warnings.catch_warnings(), _quiet("mlflow"):
        warnings.simplefilter("ignore")  # of MLflow and of torch's exporter, about themselves
        import mlflow.pytorch
        from mlflow.models import Model

        model = Model(**(about or {}), metadata={"fourier": fields})
        mlflow.pytorch.save_model(
            program.module,
            folder,
            mlflow_model=model,
            signature=_signature(program),
            input_example=_example(program),
            serialization_format="pt2",
            pip_requirements=_requirements(),
        )
    if not (folder / PROGRAM_FILE).is_file():
        raise ReleaseError(
            f"this MLflow ({mlflow.__version__}) keeps a program elsewhere than in {PROGRAM_FILE}; "
            "install the version that constraints.txt names"
        )
    shutil.copyfile(path, folder / PROGRAM_FILE)
    # A program cannot be moved from one device to another, so the flavour must not try.
    model.flavors["python_function"]["config"] = {"device": "cpu"}
    _shrink_example(folder)
    model.model_size_bytes = sum(file.stat().st_size for file in folder.rglob("*"))
    model.save(folder / "MLmodel")


@contextlib.contextmanager
def _quiet(name: str) -> Iterator[None]:
    """Keep a library's loggers below errors for a while."""
    logger = logging.getLogger(name)
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)


def _signature(program: Program) -> "ModelSignature":
    from mlflow.models import ModelSignature
    from mlflow.types import Schema, TensorSpec

    number = np.dtype(np.float32)
    outputs = len(program.classes) or len(program.targets)
    return ModelSignature(
        inputs=Schema([TensorSpec(number, (-1, program.samples))]),
        outputs=Schema([TensorSpec(number, (-1, outputs))]),
    )


def _example(program: Program) -> npt.NDArray[np.float32]:
    """Two clips of a click every half second: as text a tenth of what music would take."""
    clips = np.zeros((2, program.samples), np.float32)
    clips[0, :: program.sample_rate // 2] = 0.5
    clips[1, program.sample_rate // 4 :: program.sample_rate // 2] = -0.25
    return clips


def _shrink_example(folder: Path) -> None:
    """MLflow writes the request of the example with one line for each sample."""
    for path in folder.glob("serving_input_example.json"):
        path.write_text(json.dumps(json.loads(path.read_text()), separators=(",", ":")))


def _requirements() -> list[str]:
    """What was there when the program was made, without a local build's mark."""
    import mlflow
    import torch

    versions = {"mlflow": mlflow.__version__, "numpy": np.__version__, "torch": torch.__version__}
    return [f"{name}=={version.partition('+')[0]}" for name, version in versions.items()]
