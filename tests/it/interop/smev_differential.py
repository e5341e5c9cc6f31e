"""Says of each message of a folder's list, base64 a line, whether its operation follows our schema of its version, and
what is wrong with it."""

import base64
import pathlib
import re
import sys

from lxml import etree

folder = pathlib.Path(sys.argv[1])


def schema(v):
    return etree.XMLSchema(etree.parse(f"schemas/smev3/{v}/smev-message-exchange-types-{v}.xsd"))


types = {v: schema(v) for v in ("1.1", "1.2", "1.3")}


def verdict(message):
    # A document of its own: the validator judges roots.
    root = etree.fromstring(etree.tostring(etree.fromstring(message)[0][0]))
    by = types[re.search(r"/(1\.[123])\}", root.tag).group(1)]
    return "+" if by.validate(root) else "- " + " ".join(by.error_log.last_error.message.split())


messages = (folder / "messages").read_text().split()
verdicts = [verdict(base64.b64decode(line)) for line in messages]
(folder / "verdicts").write_text("\n".join(verdicts) + "\n")
