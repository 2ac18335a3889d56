from __future__ import annotations

import pytest

from darkknowledge.errors import IntegrityError
from darkknowledge.teacher import check_pairing


def test_the_same_classes_in_the_same_order_pass_whatever_the_sequence() -> None:
    check_pairing(["cat", "dog"], ("cat", "dog"))


def test_another_number_of_classes_is_refused_with_both_numbers() -> None:
    with pytest.raises(IntegrityError, match="teacher has 100 classes, student has 10") as caught:
        check_pairing([str(i) for i in range(100)], [str(i) for i in range(10)])
    assert caught.value.exit_code == 4


def test_a_permutation_is_called_one_and_its_first_difference_named() -> None:
    with pytest.raises(IntegrityError, match="the same classes in another order") as caught:
        check_pairing(["cat", "dog", "eel"], ["cat", "eel", "dog"])
    assert caught.value.where == "class 1 is 'dog' for teacher and 'eel' for student"


def test_other_names_are_refused() -> None:
    with pytest.raises(IntegrityError, match="teacher and student have different classes") as caught:
        check_pairing(["cat", "dog"], ["cat", "wolf"])
    assert caught.value.where == "class 1 is 'dog' for teacher and 'wolf' for student"
