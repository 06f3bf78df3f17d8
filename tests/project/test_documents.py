"""What the documents say of each other is true."""

import re
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]


def test_every_link_between_documents_leads_somewhere():
    documents = [*REPOSITORY.glob("*.md"), *(REPOSITORY / "docs").glob("*.md")]
    missing = [
        f"{document.name}: {link}"
        for document in documents
        for link in re.findall(r"\]\(([^)#:]+)", document.read_text())
        if not (document.parent / link).exists()
    ]
    assert not missing


def test_every_file_that_a_document_names_is_there():
    documents = [*REPOSITORY.glob("*.md"), *(REPOSITORY / "docs").glob("*.md")]
    named = re.compile(r"`((?:aaad|tests|docs|config|systemd|bench|scripts)/[\w./-]+)`")
    missing = [
        f"{document.name}: {path}"
        for document in documents
        for path in named.findall(document.read_text())
        if not (REPOSITORY / path).exists()
    ]
    assert not missing


def test_every_name_behind_a_file_in_the_architecture_is_in_that_file():
    text = (REPOSITORY / "ARCHITECTURE.md").read_text()
    files = [file for room in ("aaad", "tests") for file in (REPOSITORY / room).rglob("*.*")]
    named = re.findall(r"`([\w/]+\.(?:py|sql))`(?: `(?!\w+\.(?:py|sql)`)([A-Za-z_.]+)`)?", text)
    assert len(named) >= 100
    missing = []
    for path, names in named:
        texts = [file.read_text() for file in files if str(file).endswith(f"/{path}")]
        defined = r"(def|class|-- name:|TABLE|FUNCTION) (\w+\.)?{}\b"
        missing += [] if texts else [path]
        words = names.split(".") if names else []
        missing += [f"{path}: {word}" for word in words if not re.search(defined.format(word), "".join(texts))]
    assert not missing


def test_every_make_target_that_a_text_names_is_there():
    targets = set(re.findall(r"^([a-z]+):", (REPOSITORY / "Makefile").read_text(), re.MULTILINE))
    texts = [
        *REPOSITORY.glob("*.md"),
        *(path for room in ("docs", "config", "aaad", "scripts") for path in (REPOSITORY / room).rglob("*")),
    ]
    missing = {
        f"{path.name}: make {target}"
        for path in texts
        if path.is_file() and path.suffix in {"", ".md", ".toml", ".py"}
        for target in re.findall(r"`make ([a-z]+)", path.read_text())
        if target not in targets
    }
    assert not missing
