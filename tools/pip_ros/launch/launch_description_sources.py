"""Where launch descriptions come from."""

from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from typing import Any

from .launch_service import Action, LaunchContext
from .substitutions import perform_text


class PythonLaunchDescriptionSource:
    """A Python launch file."""

    def __init__(self, launch_file_path: Any) -> None:
        self.path = launch_file_path

    def get_launch_description(self, context: LaunchContext) -> Action:
        """Run the file and return its description."""
        loader = SourceFileLoader('launch_file', perform_text(context, self.path))
        module = module_from_spec(spec_from_loader(loader.name, loader))
        loader.exec_module(module)
        return module.generate_launch_description()
