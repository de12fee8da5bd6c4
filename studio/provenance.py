"""What made a picture or film, written into its file and read back to set every control as it was.

Pictures carry JSON in a text chunk (PNG) and in XMP (all formats); films in their comment. XMP also says in IPTC's
words that the picture is AI-generated, which other programs understand. What is read back is a stranger's word: it is
bounded, checked and never more than plain values.
"""

import json
import math
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from datetime import datetime, timezone
from typing import Any
from xml.sax.saxutils import escape

from torch import Tensor

from studio.errors import ImageError
from studio.images import encode
from studio.raster.labels import Labels, read_labels
from studio.raster.untrusted import Source

STUDIO_VERSION = "0.1.0"
KEY = "atelier"  # the PNG's text chunk; in JSON, the number of the form it is written in
FORM = 1
NAMESPACE = "urn:atelier:provenance/1/"
# https://cv.iptc.org/newscodes/digitalsourcetype: "created using a model trained on sampled content"
AI_GENERATED = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
# of the same list: a picture with parts that such a model made, and one that was mended by rules alone
PARTLY_GENERATED = "http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia"
ENHANCED = "http://cv.iptc.org/newscodes/digitalsourcetype/algorithmicallyEnhanced"

MAX_JSON_BYTES = 48 << 10  # JPEG has room for 64 KiB of XMP
MAX_XMP_BYTES = 1 << 20
MAX_DEPTH = 8
MAX_NAME = 200
_INT64 = 2**63
_SHA256 = re.compile(r"([0-9a-f]{64})?")
_TIME = "%Y-%m-%dT%H:%M:%SZ"

_XMP = """<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/">
 <rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
  <rdf:Description rdf:about=""
    xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
    xmlns:xmp="http://ns.adobe.com/xap/1.0/"
    xmlns:atelier="{namespace}">
   <Iptc4xmpExt:DigitalSourceType>{source}</Iptc4xmpExt:DigitalSourceType>
   <xmp:CreatorTool>Atelier {version}</xmp:CreatorTool>
   <xmp:CreateDate>{created}</xmp:CreateDate>
   <atelier:provenance>{json}</atelier:provenance>
  </rdf:Description>
 </rdf:RDF>
</x:xmpmeta>
<?xpacket end="r"?>"""


def _now() -> str:
    return datetime.now(timezone.utc).strftime(_TIME)


@dataclass(frozen=True)
class Provenance:
    """What made a picture. Valid by construction: ImageError for what could not be written and read back equal."""

    tool: str  # explore, style ...
    model: str  # its name in the library; empty where no model took part
    model_sha256: str = ""  # of the weights
    settings: dict[str, Any] = field(default_factory=dict)  # JSON values; every control of the tool
    seed: int | None = None
    version: str = STUDIO_VERSION
    created: str = field(default_factory=_now)  # UTC, to the second

    def __post_init__(self) -> None:
        for name in ("tool", "model", "version"):
            value = getattr(self, name)
            if not isinstance(value, str) or len(value) > MAX_NAME or not value.isprintable():
                raise _bad(f"{name} is not a text of at most {MAX_NAME} characters")
        if not isinstance(self.model_sha256, str) or not _SHA256.fullmatch(self.model_sha256):
            raise _bad("model_sha256 is not a hash of 64 hexadecimal digits")
        if self.seed is not None and (type(self.seed) is not int or not 0 <= self.seed < _INT64):
            raise _bad("seed is not a whole number from 0 to 2^63 - 1")
        if not isinstance(self.created, str) or not _is_time(self.created):
            raise _bad("created is not a time like 2025-01-31T12:00:00Z")
        if type(self.settings) is not dict:
            raise _bad("settings are not names with values")
        _check(self.settings, "settings", 1)
        size = len(self.to_json())
        if size > MAX_JSON_BYTES:
            raise _bad(f"settings take {size} bytes, over the limit of {MAX_JSON_BYTES}")

    def to_json(self) -> str:
        """ASCII, so that any text field of any format carries it unchanged."""
        return json.dumps({KEY: FORM, **asdict(self)}, allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> "Provenance":
        """Equal to what `to_json` was called on. Raises ImageError for anything that it would not have written."""
        if len(text) > MAX_JSON_BYTES:
            raise _bad(f"JSON has {len(text)} characters, over the limit of {MAX_JSON_BYTES}")
        try:
            values = json.loads(text, parse_constant=_no_constant, object_pairs_hook=_distinct)
        except (ValueError, RecursionError) as error:
            raise _bad("JSON cannot be read") from error
        if not isinstance(values, dict):
            raise _bad("JSON is no list of names with values")
        form = values.pop(KEY, None)
        if type(form) is not int or form < 1:
            raise _bad("JSON does not name its form")
        if form > FORM:
            raise ImageError(f"the picture's settings are in form {form}, this studio reads up to {FORM}; update it")
        names = {f.name for f in fields(cls)}
        if values.keys() != names:
            raise _bad(f"JSON does not hold exactly {', '.join(sorted(names))}")
        return cls(**values)

    def labels(self, source: str = AI_GENERATED) -> Labels:
        """To be written into a picture, of any format: `save_picture(path, picture, labels=provenance.labels())`.

        source: what IPTC calls the picture, such as PARTLY_GENERATED.
        """
        text = self.to_json()
        xmp = _XMP.format(
            namespace=NAMESPACE,
            source=source,
            version=escape(self.version),
            created=self.created,
            json=escape(text),
        )
        return Labels({KEY: text}, xmp.encode())

    def film_metadata(self) -> dict[str, str]:
        """To be set as a film container's metadata."""
        return {"comment": self.to_json(), "description": f"AI-generated with Atelier ({AI_GENERATED})"}


def encode_png(picture: Tensor, provenance: Provenance) -> bytes:
    """[C, H, W] or [1, C, H, W] in [-1, 1], C 1 or 3, as a PNG that carries what made it."""
    return encode(picture, "PNG", labels=provenance.labels())


def read(source: Source) -> Provenance | None:
    """What made a picture, or None if it does not say. Nothing is decoded.

    Raises ImageError for a file that is no picture, and for a statement of ours that is damaged or made to do harm.
    """
    labels = read_labels(source)
    text = labels.text.get(KEY)
    if text is None:
        text = _from_xmp(labels.xmp)
    return None if text is None else Provenance.from_json(text)


def read_film(metadata: Mapping[str, str]) -> Provenance | None:
    """What made a film, from its container's metadata, or None if it does not say. Raises ImageError as `read`."""
    # Matroska turns names into capitals
    comments = [value for key, value in metadata.items() if key.lower() == "comment"]
    ours = [text for text in comments if text.startswith('{"%s": ' % KEY)]
    return Provenance.from_json(ours[0]) if ours else None


def _from_xmp(xmp: bytes) -> str | None:
    """The JSON inside an XMP packet, as an element or, after another program rewrote it, an attribute."""
    if NAMESPACE.encode() not in xmp:
        return None
    if len(xmp) > MAX_XMP_BYTES:
        raise _bad(f"XMP has {len(xmp)} bytes, over the limit of {MAX_XMP_BYTES}")
    try:
        text = xmp.decode().strip("\0 \r\n\t\ufeff")
        if "<!DOCTYPE" in text:  # where entities are declared, of which a few lines unfold to gigabytes
            raise _bad("XMP declares a document type")
        root = ElementTree.fromstring(text)
    except (UnicodeDecodeError, ElementTree.ParseError) as error:
        raise _bad("XMP cannot be read") from error
    name = f"{{{NAMESPACE}}}provenance"
    for element in root.iter():
        if element.tag == name:
            return element.text or ""
        if name in element.attrib:
            return element.attrib[name]
    return None


def _check(value: Any, where: str, depth: int) -> None:
    """Raises ImageError unless the value is JSON that comes back equal, of the same types."""
    if depth > MAX_DEPTH:
        raise _bad(f"{where} is nested more than {MAX_DEPTH} deep")
    if type(value) is dict:
        for key, item in value.items():
            if type(key) is not str or len(key) > MAX_NAME:
                raise _bad(f"{where} has a name that is not a text of at most {MAX_NAME} characters")
            _check(item, key, depth + 1)
    elif type(value) is list:
        for item in value:
            _check(item, where, depth + 1)
    elif type(value) is float:
        if not math.isfinite(value):
            raise _bad(f"{where}={value} is not a finite number")
    elif type(value) is int:
        if not -_INT64 <= value < _INT64:
            raise _bad(f"{where} is a whole number of more than 64 bits")
    elif value is not None and type(value) not in (bool, str):
        raise _bad(f"{where} is a {type(value).__name__}, not a plain value")


def _bad(what: str) -> ImageError:
    return ImageError(f"the picture's settings cannot be used: {what}; take a picture as it was saved here")


def _is_time(text: str) -> bool:
    try:
        return datetime.strptime(text, _TIME).strftime(_TIME) == text
    except ValueError:
        return False


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no number of JSON")


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len({key for key, _ in pairs}) < len(pairs):
        raise ValueError("a name stands twice")
    return dict(pairs)
