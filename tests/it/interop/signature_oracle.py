"""Takes an enveloped signature apart with lxml: canonical content and SignedInfo, digest and value, as files of a folder."""

import base64
import pathlib
import sys

from lxml import etree

DS = "{http://www.w3.org/2000/09/xmldsig#}"
document, folder = sys.argv[1], pathlib.Path(sys.argv[2])
root = etree.parse(document).getroot()
signature = root.find(DS + "Signature")
info = signature.find(DS + "SignedInfo")


def canonical(element):
    return etree.tostring(element, method="c14n", exclusive=True, with_tail=False)


(folder / "signed-info").write_bytes(canonical(info))
(folder / "value").write_bytes(base64.b64decode(signature.find(DS + "SignatureValue").text))
(folder / "digest").write_bytes(base64.b64decode(info.find(f"{DS}Reference/{DS}DigestValue").text))
root.remove(signature)
(folder / "content").write_bytes(canonical(root))
