"""The vocabulary and the text; the figures; Kneser-Ney."""

from mutant import mutant

LEDGER = "evaluation/ledger.py"
VOCABULARY = "corpus/vocabulary.py"
TRIE = "ngram/trie.py"

MUTANTS = (
    # The vocabulary and the text.
    mutant(
        "min-count cut",
        "> for >=: words seen exactly c times are lost",
        (VOCABULARY, "item[1] >= config.min_count", "item[1] > config.min_count"),
        tests="artifacts worked",
    ),
    mutant(
        "size cut",
        "the specials are counted among the V words",
        (VOCABULARY, "known = known[:max_size]", "known = known[: max_size and max_size - 2]"),
        tests="artifacts worked",
    ),
    mutant(
        "tie order",
        "words of equal count in reversed order of code points: other ids",
        (
            VOCABULARY,
            "key=lambda item: (-item[1], item[0]),",
            "key=lambda item: (item[1], item[0]),\n        reverse=True,",
        ),
        tests="artifacts worked",
    ),
    mutant(
        "literal <unk> not counted in the coverage",
        "the share of unknown words of a text with <unk> is too small",
        (VOCABULARY, "total = int(cumulative[-1]) + literal", "total = int(cumulative[-1])"),
        tests="artifacts worked",
    ),
    mutant(
        "last line",
        "a last line without a newline is skipped",
        ("corpus/line_blocks.py", "        yield rest", "        del rest"),
        tests="corpus",
    ),
    mutant(
        "CRLF on two blocks",
        "a line end that falls on the border of two blocks counts twice",
        ("corpus/line_blocks.py", 'held = text.endswith("\\r")', "held = False"),
        tests="corpus",
    ),
    mutant(
        "BOM kept",
        "the first word of a file begins with an invisible character",
        ("corpus/decoder.py", "block = block[len(mark) :]", "block = block[0:]"),
        ("corpus/decoder.py", "text = text.replace(_MARK, \"\")", "text = text[0:]"),
        tests="corpus",
    ),
    mutant(
        "PKU id kept",
        "19980101-01-001-001/m becomes a word of every paragraph",
        ("corpus/pku.py", "article = article or identity[1]\n            continue", "article = article or identity[1]"),
        tests="corpus",
    ),
    mutant(
        "own word within a Latin word",
        "the entry AI cuts SAID in three",
        ("corpus/chinese.py", "return _goes_on(text, start) or _goes_on(text, end)", "return False"),
        tests="corpus",
    ),
    mutant(
        "frequency as given",
        "an entry whose frequency is too small for its parts is silently never found",
        ("corpus/chinese.py", "if missing > 0:", "if missing > 10**12:"),
        tests="corpus",
    ),
    mutant(
        "sentence ends within an entry",
        "Yahoo! of the dictionary is cut where a sentence seems to end",
        ("corpus/recipe.py", "piece_spans(self._masked(text))", "piece_spans(text)"),
        tests="corpus",
    ),
    mutant(
        "numbers of questions as they are",
        "a model of 0000 is asked for 1998",
        ("corpus/recipe.py", "return fold_numbers(token) if self.fold_numbers else token", "return token"),
        tests="corpus",
    ),
    mutant(
        "answers as they come",
        "with several workers the sentences of a text change places",
        ("corpus/cutting.py", "pending.popleft()", "pending.pop()"),
        tests="corpus",
    ),
    mutant(
        "error before the text",
        "with several workers a bad byte swallows the sentences that stand before it",
        ("corpus/cutting.py", "        if chunk:\n            yield chunk\n        raise", "        raise"),
        tests="corpus",
    ),
    mutant(
        "cache of a stranger",
        "words are read from a file that others can write",
        (
            "private_cache.py",
            "return found.st_uid == os.geteuid() and not found.st_mode & _OTHERS_WRITE",
            "return True",
        ),
        tests="corpus",
    ),
    mutant(
        "cache unchecked",
        "a damaged cache gives other words",
        ("corpus/prefix_table.py", "if head != _head(source, body):", "if not head:"),
        tests="corpus",
    ),
    mutant(
        "column of a joined line",
        "the place of a word in an indented line is that in the stripped one",
        ("corpus/paragraphs.py", "len(line.text) - len(line.text.lstrip())", "0"),
        tests="corpus",
    ),
    mutant(
        "split by sentences",
        "sentences of one document in training and validation",
        (
            "corpus/split.py",
            "return np.any(names[1:] != names[:-1], axis=1)",
            "return np.ones(len(names) - 1, bool)",
        ),
        tests="artifacts",
    ),
    # The figures.
    mutant(
        "perplexity of words",
        "the mean is over words, the sum over words and sentence ends",
        (LEDGER, '"ppl": perplexity(total, predictions),', '"ppl": perplexity(total, words),'),
        tests="evaluation",
    ),
    mutant(
        "unknown words not counted",
        "the ledger says that no word is unknown",
        (LEDGER, "float(nll_N.sum()), int(is_oov.sum()), part", "float(nll_N.sum()), 0, part"),
        tests="evaluation",
    ),
    mutant(
        "OOV adjustment of the wrong sign",
        "unknown words become a gift instead of a cost",
        (LEDGER, "total + oov * math.log(unknown.types)", "total - oov * math.log(unknown.types)"),
        tests="evaluation",
    ),
    mutant(
        "unpaired bootstrap",
        "nats and predictions come from different draws of sentences",
        ("evaluation/significance.py", "row[begin:end] = column_S[drawn].sum(1)", "row[begin:end] = column_S[random.integers(0, sentences, (end - begin, sentences))].sum(1)"),
        tests="evaluation",
    ),
    # Kneser-Ney.
    mutant(
        "fixed discount",
        "order 2 discounts 0.75 whatever the counts of counts are",
        (TRIE, "notes += [note] if note else []", "discounts[1:2, 1:] = 0.75"),
        tests="ngram",
    ),
    mutant(
        "backoff of the boundary",
        "the first word of a sentence has the whole unigram mass besides its own",
        (
            TRIE,
            "tables.append(_table(table, totals, backoffs))",
            "backoffs[1 : 2 * (order == 2)] = 1.0\n        tables.append(_table(table, totals, backoffs))",
        ),
        tests="ngram",
    ),
    mutant(
        "context of the boundary",
        "the first word of a sentence is predicted as if nothing were known",
        ("ngram/counting.py", "{1: 0, 2: BOUNDARY}.get(order, -1)", "{1: 0}.get(order, -1)"),
        tests="ngram",
    ),
    mutant(
        "raw counts in lower orders",
        "Kneser-Ney without Kneser-Ney: frequencies instead of numbers of contexts",
        ("ngram/counting.py", "tables.append(Counts(keys_N, raw_N, adjusted_N))", "tables.append(Counts(keys_N, raw_N, raw_N))"),
        tests="ngram",
    ),
)  # fmt: skip
