"""The files inside a wheel: adding some, in a fixed order and without times, and its bill of materials.

Standard library only.
"""

import base64
import csv
import hashlib
import io
import json
import zipfile
from pathlib import Path

FIRST_TIME_OF_ZIP = (1980, 1, 1, 0, 0, 0)


def add_files(wheel, files):
    """Add to the .dist-info of a wheel, in place. The same contents give the same bytes."""
    with zipfile.ZipFile(wheel) as archive:
        contents = {info.filename: archive.read(info) for info in archive.infolist() if not info.is_dir()}
        executable = {info.filename for info in archive.infolist() if info.external_attr >> 16 & 0o100}
    (record,) = (name for name in contents if name.endswith(".dist-info/RECORD"))
    folder = record.removesuffix("RECORD")
    contents |= {folder + name: text.encode() for name, text in files.items()}
    # auditwheel's own list contains the time and a random number; ours lists the bundled libraries.
    contents.pop(folder + "sboms/auditwheel.cdx.json", None)
    contents[record] = record_of(contents, record)
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name in sorted(contents, key=lambda name: (".dist-info/" in name, name)):  # the metadata last
            info = zipfile.ZipInfo(name, FIRST_TIME_OF_ZIP)
            info.compress_type = zipfile.ZIP_DEFLATED
            info.external_attr = (0o100755 if name in executable else 0o100644) << 16
            archive.writestr(info, contents[name])


def record_of(contents, record):
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    for name in sorted(contents):
        digest = base64.urlsafe_b64encode(hashlib.sha256(contents[name]).digest()).rstrip(b"=").decode()
        writer.writerow([name, "", ""] if name == record else [name, f"sha256={digest}", len(contents[name])])
    return text.getvalue().encode()


def sbom(wheel, bundled):
    """CycloneDX 1.6 SBOM (PEP 770) of the package and its bundled third-party libraries."""
    name, version = Path(wheel).name.split("-")[:2]
    with zipfile.ZipFile(wheel) as archive:
        hashes = {path: hashlib.sha256(archive.read(path)).hexdigest() for path in bundled}
    package = {
        "type": "library",
        "bom-ref": "lstm_fast",
        "name": name,
        "version": version,
        "purl": f"pkg:pypi/{name.replace('_', '-')}@{version}",
        "licenses": [{"license": {"id": "MIT"}}],
    }
    libraries = [
        {
            "type": "library",
            "bom-ref": Path(path).name,
            "name": Path(path).name.partition("-")[0],
            "description": f"GCC's OpenMP run-time library, at {path}",
            "hashes": [{"alg": "SHA-256", "content": digest}],
            "licenses": [{"expression": "GPL-3.0-or-later WITH GCC-exception-3.1"}],
        }
        for path, digest in hashes.items()
    ]
    document = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": package},
        "components": libraries,
        "dependencies": [{"ref": "lstm_fast", "dependsOn": [library["bom-ref"] for library in libraries]}],
    }
    return json.dumps(document, indent=1) + "\n"
