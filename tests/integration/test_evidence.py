"""Evidence files: what is signed and recorded is genuine, everything else is told; who issued it stays on record."""

import hashlib
import json
import re
import subprocess
import sys
import zlib
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from whois_desk import Desk, Ran, make_desk

from aaad.db.embedded import EmbeddedPostgres
from aaad.sessions.evidence import canonical

AT = "2024-03-10 12:00:00Z"
ADDRESS = "198.51.100.9"
ORDER = ("--order", "0801234-55.2026.8.24.0018", "--reason", "ofício da 2ª vara")


@pytest.fixture(scope="module")
def aaad(postgres: EmbeddedPostgres, _template: str, tmp_path_factory: pytest.TempPathFactory) -> Desk:
    desk = make_desk(postgres, _template, "evidence", tmp_path_factory.mktemp("evidence"))
    desk.session("2024-03-10 11:00Z", "2024-03-10 13:00Z", "2024-03-10 13:00Z", ipv4=ADDRESS, kept=True)
    desk.session("2018-02-18 01:10Z", "2018-02-18 02:10Z", "2018-02-18 02:10Z", ipv4=ADDRESS, kept=True)
    prefixes = {"ipv6_prefix": "2001:db8:0:7::/64", "delegated_ipv6_prefix": "2001:db8:0:1100::/56"}
    desk.session("2024-03-10 11:00Z", "2024-03-10 13:00Z", "2024-03-10 13:00Z", **prefixes)
    for number in range(3):
        desk.session("2024-03-10 11:00Z", "2024-03-10 13:00Z", ipv4=f"100.64.0.{number}", user_name=f"u{number}")
    words = ["--private=100.64.0.0/27", "--public=203.0.113.9/32", "--ports-each=2016", "--name=cg"]
    assert desk("cgnat", "add", *words, "--from", "2024-01-01 00:00Z").exit_code == 0
    return desk


def issue(aaad: Desk, file: Path, *question: str, operator: str | None = "maria") -> Ran:
    return aaad("whois", *question, "--evidence", file, *ORDER, operator=operator)


@pytest.fixture
def file(aaad: Desk, tmp_path: Path) -> Path:
    """A genuine file."""
    path = tmp_path / "prova.json"
    ran = issue(aaad, path, ADDRESS, "--at", AT)
    assert ran.exit_code == 0, ran.complaint
    return path


def verdict(aaad: Desk, path: Path) -> dict[str, Any]:
    ran = aaad("whois-verify", path, as_json=True)
    told: dict[str, Any] = json.loads(ran.output)
    assert ran.exit_code == (0 if told["genuine"] else 1)
    return told


def test_r9_1_an_evidence_file_is_signed_recorded_and_genuine(aaad: Desk, file: Path) -> None:
    content = json.loads(file.read_text())
    document, signature = content["evidence"], content["signature"]
    octets = canonical(document)
    assert hashlib.sha256(octets).hexdigest() == signature["sha256"]
    row = aaad.sql("SELECT * FROM net.evidence WHERE id = $1", document["number"])[0]
    assert (row["operator"], row["order_number"], row["reason"]) == ("maria", ORDER[1], ORDER[3])
    assert row["sha256"] == hashlib.sha256(octets).digest()
    Ed25519PublicKey.from_public_bytes(row["public_key"]).verify(row["signature"], octets)
    asked = aaad.sql("SELECT * FROM net.inquiry WHERE evidence_id = $1", document["number"])
    assert [(one["operator"], one["candidates"]) for one in asked] == [("maria", 1)]
    assert document["answers"][0]["candidates"][0]["user_name"] == "ana@fibra"
    assert "52998224725" not in file.read_text()
    assert file.stat().st_mode & 0o777 == 0o600
    pdf = file.with_suffix(".pdf").read_bytes()
    assert pdf.startswith(b"%PDF-")
    assert hashlib.sha256(pdf).hexdigest() == document["pdf_sha256"]
    written = b"".join(
        zlib.decompress(part) for part in re.findall(rb"stream\r?\n(.+?)\r?\nendstream", pdf, re.DOTALL)
    )
    assert all(word in written for word in (b"ana@fibra", ORDER[1].encode(), b"Candidate 1"))
    told = verdict(aaad, file)
    assert (told["verdict"], told["genuine"], told["pdf_genuine"]) == ("genuine", True, True)
    shown = aaad("whois-verify", file).output
    assert ORDER[1] in shown
    assert "Genuine" in shown


def test_the_private_key_is_made_once_and_never_shown(aaad: Desk, file: Path) -> None:
    issue(aaad, file.with_name("second.json"), ADDRESS, "--at", AT)
    (row,) = aaad.sql("SELECT value FROM net.setting WHERE key = 'evidence_key'")
    key = row["value"]
    assert len(key) == 32
    assert len({one["public_key"] for one in aaad.sql("SELECT public_key FROM net.evidence")}) == 1
    for path in file.parent.iterdir():
        content = path.read_bytes()
        assert key not in content
        assert key.hex().encode() not in content
        assert b64encode(key) not in content


@pytest.mark.parametrize(
    ("question", "found"),
    [
        ((ADDRESS, "--at", AT), ["ana@fibra"]),
        (("2001:db8:0:7::5", "--at", AT), ["ana@fibra"]),
        (("2001:db8:0:11ff::1", "--at", AT), ["ana@fibra"]),
        (("2001:db8:0:1100::/56", "--at", AT), ["ana@fibra"]),
        (("203.0.113.9:3040", "--at", AT), ["u1"]),
        (("203.0.113.9", "--at", AT), ["u0", "u1", "u2"]),
        ((ADDRESS, "--at", "2018-02-17 23:30:00 -02:00"), ["ana@fibra"]),
        ((ADDRESS, "--at", "2024-03-10 11:00:00Z"), ["ana@fibra"]),
        ((ADDRESS, "--at", "2024-03-10 13:00:00Z"), ["ana@fibra"]),
        ((ADDRESS, "--at", "2024-03-10 13:00:01Z"), []),
    ],
    ids=["v4", "v6", "delegated", "prefix", "port", "no_port", "daylight", "first_second", "last_second", "nobody"],
)
def test_r9_1_evidence_of_each_kind_of_question(
    aaad: Desk, tmp_path: Path, question: tuple[str, ...], found: list[str]
) -> None:
    path = tmp_path / "prova.json"
    assert issue(aaad, path, *question).exit_code == (0 if found else 1)
    (answer,) = json.loads(path.read_text())["evidence"]["answers"]
    assert sorted(one["user_name"] for one in answer["candidates"]) == found
    assert verdict(aaad, path)["genuine"]


def test_evidence_of_many_questions_is_one_file(aaad: Desk, tmp_path: Path) -> None:
    table = tmp_path / "requests.csv"
    table.write_text(f"id,ip,port,at\n1,{ADDRESS},,{AT}\n2,203.0.113.9,3040,{AT}\n")
    path = tmp_path / "prova.json"
    ran = issue(aaad, path, "--file", str(table), "--csv")
    assert ran.exit_code == 0
    assert ran.output.count("\n") == 3
    document = json.loads(path.read_text())["evidence"]
    assert [answer["question"]["reference"] for answer in document["answers"]] == ["1", "2"]
    rows = aaad.sql("SELECT 1 FROM net.inquiry WHERE evidence_id = $1", document["number"])
    assert len(rows) == 2
    assert verdict(aaad, path)["genuine"]


def test_who_has_the_permission_gets_the_document_into_the_file(aaad: Desk, tmp_path: Path) -> None:
    path = tmp_path / "prova.json"
    assert issue(aaad, path, ADDRESS, "--at", AT, operator="juliana").exit_code == 0
    assert "52998224725" in path.read_text()
    assert json.loads(path.read_text())["evidence"]["documents_shown"] is True


def test_anybody_can_check_the_signature_as_the_documents_say(file: Path) -> None:
    text = (Path(__file__).parents[2] / "docs" / "evidence.md").read_text()
    program = text.split("```python\n")[1].split("```")[0]
    for content, is_good in ((file.read_text(), True), (file.read_text().replace("ana@fibra", "eva@fibra"), False)):
        file.write_text(content)
        ran = subprocess.run([sys.executable, "-c", program, file], capture_output=True, text=True, timeout=60)
        assert (ran.returncode == 0) is is_good, ran.stderr


# --- forgeries ------------------------------------------------------------------------------------------------------


def test_every_changed_octet_of_what_is_said_is_told(aaad: Desk, file: Path) -> None:
    whole = file.read_text()
    forged = file.with_name("forged.json")
    for before, after in (
        ("ana@fibra", "eva@fibra"),
        ("2024-03-10T11:00:00Z", "2024-03-10T11:00:01Z"),
        ('"id": 123', '"id": 124'),
        ('"id": 123', '"id": 123.0'),
        ('"maria"', '"mario"'),
        ('"notes": []', '"notes": ["nobody"]'),
    ):
        assert before in whole
        forged.write_text(whole.replace(before, after, 1))
        assert verdict(aaad, forged)["verdict"] == "changed"
    assert "NOT genuine" in aaad("whois-verify", forged).output
    # Laid out otherwise it says the same.
    forged.write_text(json.dumps(json.loads(whole)))
    assert verdict(aaad, forged)["verdict"] == "genuine"


Content = dict[str, Any]


def sign_again(content: Content) -> None:
    key = Ed25519PrivateKey.generate()
    octets = canonical(content["evidence"])
    content["signature"] = {
        "algorithm": "Ed25519",
        "public_key": b64encode(key.public_key().public_bytes_raw()).decode(),
        "sha256": hashlib.sha256(octets).hexdigest(),
        "signature": b64encode(key.sign(octets)).decode(),
    }


def change_and_hash_again(content: Content) -> None:
    content["evidence"]["reason"] = "another"
    content["signature"]["sha256"] = hashlib.sha256(canonical(content["evidence"])).hexdigest()


def change_and_sign_again(content: Content) -> None:
    content["evidence"]["reason"] = "another"
    sign_again(content)


def number_again(content: Content) -> None:
    content["evidence"]["number"] = 2_000_000_000
    sign_again(content)


@pytest.mark.parametrize(
    ("forge", "expected"),
    [
        (change_and_hash_again, "forged"),
        (sign_again, "unrecorded"),
        (change_and_sign_again, "unrecorded"),
        (number_again, "unrecorded"),
        (lambda content: content["signature"].update(public_key=b64encode(b"short").decode()), "forged"),
    ],
)
def test_a_forged_file_is_refused(aaad: Desk, file: Path, forge: Callable[[Content], object], expected: str) -> None:
    content = json.loads(file.read_text())
    forge(content)
    forged = file.with_name("forged.json")
    forged.write_text(json.dumps(content))
    told = verdict(aaad, forged)
    assert (told["verdict"], told["genuine"]) == (expected, False)


@pytest.mark.parametrize(
    "change",
    [
        lambda text: "",
        lambda text: "[]",
        lambda text: "null",
        lambda text: text[:-10],
        lambda text: text.replace('"evidence": {', '"evidence": {"reason": "twice",', 1),
        lambda text: text.replace('"Ed25519"', '"none"'),
        lambda text: text.replace('"signature": {', '"more": 1, "signature": {', 1),
        lambda text: text.replace('"margin_s": 0', '"margin_s": NaN', 1),
        lambda text: text.replace("ana@fibra", "\\ud800", 1),
        lambda text: "[" * 100_000,
    ],
)
def test_what_is_no_evidence_file_is_refused(aaad: Desk, file: Path, change: Callable[[str], str]) -> None:
    changed = change(file.read_text())
    assert changed != file.read_text()
    broken = file.with_name("broken.json")
    broken.write_text(changed)
    ran = aaad("whois-verify", broken)
    assert ran.exit_code == 2
    assert "no evidence file" in ran.complaint


def test_a_changed_pdf_beside_a_genuine_file_is_told(aaad: Desk, file: Path) -> None:
    pdf = file.with_suffix(".pdf")
    pdf.write_bytes(pdf.read_bytes() + b" ")
    told = verdict(aaad, file)
    assert (told["verdict"], told["pdf_genuine"], told["genuine"]) == ("genuine", False, False)
    assert "NOT the one that was issued" in aaad("whois-verify", file).output
    pdf.unlink()
    assert verdict(aaad, file)["genuine"]


# --- the record -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE net.evidence SET operator = 'x'",
        "DELETE FROM net.evidence",
        "TRUNCATE net.evidence CASCADE",
        "INSERT INTO net.evidence SELECT * FROM net.evidence LIMIT 1 ON CONFLICT (id) DO UPDATE SET operator = 'x'",
    ],
)
def test_the_record_is_append_only(aaad: Desk, file: Path, sql: str) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError, match="append-only"):
        aaad.sql(sql)
    assert verdict(aaad, file)["genuine"]


@pytest.mark.parametrize(
    ("words", "operator"),
    [
        (("--reason", "x"), "maria"),
        (("--order", "x"), "maria"),
        (("--order", " ", "--reason", "x"), "maria"),
        (("--order", "x", "--reason", "x"), None),
    ],
)
def test_evidence_needs_an_order_a_reason_and_an_operator(
    aaad: Desk, tmp_path: Path, words: tuple[str, ...], operator: str | None
) -> None:
    path = tmp_path / "prova.json"
    ran = aaad("whois", ADDRESS, "--at", AT, "--evidence", path, *words, operator=operator)
    assert ran.exit_code == 2
    assert "--order, --reason and --operator" in ran.complaint
    assert list(tmp_path.iterdir()) == []


def test_a_file_is_never_overwritten(aaad: Desk, file: Path) -> None:
    before = file.read_bytes()
    ran = issue(aaad, file, ADDRESS, "--at", AT)
    assert ran.exit_code == 2
    assert "is there already" in ran.complaint
    assert file.read_bytes() == before
    assert issue(aaad, file.with_suffix(".txt"), ADDRESS, "--at", AT).exit_code == 2


def test_what_cannot_be_recorded_leaves_no_file_and_tells_nothing(aaad: Desk, tmp_path: Path) -> None:
    aaad.sql("ALTER TABLE net.inquiry ADD CONSTRAINT refuses CHECK (operator <> 'maria') NOT VALID")
    try:
        ran = issue(aaad, tmp_path / "prova.json", ADDRESS, "--at", AT)
        assert ran.exit_code == 1
        assert "ana@fibra" not in ran.output
        assert list(tmp_path.iterdir()) == []
    finally:
        aaad.sql("ALTER TABLE net.inquiry DROP CONSTRAINT refuses")


def test_what_cannot_be_written_is_not_recorded(aaad: Desk, tmp_path: Path) -> None:
    before = aaad.sql("SELECT count(*) FROM net.evidence")[0][0]
    ran = issue(aaad, tmp_path / "missing" / "prova.json", ADDRESS, "--at", AT)
    assert ran.exit_code == 2
    assert "prova.json" in ran.complaint
    assert aaad.sql("SELECT count(*) FROM net.evidence")[0][0] == before


def test_names_with_letters_that_no_font_has_do_not_stop_the_pdf(aaad: Desk, tmp_path: Path) -> None:
    aaad.session("2024-03-10 11:00Z", "2024-03-10 13:00Z", ipv4="198.51.100.77", user_name="łódź…日本\x1b[31m")
    path = tmp_path / "prova.json"
    assert issue(aaad, path, "198.51.100.77", "--at", AT).exit_code == 0
    assert verdict(aaad, path)["genuine"]
    assert "\x1b" not in aaad("whois", "198.51.100.77", "--at", AT).output
