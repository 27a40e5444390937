"""What tests of the plan share: the mistakes in options."""

from __future__ import annotations

import pytest

from stress.plan import BadOptions, Options, check


def mistakes(options: Options) -> tuple[str, ...]:
    """The mistakes in options that are none of the machine's faults."""
    with pytest.raises(BadOptions) as caught:
        check(options)
    assert caught.value.machine == ()
    return caught.value.mistakes


def the_mistake(options: Options) -> str:
    """The only mistake."""
    (mistake,) = mistakes(options)
    return mistake
