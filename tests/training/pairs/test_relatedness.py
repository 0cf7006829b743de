"""What a block of pairs says of how related their texts are: a scale for each pair of languages, and the words of the query."""

import numpy as np
import pytest

from quarry.training.pairs.filters.relatedness import across_languages, classes_of_cells, random_cells, relatedness
from quarry.training.pairs.lexical import shares_held

PAIRS = 40


def block(seed=0):
    """Cosines of random texts, none of whose words is held by another."""
    draw = np.random.default_rng(seed)
    return 0.8 + 0.02 * draw.standard_normal((PAIRS, PAIRS)), np.zeros((PAIRS, PAIRS))


def all_but_the_diagonal():
    return ~np.eye(PAIRS, dtype=bool)


@pytest.mark.parametrize(
    ("queries", "passages", "expected"),
    [
        (["renew loan", "open hall"], ["Loans: renew them", "The hall is open"], [[1, 0], [0, 1]]),
        (["续借", "开放"], ["怎样续借图书", "今天开放"], [[1, 0], [0, 1]]),
        (["?", ""], ["anything", "else"], [[0, 0], [0, 0]]),
    ],
)
def test_a_passage_holds_the_words_that_it_answers(queries, passages, expected):
    found = shares_held(queries, passages)
    assert found.shape == (2, 2)
    assert np.all((found >= 0) & (found <= 1))
    assert np.array_equal(found > 0.5, np.array(expected, bool))


def test_words_that_all_passages_hold_weigh_nothing():
    passages = ["the library lends atlases", "the library lends records", "the library lends posters"]
    rare, common = shares_held(["library atlases", "library"], passages)
    assert rare[0] > 0.6
    assert rare[1] < 0.3
    assert not common.any()


def test_pairs_in_two_languages_are_judged_among_their_like():
    """Across languages everything is less similar: a true pair there is below random ones within a language, and stands out."""
    cosines, held = block()
    classes = np.array([0, 1] * (PAIRS // 2), np.int8)  # English and Chinese questions, English passages
    chinese = classes == 1
    cosines[chinese] -= 0.2
    np.fill_diagonal(cosines, np.diag(cosines) + 0.1)
    found = relatedness(cosines, held, classes, all_but_the_diagonal())
    random = found[all_but_the_diagonal()]
    assert np.diag(cosines)[chinese].max() < np.median(cosines[~chinese])
    assert np.diag(found).min() > np.quantile(random, 0.97)


def test_what_the_texts_of_a_language_share_does_not_hide_a_pair_of_two_languages():
    """Each language has a direction of its own, which some texts have much of: their cosines are high with every text."""
    draw = np.random.default_rng(0)
    topics = draw.standard_normal((PAIRS, 24))
    languages = draw.standard_normal((2, 24)) * 4

    def side(language):
        much = draw.uniform(0.2, 2, (PAIRS, 1))
        vectors = topics + 0.5 * draw.standard_normal(topics.shape) + much * languages[language]
        return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)

    queries, passages, apart = side(1), side(0), all_but_the_diagonal()
    kept = []
    for classes in (np.zeros(PAIRS, np.int8), np.ones(PAIRS, np.int8)):
        cosines = across_languages(queries, passages, classes)
        found = relatedness(cosines, np.zeros((PAIRS, PAIRS)), classes, apart)
        kept.append((np.diag(found) > np.quantile(found[apart], 0.97)).mean())
    one, two = kept  # the same vectors taken for one language, and for two
    assert two > 0.9 > one


def test_within_a_language_cosines_stay_as_they_are():
    draw = np.random.default_rng(0)
    queries, passages = (draw.standard_normal((6, 8)).astype(np.float32) for _ in range(2))
    classes = np.array([0, 0, 3, 3, 1, 2], np.int8)
    found, plain = across_languages(queries, passages, classes), (queries @ passages.T).astype(np.float64)
    same = np.isin(classes_of_cells(classes), (0, 3))
    np.testing.assert_array_equal(found[same], plain[same])
    assert not np.isclose(found[~same], plain[~same]).any()


def test_half_of_what_a_text_has_with_everything_is_taken_off():
    cosines, held = block()
    cosines[:, 3] += 0.15
    cosines[5] += 0.15
    found = relatedness(cosines, held, np.zeros(PAIRS, np.int8), all_but_the_diagonal())
    above = 0.15 / 0.02
    assert abs(found[:, 3].mean()) < above / 2
    assert abs(found[5].mean()) < above / 2


@pytest.mark.parametrize(("of_pairs", "counts"), [(0, True), (3, True), (1, False), (2, False), (4, True), (5, False)])
def test_common_words_count_within_a_language_only(of_pairs, counts):
    cosines, held = block()
    classes = np.full(PAIRS, of_pairs, np.int8)
    before = np.diag(relatedness(cosines, held, classes, all_but_the_diagonal()))
    np.fill_diagonal(held, 0.9)
    held[all_but_the_diagonal()] = np.random.default_rng(1).random(PAIRS * (PAIRS - 1)) / 5
    after = np.diag(relatedness(cosines, held, classes, all_but_the_diagonal()))
    assert np.all(after > before + 1) if counts else np.array_equal(after, before)


def test_few_pairs_of_a_class_are_counted_on_the_scale_of_the_block():
    cosines, held = block()
    classes = np.zeros(PAIRS, np.int8)
    classes[7] = 3
    cosines[7, 7] = 0.95
    found = relatedness(cosines, held, classes, all_but_the_diagonal())
    assert np.isfinite(found).all()
    assert found[7, 7] > 3


def test_questions_with_one_answer_are_no_random_pairs():
    random = random_cells(["a", "b", "c", "a"], ["x", "x", "y", "z"])
    assert random.tolist() == [
        [False, False, True, False],
        [False, False, True, True],
        [True, True, False, True],
        [False, True, True, False],
    ]


def test_a_cell_is_of_the_query_s_language_and_of_the_passage_s():
    cells = classes_of_cells(np.array([0, 3, 4], np.int8))
    assert cells.tolist() == [[0, 2, 4], [1, 3, 5], [0, 2, 4]]
