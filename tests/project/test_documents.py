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
