"""The checksums that the files of a run carry inside them, each where its format has room for one.

    JSON            a field "sha256": of the record without it, as JSON with sorted keys and no spaces
    safetensors     an entry "sha256" of the header's metadata: of the header without it, as such JSON, and of the rest
    train_state.pt  the comment of the zip archive: "carousel sha256 " and that of the file without the comment
    a line of a log a last field "crc32": of the line's bytes without it

So every other program reads each file as before. The functions `open_...` and `check_...` return whether there was a
checksum, as earlier runs have none, and raise ValueError where it does not fit the content.
"""

import hashlib
import io
import json
import re
import zipfile
import zlib
from typing import Any

KEY, LINE_KEY = "sha256", "crc32"
COMMENT = b"carousel sha256 "
COMMENT_SIZE = len(COMMENT) + 64
LINE_END = re.compile(rb'(, )?"crc32": "([0-9a-f]{8})"\}$')


def seal_record(record: dict[str, Any]) -> dict[str, Any]:
    """A JSON object with its checksum."""
    return {**record, KEY: _of_record(record)}


def open_record(record: dict[str, Any]) -> tuple[dict[str, Any], bool]:
    """The object without its checksum, and whether it had one. Raises ValueError for a wrong one."""
    bare = {name: value for name, value in record.items() if name != KEY}
    if KEY not in record:
        return bare, False
    _require(record[KEY], _of_record(bare))
    return bare, True


def seal_tensors(content: bytes) -> bytes:
    """A safetensors file with its checksum."""
    header, rest = _parts(content)
    metadata = header.pop("__metadata__", {})
    digest = _of_tensors({"__metadata__": metadata, **header}, rest)
    text = json.dumps({"__metadata__": {**metadata, KEY: digest}, **header}, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # the tensors begin at a multiple of 8
    return len(text).to_bytes(8, "little") + text + rest


def check_tensors(content: bytes) -> bool:
    """Whether a safetensors file has a checksum. Raises ValueError for a wrong one."""
    header, rest = _parts(content)
    metadata = header.get("__metadata__", {})
    if not isinstance(metadata, dict) or KEY not in metadata:
        return False
    bare = {name: value for name, value in metadata.items() if name != KEY}
    _require(metadata[KEY], _of_tensors(header | {"__metadata__": bare}, rest))
    return True


def seal_archive(content: bytes) -> bytes:
    """A zip archive with its checksum as its comment. content: the archive without a comment, whose last two bytes are
    the length of the comment, 0."""
    comment = COMMENT + hashlib.sha256(content).hexdigest().encode()
    return content[:-2] + len(comment).to_bytes(2, "little") + comment


def check_archive(content: bytes) -> bool:
    """Whether a zip archive has a checksum. Raises ValueError for a wrong one."""
    comment = content[-COMMENT_SIZE:]
    if not comment.startswith(COMMENT):
        return False
    bare = hashlib.sha256(memoryview(content)[: -COMMENT_SIZE - 2])
    bare.update(b"\0\0")
    _require(comment[len(COMMENT) :].decode("ascii", "replace"), bare.hexdigest())
    return True


def require_plain_archive(content: bytes) -> None:
    """Raises ValueError for a zip archive that is compressed, or would unpack to more bytes than it has."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        entries = archive.infolist()
    if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
        raise ValueError("it is compressed, which training does not do")
    if sum(entry.file_size for entry in entries) > len(content):
        raise ValueError("it would unpack to more than it is")


def seal_line(record: dict[str, Any]) -> bytes:
    """The record as a line of a log: JSON whose last field is the checksum, and a line break."""
    text = json_bytes(record)
    return text[:-1] + b', "%s": "%08x"}\n' % (LINE_KEY.encode(), zlib.crc32(text))


def open_line(line: bytes) -> tuple[dict[str, Any], bool]:
    """The record of a line, and whether it had a checksum. Raises ValueError for a wrong one, or no JSON object."""
    found = LINE_END.search(line)
    if found:
        _require(found[2].decode(), f"{zlib.crc32(line[: found.start()] + b'}'):08x}")
    try:
        record = json.loads(line.decode("utf-8"))
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    if not isinstance(record, dict):
        raise ValueError("it is no JSON object")
    record.pop(LINE_KEY, None)
    return record, found is not None


def json_bytes(record: Any, **options: Any) -> bytes:
    """JSON in UTF-8. Lone surrogates, which UTF-8 cannot encode, stand in it as JSON's escapes."""
    return json.dumps(record, ensure_ascii=False, **options).encode("utf-8", "backslashreplace")


def _parts(content: bytes) -> tuple[dict[str, Any], bytes]:
    """The header of a safetensors file, and the bytes after it."""
    size = int.from_bytes(content[:8], "little")
    if len(content) < 8 + size:
        raise ValueError("it ends before its header does")
    header = json.loads(content[8 : 8 + size])
    if not isinstance(header, dict):
        raise ValueError("its header is no JSON object")
    return header, content[8 + size :]


def _of_tensors(header: dict[str, Any], rest: bytes) -> str:
    digest = hashlib.sha256(_canonical(header))
    digest.update(rest)
    return digest.hexdigest()


def _of_record(record: dict[str, Any]) -> str:
    return hashlib.sha256(_canonical(record)).hexdigest()


def _canonical(record: dict[str, Any]) -> bytes:
    return json.dumps(record, sort_keys=True, separators=(",", ":")).encode()


def _require(recorded: Any, found: str) -> None:
    if recorded != found:
        raise ValueError("its checksum does not fit its content")
