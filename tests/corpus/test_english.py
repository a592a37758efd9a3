import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nplm_cli.corpus.english import english_spans, english_tokens

# Text, and its tokens separated by spaces.
CASES = [
    ("I don't know.", "I do n't know ."),
    ("I don’t know.", "I do n't know ."),
    ("It's Tom's dog.", "It 's Tom 's dog ."),
    (
        "We'll see; they've gone, I'd say you're right. I'm off!",
        "We 'll see ; they 've gone , I 'd say you 're right . I 'm off !",
    ),
    ("can't won't shan't ain't", "ca n't wo n't sha n't ai n't"),
    ("I wouldn't've", "I would n't 've"),
    ("IT'S NOT DON'T", "IT 'S NOT DO N'T"),
    ("It 's what they do n't and he 'll", "It 's what they do n't and he 'll"),
    ("cannot", "cannot"),
    ("the boys' house", "the boys ' house"),
    ("James's", "James 's"),
    ("o'clock, O'Neill, ma'am", "o'clock , O'Neill , ma'am"),
    ("O’Neill", "O'Neill"),
    ("'Tis true, give 'em back", "'Tis true , give 'em back"),
    ("’twas", "'twas"),
    ("in '97 and the '80s", "in '97 and the '80s"),
    ("'Hello,' he said", "' Hello , ' he said"),
    ("a well-known twenty-one-year-old", "a well-known twenty-one-year-old"),
    ("me--what", "me -- what"),
    ("me---what", "me --- what"),
    ("yes—no–maybe", "yes — no – maybe"),
    ("pre- and post-war", "pre - and post-war"),
    ("Mr. Smith and Mrs. Brown", "Mr. Smith and Mrs. Brown"),
    ("Dr. Watson of Baker St. came", "Dr. Watson of Baker St. came"),
    ("Prof. Lee, Capt. Gray, Lt. Ray", "Prof. Lee , Capt. Gray , Lt. Ray"),
    ("J. Watson met J. R. R. Tolkien", "J. Watson met J. R. R. Tolkien"),
    ("J.R.R. Tolkien", "J.R.R. Tolkien"),
    ("vitamin C. The end", "vitamin C . The end"),
    ("It is I. Watson came", "It is I . Watson came"),
    ("the U.S. army", "the U.S. army"),
    ("the U.S.'s army", "the U.S. 's army"),
    ("the U.S.A and the U.S.A.", "the U.S.A and the U.S.A."),
    ("e.g. this, i.e. that", "e.g. this , i.e. that"),
    ("at 5 p.m. sharp", "at 5 p.m. sharp"),
    ("a Ph.D. in law", "a Ph.D. in law"),
    ("Smith & Co. Ltd.", "Smith & Co. Ltd."),
    ("cats, dogs, etc.", "cats , dogs , etc."),
    ("No. 5 and Nos. 6", "No. 5 and Nos. 6"),
    ("I said no.", "I said no ."),
    ("No. That is all.", "No . That is all ."),
    ("on Jan. 5", "on Jan. 5"),
    ("p. 12, pp. 13-14, Fig. 2", "p. 12 , pp. 13-14 , Fig. 2"),
    ("1,000 and 1,234,567.89", "1,000 and 1,234,567.89"),
    ("1,2,3", "1 , 2 , 3"),
    ("3.14 or .5", "3.14 or .5"),
    ("in 1895.", "in 1895 ."),
    ("the 1990s, 1990's", "the 1990s , 1990 's"),
    ("1st 2nd 3rd 4th", "1st 2nd 3rd 4th"),
    ("at 10:30.", "at 10:30 ."),
    ("at 10:30am", "at 10:30am"),
    ("a 1,000-mile trip", "a 1,000-mile trip"),
    ("3/4/99 and/or 1/2", "3/4/99 and / or 1/2"),
    ("$5 and £1,000", "$ 5 and £ 1,000"),
    ("$3.50", "$ 3.50"),
    ("50% of 12.5%", "50 % of 12.5 %"),
    ("221B Baker Street", "221B Baker Street"),
    ("AT&T and R&D", "AT&T and R&D"),
    ("Wait... what?", "Wait ... what ?"),
    ("Wait…what?!", "Wait … what ? !"),
    ('"Good," he said. "Bye."', '" Good , " he said . " Bye . "'),
    ("“Good,” he said.", "“ Good , ” he said ."),
    ("``quoted''", "`` quoted ''"),
    ("'Police News of the Past.'\"", "' Police News of the Past . ' \""),
    ("(see [1])", "( see [ 1 ] )"),
    ("see http://example.com/a?b=c&d='e'.", "see http://example.com/a?b=c&d='e ' ."),
    ("(https://example.com/x)", "( https://example.com/x )"),
    ("见www.example.com。", "见 www.example.com 。"),
    ("www.example.com, or not", "www.example.com , or not"),
    ("Mail me: a.b+c@example.co.uk.", "Mail me : a.b+c@example.co.uk ."),
    ("_emphasis_ and snake_case", "_ emphasis _ and snake_case"),
    ("naïve café cafe\u0301s", "naïve café cafe\u0301s"),
    ("über-cool Ärger", "über-cool Ärger"),
    ("The word 中文 here", "The word 中 文 here"),
    ("<unk> </s>", "< unk > < / s >"),
    ("a\u00a0b\u2003c\td", "a b c d"),
    ("C++ & C#", "C + + & C #"),
    ("end.Start", "end . Start"),
    ("", ""),
    (" \n ", ""),
]


@pytest.mark.parametrize(("text", "tokens"), CASES)
def test_tokens(text, tokens):
    assert [span.token for span in english_spans(text)] == tokens.split()


def test_offsets_point_to_the_source_through_normalized_apostrophes():
    text = "“I wouldn’t’ve,” he"
    spans = list(english_spans(text))
    assert [(s.token, text[s.start : s.end]) for s in spans] == [
        ("“", "“"), ("I", "I"), ("would", "would"), ("n't", "n’t"), ("'ve", "’ve"),
        (",", ","), ("”", "”"), ("he", "he"),
    ]  # fmt: skip


@pytest.mark.parametrize("unit", ["a.", "a@", "a-", "'", "1,", "www.", "a'", "中", "\u0301", "A."])
def test_time_is_linear_in_the_length(unit):
    # A pattern that backtracks would take minutes for this.
    text = unit * 20_000
    assert "".join(s.token for s in english_spans(text)).replace("’", "'") == text


@pytest.mark.parametrize(
    "unit", ["'s", "n't", "1", "1,", "1,000", "a-", "A.", "a@", "'", "don't've"]
)
def test_time_grows_with_the_length(unit):
    def took(text):
        began = time.process_time()
        list(english_spans(text))
        return time.process_time() - began

    # Twenty times the time at twice the length: with the square it would be more than a minute.
    assert took(unit * 40_000) < 0.2 + 10 * 2 * took(unit * 20_000)
    assert took(unit * 40_000) < 10
    assert "".join(span.token for span in english_spans(unit * 500)) == unit * 500


PARTS = [
    "No.", "no.", "J.", "I.", "The", "Watson", "5", ".5", "Jan.", "Mr.", "U.S.", "p.m.", "etc.", "..",
    "...", "don't", "’Tis", "'s", "'", '"', "(", "www.x.org", "a@b.c", "http://x.y/z.", "@", "://", "词",
    "a-b", "1,000", "e\u0301", "x" * 70, ".", ",",
]  # fmt: skip
SPACES = [" ", " ", " ", "", "", "  ", "\n", "\u3000", "\xa0", "\x1f"]


@given(
    parts=st.lists(
        st.tuples(st.one_of(st.sampled_from(PARTS), st.text(max_size=3)), st.sampled_from(SPACES)),
        max_size=30,
    )
)
@settings(max_examples=400, deadline=None)
def test_remembered_pieces_are_cut_as_the_text_is(parts):
    text = "".join(part + space for part, space in parts)
    spans = list(english_spans(text))
    tokens, gaps = english_tokens(text)
    assert tokens == [span.token for span in spans]
    assert gaps == [not i or spans[i - 1].end < s.start for i, s in enumerate(spans)]
