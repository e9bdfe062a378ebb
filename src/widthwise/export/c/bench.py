"""The C main beside a network: it tries the network on samples with known outputs, or runs it on others."""

from __future__ import annotations

from widthwise.export.c.source import rows
from widthwise.export.integers.computing import compute, sample_codes
from widthwise.export.integers.steps import Program

SAMPLES = 16

_MAIN = """\
#include <stdio.h>
#include "network.h"

/* Without arguments: runs the network on the samples below; the status is 0 where all outputs are equal.
   With an argument: reads codes from the standard input, NETWORK_X_SIZE a sample, writes those of outputs. */

#define SAMPLES {samples}
static const network_x given[SAMPLES * NETWORK_X_SIZE] = {{
{given}
}};
static const network_y expected[SAMPLES * NETWORK_Y_SIZE] = {{
{expected}
}};
static network_x x[NETWORK_X_SIZE];
static network_y y[NETWORK_Y_SIZE];

static int run(void) {{
  long long code;
  int32_t read = 0;
  while (scanf("%lld", &code) == 1) {{
    x[read++] = (network_x)code;
    if (read < NETWORK_X_SIZE) continue;
    read = 0;
    network(x, y);
    for (int32_t i = 0; i < NETWORK_Y_SIZE; i++) printf("%lld\\n", (long long)y[i]);
  }}
  return read;
}}

int main(int count, char **arguments) {{
  int equal = 0;
  (void)arguments;
  if (count > 1) return run();
  for (int32_t sample = 0; sample < SAMPLES; sample++) {{
    int same = 1;
    network(given + sample * NETWORK_X_SIZE, y);
    for (int32_t i = 0; i < NETWORK_Y_SIZE; i++)
      if (y[i] != expected[sample * NETWORK_Y_SIZE + i]) same = 0;
    equal += same;
  }}
  printf("%d of %d samples: all outputs equal\\n", equal, SAMPLES);
  return equal == SAMPLES ? 0 : 1;
}}
"""


def bench(program: Program) -> str:
    """test.c."""
    codes = sample_codes(program, SAMPLES)
    given, expected = ("\n".join(rows(table)) for table in (codes, compute(program, codes)))
    return _MAIN.format(samples=SAMPLES, given=given, expected=expected)
