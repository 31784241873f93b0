"""Draw the picture of explain.md: the page that its code writes, in a headless Chromium.

python docs/explain.py
"""

import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from PIL import Image

DOCS = Path(__file__).resolve().parent
PICTURE = DOCS / "gallery" / "explain.png"
BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
WIDTH, HEIGHT = 1240, 1560


def main():
    if BROWSER is None:
        raise SystemExit("a Chromium is needed: apt install chromium")
    code = re.search(r"```python\n(.*?)```", (DOCS / "explain.md").read_text(), re.DOTALL)[1]
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        exec(code, {})
        page, picture = Path(folder, "page.html"), Path(folder, "page.png")
        flags = ["--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--virtual-time-budget=2000"]
        flags += [f"--user-data-dir={folder}/profile", f"--window-size={WIDTH},{HEIGHT}", f"--screenshot={picture}"]
        subprocess.run([BROWSER, *flags, page.as_uri()], check=True, capture_output=True)
        # 128 colors are enough for a page of few colors, and take a third of the bytes.
        Image.open(picture).convert("RGB").quantize(128, dither=Image.Dither.NONE).save(PICTURE, optimize=True)


if __name__ == "__main__":
    main()
