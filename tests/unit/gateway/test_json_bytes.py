"""Everything that Python's JSON can say is encoded, in one line, and says the same."""

import json

from hypothesis import given
from hypothesis import strategies as st

from gateway.json_bytes import encode

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.sampled_from(["\ud83d", "a\udc00b"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


@given(st.dictionaries(st.text(), anything, max_size=4))
def test_whatever_it_holds_it_is_one_line_that_reads_the_same(body: dict[str, object]) -> None:
    line = encode(body)
    assert b"\n" not in line
    assert json.loads(line) == body


def test_half_an_emoji_does_not_lose_an_answer_that_was_paid_for() -> None:
    assert json.loads(encode({"content": "\ud83d"})) == {"content": "\ud83d"}
