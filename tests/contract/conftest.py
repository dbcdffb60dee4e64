import pathlib
import sys

HERE = pathlib.Path(__file__).resolve().parent
for path in (HERE, HERE.parent, HERE.parent / "edge"):
    if str(path) not in sys.path:
        sys.path.insert(0, str(path))
