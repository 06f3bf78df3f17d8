"""The scripts parse, the constraints are pins and complete, and nothing names a registry of packages."""

import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
SCRIPTS = [path for path in (REPOSITORY / "scripts").iterdir() if path.read_bytes().startswith(b"#!/bin/sh")]


@pytest.mark.parametrize("script", [*SCRIPTS, REPOSITORY / ".ci" / "run"], ids=lambda path: path.name)
def test_a_script_parses_and_is_executable(script: Path):
    subprocess.run(["sh", "-n", script], check=True)
    assert os.access(script, os.X_OK)


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_constraints_pin_all_that_the_project_names():
    lines = (REPOSITORY / "constraints.txt").read_text().splitlines()
    pins = {}
    for line in lines:
        if not line.startswith("#"):
            pin = re.fullmatch(r"([A-Za-z0-9._-]+)==([0-9][0-9A-Za-z.]*)", line)
            assert pin, f"no version pin: {line}"
            pins[normal(pin[1])] = pin[2]
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())
    extras = project["project"]["optional-dependencies"].values()
    for requirement in [*project["project"]["dependencies"], *(item for extra in extras for item in extra)]:
        name, least = re.fullmatch(r"([A-Za-z0-9._-]+)>=([0-9.]+)", requirement).groups()
        assert normal(name) in pins, f"{name} has no pin"
        assert numbers(pins[normal(name)]) >= numbers(least), f"the pin of {name} is below {least}"


def numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version))


def test_no_file_names_a_registry_of_packages():
    if not shutil.which("git"):
        pytest.skip("no git here")
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=REPOSITORY, capture_output=True, text=True)
    if listed.returncode != 0:
        pytest.skip("not a git checkout")
    address = re.compile(rb"pypi\.or[g]|pythonhoste[d]|index-ur[l]|find-link[s]|/simpl[e]/")
    named = [
        name
        for name in listed.stdout.split("\0")
        if name and (REPOSITORY / name).is_file() and address.search((REPOSITORY / name).read_bytes())
    ]
    assert named == []
