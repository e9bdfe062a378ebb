import sys; sys.path.insert(0,'tests')
from hypothesis import given, settings, strategies as st
from helpers.formats.strategies import *
from widthwise.testing import check_format
n=[0]
@settings(max_examples=4000, deadline=None, derandomize=False, database=None)
@given(any_format, tables)
def f(fmt,x): n[0]+=1; check_format(fmt,[x])
@settings(max_examples=2000, deadline=None, derandomize=False, database=None)
@given(following, tables)
def g(fmt,x): n[0]+=1; check_format(fmt,[x])
f(); g(); print(n)
