"""Adds up the xunit files below a folder: prints the counts, status 1 unless all is well."""

import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

NAMES = ('tests', 'failures', 'errors', 'skipped')


def count(folder: Path) -> tuple[int, int, int]:
    """Return how many tests passed, failed and were skipped."""
    total = dict.fromkeys(NAMES, 0)
    for path in sorted(folder.rglob('*.xunit.xml')):
        for suite in ElementTree.parse(path).iter('testsuite'):
            for name in NAMES:
                total[name] += int(suite.get(name, '0'))
    failed = total['failures'] + total['errors']
    return total['tests'] - failed - total['skipped'], failed, total['skipped']


def main(argv: list[str]) -> int:
    """Print the counts of the folder that is named."""
    passed, failed, skipped = count(Path(argv[1]))
    print(f'{passed} passed, {failed} failed, {skipped} skipped')
    return int(failed > 0 or passed == 0)


if __name__ == '__main__':
    sys.exit(main(sys.argv))
