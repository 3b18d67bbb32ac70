"""Passwords and tokens: what is taken, and what their texts look like."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskdash.errors import BadField
from taskdash.rules import secrets as forms
from taskdash.rules.passwords import check_password, is_common

COMMON = """
1q2w3e4r5t6y qwertyuiop[] 123456789qwe 1qaz2wsx3edc q1w2e3r4t5y6 zaq12wsxcde3 123qweasdzxc qazwsxedcrfv 1qazxsw23edc
abcdefghijkl adminadminadmin passwordpassword Password1234 Password123! P@ssw0rd1234 qwerty123456 iloveyou1234
administrator Administrator1 welcome12345 Summer2024!! letmein12345 111111111111 123123123123 121212121212 abc123abc123
1234567890ab 1qaz!QAZ2wsx qwe123qwe123 asdfghjkl123 asdf1234asdf football1234 superman1234 michaeljordan mynameisjohn
unbelievable manchester1! woaini520520 woaini1314520 abcd12345678 taskdash2026 changeme1234 qwertyqwerty 112233445566
987654321098 147258369147 159753159753 zxcvbnm12345 poiuytrewq12 lkjhgfdsa123
""".split()  # noqa: SIM905  (a column of words reads better than 50 literals)
GOOD = [
    "correct horse battery staple",
    "two rivers meet here",
    "Vm8x-ptQ0rkL",
    "我的密码很长很长很安全的呀",
    "grün blaue wolken 12",
    "fJ2#kd92Lq0z",
]


@pytest.mark.parametrize("password", COMMON)
def test_R149_a_common_password_is_refused(password: str) -> None:
    with pytest.raises(BadField, match="common"):
        check_password(password)


@pytest.mark.parametrize("password", GOOD)
def test_R149_a_good_password_is_taken_exactly_as_typed(password: str) -> None:
    assert check_password(password) == password


@pytest.mark.parametrize("password", ["elevenchars", "", "short", "é" * 11])
def test_R149_fewer_than_12_characters_are_refused(password: str) -> None:
    with pytest.raises(BadField, match="at least 12"):
        check_password(password)


def test_R149_a_password_has_up_to_1024_bytes() -> None:
    longest = "".join(chr(97 + index * index % 26) for index in range(1_024))
    assert check_password(longest) == longest
    with pytest.raises(BadField, match="at most 1,024 bytes"):
        check_password(longest + "x")
    with pytest.raises(BadField, match="at most 1,024 bytes"):
        check_password("我" * 342)


def test_R149_ones_own_name_with_some_digits_is_no_password() -> None:
    assert is_common("wolfgang-amadeus-1756", "wolfgang-amadeus")
    assert not is_common("wolfgang-amadeus-1756", "ada")


def test_a_refused_password_names_the_field_it_came_in() -> None:
    with pytest.raises(BadField) as refused:
        check_password("short", field="new")
    assert refused.value.field == "new"


@given(st.text(max_size=1_024))
def test_no_text_breaks_the_check(password: str) -> None:
    is_common(password, password[:3])


@given(st.binary(min_size=forms.RANDOM_BYTES, max_size=forms.RANDOM_BYTES))
def test_R148_a_token_is_found_by_a_scanner_and_its_crc_is_right(random: bytes) -> None:
    text = forms.token_text(random)
    assert re.fullmatch(r"tdk_[0-9A-Za-z]{36}", text)
    assert forms.is_token(text)


@given(st.binary(min_size=23, max_size=23), st.integers(4, 39), st.sampled_from("0aZ"))
def test_R148_one_wrong_character_is_refused_without_the_store(random: bytes, place: int, wrong: str) -> None:
    text = forms.token_text(random)
    changed = text[:place] + wrong + text[place + 1 :]
    assert forms.is_token(changed) == (changed == text)


@pytest.mark.parametrize("text", ["", "tdk_", "tdk_" + "a" * 36, "tdk_" + "é" * 36, "x" * 10_000])
def test_R148_what_is_no_token_is_refused(text: str) -> None:
    assert not forms.is_token(text)


def test_R148_178_bits_come_from_the_random_bytes() -> None:
    lowest, highest = forms.token_text(bytes(23)), forms.token_text(b"\xff" * 23)
    assert lowest[4:34] == "0" * 30
    assert len(set(highest[4:34])) > 10
