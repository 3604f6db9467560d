"""Laws of the sentence about a misspelt word."""

import pytest

from impasto.suggest import did_you_mean


@pytest.mark.parametrize("word", ["relu33", "relu3-3", "RELU3_3", "rleu3_3"])
def test_the_nearest_word_is_named(word: str) -> None:
    assert did_you_mean(word, ["relu1_1", "relu3_3", "pool5"]) == "; did you mean 'relu3_3'?"


def test_the_case_of_the_known_word_is_kept() -> None:
    assert did_you_mean("imagenet1k_v1", ["IMAGENET1K_V1", "OTHER"]) == "; did you mean 'IMAGENET1K_V1'?"


def test_without_a_near_word_all_known_are_listed_once_in_order() -> None:
    assert did_you_mean("zzz", ["wave", "night", "wave"]) == "; known are night, wave"


def test_without_known_words_nothing_is_said() -> None:
    assert did_you_mean("zzz", []) == ""
