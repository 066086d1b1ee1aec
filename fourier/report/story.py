"""From findings to a document: which sections there are, in a reader's order.

The answer and how far to trust it, then how it was found, then everything that is needed to check
it. A figure that is missing is said to be missing, with what to type.
"""

from fourier.report.answer import answer_section
from fourier.report.document import Document, Section
from fourier.report.facts import again_section, corpus_section, cost_section, space_section
from fourier.report.findings import Findings
from fourier.report.found import mattered_section, right_section, search_section
from fourier.report.trust import leak_section, seeds_section, test_section
from fourier.report.words import question


def tell(findings: Findings) -> Document:
    """The whole report."""
    began, ended = findings.began, findings.ended
    days = [f"{each:%Y-%m-%d}" for each in (began, ended) if each]
    when = f", {' to '.join(dict.fromkeys(days))}" if days else ""
    sections = {
        "": answer_section,
        "How it was found": search_section,
        "What mattered": mattered_section,
        "What it gets right": right_section,
        "How much is the seed": seeds_section,
        "What a leaky split would have said": leak_section,
        "The test part": test_section,
        "Time and energy": cost_section,
        "Corpus and protocol": corpus_section,
        "What was searched": space_section,
        "Do it again": again_section,
    }
    told = [Section(title, section(findings)) for title, section in sections.items()]
    return Document(
        title=question(findings),
        subtitle=f"Study {findings.study} on {findings.setting.corpus}{when}",
        sections=[section for section in told if section.blocks],
        footer=f"Written by fourier report from study {findings.study}, run {findings.run_id}.",
    )
