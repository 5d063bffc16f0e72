"""The action that starts the tests."""

import asyncio

from launch.launch_service import Action, LaunchContext


class ReadyToTest(Action):
    """Tells that the tests may start."""

    def __init__(self) -> None:
        super().__init__(None)
        self.reached = asyncio.Event()

    def execute(self, context: LaunchContext) -> None:
        super().__init__(None)
        self.reached.set()
