"""Validates every message in these folders, and below, against our schemas of its version: body, fault detail,
content; or a content alone. After --none no body may be valid."""

import pathlib
import re
import sys

from lxml import etree

SOAP = "{http://schemas.xmlsoap.org/soap/envelope/}"
BASE = "urn://x-artefacts-smev-gov-ru/services/message-exchange/types/"
OURS = "urn:kontingent:federal:1.0"


def schema(path):
    return etree.XMLSchema(etree.parse(path))


def of_version(name):
    return {v: schema(f"schemas/smev3/{v}/smev-message-exchange-{name}-{v}.xsd") for v in ("1.1", "1.2", "1.3")}


types, faults = of_version("types"), of_version("faults")
federal = schema("schemas/federal/1.0/federal-1.0.xsd")
wrong = checked = 0


def check(by, element, path):
    global wrong, checked
    checked += 1
    # A document of its own: the validator judges roots.
    alone = etree.fromstring(etree.tostring(element, encoding="utf-8"))
    if not by.validate(alone):
        wrong += 1
        print(path, by.error_log.last_error)
        print(etree.tostring(alone, encoding="unicode")[:2000])


def version(element):
    return re.search(r"/(1\.[123])\}", element.tag).group(1)


none = "--none" in sys.argv
folders = [argument for argument in sys.argv[1:] if argument != "--none"]
for path in sorted(path for folder in folders for path in pathlib.Path(folder).rglob("*.xml")):
    text = path.read_bytes()
    if not text.startswith(b"<"):
        continue
    message = etree.fromstring(text)
    if etree.QName(message).namespace == OURS:
        check(federal, message, path)
        continue
    root = message.find(SOAP + "Body")[0]
    if root.tag == SOAP + "Fault":
        detail = root.find("detail")
        if len(detail):
            assert len(detail) == 1, path
            check(faults[version(detail[0])], detail[0], path)
        continue
    if none:
        checked += 1
        if types[version(root)].validate(etree.fromstring(etree.tostring(root, encoding="utf-8"))):
            wrong += 1
            print(path, "is valid", text.decode())
        continue
    check(types[version(root)], root, path)
    for content in root.iter(f"{{{BASE}basic/{version(root)}}}MessagePrimaryContent"):
        if etree.QName(content[0]).namespace == OURS:
            check(federal, content[0], path)

print(f"{checked} elements checked, {wrong} wrong")
sys.exit(1 if wrong or not checked else 0)
