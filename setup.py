"""For pip install where there is no ROS: everything that needs no generated messages.

With ROS 2, colcon builds the package through CMakeLists.txt and leaves this file alone.
"""

import xml.etree.ElementTree as ElementTree
from collections import defaultdict
from pathlib import Path

from setuptools import find_packages, setup

ROOT = Path(__file__).parent
PACKAGE = ElementTree.parse(ROOT / 'package.xml').getroot()


def shared_files() -> list[tuple[str, list[str]]]:
    """Return the files for share/aim_ros, where aim_policy looks for them."""
    files = defaultdict(list)
    for name in ('config', 'launch', 'models', 'rviz', 'urdf'):
        for path in sorted((ROOT / name).rglob('*')):
            if path.is_file() and '__pycache__' not in path.parts:
                relative = path.relative_to(ROOT)
                files[f'share/aim_ros/{relative.parent}'].append(str(relative))
    return list(files.items())


setup(
    name='aim_ros',
    version=PACKAGE.findtext('version'),
    description=' '.join(PACKAGE.findtext('description').split()),
    license='Apache-2.0',
    python_requires='>=3.10,<3.13',
    packages=find_packages(include=['aim_policy*', 'aim_ros*', 'sim_bridge*']),
    data_files=shared_files(),
    install_requires=['numpy>=2,<3', 'PyYAML'],
    extras_require={
        'bag': ['mcap', 'mcap-ros2-support'],
        'model': [
            'av',
            'diffusers',
            'einops',
            'h5py',
            'pillow',
            'safetensors',
            'tokenizers',
            'torch',
            'tqdm',
            'transformers',
        ],
        'sim': ['sapien==3.0.3', 'toppra', 'transforms3d'],
        'test': ['hypothesis', 'pytest<8', 'rosbags', 'ruff'],
    },
)
