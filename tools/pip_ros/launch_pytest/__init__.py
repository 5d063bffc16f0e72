"""Stand-in for the ROS 2 package `launch_pytest`: tests that run beside a launch."""

from .plugin import fixture as fixture
