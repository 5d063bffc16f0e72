"""Every backend keeps the contract; an unknown one is refused."""

import sys
from pathlib import Path

import pytest

from aim_policy.config import ConfigError
from sim_bridge.backend import make_backend

sys.path.insert(0, str(Path(__file__).parent))
from backend_contract import BackendContract  # noqa: E402


class TestFake(BackendContract):
    name = 'fake'


@pytest.mark.sapien
class TestBuiltin(BackendContract):
    name = 'builtin'


def test_unknown_backend_lists_what_exists(robot):
    with pytest.raises(ConfigError, match='did you mean "builtin".*known: builtin, fake'):
        make_backend('built-in', robot)
