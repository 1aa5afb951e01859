"""How many examples Hypothesis tries: the same few in every run, or new ones at length.

Takes: ``pytest tests/property --hypothesis-profile=faults`` for the long run
"""

from __future__ import annotations

from hypothesis import HealthCheck, Phase, settings

CHECKS = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example]

QUICK = [Phase.explicit, Phase.generate]  # a seed does not shrink, and a run should be short

settings.register_profile(
    "few",
    max_examples=12,
    phases=QUICK,
    derandomize=True,
    deadline=None,
    suppress_health_check=CHECKS,
)
settings.register_profile(
    "faults", max_examples=1000, deadline=None, suppress_health_check=CHECKS, print_blob=True
)
settings.load_profile("few")
