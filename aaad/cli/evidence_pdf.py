"""Lines of text as a PDF that courts' systems take: A4, plain type, each page with its number and the evidence's.

Its fonts are those that every reader has, which know the letters of Western Europe; another letter shows as a
question mark here, and as it is in the signed JSON.
"""

from collections.abc import Iterable
from datetime import datetime

from fpdf import FPDF
from fpdf.enums import WrapMode

_FONT, _SIZE, _LINE_MM, _MARGIN_MM = "Courier", 9, 4.2, 18.0


class _Paper(FPDF):
    """Pages with a foot."""

    def __init__(self, foot: str) -> None:
        """Begin with no page."""
        super().__init__(format="A4")
        self.foot = foot

    def footer(self) -> None:
        """Write the foot of a page."""
        self.set_y(-12)
        self.set_font(_FONT, size=7)
        self.cell(0, 4, f"{self.foot}   {self.page_no()}/{{nb}}", align="C")


def make_pdf(title: str, foot: str, lines: Iterable[str], at: datetime) -> bytes:
    """Return the octets of a PDF."""
    paper = _Paper(_plain(foot))
    paper.set_title(title)
    paper.set_creator("aaad")
    paper.set_creation_date(at)
    paper.set_margin(_MARGIN_MM)
    paper.set_auto_page_break(auto=True, margin=_MARGIN_MM)
    paper.add_page()
    paper.set_font(_FONT, style="B", size=13)
    paper.multi_cell(0, 7, _plain(title), new_x="LMARGIN", new_y="NEXT")
    paper.ln(2)
    paper.set_font(_FONT, size=_SIZE)
    for line in lines:
        if line:
            paper.multi_cell(
                0, _LINE_MM, _plain(line), align="L", new_x="LMARGIN", new_y="NEXT", wrapmode=WrapMode.CHAR
            )
        else:
            paper.ln(_LINE_MM)
    return bytes(paper.output())


def _plain(text: str) -> str:
    return text.replace("…", "...").encode("latin-1", "replace").decode("latin-1")
