"""`aaad whois …` and `aaad whois-verify FILE`: who had an address, told, tabled, exported, signed and checked.

Whatever is shown was recorded before: who asked, what, and whose sessions it came to (Decreto 8.771/2016, art. 13).
An evidence file and its record stand or fall together: files are written first and taken away again if the record
cannot be committed.
"""

import asyncio
import csv
import getpass
import hashlib
import io
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

from rich.console import Console
from rich.progress import track

from aaad.cli.cluster import opened
from aaad.cli.sheets import refuse_both_forms
from aaad.cli.terminal import Terminal, WrongInputError
from aaad.cli.whois_words import (
    MADE_OF_NOW,
    VERDICTS,
    answer_lines,
    certainty_word,
    evidence_lines,
    head_lines,
)
from aaad.clock import utc_now
from aaad.db.connection import Database, Transaction
from aaad.errors import MistypedError
from aaad.sessions import evidence, whois
from aaad.sessions.answer import Document
from aaad.sessions.question import Question, Words, WrongLinesError, read_question, read_requests
from aaad.words import printable

_SHOWN_IN_FULL_MAX = 4  # more candidates become a table
_PROGRESS_FROM = 20
_OPERATOR_WRITES = 0o600
_WORDS_LENGTH_MAX = 1_000
_CSV = (
    "reference",
    "address",
    "port",
    "from",
    "to",
    "certainty",
    "within",
    "address_space",
    "user_name",
    "login_id",
    "client_id",
    "client_name_now",
    "client_document_now",
    "contract_id",
    "started_at_utc",
    "started_at_local",
    "certain_until_utc",
    "certain_until_local",
    "possible_until_utc",
    "possible_until_local",
    "time_zone",
    "state",
    "end_evidence",
    "nas",
    "mac",
    "matched_address",
    "matched_as",
    "address_evidence",
    "address_certain_from_utc",
    "address_certain_until_utc",
    "address_possible_from_utc",
    "address_possible_until_utc",
    "cgnat_map",
    "cgnat_port_first",
    "cgnat_port_last",
    "notes",
)


def _(english: str) -> str:
    """Mark a text for translation."""
    return english


_WORDS_ALLOWED = _("{option}: {word} is not valid. Allowed: one line of 1 to {length} characters")


class Wish(NamedTuple):
    """What the command line asks for besides the question."""

    words: Words
    file: Path | None = None
    is_csv: bool = False
    evidence: Path | None = None
    order: str = ""
    reason: str = ""
    ignores_columns: bool = False


class Issued(NamedTuple):
    """An evidence file that was written and recorded."""

    number: int
    files: list[Path]
    sha256: str


def run(terminal: Terminal, wish: Wish) -> None:
    """Answer; end with 1 if a question has no candidate."""
    refuse_both_forms(terminal, is_csv=wish.is_csv)
    _check(terminal, wish)
    answers, issued = asyncio.run(_answer(terminal, wish, _questions(terminal, wish)))
    if terminal.options.is_json:
        told = {"number": issued.number, "files": issued.files, "sha256": issued.sha256} if issued else None
        terminal.json({"answers": answers, "evidence": told})
    elif wish.is_csv:
        _write_csv(answers)
    else:
        for answer in answers:
            _show(terminal, answer)
        terminal.line(terminal.speak(MADE_OF_NOW))
    if issued and not terminal.options.is_json:
        _tell_issued(terminal, issued)
    if not all(answer["candidates"] for answer in answers):
        terminal.refuse()


def verify(terminal: Terminal, path: Path) -> None:
    """Check an evidence file, and the PDF beside it if there is one; end with 1 unless it is genuine."""
    content = _read(terminal, path)
    found = evidence.decode_file(content)
    verdict = asyncio.run(_verify(terminal, found))
    pdf = path.with_suffix(".pdf")
    is_pdf_same = None
    if pdf.exists():
        is_pdf_same = hashlib.sha256(_read(terminal, pdf)).hexdigest() == found.document.get("pdf_sha256")
    _ = terminal.speak
    is_genuine = verdict is evidence.Verdict.GENUINE and is_pdf_same is not False
    if terminal.options.is_json:
        terminal.json(
            {
                "genuine": is_genuine,
                "verdict": verdict.value,
                "number": found.document["number"],
                "pdf_genuine": is_pdf_same,
                "sha256": found.sha256.hex(),
                "public_key": found.public_key.hex(),
            }
        )
    else:
        if verdict is evidence.Verdict.GENUINE:
            for line in evidence_lines(found.document, _):
                terminal.line(line)
            terminal.line()
        terminal.line(_(VERDICTS[verdict]), "green" if verdict is evidence.Verdict.GENUINE else "bold red")
        if is_pdf_same is not None:
            told = _("The PDF beside it is the one that was issued.") if is_pdf_same else ""
            told = told or _("The PDF beside it is NOT the one that was issued.")
            terminal.line(told, "green" if is_pdf_same else "bold red")
    if not is_genuine:
        terminal.refuse()


# --- what is asked --------------------------------------------------------------------------------------------------


def _check(terminal: Terminal, wish: Wish) -> None:
    if bool(wish.words.address) == (wish.file is not None):
        raise MistypedError(_("say either an address or --file"))
    for option, word in (("--order", wish.order), ("--reason", wish.reason), ("--operator", terminal.operator)):
        if word.strip() and not (len(word) <= _WORDS_LENGTH_MAX and word.strip().isprintable()):
            raise MistypedError(_WORDS_ALLOWED, option=option, word=repr(word[:80]), length=_WORDS_LENGTH_MAX)
    if wish.evidence is None:
        return
    if not (wish.order.strip() and wish.reason.strip() and (terminal.options.operator or "").strip()):
        raise MistypedError(_("evidence needs --order, --reason and --operator: all three are recorded"))
    if wish.evidence.suffix != ".json":
        raise MistypedError(_("--evidence: the file's name ends in .json; the PDF gets the same name"))
    for path in _files(wish.evidence):
        if path.exists():
            raise MistypedError(_("{path} is there already"), path=path)


def _questions(terminal: Terminal, wish: Wish) -> list[Question]:
    now = utc_now()
    if wish.file is None:
        return [read_question(wish.words, now)]
    try:
        content = _read(terminal, wish.file)
        return read_requests(content, wish.words, now, ignores_columns=wish.ignores_columns)
    except WrongLinesError as wrong:
        tell_wrong_lines(terminal, wish.file, wrong)


def tell_wrong_lines(terminal: Terminal, path: Path, wrong: WrongLinesError) -> NoReturn:
    """Tell all that is wrong with a table, and end with exit code 2."""
    _ = terminal.speak
    for line, problem in wrong.problems:
        said = _(problem.english, **problem.values)
        terminal.complain(_("{path}, line {line}: {problem}", path=path, line=line, problem=said))
    raise WrongInputError


def _read(terminal: Terminal, path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(evidence.FILE_OCTETS_MAX + 1)
    except OSError as error:
        why = terminal.speak(error.strerror or str(error))
        raise MistypedError(_("{path}: {why}"), path=path, why=why) from None
    if len(content) > evidence.FILE_OCTETS_MAX:
        raise MistypedError(_("{path} is too large"), path=path)
    return content


# --- the work -------------------------------------------------------------------------------------------------------


async def _answer(
    terminal: Terminal, wish: Wish, questions: Sequence[Question]
) -> tuple[list[Document], Issued | None]:
    asker = whois.Asker(
        terminal.operator.strip() or getpass.getuser(), getpass.getuser(), wish.order.strip(), wish.reason.strip()
    )
    async with opened(terminal.config) as database:
        written: list[Path] = []
        try:
            return await _answer_and_record(terminal, wish, questions, asker, database, written)
        except BaseException:
            for path in written:  # not recorded: nobody must hold it for evidence
                path.unlink(missing_ok=True)
            raise


async def _answer_and_record(
    terminal: Terminal,
    wish: Wish,
    questions: Sequence[Question],
    asker: whois.Asker,
    database: Database,
    written: list[Path],
) -> tuple[list[Document], Issued | None]:
    async with database.transaction() as transaction:
        here = await whois.standing(transaction, asker.operator)
        answers = []
        for question in _with_progress(terminal, questions):
            try:
                answers.append(await whois.ask(transaction, question, here))
            except MistypedError as problem:
                if wish.file is None or not question.line:
                    raise
                tell_wrong_lines(terminal, wish.file, WrongLinesError([(question.line, problem)]))
        issued = None
        if wish.evidence is not None:
            issued = await _issue(terminal, transaction, wish.evidence, asker, here, answers, written)
        digests = [(answer, evidence.digest(answer)) for answer in answers]
        await whois.record_inquiries(transaction, asker, here, digests, issued.number if issued else None)
    return answers, issued


async def _issue(
    terminal: Terminal,
    transaction: Transaction,
    path: Path,
    asker: whois.Asker,
    here: whois.Standing,
    answers: Sequence[Document],
    written: list[Path],
) -> Issued:
    from aaad.cli.evidence_pdf import make_pdf

    _ = terminal.speak
    number = await evidence.next_number(transaction)
    document = evidence.compose(number, asker, here, answers, terminal.language.value, _program())
    title = _("Connection records: evidence number {number}", number=number)
    pdf = make_pdf(title, title, evidence_lines(document, _), here.now)
    document["pdf_sha256"] = hashlib.sha256(pdf).hexdigest()
    signed = await evidence.sign(transaction, document)
    await evidence.record(transaction, asker, signed)
    for place, content in zip(_files(path), (evidence.encode_file(signed), pdf), strict=True):
        _write(terminal, place, content, written)
    return Issued(number, _files(path), signed.sha256.hex())


def _program() -> str:
    try:
        return f"aaad {version('aaad')}"
    except PackageNotFoundError:  # run from its source
        return "aaad"


async def _verify(terminal: Terminal, found: evidence.Signed) -> evidence.Verdict:
    async with opened(terminal.config) as database:
        return await evidence.verify(database, found)


def _files(path: Path) -> list[Path]:
    return [path, path.with_suffix(".pdf")]


def _write(terminal: Terminal, path: Path, content: bytes, written: list[Path]) -> None:
    """Write a file that is not there yet, for its owner's eyes, and see it on the disk."""
    try:
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _OPERATOR_WRITES), "wb") as file:
            written.append(path)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        why = terminal.speak(error.strerror or str(error))
        raise MistypedError(_("{path}: {why}"), path=path, why=why) from None


def _with_progress(terminal: Terminal, questions: Sequence[Question]) -> Iterable[Question]:
    if len(questions) < _PROGRESS_FROM or not sys.stderr.isatty():
        return questions
    _ = terminal.speak
    return track(questions, _("asking"), console=Console(stderr=True), transient=True)


# --- the answer -----------------------------------------------------------------------------------------------------


def _show(terminal: Terminal, answer: Document) -> None:
    if len(answer["candidates"]) <= _SHOWN_IN_FULL_MAX:
        for line in answer_lines(answer, terminal.speak):
            terminal.line(line)
        terminal.line()
        return
    for line in head_lines(answer, terminal.speak):
        terminal.line(line)
    _ = terminal.speak
    table = terminal.table(
        _("how sure"),
        _("login"),
        _("client"),
        _("contract"),
        _("start"),
        _("certain until"),
        _("possible until"),
        _("address"),
        _("ports"),
        _("NAS"),
        "MAC",
        _("space"),
    )
    for found in answer["candidates"]:
        session, nat = found["session"], found["cgnat"]
        table.add(
            certainty_word(found, _),
            found["user_name"],
            f"{found['client']['id'] or '-'} {found['client']['name_now'] or ''}".strip(),
            found["contract"]["id"] or "-",
            session["started_at"]["local"],
            session["certain_until"]["local"],
            session["possible_until"]["local"] if session["possible_until"] else "-",
            found["address"]["value"],
            f"{nat['port_first']}-{nat['port_last']}" if nat else "-",
            found["nas"]["name_now"] or found["nas"]["source_address"],
            found["mac"] or "-",
            found["address_space"],
        )
    table.print()
    terminal.line()


def _write_csv(answers: Sequence[Document]) -> None:
    shown = io.StringIO(newline="")
    writer = csv.DictWriter(shown, _CSV)
    writer.writeheader()
    for answer in answers:
        writer.writerows(_csv_rows(answer))
    sys.stdout.write(shown.getvalue())


def _csv_rows(answer: Document) -> Iterator[dict[str, Any]]:
    asked = answer["question"]
    question = {name: asked[name] for name in ("reference", "address", "port", "from", "to")}
    question["notes"] = " ".join(answer["notes"])
    if not answer["candidates"]:
        yield {name: _cell(value) for name, value in question.items()}
    for found in answer["candidates"]:
        session, nat = found["session"], found["cgnat"] or {}
        row = {
            **question,
            **{name: found[name] for name in ("certainty", "within", "address_space", "user_name", "mac")},
            "login_id": found["login"]["id"],
            "client_id": found["client"]["id"],
            "client_name_now": found["client"]["name_now"],
            "client_document_now": found["client"]["document_now"],
            "contract_id": found["contract"]["id"],
            **{name: session[name] for name in ("time_zone", "state", "end_evidence")},
            "nas": found["nas"]["name_now"] or found["nas"]["source_address"],
            "matched_address": found["address"]["value"],
            "matched_as": found["address"]["matched"],
            "address_evidence": found["address"]["evidence"],
            "cgnat_map": nat.get("map"),
            "cgnat_port_first": nat.get("port_first"),
            "cgnat_port_last": nat.get("port_last"),
        }
        held = found["address"]["held"] or {
            **{f"{name}_from": session["started_at"] for name in ("certain", "possible")},
            **{name: session[name] for name in ("certain_until", "possible_until")},
        }
        row |= {f"address_{name}_utc": (instant or {}).get("utc") for name, instant in held.items()}
        for name in ("started_at", "certain_until", "possible_until"):
            for kind in ("utc", "local"):
                row[f"{name}_{kind}"] = (session[name] or {}).get(kind)
        yield {name: _cell(value) for name, value in row.items()}


def _cell(value: object) -> object:
    """Return a value that no spreadsheet takes for a formula: names come from outside."""
    if not isinstance(value, str):
        return value
    plain = printable(value)
    return f"'{plain}" if plain.startswith(("=", "+", "-", "@")) else plain


def _tell_issued(terminal: Terminal, issued: Issued) -> None:
    _ = terminal.speak
    files = ", ".join(str(path) for path in issued.files)
    told = _("Evidence {number} was issued: {files}", number=issued.number, files=files)
    terminal.complain(told)  # standard output is the answer's, which may be a CSV
    terminal.complain(_("Its SHA-256 is {sha256}.", sha256=issued.sha256))
