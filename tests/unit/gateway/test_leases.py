"""What the log says of experiments that nobody measures."""

from uuid import UUID

import pytest

from services.domain.configuration import ExperimentConfig
from services.gateway.leases import _log_blind


@pytest.mark.parametrize(
    ("was_measured", "said"),
    [
        (False, "the-canary: nobody has measured it yet; its treatment gets no traffic"),
        (True, "the-canary: nobody has measured it for over 60 s; its treatment gets no traffic"),
    ],
)
def test_what_was_never_measured_is_not_called_late(
    was_measured: bool, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    canary = ExperimentConfig(
        experiment_id=UUID(int=1),
        key="the-canary",
        phase=1,
        salt="s",
        control="old",
        treatment="new",
        treatment_share_bp=500,
    )
    _log_blind(canary, was_measured=was_measured)
    assert said in caplog.text
