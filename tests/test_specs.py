"""The grammar of names: what is written is read back, whatever it holds."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metis_gym.errors import ConfigError
from metis_gym.specs import format_spec, is_name, parse_spec, split_outside_quotes
from metis_gym.tasksets import _read_part, _weights

WORDS = st.from_regex(r"[a-z_][a-z0-9_\-]{0,10}", fullmatch=True)
IDENTIFIERS = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,8}", fullmatch=True)
MODULES = st.lists(IDENTIFIERS, min_size=1, max_size=3).map(".".join)
NAMES = WORDS | st.tuples(MODULES, IDENTIFIERS).map(":".join)
ODD_TEXT = st.text(max_size=20) | st.text(alphabet="\"'\\,=:+/@ a1.-", max_size=20)
VALUES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | ODD_TEXT
PARAMETERS = st.dictionaries(IDENTIFIERS, VALUES, max_size=4)


def same(first, second):
    return type(first) is type(second) and first == second


@given(NAMES, PARAMETERS)
def test_what_is_written_is_read_back(name, parameters):
    read_name, read = parse_spec(format_spec(name, parameters))
    assert read_name == name
    assert read.keys() == parameters.keys()
    assert all(same(read[key], value) for key, value in parameters.items())


@given(st.lists(st.tuples(NAMES, PARAMETERS), min_size=1, max_size=4), st.sampled_from("+/@"))
def test_joined_specs_come_apart_where_they_were_joined(parts, separator):
    specs = [format_spec(name, parameters) for name, parameters in parts]
    assert split_outside_quotes(separator.join(specs), separator) == specs


@given(NAMES, PARAMETERS, NAMES, PARAMETERS)
def test_a_spec_may_be_a_value_of_a_spec(outer, others, inner, parameters):
    spec = format_spec(inner, parameters)
    assert parse_spec(format_spec(outer, {**others, "sandbox": spec}))[1]["sandbox"] == spec


@given(st.text(max_size=60) | st.text(alphabet="ab:,='\"\\ +", max_size=30))
def test_any_text_is_read_or_refused(text):
    try:
        name, parameters = parse_spec(text)
    except ConfigError:
        return
    assert name
    if is_name(name) and all(key.isidentifier() for key in parameters):
        again = parse_spec(format_spec(name, parameters))
        assert again[0] == name
        assert all(same(again[1][k], v) or v != v for k, v in parameters.items())


def test_not_a_number_is_written_and_read():
    assert math.isnan(parse_spec(format_spec("a", {"x": math.nan}))[1]["x"])


def test_numbers_of_numpy_are_numbers():
    assert format_spec("a", {"x": np.float64(0.5), "y": np.int64(3)}) == "a:x=0.5,y=3"


@pytest.mark.parametrize(
    ("spec", "name", "parameters"),
    [
        ("my_pkg:Zoom", "my_pkg:Zoom", {}),
        ("my_pkg.tools:Zoom:factor=2", "my_pkg.tools:Zoom", {"factor": 2}),
        ("my_pkg:Outer.Inner:a=1", "my_pkg:Outer.Inner", {"a": 1}),
        ("zoom:factor=2", "zoom", {"factor": 2}),
        ("hdpo:", "hdpo", {}),
        ("hdpo:a=1,,b=2,", "hdpo", {"a": 1, "b": 2}),
        ("x : a = 1 , b = two", "x", {"a": 1, "b": "two"}),
        ("docker:runtime=runsc", "docker", {"runtime": "runsc"}),
        ("python:sandbox=docker:runtime=runsc", "python", {"sandbox": "docker:runtime=runsc"}),
        (
            "openai:model=m,base_url=http://localhost:8000/v1",
            "openai",
            {"model": "m", "base_url": "http://localhost:8000/v1"},
        ),
        ("fts5:path=C:\\data\\my.sqlite", "fts5", {"path": "C:\\data\\my.sqlite"}),
        ('rows:path="a,b=c.parquet"', "rows", {"path": "a,b=c.parquet"}),
        ("rows:path='it''s', n=1", None, None),
        ("rows:path='a \"b\"',n=1", "rows", {"path": 'a "b"', "n": 1}),
        ('x:n="1",m="true",k=""', "x", {"n": "1", "m": "true", "k": ""}),
        ("x:k=", "x", {"k": ""}),
    ],
)
def test_the_grammar(spec, name, parameters):
    if name is None:
        with pytest.raises(ConfigError, match="quote is not closed"):
            parse_spec(spec)
    else:
        assert parse_spec(spec) == (name, parameters)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("", "expected name:key=value"),
        (":a=1", "expected name:key=value"),
        ("x:=1", "cannot read '=1'"),
        ("x:a=1,b", "cannot read 'b'"),
        ('x:a="1', "quote is not closed"),
        ("x:a=1,a=2", "'a' is given twice"),
    ],
)
def test_mistakes_are_named(spec, message):
    with pytest.raises(ConfigError, match=message):
        parse_spec(spec)


@pytest.mark.parametrize("value", [(1, 2), {"a": 1}, [1], object()])
def test_what_a_spec_cannot_hold_is_refused(value):
    with pytest.raises(ConfigError, match=r"x:a is .*which a spec cannot hold"):
        format_spec("x", {"a": value})


@pytest.mark.parametrize("name", ["a b", "a:b=1", "a+b", "", "a,b"])
def test_what_is_no_name_is_refused(name):
    with pytest.raises(ConfigError):
        format_spec(name, {})


@pytest.mark.parametrize(
    ("part", "path", "further"),
    [
        ("parquet:train.parquet", "train.parquet", {}),
        ("parquet:C:\\data\\train.parquet,on_error=skip", "C:\\data\\train.parquet", {"on_error": "skip"}),
        ("jsonl:a,b.jsonl", "a,b.jsonl", {}),
        ("jsonl:a=b,c.jsonl,on_error=skip", "a=b,c.jsonl", {"on_error": "skip"}),
        ("hub:owner/name,subset=a,part=validation", "owner/name", {"subset": "a", "part": "validation"}),
        ('hub:owner/name,subset="a,b/c"', "owner/name", {"subset": "a,b/c"}),
        ('parquet:path="a,b=c.parquet",on_error=skip', "a,b=c.parquet", {"on_error": "skip"}),
        ('parquet:"a,b=c.parquet",on_error=skip', "a,b=c.parquet", {"on_error": "skip"}),
        ("folder:images+more", "images+more", {}),
    ],
)
def test_files_are_named_by_their_path(part, path, further):
    name, parameters = _read_part(part)
    assert name == part.partition(":")[0]
    assert parameters == {"path": path, **further}
    assert list(_weights(part)) == [part]


def test_joins_spare_quotes():
    assert list(_weights('signs+parquet:path="a+b.parquet"+my_pkg:Dots:title="x+y"')) == [
        "signs",
        'parquet:path="a+b.parquet"',
        'my_pkg:Dots:title="x+y"',
    ]
    assert list(_weights('parquet:"a+b.parquet"+signs')) == ['parquet:"a+b.parquet"', "signs"]
