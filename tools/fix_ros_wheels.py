"""Points the CMake files of the installed ROS wheels at this Python instead of their builder's.

The exported targets of the message packages name the include folders of the machine that built the
wheels, so nothing that uses them compiles. Run it with the Python of the virtual environment;
running it again changes nothing.
"""

from __future__ import annotations

import re
import sys
import sysconfig
from pathlib import Path

import numpy as np


def fix_text(text: str, python_include: str, numpy_include: str) -> str:
    """Return the CMake text with the builder's two include folders replaced."""
    text = re.sub(r'/opt/python/[^;"]*?/numpy/_core/include', numpy_include, text)
    return re.sub(r'/opt/python/[^/;"]+/include/python3\.\d+', python_include, text)


def main() -> int:
    """Rewrite every file that needs it and say how many there were."""
    python_include = sysconfig.get_path('include')
    numpy_include = np.get_include()
    changed = 0
    for path in sorted(Path(sys.prefix, 'share').glob('*/cmake/*.cmake')):
        before = path.read_text()
        after = fix_text(before, python_include, numpy_include)
        if '/opt/python/' in after:
            print(f'{path}: still names a folder of the machine that built it', file=sys.stderr)
            return 1
        if after != before:
            path.write_text(after)
            changed += 1
    print(f'{changed} CMake files now name {python_include}')
    return 0


if __name__ == '__main__':
    sys.exit(main())
