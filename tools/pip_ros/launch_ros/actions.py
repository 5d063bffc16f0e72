"""ROS nodes: processes with a name, a namespace, parameters and remappings."""

import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import yaml
from ament_index_python.packages import get_package_prefix

from launch.actions import ExecuteProcess
from launch.launch_service import LaunchContext
from launch.substitutions import Substitution, perform_text


@dataclass(eq=False, kw_only=True)
class Node(ExecuteProcess):
    """A process with ROS arguments; `name` is the node's."""

    executable: Any
    package: Any = None
    namespace: Any = None
    parameters: Any = ()
    remappings: Any = ()
    ros_arguments: Any = ()
    arguments: Any = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        self.cmd = [self.executable, *self.arguments, '--ros-args', *self.ros_arguments]
        self._node_name, self.name = self.name, None  # the process is called as its executable

    def build_command(self, context: LaunchContext) -> list[str]:
        command = super().build_command(context)
        if self.package is not None:
            command[0] = find_executable(perform_text(context, self.package), command[0])
        given = (('__node', self._node_name), ('__ns', self.namespace))
        names = {rule: perform_text(context, text) for rule, text in given if text is not None}
        if '__ns' in names:
            names['__ns'] = '/' + names['__ns'].strip('/')
        target = f'{names["__ns"].rstrip("/")}/{names["__node"]}' if len(names) == 2 else '/**'
        for rule in (*names.items(), *(self.remappings or ())):
            command += ['-r', ':='.join(perform_text(context, side) for side in rule)]
        for entry in self.parameters or ():
            is_file = not isinstance(entry, Mapping)
            path = perform_text(context, entry) if is_file else self._write(context, target, entry)
            command += ['--params-file', path]
        return command

    def _write(self, context: LaunchContext, node: str, parameters: Mapping[Any, Any]) -> str:
        plain = _plain_parameters(context, parameters)
        with tempfile.NamedTemporaryFile('w', prefix='launch_params_', delete=False) as file:
            # JSON is YAML with quoted texts: a bare y or no would arrive as a truth value.
            json.dump({node: {'ros__parameters': plain}}, file)
        self.temporary_files.append(file.name)
        return file.name


def find_executable(package: str, name: str) -> str:
    """Return the path of an executable of a package."""
    folder = os.path.join(get_package_prefix(package), 'lib', package)
    path = shutil.which(name, path=folder)
    if path is None:
        raise RuntimeError(f"package '{package}' has no executable '{name}' in {folder}")
    return path


def _plain_parameters(context: LaunchContext, parameters: Mapping[Any, Any]) -> dict[str, Any]:
    """Return plain values; a text with substitutions means what YAML says."""
    plain: dict[str, Any] = {}
    for key, value in parameters.items():
        parts = value if isinstance(value, (list, tuple)) else [value]
        if isinstance(value, Mapping):
            value = _plain_parameters(context, value)
        elif any(isinstance(part, Substitution) for part in parts):
            text = perform_text(context, value)
            value = yaml.safe_load(text) if text else ''
        elif {type(part) for part in parts} == {int, float}:
            value = [float(part) for part in parts]
        plain[perform_text(context, key)] = value
    return plain
