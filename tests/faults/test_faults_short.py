"""The most important faults of `make faults`, in one minute."""

import pytest

import faults
from run import RECOVER, Run
from stack import SLOW

SHORT = [f for f in faults.FAULTS if f.short]


@pytest.mark.parametrize("fault", SHORT, ids=[f.name for f in SHORT])
async def test_nothing_is_lost_doubled_or_disordered(stack, fault):
    run = Run(stack, fault, users=60, rate=100 // SLOW)
    verdict, took = await run.go()
    assert verdict.clean and not run.problems, (str(verdict), run.problems)
    assert verdict.sent == verdict.acked
    assert took <= RECOVER * SLOW
