"""Validates every message in a folder against our schemas: body, fault detail, content."""

import pathlib
import sys

from lxml import etree

SOAP = "{http://schemas.xmlsoap.org/soap/envelope/}"
BASIC = "{urn://x-artefacts-smev-gov-ru/services/message-exchange/types/basic/1.3}"


def schema(path):
    return etree.XMLSchema(etree.parse(path))


types = schema("schemas/smev3/1.3/smev-message-exchange-types-1.3.xsd")
faults = schema("schemas/smev3/1.3/smev-message-exchange-faults-1.3.xsd")
federal = schema("schemas/federal/1.0/federal-1.0.xsd")
wrong = checked = 0


def check(by, element, path):
    global wrong, checked
    checked += 1
    # A document of its own: the validator judges roots.
    alone = etree.fromstring(etree.tostring(element))
    if not by.validate(alone):
        wrong += 1
        print(path, by.error_log.last_error)
        print(etree.tostring(alone, encoding="unicode")[:2000])


for path in sorted(pathlib.Path(sys.argv[1]).glob("*.xml")):
    text = path.read_bytes()
    if not text.startswith(b"<"):
        continue
    body = etree.fromstring(text).find(SOAP + "Body")
    root = body[0]
    if root.tag == SOAP + "Fault":
        detail = root.find("detail")
        if len(detail):
            assert len(detail) == 1, path
            check(faults, detail[0], path)
        continue
    check(types, root, path)
    for content in root.iter(BASIC + "MessagePrimaryContent"):
        check(federal, content[0], path)

print(f"{checked} elements checked, {wrong} wrong")
sys.exit(1 if wrong or not checked else 0)
