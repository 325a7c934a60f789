from __future__ import annotations

from xml.etree import ElementTree

from hypothesis import given
from hypothesis import strategies as st

from gossamer.report.markup import Markup, join, tag

texts = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"], exclude_characters="\ufffe\uffff"))


@given(texts, texts)
def test_any_text_comes_back_from_a_parser(text: str, attribute: str) -> None:
    element = ElementTree.fromstring(tag("p", text, tag("b", text), data_x=attribute))
    assert (element.text or "") == text
    assert (element[0].text or "") == text
    assert element.attrib["data-x"] == attribute


def test_attributes() -> None:
    made = tag("input", type="radio", name="cost", checked=True, hidden=False, for_=None, tabindex=1.50)
    assert made == '<input type="radio" name="cost" checked tabindex="1.5">'


def test_markup_is_not_escaped_twice() -> None:
    assert join(["a<b", Markup("<i>"), None, ["&"]]) == "a&lt;b<i>&amp;"
