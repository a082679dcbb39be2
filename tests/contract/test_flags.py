"""Every flag is raised somewhere, has a sentence and is explained in docs/flags.md, and nothing else is."""

import re
from pathlib import Path

import pytest

import ishcount
from ishcount.core.flags import MEANING, Flag, names, parse

ROOT = Path(__file__).parents[2]
PACKAGE = Path(ishcount.__file__).parent


@pytest.fixture(scope="module")
def source():
    files = [path for path in PACKAGE.rglob("*.py") if path.name != "flags.py"]
    return "\n".join(path.read_text("utf-8") for path in files)


@pytest.mark.parametrize("flag", list(Flag), ids=lambda flag: flag.name)
def test_a_flag_is_raised_somewhere_and_has_a_sentence(flag, source):
    assert re.search(rf"Flag\.{flag.name}\b", source)
    assert MEANING[flag]


def test_the_page_about_flags_lists_all_of_them_and_no_other():
    rows = [line for line in (ROOT / "docs" / "flags.md").read_text("utf-8").splitlines() if line[:2] == "| "]
    listed = re.findall(r"`([A-Z0-9_]{5,})`", "\n".join(row.split("|")[1] for row in rows))
    assert sorted(listed) == sorted(flag.name for flag in Flag)


def test_names_and_bits_turn_into_each_other():
    both = Flag.DENSE_STAIN | Flag.NO_GLASS
    assert names(both) == "NO_GLASS;DENSE_STAIN"
    assert parse(names(both)) == both
